"""`symcheck apply` as a user runs it: what it prints, what it refuses, exit codes, files."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from spec_networks import NETWORKS

from symcheck.cli.main import main
from symcheck.weights.element import load_element
from symcheck.weights.spec import Spec
from symcheck.weights.tensor_file import TensorFile

MLP = NETWORKS["mlp"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a.safetensors, a.pt and a.toml in it, where the command runs."""
    save_file(MLP.state, tmp_path / "a.safetensors", {"format": "pt"})
    torch.save({"state": MLP.state, "epoch": 3}, tmp_path / "a.pt")
    torch.save({"state": MLP.state, "ema": MLP.state}, tmp_path / "two.pt")
    MLP.spec.save(tmp_path / "a.toml")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*args: object) -> int:
    return main(["apply", *map(str, args)])


def same_function(path: Path) -> bool:
    return torch.allclose(MLP.call(load_file(path)), MLP.call(MLP.state), rtol=1e-10)


def test_what_was_done_is_printed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("a.safetensors", "--spec", "a.toml", "-o", "b.safetensors") == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "a.safetensors -> b.safetensors",
        "  spaces   4: 2 permutation, 2 scale",
        "  tensors  5 changed, 1 untouched",
        "  entries  120 of 123 changed (97.6 %)",
    ]
    assert err == ""
    assert same_function(folder / "b.safetensors")
    assert not torch.equal(load_file("b.safetensors")["w1"], MLP.state["w1"])


def test_seed_kinds_and_spaces_choose_the_element(folder: Path) -> None:
    command = ("a.safetensors", "--spec", "a.toml")
    both = ("--kinds", "permutation, scale", "--spaces", "h,k_scale")
    assert run(*command, "-o", "b.safetensors", "--seed", 3, *both) == 0
    expected = MLP.spec.apply(MLP.spec.sample(3, spaces=["h", "k_scale"]), MLP.state)
    assert all(torch.equal(x, expected[name]) for name, x in load_file("b.safetensors").items())
    assert run(*command, "-o", "c.safetensors", "--kinds", "permutation", "--seed", 3) == 0
    expected = MLP.spec.apply(MLP.spec.sample(3, kinds=["permutation"]), MLP.state)
    assert all(torch.equal(x, expected[name]) for name, x in load_file("c.safetensors").items())


def test_an_element_is_saved_and_used_again_and_undone(folder: Path) -> None:
    spec = ("--spec", "a.toml")
    assert run("a.safetensors", *spec, "-o", "b.safetensors", "--seed", 7, "--save-element", "g.safetensors") == 0
    assert load_element(folder / "g.safetensors").keys() == MLP.spec.spaces.keys()
    assert TensorFile.open(folder / "g.safetensors").metadata["seed"] == "7"
    assert run("a.safetensors", *spec, "-o", "c.safetensors", "--element", "g.safetensors") == 0
    assert (folder / "b.safetensors").read_bytes() == (folder / "c.safetensors").read_bytes()
    assert run("b.safetensors", *spec, "-o", "d.safetensors", "--element", "g.safetensors", "--inverse") == 0
    for name, x in load_file("d.safetensors").items():
        torch.testing.assert_close(x, MLP.state[name], rtol=1e-12, atol=1e-13)
    assert run("a.safetensors", *spec, "-o", "e.safetensors", "--element", "g.safetensors", "--kinds", "scale") == 0
    expected = MLP.spec.apply(MLP.spec.sample(7, kinds=["scale"]), MLP.state)
    assert all(torch.equal(x, expected[name]) for name, x in load_file("e.safetensors").items())


def test_a_weights_only_pt_is_written_as_safetensors(folder: Path) -> None:
    assert run("a.pt", "--spec", "a.toml", "-o", "b.safetensors", "--key", "state") == 0
    assert run("a.safetensors", "--spec", "a.toml", "-o", "c.safetensors") == 0
    streamed = load_file("c.safetensors")
    assert all(torch.equal(x, streamed[name]) for name, x in load_file("b.safetensors").items())


def test_an_output_that_exists_needs_force(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "b.safetensors").write_text("mine")
    command = ("a.safetensors", "--spec", "a.toml", "-o", "b.safetensors")
    assert run(*command) == 2
    assert "the output exists" in capsys.readouterr().err
    assert (folder / "b.safetensors").read_text() == "mine"
    assert run(*command, "--save-element", "a.toml") == 2
    assert run(*command, "--force") == 0
    assert same_function(folder / "b.safetensors")
    assert run(*command, "--force", "-o", "a.safetensors") == 2
    assert "the output is the input" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "problem"),
    [
        (("none.safetensors", "--spec", "a.toml"), "there is no such file"),
        (("a.safetensors", "--spec", "none.toml"), "the spec cannot be read"),
        (("a.safetensors", "--spec", "a.safetensors"), "not kept as '.safetensors'"),
        (("a.safetensors", "--spec", "a.toml", "--kinds", "perm"), "there is no kind 'perm'"),
        (("a.safetensors", "--spec", "a.toml", "--spaces", "hh"), "there is no space 'hh'"),
        (("a.safetensors", "--spec", "a.toml", "--spaces", "h", "--kinds", "scale"), "no space is left"),
        (("a.safetensors", "--spec", "a.toml", "--element", "a.safetensors"), "this is no element"),
        (("a.safetensors", "--spec", "a.toml", "--element", "g", "--seed", "1"), "a seed belongs to a random element"),
        (("a.safetensors", "--spec", "a.toml", "--key", "x"), "a key belongs to a .pt file"),
        (("two.pt", "--spec", "a.toml"), "add --key ema or --key state"),
        (("a.pt", "--spec", "a.toml", "--key", "state", "-o", "b.pt"), "not written as '.pt'"),
        (("a.toml", "--spec", "a.toml"), "no checkpoint of weights"),
        (("a.safetensors", "--spec", "a.toml", "-o", "none/b.safetensors"), "does not exist"),
        (("a.safetensors", "--spec", "small.toml"), "is no 'h'"),
    ],
)
def test_refusals_exit_with_2_and_write_nothing(
    folder: Path, args: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (folder / "a.toml").read_text().replace("size = 8", "size = 9")
    (folder / "small.toml").write_text(text)
    before = sorted(path.name for path in folder.iterdir())
    assert run(*(args if "-o" in args else (*args, "-o", "b.safetensors"))) == 2
    out, err = capsys.readouterr()
    assert problem in err and "hint:" in err and not out
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_spec_as_json_and_a_folder_of_shards(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Spec.load("a.toml").save("a.json")
    (folder / "shards").mkdir()
    save_file({"w1": MLP.state["w1"], "b1": MLP.state["b1"]}, folder / "shards" / "1.safetensors")
    save_file({k: v for k, v in MLP.state.items() if k not in ("w1", "b1")}, folder / "shards" / "2.safetensors")
    assert run("shards", "--spec", "a.json", "-o", "moved") == 0
    found = load_file("moved/1.safetensors") | load_file("moved/2.safetensors")
    torch.testing.assert_close(MLP.call(found), MLP.call(MLP.state))
    assert "shards -> moved" in capsys.readouterr().out
