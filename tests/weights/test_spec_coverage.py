"""Coverage counts entries, copies and dimensions; checked against counting by acting."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from spec_networks import NETWORKS, spec_of

from symcheck.errors import ConfigError
from symcheck.weights.spec import Space, Term


def with_shapes(name: str):
    network = NETWORKS[name]
    shapes = {key: tuple(x.shape) for key, x in network.state.items() if key in network.spec.axes}
    return dataclasses.replace(network.spec, shapes=shapes)


@pytest.mark.parametrize("name", NETWORKS)
def test_acted_entries_are_those_that_some_element_changes(name: str) -> None:
    network, spec = NETWORKS[name], with_shapes(name)
    changed = {key: torch.zeros(shape, dtype=torch.bool) for key, shape in spec.shapes.items()}
    for seed in range(30):
        moved = spec.apply(spec.sample(seed), network.state)
        for key in changed:
            changed[key] |= moved[key] != network.state[key]
    assert spec.coverage.acted == sum(int(x.sum()) for x in changed.values())
    assert spec.coverage.parameters == sum(x.numel() for x in changed.values())


def test_segments_and_slices_count_by_entries() -> None:
    spec = spec_of(
        {"w": "(3 + 2 h) (c + 5)", "b": ".", "v": "(2 (3 + k) 4)"},
        Space("h", "permutation", 4),
        Space("c", "permutation", 2),
        Space("k", "permutation", 2),
        Space("s", "shift", 3, shape=(3,), terms=(Term("b[2:5]", "x -> x"),)),
        shapes={"w": (11, 7), "b": (9,), "v": (40,)},
    )
    assert spec.coverage.acted == (77 - 3 * 5) + 3 + 2 * 2 * 4
    assert spec.coverage.share == spec.coverage.acted / (77 + 9 + 40)


def test_sizes_of_groups() -> None:
    coverage = with_shapes("grouped-queries").coverage
    assert coverage.log10_permutations == pytest.approx(math.log10(math.factorial(2) * math.factorial(3) ** 2))
    assert coverage.continuous == 2 * 16 + 2 * 16 + 8 + 8
    assert coverage.spaces == {"permutation": 2, "general": 2, "shift": 2}
    assert with_shapes("stream-rms").coverage.continuous == 15 + 6
    assert with_shapes("stream-layer").coverage.continuous == 10 + 6
    assert with_shapes("stream-rms").coverage.signs == 8
    assert with_shapes("rotary").coverage.continuous == 6 + 6
    assert with_shapes("soft-trees").coverage.signs == 28
    assert with_shapes("gate").coverage.continuous == 1


def test_approximate_dimensions_are_apart() -> None:
    spaces = (Space("s", "scale", 4, on="h"), Space("t", "scale", 4, on="h", approximate=True))
    coverage = spec_of({"w": "h"}, *spaces).coverage
    assert (coverage.continuous, coverage.approximate) == (4, 4)


def test_tied_tensors_count_once() -> None:
    assert with_shapes("tied").coverage.parameters == 4 * 7 + 4


def test_an_unknown_shape_is_an_error() -> None:
    with pytest.raises(ConfigError, match="the shape of 'w' is not known"):
        _ = spec_of({"w": "h ."}, Space("h", "permutation", 4)).coverage
