"""`symcheck discover` as a user runs it: the page, the claims, the document, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import symcheck
from symcheck.claim import Claim
from symcheck.cli.main import main
from symcheck.report.documents import read_document

NETWORKS = """
import torch
from torch import nn

class Radial(nn.Module):
    def __init__(self, leak=0.0):
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
        self.leak = leak

    def forward(self, x):
        size = x.square().sum(-1, keepdim=True)
        return x * self.net(size) + self.leak * x.roll(1, -1).sin()

def radial(leak=0.0):
    return Radial(leak)

def plain():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 2))
    for p in net.parameters():
        nn.init.normal_(p)
    return net

class Constant(nn.Module):
    def forward(self, x):
        return 0 * x.sum(-1) + 1

def constant():
    return Constant()

class Minkowski(nn.Module):
    def forward(self, x):
        return (x[:, 0].square() - x[:, 1:].square().sum(-1)).sin()

def minkowski():
    return Minkowski()

class Pair(nn.Module):
    def forward(self, p, q):
        return (p[:, 0] * q[:, 0] - (p[:, 1:] * q[:, 1:]).sum(-1)).sin()

def pair():
    return Pair()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Networks of different symmetry, and inputs for them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "110")
    (tmp_path / "nets.py").write_text(NETWORKS)
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "x.npz", x=rng.standard_normal((120, 3)).astype(np.float32))
    np.savez(tmp_path / "four.npz", x=rng.standard_normal((120, 4)))
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], name: str, *more: str, data: str = "x.npz") -> tuple[int, str, str]:
    code = main(["discover", "--model", f"nets.py:{name}", "-i", data, "--only", "continuous", "-q", *more])
    out, err = capsys.readouterr()
    return code, out, err


def test_page(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "radial")
    assert code == 0
    assert "so(3), 3 generators" in out and "3 exact, 0 near; 3 over resampled samples" in out
    assert "O(3): x=vector -> output=vector" in out
    assert "diag(1,1,1), signature (3, 0)" in out


def test_nothing_is_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plain")
    assert code == 0 and "no generator, exact or near" in out and "No claim was found that holds." in out
    code, out, _ = run(capsys, "plain", "--as-claims")
    assert (code, out) == (0, "")


def test_claims_are_ready_for_the_audit(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "minkowski", "--as-claims", data="four.npz")
    assert code == 0 and out.splitlines() == ["SO(1,3): x=vector -> output=invariant"]
    for line in out.splitlines():
        assert str(Claim.parse(line)) == line
        x = torch.as_tensor(np.load("four.npz")["x"])
        network = {}
        exec(NETWORKS, network)
        assert symcheck.audit(network["minkowski"](), line, {"x": x}).holds


def test_a_leak_gives_no_claim(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "radial", "-m", "leak=0.003", "--as-claims")
    assert (code, out) == (0, "")
    code, out, _ = run(capsys, "radial", "-m", "leak=0.003")
    assert code == 0 and "nearly so(3)" in out and "0 exact, 3 near" in out


def test_document(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    code, out, _ = run(capsys, "radial", "-o", "found.json", "--form", "skew", "--linear", "--acting", "free")
    assert code == 0 and "wrote found.json" in out
    plain = json.loads((folder / "found.json").read_text())
    assert plain["schema"] == "symcheck.discover/1" and read_document(folder / "found.json") == plain
    found = plain["continuous"]
    assert (found["verdict"], found["dimension"], found["forms"]) == ("exact", 3, {"x": "skew"})
    assert len(found["spectrum"]) == 3  # nothing but skew matrices was asked for
    assert plain["claims"] == ["O(3): x=vector -> output=vector"] and plain["discrete"] is None
    basis = [np.array(one["inputs"]["x"]) for one in found["algebra"]["basis"]]
    assert all(np.allclose(b, -b.T, atol=1e-6) and b.shape == (3, 3) for b in basis)


def test_constant_network_concludes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "constant")
    assert code == 2 and "trivial" in out and "nothing was tested" in out


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--form", "diag(1,0,1)"], "is not a form"),
        (["--form", "diag(1,-1)"], "has 2 entries"),
        (["--form", "y=skew"], "no input 'y'"),
        (["--form", "skew", "--form", "symplectic"], "two forms"),
        (["--input", "pos"], "no input 'pos'"),
        (["--under", "SO(3): y=vector"], "no input 'y'"),
        (["--acting", "somehow"], "no way in which outputs follow"),
        (["--only", "everything"], "no part 'everything'"),
        (["--samples", "8"], "too few for"),
        (["-o", "found.xyz"], "found.xyz"),
    ],
)
def test_refusals(capsys: pytest.CaptureFixture[str], more: list[str], words: str) -> None:
    code, out, err = run(capsys, "radial", *more)
    assert code == 2 and not out and words in err and "hint:" in err


def test_same_seed_same_document(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    for name in ("a.json", "b.json"):
        run(capsys, "radial", "-o", name)
    a, b = (json.loads((folder / name).read_text()) for name in ("a.json", "b.json"))
    assert a["continuous"]["spectrum"] == b["continuous"]["spectrum"] and a["claims"] == b["claims"]


def test_outputs_that_move_in_ways_of_their_own(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    """Five numbers that turn as the symmetric traceless square of x, in a basis of their own."""
    (folder / "nets.py").write_text(
        NETWORKS
        + """
class Quadrupole(nn.Module):
    def forward(self, x):
        a, b, c = x.unbind(-1)
        square = torch.stack([a * b, b * c, a * c, (a * a - b * b) / 2, (2 * c * c - a * a - b * b) / 12 ** 0.5], -1)
        mix = torch.tensor([[2., 1, 0, 0, 1], [0, 1, 3, 0, 0], [1, 0, 1, 0, 0], [0, 0, 0, 2, 1], [0, 1, 0, 0, 1]])
        return (square @ mix.to(x)) * (1 + x.square().sum(-1, keepdim=True)).rsqrt()

def quadrupole():
    return Quadrupole()
"""
    )
    code, out, _ = run(capsys, "quadrupole", "--only", "representations")
    assert code == 0 and "so(3), 3 generators" in out and "1x2e" in out
    assert "O(3): x=vector -> output: a linear action, 1x2e" in out


def test_labels_stand_in_the_profile_and_are_not_given_to_the_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = np.random.default_rng(0).standard_normal((64, 3)).astype("float32")
    np.savez(folder / "labelled.npz", x=x, side=(x[:, 0] > 0).astype("int64"))
    args = ["discover", "--model", "nets.py:radial", "-i", "labelled.npz", "--only", "discrete", "--also", "profile"]
    assert main([*args, "--labels", "side", "-q", "-o", "found.json"]) == 0
    rows = json.loads((folder / "found.json").read_text())["profile"]["rows"]
    assert rows and all(0 <= row["labels"] <= 1 and row["labels_at_rest"] > 0.5 for row in rows)
    assert "(Holm)" in capsys.readouterr().out
    assert main([*args, "--labels", "none", "-q"]) == 2
    assert "there is no array 'none'" in capsys.readouterr().err


def test_what_no_claim_says_is_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weaker = "the claims are weaker than what was found: 6 of the 16 generators of gl(4)"
    swapped = "no claim can say this: Z2 on p and q, generated by (p q): output invariant"
    args = ["discover", "--model", "nets.py:pair", "-i", "p=normal(4)", "-i", "q=normal(4)", "-q", "-o", "found.json"]
    assert main([*args, "--as-claims"]) == 0
    out, err = capsys.readouterr()
    assert err.splitlines() == [weaker, swapped] and "SO(1,3): p=vector, q=vector -> output=invariant" in out
    assert json.loads((folder / "found.json").read_text())["unsaid"] == [weaker, swapped]
    assert main([*args[:-1], "found.html"]) == 0
    assert weaker in (folder / "found.html").read_text() and swapped in (folder / "found.html").read_text()
    assert main(args) == 0
    assert weaker in (page := " ".join(capsys.readouterr().out.split())) and swapped in page
    assert main(["discover", "--model", "nets.py:minkowski", "-i", "four.npz", "-q", "-o", "found.json"]) == 0
    assert json.loads((folder / "found.json").read_text())["unsaid"] == []
