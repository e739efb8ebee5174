"""`symcheck merge` as a user runs it: what it prints, what it refuses, exit codes, files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from symcheck.cli.main import main
from symcheck.files import sha256
from symcheck.weights.spec import Spec

NETS = """
from torch import nn

def mlp(width=24):
    return nn.Sequential(nn.Linear(12, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 5))

def normed(width=24):
    return nn.Sequential(nn.Linear(12, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Linear(width, 5))
"""
SPEC = """
schema = "symcheck.spec/1"
[spaces]
h = { kind = "permutation", size = 24 }
k = { kind = "permutation", size = 24 }
[axes]
"0.weight" = "h ."
"0.bias" = "h"
"2.weight" = "k h"
"2.bias" = "k"
"4.weight" = ". k"
"4.bias" = "."
"""
SHAPES = {
    "0.weight": (24, 12), "0.bias": (24,), "2.weight": (24, 24), "2.bias": (24,), "4.weight": (5, 24), "4.bias": (5,),
}  # fmt: skip


def drawn(seed: int, size: float = 0.3) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {n: size * torch.randn(shape, generator=rng) for n, shape in SHAPES.items()}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network a, b moved from it, tuned copies t1 and t2, another training c, data; where the command runs."""
    (tmp_path / "nets.py").write_text(NETS)
    (tmp_path / "spec.toml").write_text(SPEC)
    (tmp_path / "a.toml").write_text('checkpoint = "a.safetensors"\nmodel = "nets.py:mlp"\ninputs = "data.npz"\n')
    rng = np.random.default_rng(1)
    arrays = {"x": rng.normal(size=(60, 12)).astype("float32"), "y": rng.integers(0, 5, 60)}
    np.savez(tmp_path / "data.npz", **arrays)
    np.savez(tmp_path / "bare.npz", x=arrays["x"])
    spec, a = Spec.load(tmp_path / "spec.toml"), drawn(0)
    states = {"a": a, "b": spec.apply(spec.sample(1), a), "c": drawn(9)}
    states |= {f"t{i}": {n: a[n] + update for n, update in drawn(i, 0.03).items()} for i in (1, 2)}
    for name, state in states.items():
        save_file(state, tmp_path / f"{name}.safetensors")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object) -> int:
    return main(["merge", *map(str, args)])


def test_tuned_copies_are_merged_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("t1.safetensors", "t2.safetensors", "--weights", "0.75,0.25", "-o", "m.safetensors") == 0
    out, err = capsys.readouterr()
    assert "t1 + t2" in out and "average · weights 0.75, 0.25" in out and "wrote merged: m.safetensors" in out
    assert "t1 and t2: cosine 0.99" in out and err == ""
    one, two, merged = (load_file(f"{name}.safetensors") for name in ("t1", "t2", "m"))
    assert all(torch.allclose(merged[n], 0.75 * one[n] + 0.25 * two[n]) for n in SHAPES)


def test_the_file_says_what_it_was_made_of(folder: Path) -> None:
    assert run("t1.safetensors", "t2.safetensors", "--base", "a.safetensors", "--method", "dare", "--density", 0.5,
               "--seed", 4, "-o", "m.safetensors") == 0  # fmt: skip
    with safe_open("m.safetensors", "pt") as file:
        about = json.loads(file.metadata()["symcheck.merge"])
    assert about["method"] == "dare" and about["aligned"] == []
    assert about["settings"] == {"weights": [], "scale": 1.0, "density": 0.5, "seed": 4}
    assert [s["name"] for s in about["sources"]] == ["t1", "t2", "base"]
    assert [s["sha256"] for s in about["sources"]] == [sha256(Path(f"{n}.safetensors")) for n in ("t1", "t2", "a")]


def test_other_trainings_are_refused_with_a_way_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.safetensors", "c.safetensors", "-o", "m.safetensors") == 2
    err = capsys.readouterr().err
    assert "a and c are not aligned" in err and "give --model (or --spec)" in err and "--unaligned" in err
    assert not Path("m.safetensors").exists()
    assert run("a.safetensors", "c.safetensors", "-o", "m.safetensors", "--force") == 2
    assert not Path("m.safetensors").exists()
    assert run("a.safetensors", "c.safetensors", "-o", "m.safetensors", "--unaligned") == 0
    assert "unaligned: a and c are not aligned" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.parametrize(
    "how", [["--spec", "spec.toml"], ["--model", "nets.py:mlp", "-i", "data.npz"]], ids=["spec", "derived"]
)
def test_a_moved_copy_is_aligned_and_its_merge_is_the_network(
    folder: Path, how: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("a.safetensors", "b.safetensors", *how, "-o", "m.safetensors") == 0
    assert "aligned    b: cosine" in capsys.readouterr().out
    a, merged = load_file("a.safetensors"), load_file("m.safetensors")
    assert all(torch.allclose(merged[n], a[n], atol=1e-5) for n in a)
    assert run("a.safetensors", "b.safetensors", *how, "--no-align") == 2


def test_baselines_stand_in_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.toml", "b.safetensors", "--test-inputs", "data.npz", "--report", "r.json") == 0
    out = capsys.readouterr().out
    for word in ("model, on train", "model, on test", "ensemble of outputs", "average as given", "merged", "accuracy"):
        assert word in out
    told = json.loads(Path("r.json").read_text())
    assert told["schema"] == "symcheck.merge/1" and told["sources"][1]["path"] == "b.safetensors"
    scores = {s["model"]: s for s in told["scores"] if s["data"] == "test"}
    assert scores["merged"]["loss"] == pytest.approx(scores["a"]["loss"], rel=1e-4)
    assert scores["average as given"]["distance"] > 0.1 > scores["a"]["distance"]
    assert told["relations"]["a and b"]["mixed"] == [] and "b" in told["alignments"]
    assert {layer["name"] for layer in told["layers"]} <= set(SHAPES)


def test_a_subject_file_without_labels_aligns_all_the_same(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bare.toml").write_text(Path("a.toml").read_text().replace("data.npz", "bare.npz"))
    assert run("bare.toml", "b.safetensors") == 0
    assert "aligned    b: cosine" in (out := capsys.readouterr().out) and "accuracy" not in out
    assert run("bare.toml", "b.safetensors", "-i", "bare.npz") == 2
    assert "--labels" in capsys.readouterr().err


def test_layers_and_all_layers(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"{i}.{n}": t for i in range(3) for n, t in drawn(i).items()}
    tuned = {n: t * 1.01 for n, t in many.items()}
    save_file(many, "many.safetensors")
    save_file(tuned, "tuned.safetensors")
    assert run("many.safetensors", "tuned.safetensors") == 0
    assert "layer, 8 of 18" in capsys.readouterr().out
    assert run("many.safetensors", "tuned.safetensors", "--all") == 0
    out = capsys.readouterr().out
    assert all(name in out for name in many)


def test_statistics_are_reset_unless_told_otherwise(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    sys.path.insert(0, str(folder))
    try:
        from nets import normed  # type: ignore[import-not-found]
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("nets", None)
    rng = torch.Generator().manual_seed(3)
    state = {n: torch.rand(t.shape, generator=rng) + 0.5 if t.dim() else t for n, t in normed().state_dict().items()}
    state["0.weight"] = torch.randn(24, 12, generator=rng)
    save_file(state, "n.safetensors")
    save_file({n: t * 1.1 if t.dim() else t for n, t in state.items()}, "p.safetensors")
    common = ("n.safetensors", "p.safetensors", "--model", "nets.py:normed", "-i", "data.npz")
    assert run(*common, "--no-reset") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "running statistics were averaged" in out and "give -i data and --reset" in out
    assert run(*common, "-o", "m.safetensors") == 0
    assert "merged, statistics averaged" in capsys.readouterr().out
    assert run(*common, "--batch-size", 1) == 2
    assert "no variance" in capsys.readouterr().err
    merged, x = load_file("m.safetensors"), torch.from_numpy(np.load("data.npz")["x"])
    before = x @ merged["0.weight"].T + merged["0.bias"]
    assert torch.allclose(merged["1.running_mean"], before.mean(0), atol=1e-5)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["t1.safetensors"], "not merged"),
        (["t1.safetensors", "gone.safetensors"], "gone.safetensors"),
        (["t1.safetensors", "t2.safetensors", "--method", "tise"], "did you mean 'ties'"),
        (["t1.safetensors", "t2.safetensors", "--method", "ties"], "--base"),
        (["t1.safetensors", "t2.safetensors", "--density", "0.5"], "no setting 'density'"),
        (["t1.safetensors", "t2.safetensors", "--weights", "0.5,x"], "weights are numbers"),
        (["t1.safetensors", "t2.safetensors", "--align"], "weight symmetries"),
        (["t1.safetensors", "t2.safetensors", "-i", "data.npz"], "no network"),
        (["t1.safetensors", "t2.safetensors", "--model", "nets.py:mlp"], "example inputs"),
        (["t1.safetensors", "t2.safetensors", "-o", "m.pt"], ".safetensors"),
        (["t1.safetensors", "t2.safetensors", "-o", "t1.safetensors"], "the output exists"),
        (["t1.safetensors", "t2.safetensors", "-o", "no/m.safetensors"], "does not exist"),
        (["t1.safetensors", "t2.safetensors", "--report", "r.txt"], ".json"),
        (["t1.safetensors", "odd.safetensors"], "in the layers 4"),
    ],
)
def test_refusals(folder: Path, args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({**drawn(1), "4.bias": torch.ones(6)}, "odd.safetensors")
    before = Path("t1.safetensors").read_bytes()
    assert run(*args) == 2
    assert words in capsys.readouterr().err
    assert Path("t1.safetensors").read_bytes() == before


HALF, SINGLE, DOUBLE = torch.float16, torch.float32, torch.float64
BASED = ["--base", "base.safetensors", "--method"]
NOT_FINITE = [
    *((dtype, *case) for dtype in (HALF, SINGLE, DOUBLE) for case in (
        (["--method", "slerp", "--t", "nan"], "nan is no number"),
        (["--method", "slerp", "--t", "1e308"], "is not on the arc"),
        (["--weights", "nan,1"], "weights are at least 0"),
        ([*BASED, "task", "--scale", "inf"], "inf is no number"),
        ([*BASED, "task", "--scale", "1e308"], "merged, '0.bias' holds NaN or infinities"),
        ([*BASED, "iso-c", "--scale", "1e308"], "merged, '0.weight' holds NaN or infinities"),
    )),
    (HALF, [*BASED, "task", "--scale", "3e6"], "stored as float16"),
    (HALF, [*BASED, "dare", "--density", "0.01", "--scale", "3e4"], "or a larger --density"),
]  # fmt: skip


@pytest.mark.parametrize(("dtype", "args", "words"), NOT_FINITE)
def test_what_is_not_finite_is_never_written(
    folder: Path, dtype: torch.dtype, args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, source in {"base": "a", "t1": "t1", "t2": "t2"}.items():
        save_file({n: t.to(dtype) for n, t in load_file(f"{source}.safetensors").items()}, f"{name}.safetensors")
    common = ("t1.safetensors", "t2.safetensors", "-o", "m.safetensors", "--report", "r.json")
    assert run(*common, *args) == 2
    assert not Path("m.safetensors").exists() and not Path("r.json").exists()
    assert words in capsys.readouterr().err
    mild = [*args[:-1], "0.5,0.5" if "--weights" in args else "0.5"]
    assert run(*common, *mild) == 0 and all(bool(t.isfinite().all()) for t in load_file("m.safetensors").values())


def test_three_folders_are_merged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec, a = Spec.load(folder / "spec.toml"), load_file("a.safetensors")
    for i in range(3):
        Path(f"run{i}").mkdir()
        save_file(spec.apply(spec.sample(i), a), f"run{i}/model.safetensors")
    assert run("run0/", "run1/", "run2/", "--spec", "spec.toml", "-o", "m.safetensors") == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "run0 + run1 + run2" in out and "nothing was run to prove" in out


def test_an_output_is_replaced_only_when_forced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("m.safetensors").write_bytes(b"old")
    assert run("t1.safetensors", "t2.safetensors", "-o", "m.safetensors", "--unaligned") == 2
    assert "add --force" in capsys.readouterr().err and Path("m.safetensors").read_bytes() == b"old"
    assert run("t1.safetensors", "t2.safetensors", "-o", "m.safetensors", "--force") == 0
    assert load_file("m.safetensors").keys() == SHAPES.keys()


def test_a_single_data_set_goes_by_its_file_and_columns_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("a.toml", "t1.safetensors", "--report", "r.json") == 0
    out = capsys.readouterr().out
    assert "model, on data.npz" in out and "on train" not in out
    assert {score["data"] for score in json.loads(Path("r.json").read_text())["scores"]} == {"train"}
    head = next(line for line in out.splitlines() if line.startswith("  layer"))
    assert head.split()[1:] == ["cosine", "conflict", "interference", "subspace", "size"]
    below = out[out.index(head) + len(head) :]
    assert all(f"{column}: " in " ".join(below.split()) for column in head.split()[1:])


def test_a_loss_of_ones_own_that_raises(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("losses.py").write_text("def mine(outputs, labels):\n    return outputs.no_such_thing\n")
    assert run("a.toml", "b.safetensors", "--loss", "losses.py:mine") == 2
    assert "no_such_thing" in capsys.readouterr().err


def test_a_merge_worse_than_its_parts_is_announced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import torch.nn.functional as F

    x, a = torch.from_numpy(np.load("data.npz")["x"]), load_file("a.safetensors")
    for name in ("0", "2", "4"):
        x = F.linear(x, a[f"{name}.weight"], a[f"{name}.bias"])
        x = x.relu() if name != "4" else x
    np.savez("taught.npz", x=np.load("data.npz")["x"], y=x.argmax(1).numpy())
    common = ("a.safetensors", "b.safetensors", "--model", "nets.py:mlp", "-i", "taught.npz")
    assert run(*common, "--unaligned", "--no-align") == 0
    assert "worse than every one of them: accuracy" in " ".join(capsys.readouterr().out.split())
    assert run(*common) == 0
    assert "worse" not in capsys.readouterr().out


def test_one_file_given_twice_keeps_its_name_apart(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("t1.safetensors", "t1.safetensors", "-o", "m.safetensors") == 0
    assert "1: t1.safetensors + 2: t1.safetensors" in capsys.readouterr().out
    merged, one = load_file("m.safetensors"), load_file("t1.safetensors")
    assert all(torch.equal(merged[n], one[n]) for n in one)
