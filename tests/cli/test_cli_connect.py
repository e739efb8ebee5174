"""`symcheck connect` as a user runs it: the tables, the files, the data, refusals, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from symcheck.cli.main import main
from symcheck.cli.pairs import short_names

NETWORKS = """
import torch
from torch import nn

def net(width=8):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.ReLU(), nn.Linear(width, 3))

def conv():
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))

def margin(outputs, labels):
    own = outputs.gather(1, labels[:, None])[:, 0]
    return (outputs.amax(1) - own)

def scalar(outputs, labels):
    return outputs.mean()

def flat(outputs, labels):
    return outputs.detach().square().mean(-1)

class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.into, self.out = nn.Linear(16, 16, bias=False), nn.Linear(16, 16)
        self.out.weight = self.into.weight

    def forward(self, image):
        return self.out(self.into(image.flatten(1)).tanh())

def tied():
    return Tied()
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network with two checkpoints, the second the first with its units in another order, and data that it learnt."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    (tmp_path / "nets.py").write_text(NETWORKS)
    generator = torch.Generator().manual_seed(0)
    a = {n: torch.randn(s, generator=generator) for n, s in SHAPES.items()}
    order = torch.arange(8).roll(3)
    b = {"1.weight": a["1.weight"][order], "1.bias": a["1.bias"][order], "3.weight": a["3.weight"][:, order]}
    save_file(a, "a.safetensors")
    save_file({**a, **b}, "b.safetensors")
    for name, count in (("train", 60), ("test", 30)):
        x = torch.randn(count, 1, 4, 4, generator=generator)
        hidden = (x.flatten(1) @ a["1.weight"].T + a["1.bias"]).relu()
        y = (hidden @ a["3.weight"].T + a["3.bias"]).argmax(1)
        np.savez(f"{name}.npz", image=x.numpy(), y=y.numpy())
    return tmp_path


SHAPES = {"1.weight": (8, 16), "1.bias": (8,), "3.weight": (3, 8), "3.bias": (3,)}
GIVEN = ("a.safetensors", "b.safetensors", "--model", "nets.py:net", "-i", "train.npz")


def run(*args: object) -> int:
    return main(["connect", *map(str, args)])


def rewritten(**arrays: np.ndarray) -> None:
    """The training data with other arrays."""
    known = dict(np.load("train.npz"))
    np.savez("train.npz", **{k: v for k, v in {**known, **arrays}.items() if v is not None})


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert run(*args) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("symcheck: ") and "hint: " in err
    return err


def test_the_table_names_every_path_and_its_barrier(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GIVEN, "--test-inputs", "test.npz", "--points", 5) == 0
    out, err = capsys.readouterr()
    assert err == ""
    first = "a.safetensors and b.safetensors\n  cross_entropy · linear path of 5 points · float32 on cpu\n"
    assert out.startswith(first)
    assert re.search(r"^train, 60 samples$", out, re.M) and re.search(r"^test, 30 samples$", out, re.M)
    assert re.search(r"^  naive +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ ± [\d.]+ +0\.50 ", out, re.M)
    assert re.search(r"^  aligned \+ REPAIR ", out, re.M)
    assert "alignment    by a spec derived and proved; its outputs are those of B to" in out
    assert "there is nothing to reset" in out
    assert all(len(line) <= 100 for line in out.splitlines())


def test_the_document_holds_what_is_printed_and_where_it_came_from(folder: Path) -> None:
    assert run(*GIVEN, "--points", 5, "-o", "found.json", "--seed", 3) == 0
    found = json.loads((folder / "found.json").read_text())
    assert found["schema"] == "symcheck.connect/1"
    assert found["t"] == [0, 0.25, 0.5, 0.75, 1]
    naive, aligned = (found["variants"][name]["curves"]["train"] for name in ("naive", "aligned"))
    assert naive["barrier"]["value"] > 2 * naive["barrier"]["error"]
    assert abs(aligned["barrier"]["value"]) < 1e-4 and abs(aligned["ratio"]) < 1e-3
    assert [source["path"] for source in found["checkpoints"]] == ["a.safetensors", "b.safetensors"]
    assert all(re.fullmatch("[0-9a-f]{64}", source["sha256"]) for source in found["checkpoints"])
    assert found["settings"]["model"] == "nets.py:net" and found["settings"]["seed"] == 3
    assert not list(folder.glob(".*.tmp"))


@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_the_curves_are_drawn(folder: Path, suffix: str, magic: bytes) -> None:
    claim = ["--mechanisms", "C4: image -> invariant"] if suffix == "svg" else []
    assert run(*GIVEN, "--test-inputs", "test.npz", "--points", 3, "--no-align", *claim, "-o", f"curves.{suffix}") == 0
    assert (folder / f"curves.{suffix}").read_bytes().startswith(magic)


def test_a_subject_file_stands_for_the_first_and_another_for_the_second(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "sub").mkdir()
    common = 'model = "../nets.py:net"\ninputs = "../train.npz"\n'
    for name in "ab":
        (folder / "sub" / f"{name}.toml").write_text(f'checkpoint = "../{name}.safetensors"\n{common}')
    assert run("sub/a.toml", "sub/b.toml", "--points", 3) == 0
    assert "a.safetensors and b.safetensors" in capsys.readouterr().out


def test_an_aligned_checkpoint_is_taken_and_another_function_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*GIVEN, "--aligned", "a.safetensors", "--points", 3, "-o", "found.json") == 0
    assert json.loads((folder / "found.json").read_text())["alignment"]["how"] == "given"
    capsys.readouterr()
    odd = load_file("b.safetensors")
    odd["3.bias"] += 0.5
    save_file(odd, "odd.safetensors")
    assert "another function than B" in refused(capsys, *GIVEN, "--aligned", "odd.safetensors")
    assert "--no-align leaves nothing to align" in refused(capsys, *GIVEN, "--aligned", "a.safetensors", "--no-align")


def test_mechanisms_are_measured_without_the_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GIVEN, "--points", 3, "--no-align", "--mechanisms", "C4: image=image, y=ignore -> invariant") == 0
    out = capsys.readouterr().out
    assert "C4: image=image -> invariant (output)" in out
    assert "C4: image=image -> invariant, 60 samples" in out  # the loss on moved data


def test_a_loss_of_ones_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GIVEN, "--points", 3, "--no-align", "--loss", "nets.py:margin") == 0
    out = capsys.readouterr().out
    assert "nets.py:margin" in out and "error A" not in out
    assert "not one number for each of" in refused(capsys, *GIVEN, "--no-align", "--loss", "nets.py:scalar")


def test_numbers_as_labels_go_with_mse(capsys: pytest.CaptureFixture[str]) -> None:
    rewritten(y=None, target=np.random.default_rng(0).normal(size=(60, 3)).astype("float32"))
    assert run(*GIVEN, "--points", 3, "--no-align") == 0
    assert "mse · linear path" in capsys.readouterr().out


def test_labels_are_found_named_or_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.load("train.npz")["y"]
    rewritten(y=None, kinds=labels)
    err = refused(capsys, *GIVEN, "--no-align")
    assert "no array is called y, label" in err and "--labels: image, kinds" in err
    assert run(*GIVEN, "--points", 3, "--no-align", "--labels", "kinds") == 0
    capsys.readouterr()
    assert "did you mean 'kinds'" in refused(capsys, *GIVEN, "--no-align", "--labels", "kind")
    rewritten(y=labels, label=labels)
    assert "several arrays may be the labels: y, label" in refused(capsys, *GIVEN, "--no-align")


def test_labels_out_of_range_name_the_sample(capsys: pytest.CaptureFixture[str]) -> None:
    labels = np.load("train.npz")["y"].copy()
    labels[17] = 3
    rewritten(y=labels)
    err = refused(capsys, *GIVEN, "--no-align")
    assert "the label 3 is none of the 3 classes" in err and "where: labels, sample 17" in err


def test_empty_data_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    np.savez("train.npz", image=np.zeros((0, 1, 4, 4), "float32"), y=np.zeros(0, "int64"))
    assert "is empty" in refused(capsys, *GIVEN)
    np.savez("train.npz", y=np.zeros(5, "int64"))
    assert "labels but no inputs" in refused(capsys, *GIVEN)
    assert "no labelled data" in refused(capsys, *GIVEN[:4])


def test_checkpoints_of_different_networks_are_refused_with_their_layers(capsys: pytest.CaptureFixture[str]) -> None:
    b = load_file("b.safetensors")
    save_file({**b, "1.weight": torch.zeros(9, 16), "1.bias": torch.zeros(9)}, "wide.safetensors")
    err = refused(capsys, "a.safetensors", "wide.safetensors", *GIVEN[2:])
    assert "different networks, in the layers 1: of another shape: 1.weight (8, 16) and (9, 16)" in err
    save_file({n: x for n, x in b.items() if n != "3.bias"} | {"5.bias": torch.zeros(3)}, "other.safetensors")
    err = refused(capsys, "a.safetensors", "other.safetensors", *GIVEN[2:])
    assert "in the layers 3, 5: missing in other.safetensors: 3.bias; only in other.safetensors: 5.bias" in err


def test_a_loss_that_is_not_finite_is_never_a_pass(capsys: pytest.CaptureFixture[str]) -> None:
    b = load_file("b.safetensors")
    b["3.bias"][1] = float("nan")
    save_file(b, "nan.safetensors")
    err = refused(capsys, "a.safetensors", "nan.safetensors", *GIVEN[2:], "--no-align")
    assert "the loss is not finite for 60 of 60 samples" in err and "naive at t = 1\n" in err


def test_bad_destinations_are_refused_before_anything_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert "not written as '.gif'" in refused(capsys, *GIVEN, "-o", "curves.gif")
    assert "only reports are written as '.xml'" in refused(capsys, *GIVEN, "-o", "curves.xml")
    assert "does not exist" in refused(capsys, *GIVEN, "-o", "nowhere/found.json")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (("--path", "cubic"), "unknown path 'cubic'"),
        (("--device", "abacus"), "'abacus' cannot be used"),
        (("--loss", "crossentropy"), "unknown loss 'crossentropy'"),
        (("--points", "2"), "greater than or equal to 3"),
        (("--seed", "9223372036854775808"), "the seed 9223372036854775808 is out of range"),
        (("--loss", "os:getcwd"), "the loss raised TypeError"),
        (("--loss", "nets.py:flat", "--path", "bezier"), "the loss has no gradient"),
    ],
)
def test_options_are_checked(capsys: pytest.CaptureFixture[str], extra: tuple[str, ...], message: str) -> None:
    assert message in refused(capsys, *GIVEN, "--no-align", *extra)


def test_a_data_set_alone_has_its_own_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*GIVEN, "--points", 3, "--no-align", "-o", "found.json") == 0
    out = capsys.readouterr().out
    assert re.search(r"^train\.npz, 60 samples$", out, re.M) and not re.search(r"\btrain\b(?!\.npz)", out)
    assert re.search(r"^cost +[\d,]+ samples forward in", out, re.M)
    assert [*json.loads((folder / "found.json").read_text())["variants"]["naive"]["curves"]] == ["train"]


def test_checkpoints_of_one_name_are_told_apart_by_their_folders(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for i in (1, 2):
        (folder / f"run{i}" / "last").mkdir(parents=True)
        save_file(load_file(f"{'ab'[i - 1]}.safetensors"), f"run{i}/last/model.safetensors")
    files = [f"run{i}/last/model.safetensors" for i in (1, 2)]
    assert run(*files, *GIVEN[2:], "--points", 3, "--no-align", "-o", "curves.svg") == 0
    assert capsys.readouterr().out.startswith(f"{files[0]} and {files[1]}\n")
    assert f"A is {files[0]}, B is {files[1]}" in (folder / "curves.svg").read_text()
    assert short_names(["x/a.pt", "x/b.pt"]) == ["a.pt", "b.pt"]
    assert short_names(["x/a.pt", "x/a.pt"]) == ["a.pt", "a.pt"]
    assert short_names(["x/a.pt", "a.pt"]) == ["x/a.pt", f"{folder.name}/a.pt"]


@pytest.mark.parametrize("command", ["connect", "merge", "align", "distance"])
def test_tied_tensors_that_differ_are_refused_by_both_names(capsys: pytest.CaptureFixture[str], command: str) -> None:
    generator = torch.Generator().manual_seed(0)
    good = {"into.weight": torch.randn(16, 16, generator=generator), "out.bias": torch.zeros(16)}
    save_file({**good, "out.weight": good["into.weight"].clone()}, "good.safetensors")
    save_file({**good, "out.weight": -good["into.weight"]}, "odd.safetensors")
    for files in (("good.safetensors", "odd.safetensors"), ("odd.safetensors", "good.safetensors")):
        where = ["-o", "found.json" if command == "distance" else "found.safetensors"]
        where = [] if command == "connect" else where
        assert main([command, *files, "--model", "nets.py:tied", "-i", "train.npz", *where]) == 2
        err = capsys.readouterr().err
        assert "'into.weight' and 'out.weight' are one tensor" in err and "where: odd.safetensors" in err
    if command == "connect":
        both = ["good.safetensors", "good.safetensors", "--model", "nets.py:tied", "-i", "train.npz"]
        assert main([command, *both, "--points", "3", "--no-align"]) == 0
        assert main([command, *both, "--points", "3", "--aligned", "odd.safetensors"]) == 2
        assert "'into.weight' and 'out.weight' are one tensor" in capsys.readouterr().err


def test_compiled_programs_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 3))
    torch.jit.script(net).save("program.pt")
    err = refused(capsys, "program.pt", "program.pt", "--allow-program", "-i", "train.npz")
    assert "'program' is a compiled program" in err and "--model" in err


def test_a_pickled_state_with_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    for name in "ab":
        torch.save({"model": load_file(f"{name}.safetensors")}, f"{name}.pt")
    assert run("a.pt", "b.pt", *GIVEN[2:], "--key", "model", "--points", 3, "--no-align") == 0
    assert "a.pt and b.pt" in capsys.readouterr().out
