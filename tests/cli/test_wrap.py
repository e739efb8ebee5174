"""`symcheck wrap` and `symcheck audit --canonicalizer` as a user runs them: figures, files, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from symcheck.cli.main import main

NETWORKS = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(15, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.energy, self.forces = nn.Linear(width, 1), nn.Linear(width, 15)

    def forward(self, pos):
        h = self.inner(pos.flatten(1))
        return {"energy": self.energy(h)[:, 0], "forces": self.forces(h).reshape(pos.shape)}

class Energy(Net):
    def forward(self, pos):
        return {"energy": self.energy(self.inner(pos.flatten(1)))[:, 0]}

def image():
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 3))

def pose(pos):
    x = pos - pos.mean(1, keepdim=True)
    q, r = torch.linalg.qr(x[:, :2].mT)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None]
    return torch.cat([q, torch.linalg.cross(q[..., 0], q[..., 1], dim=-1)[..., None]], -1), pos.mean(1)

def wrong(pos):
    r, t = pose(pos)
    return r.mT, t
"""
CLAIM = "SE(3): pos=points -> energy=scalar, forces=vector"
ALIKE = "S: pos=nodes -> energy=invariant, forces=nodes"
FEW = ["--samples", "12", "--elements", "6"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of generic weights with its data, and a classifier whose labels it gets right on upright data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORKS)
    generator = torch.Generator().manual_seed(0)
    shapes = {
        "inner.0.weight": (16, 15), "inner.0.bias": (16,), "inner.2.weight": (16, 16), "inner.2.bias": (16,),
        "energy.weight": (1, 16), "energy.bias": (1,), "forces.weight": (15, 16), "forces.bias": (15,),
    }  # fmt: skip
    save_file({n: torch.randn(s, generator=generator) / 3 for n, s in shapes.items()}, "net.safetensors")
    np.savez("data.npz", pos=torch.randn(16, 5, 3, generator=generator).numpy())
    weight, x = torch.randn(3, 36, generator=generator), torch.rand(64, 1, 6, 6, generator=generator)
    save_file({"1.weight": weight, "1.bias": torch.zeros(3)}, "image.safetensors")
    np.savez("images.npz", image=x.numpy(), y=(x.flatten(1) @ weight.T).argmax(1).numpy())
    return tmp_path


def net(*more: str, model: str = "Net") -> list[str]:
    return ["net.safetensors", "--model", f"nets.py:{model}", "-i", "data.npz", *FEW, "-q", *more]


def test_a_wrapped_network_is_written_measured_and_audited_again(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["audit", *net()[:1], CLAIM, *net()[1:]]) == 1
    assert main(["wrap", *net("-c", CLAIM, "--by", "frame", "-o", "out.toml")]) == 0
    shown = capsys.readouterr().out
    assert "✗ broken" in shown and "✓ exact" in shown and "tetrahedral" in shown
    assert "wrote out.toml" in shown and "wrote out.pt2" in shown
    (folder / "elsewhere").mkdir()
    assert main(["audit", "out.toml", *FEW, "-q", "-o", "report.json"]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert {f["verdict"] for f in report["findings"]} == {"exact"} and len(report["findings"]) == 2
    assert main(["audit", "out.pt2", CLAIM, "-i", "data.npz", "--allow-program", *FEW, "-q"]) == 0


def test_the_group_may_be_another_one_and_the_subject_file_may_lie_elsewhere(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "net.toml").write_text(
        f'checkpoint = "net.safetensors"\nmodel = "nets.py:Net"\ninputs = "data.npz"\nclaims = ["{CLAIM}"]\n'
    )
    (folder / "there").mkdir()
    monkeypatch.chdir(folder / "there")
    assert main(["wrap", "../net.toml", "--group", "E(3)", *FEW, "-q", "-o", "out"]) == 0
    assert "E(3): pos=points" in (folder / "there" / "out.toml").read_text()
    monkeypatch.chdir(folder)
    assert main(["audit", "there/out.toml", *FEW, "-q"]) == 0
    assert "improper" in capsys.readouterr().out


def test_derived_forces_follow_from_the_averaged_energy(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim, derive = CLAIM.replace("forces", "pull"), ["--derive", "pull=-d(energy)/d(pos)"]
    assert main(["wrap", *net("-c", claim, *derive, "-o", "out.toml", "--dtype", "float64", model="Energy")]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "no program (.pt2) was written: outputs are derived from it by gradients" in shown
    assert main(["audit", "out.toml", *FEW, "-q", "--dtype", "float64"]) == 0
    assert not (folder / "out.pt2").exists()


@pytest.mark.parametrize("by", ["average", "canonical"])
def test_accuracy_is_told_before_and_after_upright_and_moved(by: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = ["image.safetensors", "--model", "nets.py:image", "-i", "images.npz", *FEW, "-q"]
    assert main(["wrap", *data, "-c", "C4: image=image, y=ignore -> logits=invariant", "--by", by]) == 0
    assert main(["audit", "wrapped.toml", *FEW, "-q"]) == 0  # its data still hold the labels
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "%" in line]
    before = next(row for row in rows if row[:3] == ["as", "it", "was"])
    after = next(row for row in rows if row[:2] == ["by", by])
    shares = [float(word) for word in before if word.count(".") == 1 and word[-1].isdigit()][-2:]
    wrapped = [float(word) for word in after if word.count(".") == 1 and word[-1].isdigit()][-2:]
    assert shares[0] == 100.0 and shares[1] < 95.0  # the labels are its own answers on upright images
    assert wrapped[0] == wrapped[1] < 100.0  # invariant, at a price


def test_an_average_that_is_too_small_does_not_pass() -> None:
    claim = "SO(3): pos=points -> energy=scalar, forces=vector"
    assert main(["wrap", *net("-c", claim, "--by", "average", "--count", "4")]) == 1


@pytest.mark.parametrize(("pose", "code"), [("nets.py:pose", 0), ("nets.py:wrong", 1)])
def test_a_canonicaliser_of_ones_own(pose: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["wrap", *net("-c", CLAIM, "--by", "canonical", "--canonicalizer", pose, "--dtype", "float64")]) == code
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()[2:]
    assert len(table) == 2 and all(row.count("✗ broken") == 1 + code for row in table)


def test_a_canonicaliser_is_audited_alone_and_with_its_network(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = ["audit", CLAIM.replace("energy=scalar, forces=vector", "scalar"), "-i", "data.npz", *FEW, "-q"]
    assert main([*alone, "--canonicalizer", "pca"]) == 1
    shown = capsys.readouterr().out
    assert "frame, tetrahedral" in shown and "eigen-gap" in shown
    first, *rest = net()
    assert main(["audit", first, CLAIM, *rest, "--canonicalizer", "pca", "-o", "found.json"]) == 1
    report = json.loads((folder / "found.json").read_text())
    verdicts = {(f["output"], f["part"], "pose=frame" in f["claim"]): f["verdict"] for f in report["findings"]}
    assert {v for (_, part, _), v in verdicts.items() if not part} == {"exact"}
    assert verdicts["forces", "", True] == "exact"
    assert verdicts["energy", "tetrahedral", False] == verdicts["frame", "tetrahedral", False] == "broken"
    assert report["settings"]["canonicalizer"][0]["continuity"][1]["slope"] == pytest.approx(0.0, abs=0.1)
    assert main(["report", "show", "found.json"]) in (0, 1)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["wrap", *net()], "there is no claim"),
        (["wrap", *net("-c", CLAIM, "--by", "magic")], "no way to symmetrise"),
        (["wrap", *net("-c", CLAIM, "--by", "canonical")], "--canonicalizer"),
        (["wrap", *net("-c", CLAIM, "--by", "average", "--canonicalizer", "pca")], "needs no canonicaliser"),
        (["wrap", *net("-c", "S: pos=nodes -> energy=invariant, forces=nodes")], "not for S(5)"),
        (["wrap", *net("-c", "NetForce: pos=points -> energy=scalar, forces=vector")], "relation"),
        (["wrap", *net("-c", CLAIM, "-o", "nowhere/out.toml")], "does not exist"),
        (["wrap", *net("-c", CLAIM, "--labels", "w")], "no array 'w'"),
        (["audit", *net("--canonicalizer", "pca")], "under a claim"),
        (["audit", "net.safetensors", CLAIM, *net("--canonicalizer", "pca", "--worst")[1:]], "in one go"),
        (["audit", "net.safetensors", CLAIM, *net("--canonicalizer", "pcb")[1:]], "unknown canonicaliser"),
        (["audit", "net.safetensors", CLAIM, *net("--canonicalizer", "gram-schmidt(pos[0],pos[9])")[1:]],
         "no pos[9]: 'pos' has 5 rows"),
        (["audit", "net.safetensors", ALIKE, *net("--canonicalizer", "pca")[1:]], "not for S(5)"),
    ],
)
def test_what_cannot_be_is_refused(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert words in capsys.readouterr().err


def test_data_beside_the_written_file_are_named_from_there(folder: Path) -> None:
    assert main(["wrap", *net("-c", CLAIM, "--by", "frame", "-o", "out.toml")]) == 0
    assert 'inputs = "data.npz"' in (folder / "out.toml").read_text()


def test_the_report_of_a_written_file_says_which_weights_it_measured(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["wrap", *net("-c", CLAIM, "--by", "frame", "-o", "out.toml")]) == 0
    shown = capsys.readouterr().out
    assert "4 forwards of the network for each sample" in shown and "times as long" not in shown
    assert main(["audit", "out.toml", *FEW, "-q", "-o", "report.json"]) == 0
    notes = json.loads((folder / "report.json").read_text())["notes"]
    assert f"the factory loaded {folder / 'net.safetensors'}" in notes
    assert not any("no checkpoint was loaded" in note for note in notes)


def test_claims_without_a_frame_are_left_out_with_a_word(folder: Path) -> None:
    first, *rest = net("--canonicalizer", "pca", "-o", "found.json")
    assert main(["audit", first, ALIKE, CLAIM, *rest]) == 1
    report = json.loads((folder / "found.json").read_text())
    assert not any(finding["claim"].startswith("S:") for finding in report["findings"]) and report["findings"]
    assert any(note.startswith(f"not measured, {ALIKE}: ") and "not for S(5)" in note for note in report["notes"])


def test_a_written_file_moves_with_its_weights_and_code(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["wrap", *net("-c", CLAIM, "--by", "canonical", "--canonicalizer", "nets.py:pose", "-o", "out")]) == 0
    written = (folder / "out.toml").read_text()
    assert 'checkpoint = "./net.safetensors"' in written and 'canonicalizer = "./nets.py:pose"' in written
    assert str(folder) not in written
    moved = folder.parent / f"{folder.name}-moved"
    folder.rename(moved)
    monkeypatch.chdir(folder.parent)
    assert main(["audit", str(moved / "out.toml"), *FEW, "-q"]) == 0
