"""The table of pointwise functions is true, and the lint admits exactly what commutes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from symcheck.errors import DataError
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.intertwiners import lint
from symcheck.intertwiners.features import one_block, space
from symcheck.intertwiners.kinds import FUNCTIONS, MODULES, Kind, kind_of, measured_kind
from symcheck.intertwiners.lint import Structure

MADE: dict[str, tuple[float, ...]] = {"Threshold": (0.1, 20.0)}


@pytest.mark.parametrize("name", MODULES)
def test_the_kind_of_a_module_is_true(name: str) -> None:
    module = getattr(nn, name)(*MADE.get(name, ())).eval()
    assert measured_kind(module) == MODULES[name] == kind_of(module)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_kind_of_a_function_is_true(name: str) -> None:
    function = getattr(nn.functional, name, None) or getattr(torch, name)
    assert measured_kind(function) == FUNCTIONS[name] == kind_of(f"torch.{name}")


def test_arguments_count() -> None:
    assert kind_of(nn.Hardtanh(0.0, 1.0)) is Kind.GENERIC
    assert kind_of(nn.LeakyReLU(1.0)) is Kind.LINEAR
    assert kind_of(nn.PReLU(5)) is Kind.HOMOGENEOUS
    assert kind_of("relu_") is Kind.HOMOGENEOUS
    for other in (nn.Softmax(-1), nn.GLU(), nn.MaxPool2d(2), nn.Linear(2, 2)):
        assert kind_of(other) is None
    assert kind_of("softmax") is None


STRUCTURES = (
    ("C4", "regular", 8, Structure.PERMUTATION),
    ("C4", "vector", 4, Structure.SIGNED),
    ("C8", "vector", 2, Structure.OTHER),
    ("C1", "vector", 2, Structure.TRIVIAL),
    ("D4", "scalar", 5, Structure.TRIVIAL),
    ("D4", "pseudoscalar", 2, Structure.SIGNED),
    ("S(4)", "nodes", 4, Structure.PERMUTATION),
    ("SO(3)", "3x0e", 3, Structure.TRIVIAL),
    ("SO(3)", "3x0e+2x0o", 5, Structure.TRIVIAL),
    ("O(3)", "3x0e+2x0o", 5, Structure.SIGNED),
    ("SO(3)", "1x1o", 3, Structure.OTHER),
    ("SO(2)", "vector", 2, Structure.OTHER),
    ("O", "1x1o", 3, Structure.SIGNED),
    ("I", "1x1o", 3, Structure.OTHER),
    ("Scale(0.5,2)", "homogeneous", 3, Structure.POSITIVE),
    ("Sign(3)", "channels", 3, Structure.SIGNED),
)
FUNCTION = {
    Kind.LINEAR: lambda x: -2.5 * x,
    Kind.HOMOGENEOUS: torch.relu,
    Kind.ODD: torch.tanh,
    Kind.GENERIC: nn.functional.gelu,
}


@pytest.mark.parametrize(("group", "text", "size", "known"), STRUCTURES)
def test_the_verdict_is_what_the_numbers_say(group: str, text: str, size: int, known: Structure) -> None:
    acts = space(make_group(group), text, size)
    assert lint.structure(acts) is known
    h = Draws(3, "h").normal(5, size)
    for kind, function in FUNCTION.items():
        gap = lint.defect(function, acts, h)
        assert lint.activation(kind, acts).allowed == (gap < 1e-12)
        assert gap < 1e-12 or gap > 1e-3


def test_the_reason_says_what_would_be_needed() -> None:
    relu = lint.activation(Kind.HOMOGENEOUS, space(make_group("SO(3)"), "2x0e+1x1o", 5), "ReLU")
    assert relu.reason.startswith("ReLU on l ≥ 1 cannot be exact unless the model is merely invariant")
    assert "moves 3 of the 5 channels" in relu.reason
    gelu = lint.activation(Kind.GENERIC, space(make_group("C4"), "vector", 2), "GELU")
    assert "needs permutations" in gelu.reason and "signed permutations" in gelu.reason


def test_one_block_has_the_structure_of_many() -> None:
    for group, text, size, known in STRUCTURES:
        if known is not Structure.TRIVIAL:
            assert lint.structure(one_block(make_group(group), text)) is known, (group, text, size)
    assert lint.structure(one_block(make_group("S"), "nodes")) is Structure.PERMUTATION
    assert lint.structure(one_block(make_group("D4"), "image(fiber=2*trivial+vector)")) is Structure.SIGNED


def layer_norm(x: Tensor) -> Tensor:
    return nn.functional.layer_norm(x, x.shape[-1:])


@pytest.mark.parametrize(
    ("group", "text", "size"),
    [("S(4)", "nodes", 4), ("SO(3)", "1x1o", 3), ("SO(3)", "4x0e+1x1o", 7), ("C4", "regular", 8), ("C4", "vector", 4)],
)
def test_layer_norm_over_vector_components_is_found(group: str, text: str, size: int) -> None:
    acts = space(make_group(group), text, size)
    gap = lint.defect(layer_norm, acts, Draws(4, "h").normal(6, size))
    assert lint.layer_norm(acts).allowed == (gap < 1e-4)  # the ε of the norm is no source of error here
    assert lint.rms_norm(acts).allowed
    assert not lint.rms_norm(space(make_group("GL+(2)"), "vector", 2)).allowed


@pytest.mark.parametrize("size", [1e-3, 1e-8])
def test_a_gain_inside_an_irrep_is_found(size: float) -> None:
    acts = space(make_group("SO(3)"), "2x0e+2x1o", 8)
    gains = torch.tensor([1.0, 2.0, 3.0, 3.0, 3.0, -4.0, -4.0, -4.0], dtype=torch.float64)
    healthy = lint.gain(gains, acts, 1e-12)
    assert healthy.allowed and healthy.level is not None and healthy.level < 1e-12
    gains[3] += size
    faulty = lint.gain(gains, acts, 1e-12)
    assert not faulty.allowed and faulty.level is not None and 0.01 * size < faulty.level < size


def test_masks_and_statistics_of_single_components_are_found() -> None:
    assert not lint.by_channel(space(make_group("SO(3)"), "1x1o", 3), "its mask").allowed
    assert lint.by_channel(space(make_group("O"), "1x1o", 3), "its mask").allowed
    assert lint.by_channel(space(make_group("C4"), "regular", 4), "its mask").allowed


def test_nothing_that_is_not_a_number_passes() -> None:
    acts = space(make_group("SO(3)"), "1x1o", 3)
    with pytest.raises(DataError):
        lint.gain(torch.full((3,), math.nan), acts)
    with pytest.raises(DataError):
        lint.defect(torch.relu, acts, torch.full((2, 3), math.nan))
    assert math.isnan(lint.defect(lambda x: x * math.nan, acts, torch.ones(2, 3)))
    assert lint.defect(torch.zeros_like, acts, torch.ones(2, 3)) == 0.0
