"""Inputs: files, functions, stated distributions; names, leading axes, reproducible rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from symcheck.errors import DataError, LoadError, SymcheckError
from symcheck.loading import load_inputs

FUNCTIONS = """
import numpy as np
import torch

print("a banner on import")


def both(samples, seed):
    print("a banner on call")
    return torch.full((samples, 2), float(seed))


def positional(n, s):
    return torch.full((n, 2), float(s))


def one(samples):
    return np.ones((samples, 2), dtype=">f4")


def none():
    return torch.ones(9, 2), torch.ones(9, 3)


def table(seed):
    return {"a": torch.ones(9, seed), "b": np.zeros((9, 1))}


def fails(samples, seed):
    raise ValueError("no data today")


def text():
    return "text"
"""


@pytest.fixture
def functions(tmp_path: Path) -> Path:
    (tmp_path / "data.py").write_text(FUNCTIONS)
    return tmp_path


@pytest.mark.parametrize("text", ["normal(3,5)", "uniform(3,5)", "integers(100,16)", "sphere(8,3)", "normal"])
def test_row_i_depends_on_seed_name_and_i_alone(text: str) -> None:
    few, many = (load_inputs(text, samples=n, seed=7)["input"] for n in (3, 11))
    assert torch.equal(few, many[:3])
    assert len({tuple(row.flatten().tolist()) for row in many}) == 11
    assert not torch.equal(many, load_inputs(text, samples=11, seed=8)["input"])
    named = load_inputs({"a": text, "b": text}, samples=11, seed=7)
    assert not torch.equal(named["a"], named["b"])
    assert torch.equal(named["a"], load_inputs({"b": text, "a": text}, samples=11, seed=7)["a"])


def test_the_distributions_are_what_they_say() -> None:
    normal = load_inputs("normal(100)", samples=400, seed=0)["input"]
    uniform = load_inputs("uniform(100)", samples=400, seed=0)["input"]
    integers = load_inputs("integers(5,20)", samples=400, seed=0)["input"]
    sphere = load_inputs("sphere(8,3)", samples=400, seed=0)["input"]
    assert (normal.dtype, uniform.dtype, integers.dtype, sphere.dtype) == (
        *[torch.float32] * 2,
        torch.int64,
        torch.float32,
    )
    assert abs(normal.mean()) < 0.03 and abs(normal.var() - 1) < 0.05
    assert uniform.min() >= 0 and uniform.max() < 1 and abs(uniform.mean() - 0.5) < 0.01
    assert integers.shape == (400, 20) and set(integers.flatten().tolist()) == {0, 1, 2, 3, 4}
    assert sphere.shape == (400, 8, 3) and torch.allclose(sphere.norm(dim=-1), torch.ones(400, 8))
    assert sphere.mean((0, 1)).abs().max() < 0.06


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("nromal(3)", "did you mean 'normal'?"),
        ("normal(3,-1)", "without samples"),
        ("integers()", "empty argument"),
        ("integers", "upper end"),
        ("sphere", "unit vector"),
        ("uniform(x)", "without samples"),
        ("normal(100000,100000)", "fewer samples"),
        ("some words", "is no file, function or distribution"),
        ("missing.npz", "no such file"),
    ],
)
def test_a_text_that_is_not_understood_says_how_to_write_it(text: str, word: str) -> None:
    if text == "integers()":
        word = "is no file"
    with pytest.raises(SymcheckError) as caught:
        load_inputs(text, samples=4, seed=0)
    assert word in str(caught.value)
    assert caught.value.where and caught.value.hint


def test_files_by_content_and_by_key(tmp_path: Path) -> None:
    a, b = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    np.savez(tmp_path / "two.npz", a=a.numpy().astype(np.float64), b=b.numpy())
    np.save(tmp_path / "one.npy", a.numpy())
    save_file({"a": a, "b": b}, tmp_path / "two.safetensors")
    torch.save({"a": a, "b": b}, tmp_path / "two.pt")
    torch.save(a, tmp_path / "one.pt")
    torch.save((a, b), tmp_path / "tuple.pt")
    for name in ("two.npz", "two.safetensors", "two.pt"):
        got = load_inputs(name, samples=4, seed=0, base=tmp_path)
        assert list(got) == ["a", "b"] and torch.equal(got["a"], a[:4].to(got["a"].dtype))
        assert torch.equal(load_inputs(f"{name}:b", samples=99, seed=0, base=tmp_path)["input"], b)
        assert torch.equal(load_inputs({"b": name}, samples=2, seed=0, base=tmp_path)["b"], b[:2])
    assert load_inputs("two.npz", samples=4, seed=0, base=tmp_path)["a"].dtype == torch.float64
    assert list(load_inputs("tuple.pt", samples=4, seed=0, base=tmp_path)) == ["input0", "input1"]
    for name in ("one.npy", "one.pt"):
        assert torch.equal(load_inputs({"x": name}, samples=6, seed=0, base=tmp_path)["x"], a)
    with pytest.raises(LoadError, match="no 'c'"):
        load_inputs("two.npz:c", samples=4, seed=0, base=tmp_path)
    with pytest.raises(DataError, match="none of them called 'x'"):
        load_inputs({"x": "two.npz"}, samples=4, seed=0, base=tmp_path)


def test_functions_are_given_what_they_take(functions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def load(name: str) -> dict[str, torch.Tensor]:
        return load_inputs(f"data.py:{name}", samples=5, seed=3, base=functions)

    assert torch.equal(load("both")["input"], torch.full((5, 2), 3.0))
    assert torch.equal(load("positional")["input"], torch.full((5, 2), 3.0))
    assert torch.equal(load("one")["input"], torch.ones(5, 2))
    assert [x.shape for x in load("none").values()] == [(5, 2), (5, 3)]
    assert load("table")["a"].shape == (5, 3)
    with pytest.raises(DataError, match="no data today"):
        load("fails")
    with pytest.raises(DataError, match="not a numeric array"):
        load("text")
    captured = capsys.readouterr()
    assert captured.out == "" and "a banner on call" in captured.err


def test_leading_axes_must_agree_unless_the_data_are_packed(tmp_path: Path) -> None:
    owner = np.repeat(np.arange(3), 4)
    np.savez(tmp_path / "odd.npz", a=np.ones((6, 2)), b=np.ones((7, 2)))
    np.savez(tmp_path / "packed.npz", pos=np.ones((12, 3)), batch=owner)
    np.savez(
        tmp_path / "graphs.npz", pos=np.ones((12, 3)), which=owner, edge_index=np.zeros((2, 20), np.int64)
    )
    np.savez(tmp_path / "labels.npz", image=np.ones((12, 3)), label=owner)
    with pytest.raises(DataError, match="a 6, b 7"):
        load_inputs("odd.npz", samples=4, seed=0, base=tmp_path)
    assert len(load_inputs("packed.npz", samples=2, seed=0, base=tmp_path)["pos"]) == 12
    assert load_inputs("graphs.npz", samples=2, seed=0, base=tmp_path)["edge_index"].shape == (2, 20)
    assert len(load_inputs("labels.npz", samples=2, seed=0, base=tmp_path)["image"]) == 2


def test_no_samples_and_no_inputs_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        load_inputs("normal(3)", samples=0, seed=0)
    with pytest.raises(DataError, match="no inputs"):
        load_inputs({}, samples=3, seed=0)
