"""`symcheck weights` as a user runs it: the report, given specs, other checkpoints, refusals, exit codes."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import jsonschema
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from symcheck.cli.main import main
from symcheck.report.schema import schema
from symcheck.weights.spec import Spec

FIXTURES = Path(__file__).parents[2] / "fixtures"
CNN, MODEL = FIXTURES / "digits-cnn.safetensors", f"{FIXTURES / 'models.py'}:cnn"
SMALL = ("--model", f"{FIXTURES / 'models.py'}:metanet", "-m", "width=4", "-i", FIXTURES / "metanet-data.npz")

NETWORKS = """
import torch
from torch import nn

def plain():
    return lambda x: x

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(3, 4), nn.Linear(4, 2)
    def forward(self, x):
        return self.last(torch.special.bessel_j0(self.first(x)))

class Untraceable(Odd):
    def forward(self, x):
        y = self.first(x)
        return self.last(y.relu() if y.sum() > -1e9 else y)

class Noisy(Odd):
    def forward(self, x):
        return self.last(torch.rand(4) * self.first(x))
"""

REPORT = """\
digits-cnn
  7690 parameters · 6 tensors · safetensors · spec derived from the graph

  space     group           where it acts              proof
  h0        permutation 16  0.{weight,bias}, 3.weight  ✓ #
  h3        permutation 32  3.{weight,bias}, 7.weight  ✓ #
  h0_scale  scale 16        0.{weight,bias}, 3.weight  ✓ #
  h3_scale  scale 32        3.{weight,bias}, 7.weight  ✓ #

coverage      99.9 % of 7,690 parameters and buffers are acted on
symmetries    10^48.7 permutations, 48 continuous dimensions
pinned        10 parameters: an output has it (7.bias)
complete      not computed: 7,690 parameters; give a small copy with -m width=8
proved        4 of 4 spaces, and all at once; worst error #, weakest control #
              float64, seed 0, # forwards in # s
              input float64 4×1×12×12 in [0, 1]
              input float64 4×1×12×12 in [#, #]

wrote spec: cnn.toml
next: symcheck apply CNN --spec cnn.toml -o moved.safetensors
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def derived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The spec of the digit classifier, derived once."""
    path = tmp_path_factory.mktemp("spec") / "cnn.toml"
    assert main(["weights", str(FIXTURES / "digits-cnn.toml"), "-o", str(path)]) == 0
    return path


def run(*args: object) -> int:
    return main(["weights", *map(str, args)])


def numbers_hidden(text: str) -> str:
    text = text.replace(str(CNN), "CNN")
    text = re.sub(r"(✓|error|control|seed 0,|in|✓) -?[\d.e-]+\b(?= |,|\n|$)", r"\1 #", text, flags=re.M)
    return re.sub(r"\[-[\d.e-]+, [\d.e-]+\]", "[#, #]", text)


def test_the_report_at_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FIXTURES / "digits-cnn.toml", "-o", "cnn.toml") == 0
    out, err = capsys.readouterr()
    assert numbers_hidden(out) == REPORT
    assert err == ""
    assert Spec.load("cnn.toml").certificate is not None


def test_equal_spaces_of_layers_are_one_row_until_all_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FIXTURES / "causal.toml") == 0
    short = capsys.readouterr().out
    assert re.search(r"h\*_0 ×2 +permutation 128 +blocks\.\*\.mlp\.0\.{weight,bias} \+1", short)
    assert "Exact only where the eps" in short and "≈" in short
    assert all(len(line) <= 100 for line in short.splitlines() if not line.startswith("next: "))
    assert run(FIXTURES / "causal.toml", "--all") == 0
    long = capsys.readouterr().out
    assert re.search(r"h0_0 +permutation 128 +blocks\.0\.mlp\.0\.{weight,bias},", long)
    assert "blocks.0.mlp.2.weight" in long and "blocks.0.mlp.2.weight" not in short
    assert "h1_0" in long and "h1_0" not in short


def test_a_given_spec_is_proved(derived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(FIXTURES / "digits-cnn.toml", "--spec", derived) == 0
    out = capsys.readouterr().out
    assert "4 of 4 spaces" in out and f"spec {derived}" in out and f"--spec {derived}" in out
    bare = Spec.load(derived).only(kinds=["permutation"])
    dataclasses.replace(bare, certificate=None).save("bare.toml")
    assert run(FIXTURES / "digits-cnn.toml", "--spec", "bare.toml", "-o", "proved.toml") == 0
    certificate = Spec.load("proved.toml").certificate
    assert certificate is not None and [proof["space"] for proof in certificate["proofs"]] == ["h0", "h3"]


def test_a_wrong_spec_exits_with_1_and_names_space_and_tensor(
    derived: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = derived.read_text()
    assert '"7.weight" = ". (h3 9)"' in text
    Path("wrong.toml").write_text(text.replace('"7.weight" = ". (h3 9)"', '"7.weight" = ". (9 h3)"'))
    assert run(FIXTURES / "digits-cnn.toml", "--spec", "wrong.toml") == 1
    out = capsys.readouterr().out
    assert re.search(r"^ +h3 .*✗", out, flags=re.M) and re.search(r"^ +h0 .*✓", out, flags=re.M)
    assert re.search(r"^✗ h3, h3_scale: '7\.weight' has the pattern", out, flags=re.M)
    assert "next:" not in out
    assert run(FIXTURES / "digits-cnn.toml", "--spec", "wrong.toml", "--canonical", "-o", "c.safetensors") == 1
    a, b = load_file(CNN), load_file("c.safetensors")  # by what holds only
    assert torch.equal(a["7.weight"], b["7.weight"]) and not torch.equal(a["0.weight"], b["0.weight"])


def test_what_cannot_be_traced_is_told_in_three_lines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    assert run("--model", "nets.py:Untraceable", "-i", "normal(3)") == 2
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 3
    assert "torch.export cannot trace" in err and "--spec" in err.splitlines()[2]


def test_a_spec_by_hand_needs_no_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    text = 'schema = "symcheck.spec/1"\n[spaces]\nh = { kind = "permutation", size = 4 }\n[axes]\n'
    (folder / "hand.toml").write_text(text + '"first.weight" = "h ."\n"first.bias" = "h"\n"last.weight" = ". h"\n')
    assert run("--model", "nets.py:Untraceable", "-i", "normal(3)", "--spec", "hand.toml") == 0
    assert re.search(r"^ +h +permutation 4 +first\.{weight,bias}, last\.weight +✓", capsys.readouterr().out, re.M)


def test_a_bare_state_dict_with_a_spec(derived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"state": load_file(CNN)}, "cnn.pt")
    for args in ((CNN,), ("cnn.pt", "--key", "state")):
        assert run(*args, "--spec", derived) == 0
        out = capsys.readouterr().out
        assert "proved        nothing: there is no network to run" in out and "99.9 %" in out
        assert out.count("not proved") == 4
    other = {**load_file(CNN), "7.weight": torch.zeros(10, 9)}
    save_file(other, "other.safetensors")
    assert run("other.safetensors", "--spec", derived) == 2
    assert "'7.weight' has the shape (10, 9)" in capsys.readouterr().err


def test_the_same_function_another_and_undecided(derived: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = load_file(CNN)
    assert main(["apply", str(CNN), "--spec", str(derived), "-o", "moved.safetensors"]) == 0
    save_file({**state, "3.weight": 1.05 * state["3.weight"]}, "changed.safetensors")
    noise = torch.Generator().manual_seed(0)
    nearly = {k: x + 2e-5 * x.std() * torch.randn(x.shape, generator=noise) for k, x in state.items()}
    nearly["7.bias"] = state["7.bias"]  # on which nothing acts, so that it would decide
    save_file(nearly, "nearly.safetensors")
    capsys.readouterr()
    network = (FIXTURES / "digits-cnn.toml", "--spec", derived)
    for subject in (network, (CNN, "--spec", derived)):
        assert run(*subject, "--same-function", "moved.safetensors") == 0
        assert re.search(r"^function +same: ", capsys.readouterr().out, flags=re.M)
        assert run(*subject, "--same-function", "changed.safetensors") == 1
        assert re.search(r"^function +different: ", capsys.readouterr().out, flags=re.M)
    assert run(CNN, "--spec", derived, "--same-function", "nearly.safetensors") == 2
    assert re.search(r"^function +undecided: ", capsys.readouterr().out, flags=re.M)


def test_canonical_checkpoints_of_one_function_are_equal(derived: Path) -> None:
    assert main(["apply", str(CNN), "--spec", str(derived), "-o", "moved.safetensors"]) == 0
    for source, target in ((CNN, "a.safetensors"), ("moved.safetensors", "b.safetensors")):
        assert run(source, "--spec", derived, "--canonical", "-o", target) == 0
    a, b, first = load_file("a.safetensors"), load_file("b.safetensors"), load_file(CNN)
    for name, x in a.items():
        torch.testing.assert_close(b[name], x, rtol=1e-4, atol=1e-6)
    assert not torch.allclose(a["0.weight"], first["0.weight"])
    again = (CNN, "--spec", derived, "--canonical", "-o", "a.safetensors")
    assert run(*again) == 2
    assert run(*again, "--force") == 0


def test_completeness_is_a_number_where_it_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*SMALL) == 0
    assert "not computed; add --completeness" in capsys.readouterr().out
    assert run(*SMALL, "--completeness") == 0
    assert re.search(r"^complete +yes: the function has 20 redundant dimensions", capsys.readouterr().out, flags=re.M)
    text = 'schema = "symcheck.spec/1"\n[spaces]\nh = { kind = "permutation", size = 4 }\n[axes]\n'
    Path("part.toml").write_text(text + '"phi.0.weight" = "h ."\n"phi.0.bias" = "h"\n"phi.2.weight" = ". h"\n')
    assert run(*SMALL, "--completeness", "--spec", "part.toml") == 0
    assert re.search(r"^complete +no: 0 of 20 redundant dimensions", capsys.readouterr().out, flags=re.M)


def test_the_report_as_json_and_the_permutations_as_a_table() -> None:
    assert run(FIXTURES / "digits-cnn.toml", "--json", "r.json", "--axes-to-perm", "p.json", "-o", "spec.json") == 0
    report = json.loads(Path("r.json").read_text())
    jsonschema.validate(report, schema())
    assert report["verdict"] == "exact" and len(report["findings"]) == 5
    assert report["subject"]["sha256"] and report["settings"]["certificate"]["graph"]
    told = report["settings"]["weights"]
    assert told["coverage"]["acted"] == 7680 and told["pinned"][0]["tensors"] == ["7.bias"]
    assert json.loads(Path("p.json").read_text())["3.weight"] == [None, "h0", None, None]
    assert set(Spec.load("spec.json").spaces) == {"h0", "h3", "h0_scale", "h3_scale"}


def test_an_unknown_operator_is_told_and_pins(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    assert run("--model", "nets.py:Odd", "-i", "normal(3)") == 0
    out = capsys.readouterr().out
    assert re.search(r"^unknown +no rule for special_bessel_j0", out, flags=re.M)
    assert re.search(r"^symmetries +none was found", out, flags=re.M)
    assert "nothing: there is no space" in out


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        ((), "there is nothing to work on"),
        ((CNN,), "the file holds only weights"),
        ((CNN, "--model", MODEL), "there are no inputs"),
        ((CNN, "--model", MODEL, "-i", "normal(1,12,12)", "--spec", "none.toml"), "the spec cannot be read"),
        ((CNN, "--model", MODEL, "-i", "normal(3,12,12)"), "cannot trace"),
        (("--model", "nets.py:plain", "-i", "normal(3)"), "is a function and has no weights"),
        (("--model", "nets.py:Noisy", "-i", "normal(3)"), "not deterministic"),
        ((CNN, "-o", "a.npz"), "nothing is written as '.npz'"),
        ((CNN, "-o", "none/a.toml"), "does not exist"),
        ((CNN, "-o", "a.safetensors"), "belong together"),
        ((CNN, "--canonical", "-o", "a.toml"), "belong together"),
        ((CNN, "--json", "a.toml"), "not written as '.toml'"),
        ((CNN, "--spec", "empty.toml", "--model", MODEL, "-i", "normal(1,12,12)"), "the spec has no space"),
        ((CNN, "--spec", "empty.toml", "--completeness"), "by running the network"),
    ],
)
def test_refusals_exit_with_2_and_write_nothing(
    folder: Path, args: tuple[object, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "nets.py").write_text(NETWORKS)
    (folder / "empty.toml").write_text('schema = "symcheck.spec/1"\n[spaces]\n[axes]\n')
    before = {path.name for path in folder.iterdir()}
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert problem in err and "hint:" in err and not out
    assert {path.name for path in folder.iterdir()} - before <= {"__pycache__"}


def test_a_program_needs_the_users_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    net = nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 2)).eval()
    torch.export.save(torch.export.export(net, (torch.randn(5, 3),)), folder / "net.pt2")
    assert run("net.pt2", "-i", "normal(3)") == 2
    assert "--allow-program" in capsys.readouterr().err
    assert run("net.pt2", "--allow-program", "-i", "normal(3)") == 0
    out = capsys.readouterr().out
    assert re.search(r"permutation 6 .*✓", out) and "5×3" in out and "next:" not in out
