"""`symcheck align` and `symcheck distance` as a user runs them: what is printed and written, refusals, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from symcheck.cli.main import main
from symcheck.weights.element import load_steps

NETWORKS = """
from torch import nn

def net(width=24):
    return nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 3))

def half():
    return net().half()
"""
SHAPES = {"0.weight": (24, 16), "0.bias": (24,), "2.weight": (24, 24), "2.bias": (24,)}
SHAPES |= {"4.weight": (3, 24), "4.bias": (3,)}


def weights(seed: int) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=rng) / shape[-1] ** 0.5 for name, shape in SHAPES.items()}


def relabelled(state: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    """The same function with its units in another order and at other scales, written without symcheck."""
    rng = torch.Generator().manual_seed(seed)
    moved = dict(state)
    for into, bias, out in (("0.weight", "0.bias", "2.weight"), ("2.weight", "2.bias", "4.weight")):
        order, scale = torch.randperm(24, generator=rng), torch.rand(24, generator=rng) + 0.5
        moved[into], moved[bias] = moved[into][order] * scale[:, None], moved[bias][order] * scale
        moved[out] = moved[out][:, order] / scale
    return moved


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETWORKS)
    a = weights(0)
    for name, state in {"a": a, "b": relabelled(a, 1), "c": weights(2), "d": relabelled(a, 3)}.items():
        save_file({n: t.contiguous() for n, t in state.items()}, f"{name}.safetensors")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((80, 16)).astype(np.float32)
    np.savez("inputs.npz", x=x)
    np.savez("data.npz", x=x, y=outputs("a.safetensors").argmax(1).numpy())
    return tmp_path


def run(*args: object) -> int:
    return main([*map(str, args)])


def outputs(path: str) -> torch.Tensor:
    s = {n: t.double() for n, t in load_file(path).items()}
    h = torch.as_tensor(np.load("inputs.npz")["x"]).double()
    for layer in ("0", "2"):
        h = (h @ s[f"{layer}.weight"].T + s[f"{layer}.bias"]).relu()
    return h @ s["4.weight"].T + s["4.bias"]


def align(*args: object) -> int:
    return run("align", "a.safetensors", *args, "--model", "nets.py:net", "-i", "inputs.npz")


def test_a_relabelled_checkpoint_comes_back(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("b.safetensors", "-o", "out.safetensors", "--save-element", "g.safetensors", "--report", "r.json") == 0
    a, out = load_file("a.safetensors"), load_file("out.safetensors")
    assert all(torch.allclose(out[n], a[n], atol=1e-5) for n in a)
    told = capsys.readouterr().out
    assert "b.safetensors onto a.safetensors" in told and "the same as before" in told
    assert "48 of 48 units of A re-labelled were recovered" in told
    report = json.loads(Path("r.json").read_text())
    assert report["schema"] == "symcheck.align/1"
    (one,) = report["alignments"]
    assert one["same_function"]["same"] and one["cosine"]["after"] == pytest.approx(1, abs=1e-6)
    assert one["cosine"]["null"] < 0.8 and one["planted"] == {"recovered": 48, "units": 48}
    assert {s["space"]: s["units"] for s in one["spaces"]} == {"h0": 24, "h2": 24}


def test_the_element_does_what_was_done() -> None:
    arguments = ("-o", "out.safetensors", "--save-element", "g.safetensors", "--save-spec", "net.toml")
    assert align("c.safetensors", *arguments, "--no-controls") == 0
    assert len(load_steps("g.safetensors")) == 3  # to least norm, to A's order, to A's gauge
    replay = ("apply", "c.safetensors", "--spec", "net.toml", "--element", "g.safetensors", "-o", "again.safetensors")
    assert run(*replay) == 0
    out, again = load_file("out.safetensors"), load_file("again.safetensors")
    assert all(torch.allclose(out[n], again[n], rtol=1e-6, atol=1e-7) for n in out)
    assert run("apply", "out.safetensors", *replay[2:6], "--inverse", "-o", "back.safetensors") == 0
    c, back = load_file("c.safetensors"), load_file("back.safetensors")
    assert all(torch.allclose(c[n], back[n], rtol=1e-4, atol=1e-6) for n in c)


def test_strangers_are_aligned_as_one_function_and_said_to_be_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("c.safetensors", "-o", "out.safetensors") == 0
    before, after = outputs("c.safetensors"), outputs("out.safetensors")
    assert float((before - after).abs().max()) <= 1e-5 * float(before.abs().max())
    assert "matching alone finds" in capsys.readouterr().out


def test_a_given_spec_needs_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("b.safetensors", "--save-spec", "net.toml", "--no-controls") == 0
    capsys.readouterr()
    assert run("align", "a.safetensors", "b.safetensors", "--spec", "net.toml", "-o", "out.safetensors") == 0
    assert "not run: give --model and inputs" in capsys.readouterr().out
    a, out = load_file("a.safetensors"), load_file("out.safetensors")
    assert all(torch.allclose(out[n], a[n], atol=1e-5) for n in a)


def test_a_wrong_spec_is_found_by_running(capsys: pytest.CaptureFixture[str]) -> None:
    """A spec that forgets a bias: the element is no symmetry, and nothing is written."""
    assert align("b.safetensors", "--save-spec", "net.toml", "--no-controls") == 0
    text = Path("net.toml").read_text().replace('"0.bias" = "h0"', '"0.bias" = "."')
    assert text != Path("net.toml").read_text()
    lines = [line.replace('"0.bias" = [1], ', "") for line in text.splitlines() if not line.startswith("certificate")]
    Path("wrong.toml").write_text("\n".join(lines) + "\n")
    code = align("c.safetensors", "--spec", "wrong.toml", "-o", "out.safetensors", "--no-controls")
    assert code == 1
    assert "NOT the same" in capsys.readouterr().out
    assert not Path("out.safetensors").exists()


def test_three_checkpoints_share_one_numbering(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("b.safetensors", "d.safetensors", "-o", "out", "--no-controls") == 0
    a = load_file("a.safetensors")
    for name in ("b", "d"):
        assert all(torch.allclose(t, a[n], atol=1e-5) for n, t in load_file(f"out/{name}.safetensors").items())
    assert "P_AB P_BC P_CA leaves 100.0 %" in capsys.readouterr().out


@pytest.mark.parametrize("matcher", ["activations", "sinkhorn", "straight-through"])
def test_matchers_find_the_same_units(matcher: str) -> None:
    data = "data.npz" if matcher == "straight-through" else "inputs.npz"
    arguments = ("--model", "nets.py:net", "-i", data, "--matcher", matcher, "--no-controls", "-o", "out.safetensors")
    assert run("align", "a.safetensors", "b.safetensors", *arguments) == 0
    a, out = load_file("a.safetensors"), load_file("out.safetensors")
    assert all(torch.allclose(out[n], a[n], atol=1e-4) for n in a)


def test_few_samples_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("b.safetensors", "--matcher", "activations", "--samples", "9", "--no-controls") == 0
    assert "9 samples for 24 units" in capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *args: object) -> str:
    assert run(*args) == 2
    told = capsys.readouterr()
    assert not told.out
    return told.err


def test_bad_questions_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    wide = {**weights(0), "2.weight": torch.zeros(30, 24), "2.bias": torch.zeros(30), "4.weight": torch.zeros(3, 30)}
    save_file(wide, "wide.safetensors")
    model = ("--model", "nets.py:net", "-i", "inputs.npz")
    told = refused(capsys, "align", "a.safetensors", "wide.safetensors", *model)
    assert "2.weight (24, 24) and (30, 24)" in told and "different networks" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", *model, "--matcher", "weigths")
    assert "weigths" in told and "weights" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", *model, "--kinds", "permutations")
    assert "permutation" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", *model, "-o", "out.pt")
    assert ".safetensors" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", *model, "-o", "a.safetensors")
    assert "exists" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", "d.safetensors", *model, "-o", "out.safetensors")
    assert "folder" in told
    told = refused(capsys, "align", "a.safetensors", "missing.safetensors", *model)
    assert "missing.safetensors" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors")
    assert "--model" in told
    broken = weights(0)
    broken["0.weight"][0, 0] = torch.nan
    save_file(broken, "nan.safetensors")
    told = refused(capsys, "align", "a.safetensors", "nan.safetensors", *model)
    assert "0.weight" in told


def test_outputs_are_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    model = ("--model", "nets.py:net", "-i", "inputs.npz")
    two = ("align", "a.safetensors", "b.safetensors", *model, "-o", "x.safetensors")
    assert "one name" in refused(capsys, *two, "--save-element", "x.safetensors")
    before = Path("d.safetensors").read_bytes()
    assert ".json" in refused(capsys, *two, "--report", "d.safetensors")
    assert Path("d.safetensors").read_bytes() == before
    Path("net.toml").write_text("mine")
    assert "exists" in refused(capsys, *two, "--save-spec", "net.toml")
    three = ("align", "a.safetensors", "b.safetensors", "d.safetensors", *model)
    assert "one name" in refused(capsys, *three, "-o", "out", "--save-element", "out")
    Path("out").mkdir()
    Path("out/b.safetensors").write_text("mine")
    assert "exists" in refused(capsys, *three, "-o", "out")
    assert not Path("x.safetensors").exists() and Path("out/b.safetensors").read_text() == "mine"
    for name, copy in (("b", "x/b"), ("d", "y/b"), ("c", "y/b-1")):
        Path(copy).parent.mkdir(exist_ok=True)
        Path(f"{copy}.safetensors").write_bytes(Path(f"{name}.safetensors").read_bytes())
    alike = ("x/b.safetensors", "y/b.safetensors", "y/b-1.safetensors")
    assert align(*alike, "-o", "many", "--no-controls", "-q") == 0
    assert len(list(Path("many").iterdir())) == 3


def test_what_does_not_fit_the_stored_precision_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Scales of A that B is to take over in float16, and cannot."""
    big, small = weights(0), weights(2)
    for name, scale in (("0.weight", 3e-4), ("0.bias", 3e-4), ("2.weight", 3e3)):
        big[name] = big[name] * scale
    small["2.weight"] = small["2.weight"] * 2e4
    for name, state in (("big", big), ("small", small)):
        save_file({n: t.half() for n, t in state.items()}, f"{name}.safetensors")
    two = ("align", "big.safetensors", "small.safetensors", "--model", "nets.py:half", "-i", "inputs.npz")
    told = refused(capsys, *two, "-o", "out.safetensors", "--no-controls")
    assert "does not fit into float16" in told and "--gauges sign" in told
    assert not Path("out.safetensors").exists()


def test_numbers_that_cannot_be_compared_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert align("b.safetensors", "--save-spec", "net.toml", "--no-controls") == 0
    capsys.readouterr()
    for name in "ab":
        whole = {n: (100 * t).to(torch.int32) for n, t in load_file(f"{name}.safetensors").items()}
        save_file(whole, f"{name}8.safetensors")
    told = refused(capsys, "align", "a8.safetensors", "b8.safetensors", "--spec", "net.toml", "--gauges", "none")
    assert "nothing to compare" in told
    save_file({n: torch.zeros_like(t) for n, t in weights(0).items()}, "zero.safetensors")
    told = refused(capsys, "distance", "a.safetensors", "zero.safetensors", "--spec", "net.toml")
    assert "zero" in told
    told = refused(capsys, "align", "a.safetensors", "b.safetensors", "--spec", "net.toml", "--kinds", "scale")
    assert "looked for" in told


def test_distance_does_not_believe_a_wrong_spec(capsys: pytest.CaptureFixture[str]) -> None:
    spec = """schema = "symcheck.spec/1"
[spaces]
h = { kind = "permutation", size = 24 }
[axes]
"0.weight" = "h ."
"0.bias" = "."
"2.weight" = ". ."
"2.bias" = "."
"4.weight" = ". ."
"4.bias" = "."
"""
    Path("wrong.toml").write_text(spec)
    a = load_file("a.safetensors")
    save_file({**a, "0.weight": a["0.weight"].flip(0).contiguous()}, "rows.safetensors")
    question = ("distance", "a.safetensors", "rows.safetensors", "--spec", "wrong.toml")
    told = refused(capsys, *question, "--model", "nets.py:net", "-i", "inputs.npz")
    assert "different functions" in told


def test_distances_count_modes(capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"{n}.safetensors" for n in "abcd"]
    assert run("distance", *names, "--model", "nets.py:net", "-i", "inputs.npz", "-o", "d.json") == 0
    told = capsys.readouterr().out
    assert "copies of one mode: 1, 2, 4" in told and "2 modes among 4 checkpoints" in told
    found = json.loads(Path("d.json").read_text())
    assert found["schema"] == "symcheck.distance/1"
    assert found["modes"] == [1, 1, 2, 1] and found["copies"] == 0.5
    assert found["modulo"][0][1] < 1e-4 < 0.3 < found["modulo"][0][2]
    assert refused(capsys, "distance", *names, "--model", "nets.py:net", "-i", "inputs.npz", "-o", "d.csv")
