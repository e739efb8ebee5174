"""Elements: drawn from (seed, name) alone, in their group, with the stated laws; saved, read, checked."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from spec_networks import NETWORKS, spec_of
from torch import Tensor

from symcheck.errors import ConfigError, LoadError
from symcheck.weights.element import SCHEMA, check_element, inverse, load_element, save_element
from symcheck.weights.spec import Space, Term
from symcheck.weights.tensor_file import write_tensors

SPACES = {
    "permutation": Space("x", "permutation", 5, on="h", over=("k",)),
    "scale": Space("x", "scale", 5, on="h", over=("k",)),
    "sign": Space("x", "sign", 5, on="h", over=("k",)),
    "orthogonal": Space("x", "orthogonal", 5, on="h", over=("k",)),
    "ones": Space("x", "orthogonal", 5, on="h", over=("k",), fixes="ones"),
    "general": Space("x", "general", 5, on="h", over=("k",)),
    "rotation": Space("x", "rotation", 2, on="c", over=("k",)),
    "shift": Space("x", "shift", 10, shape=(2, 5), terms=(Term("w", "k h -> k h"),)),
    "tree": Space("x", "tree", 7, on="n", leaves="l", over=("k",)),
}
SHAPES = {"permutation": (3, 5), "orthogonal": (3, 5, 5), "general": (3, 5, 5), "rotation": (3,), "shift": (2, 5)}
SHAPES |= {"scale": (3, 5), "sign": (3, 5), "tree": (3, 7), "ones": (3, 5, 5)}
AXES = {"w": "k h", "r": "k c", "n": "k n", "l": "k l"}


def draw(kind: str, seed: int = 0, scale: float = 1.0) -> Tensor:
    return spec_of(AXES, SPACES[kind], atoms={"k": 3}).sample(seed, scale=scale)["x"]


@pytest.mark.parametrize("kind", SPACES)
def test_shapes_and_groups(kind: str) -> None:
    spec = spec_of(AXES, SPACES[kind], atoms={"k": 3})
    for seed in range(20):
        part = spec.sample(seed)["x"]
        assert tuple(part.shape) == SHAPES[kind]
        assert part.dtype == (torch.int64 if kind in ("permutation", "tree") else torch.float64)
        check_element(spec, {"x": part}, spec.sizes)
        assert len({tuple(row.flatten().tolist()) for row in part}) > 1  # the copies differ


@pytest.mark.parametrize("kind", SPACES)
def test_a_part_depends_on_seed_and_name_alone(kind: str) -> None:
    assert torch.equal(draw(kind), draw(kind)) and not torch.equal(draw(kind), draw(kind, 1))
    beside = spec_of(AXES, Space("a", "permutation", 5, on="h"), SPACES[kind], atoms={"k": 3})
    assert torch.equal(beside.sample(0)["x"], draw(kind))
    assert torch.equal(beside.sample(0, spaces=["x"])["x"], draw(kind))


def test_permutations_are_uniform() -> None:
    """A chi-square over the 120 permutations of 5 at 12,000 draws: 119 degrees of freedom, 5 sigma."""
    spec = spec_of({"w": "h k"}, Space("h", "permutation", 5, over=("k",)), atoms={"k": 12_000})
    drawn = spec.sample(3)["h"]
    counts = torch.unique(drawn @ torch.tensor([625, 125, 25, 5, 1]), return_counts=True)[1]
    assert len(counts) == 120
    assert abs(float(((counts - 100) ** 2 / 100).sum()) - 119) < 5 * (2 * 119) ** 0.5


def test_laws_of_the_continuous_kinds() -> None:
    spec = spec_of(
        {"w": "h k", "c": "c k"},
        Space("s", "scale", 4, on="h", over=("k",)),
        Space("e", "sign", 4, on="h", over=("k",)),
        Space("g", "general", 4, on="h", over=("k",)),
        Space("o", "orthogonal", 4, on="h", over=("k",)),
        Space("r", "rotation", 2, on="c", over=("k",)),
        atoms={"k": 2000},
    )
    element = spec.sample(1)
    assert abs(float(element["s"].log().std()) - 0.5) < 0.02 and abs(float(element["s"].log().mean())) < 0.03
    assert abs(float(element["e"].mean())) < 0.05
    values = torch.linalg.svdvals(element["g"])
    assert float(values.min()) >= 0.5 - 1e-12 and float(values.max()) <= 2 + 1e-12
    assert abs(float(values.log2().mean())) < 0.03
    assert float(element["o"].mean(0).abs().max()) < 0.05  # Haar: mean 0,
    assert abs(float((element["o"] ** 2).mean(0).max()) - 1 / 4) < 0.03  # second moments 1/n,
    assert abs(float(torch.linalg.det(element["o"]).mean())) < 0.1  # and both determinants
    assert float(element["r"].min()) >= 0 and float(element["r"].max()) < 2 * torch.pi
    assert abs(float(element["r"].cos().mean())) < 0.06
    small = spec.sample(1, scale=0.1)
    torch.testing.assert_close(small["s"].log(), 0.1 * element["s"].log())
    assert float(torch.linalg.svdvals(small["g"]).max()) <= 2**0.1 + 1e-12


def test_approximate_spaces_only_when_asked_for_or_named() -> None:
    spec = spec_of({"w": "h"}, Space("h", "permutation", 4), Space("s", "scale", 4, on="h", approximate=True))
    assert [*spec.sample(0)] == ["h"]
    assert [*spec.sample(0, approximate=True)] == ["h", "s"]
    assert [*spec.sample(0, spaces=["s"])] == ["s"]
    assert [*spec.sample(0, kinds=["scale"])] == []
    assert [*spec.sample(0, kinds=["permutation"])] == ["h"]
    with pytest.raises(ConfigError, match="no kind 'perm'"):
        spec.sample(0, kinds=["perm"])
    with pytest.raises(ConfigError, match="no space 'w'"):
        spec.sample(0, spaces=["w"])


def test_an_unknown_size_is_an_error() -> None:
    with pytest.raises(LoadError, match="the size of the atom 'k' is not known"):
        spec_of({"w": "k h"}, Space("h", "permutation", 4, over=("k",))).sample(0)


@pytest.mark.parametrize("kind", SPACES)
def test_the_inverse_of_the_inverse(kind: str) -> None:
    part = draw(kind)
    torch.testing.assert_close(inverse(SPACES[kind], inverse(SPACES[kind], part)), part)


@pytest.mark.parametrize("name", NETWORKS)
def test_elements_are_saved_and_read(tmp_path: Path, name: str) -> None:
    element = NETWORKS[name].spec.sample(5)
    path = tmp_path / "element.safetensors"
    save_element(element, path, {"seed": "5"})
    read = load_element(path)
    assert [*read] == [*element]
    assert all(torch.equal(read[key], part) and read[key].dtype == part.dtype for key, part in element.items())


def test_another_file_is_no_element(tmp_path: Path) -> None:
    save_file({"x": torch.ones(2)}, tmp_path / "x.safetensors")
    with pytest.raises(LoadError, match="this is no element"):
        load_element(tmp_path / "x.safetensors")
    write_tensors({"x": torch.ones(2)}, tmp_path / "y.safetensors", {"schema": SCHEMA, "spaces": '["x", "z"]'})
    with pytest.raises(LoadError, match="lacks 'z'"):
        load_element(tmp_path / "y.safetensors")


@pytest.mark.parametrize(
    ("kind", "part", "problem"),
    [
        ("permutation", torch.zeros(3, 5, dtype=torch.int64), "no arrangement of 0..4"),
        ("permutation", torch.zeros(5, dtype=torch.int64), "shape (5,), not (3, 5)"),
        ("scale", -torch.ones(3, 5), "not positive"),
        ("scale", torch.full((3, 5), torch.nan), "NaN"),
        ("sign", torch.full((3, 5), 0.5), "not ±1"),
        ("tree", torch.full((3, 7), 2), "not 0 or 1"),
        ("orthogonal", torch.ones(3, 5, 5), "not orthogonal"),
        ("ones", -torch.eye(5).repeat(3, 1, 1), "does not fix the vector 1"),
        ("general", torch.zeros(3, 5, 5), "not invertible"),
        ("rotation", torch.full((3,), torch.inf), "infinity"),
    ],
)
def test_what_lies_in_no_group_is_refused(kind: str, part: Tensor, problem: str) -> None:
    spec = spec_of(AXES, SPACES[kind], atoms={"k": 3})
    with pytest.raises(LoadError) as error:
        check_element(spec, {"x": part}, spec.sizes)
    assert problem in error.value.message and "space 'x'" in error.value.where


def test_a_part_of_no_space_is_refused() -> None:
    spec = spec_of(AXES, SPACES["sign"], atoms={"k": 3})
    with pytest.raises(LoadError, match="a part 'y'"):
        check_element(spec, {"y": torch.ones(3, 5)}, spec.sizes)
