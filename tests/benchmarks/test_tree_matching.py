"""The matcher of soft trees leaves the function alone, undoes a planted element and finds the best of all."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from tree_matching import _alike, _elements, _moved, match_levels, match_trees

sys.path.insert(0, str(Path(__file__).parents[2] / "fixtures"))

import classifiers

MATCHERS = {"trees": match_trees, "levels": match_levels}


def drawn(kind: str, seed: int, trees: int = 5, depth: int = 3) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    shapes = getattr(classifiers, kind)(6, trees, depth, 4).state_dict()
    return {name: torch.randn(t.shape, generator=rng, dtype=torch.float64) for name, t in shapes.items()}


def output(kind: str, state: Mapping[str, Tensor]) -> Tensor:
    trees, leaves = state["leaf"].shape[:2]
    model = getattr(classifiers, kind)(6, trees, leaves.bit_length() - 1, 4).double()
    x = torch.randn(20, 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return functional_call(model, dict(state), (x,))


def inner(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    return sum(float((a[name] * b[name]).sum()) for name in a)


def distance(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """‖a − b‖²."""
    return sum(float((a[name] - b[name]).square().sum()) for name in a)


@pytest.mark.parametrize("kind", MATCHERS)
def test_the_function_stays_and_the_distance_falls(kind: str) -> None:
    a, b = drawn(kind, 1), drawn(kind, 2)
    moved = MATCHERS[kind](a, b)
    torch.testing.assert_close(output(kind, moved), output(kind, b))
    assert inner(a, moved) > inner(a, b) + 1
    assert not torch.allclose(output(kind, {**moved, "leaf": b["leaf"]}), output(kind, b))


@pytest.mark.parametrize("kind", MATCHERS)
def test_what_was_moved_comes_back(kind: str) -> None:
    """Moved towards other weights, with noise of three tenths, then back."""
    a = drawn(kind, 1)
    moved = MATCHERS[kind](drawn(kind, 3), a)
    rng = torch.Generator().manual_seed(4)
    noise = {name: 0.3 * torch.randn(t.shape, generator=rng, dtype=t.dtype) for name, t in a.items()}
    back = MATCHERS[kind](a, {name: t + noise[name] for name, t in moved.items()})
    size = inner(a, a)
    assert distance(moved, a) > 0.5 * size
    assert distance(back, a) < 0.35**2 * size


def flips(state: Mapping[str, Tensor], signs: tuple[int, ...]) -> dict[str, Tensor]:
    """One tree of depth 2 with the flips at its root, left and right node, as they are before the root turns."""
    order = [0, 1, 2] if not signs[0] else [0, 2, 1]
    pairs = [pair[::-1] if flip else pair for pair, flip in zip([[0, 1], [2, 3]], signs[1:], strict=True)]
    leaves = [leaf for pair in (pairs[::-1] if signs[0] else pairs) for leaf in pair]
    factor = torch.tensor([1.0 - 2.0 * s for s in signs], dtype=torch.float64)
    return {
        "split": (state["split"] * factor[:, None])[:, order],
        "bias": (state["bias"] * factor)[:, order],
        "leaf": state["leaf"][:, leaves],
    }


@pytest.mark.parametrize("seed", range(6))
def test_one_tree_is_matched_as_well_as_by_trying_all(seed: int) -> None:
    a, b = drawn("trees", seed, 1, 2), drawn("trees", seed + 50, 1, 2)
    every = [flips(b, signs) for signs in product((0, 1), repeat=3)]
    for one in every:
        torch.testing.assert_close(output("trees", one), output("trees", b))
    assert inner(a, match_trees(a, b)) == pytest.approx(max(inner(a, one) for one in every))


def test_levels_have_all_their_elements() -> None:
    """2^D · D! of them, all different and one function; without orders 2^D."""
    b = drawn("levels", 1, 1)
    moved = [_moved(b, torch.arange(1), *_alike(e, 1)) for e in _elements(3, True)]
    assert len({tuple(m["leaf"].flatten().tolist()) for m in moved}) == 48
    for one in moved:
        torch.testing.assert_close(output("levels", one), output("levels", b))
    a = drawn("levels", 2)
    b = drawn("levels", 3)
    assert inner(a, match_levels(a, b, orders=False)) < inner(a, match_levels(a, b))
