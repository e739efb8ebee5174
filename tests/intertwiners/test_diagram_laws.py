"""Diagrams: Θ(d1) Θ(d2) = n^loops Θ(d1 after d2), Θ(d1 beside d2) = Θ(d1) ⊗ Θ(d2), and the cheap application."""

from __future__ import annotations

import random
from itertools import product

import pytest
import torch

from symcheck.groups.draws import Draws
from symcheck.intertwiners.diagrams import Diagram, matchings, partitions

SHAPES = [shape for shape in product(range(4), repeat=2) if sum(shape) <= 5]


def some(out: int, into: int, pairs: bool, count: int = 6) -> list[Diagram]:
    every = list(matchings(tuple(range(out + into))) if pairs else partitions(out + into))
    picked = random.Random(out * 10 + into).sample(every, min(count, len(every)))
    return [Diagram(out, into, tuple(sorted(blocks))) for blocks in picked]


def test_counts() -> None:
    assert [len(list(partitions(m))) for m in range(6)] == [1, 1, 2, 5, 15, 52]
    assert [len(list(partitions(4, t))) for t in (2, 3, 4)] == [8, 14, 15]
    assert [len(list(matchings(tuple(range(m))))) for m in range(7)] == [1, 0, 1, 0, 3, 0, 15]


@pytest.mark.parametrize("n", [2, 3])
@pytest.mark.parametrize("pairs", [True, False])
def test_products_and_loops(n: int, pairs: bool) -> None:
    looped = 0
    for (out, middle), (_, into) in product(SHAPES, SHAPES):
        for first, second in zip(some(out, middle, pairs), some(middle, into, pairs), strict=False):
            loops, joined = first.after(second)
            looped += loops > 0
            assert torch.equal(first.matrix(n) @ second.matrix(n), n**loops * joined.matrix(n))
    assert looped > 10


@pytest.mark.parametrize("pairs", [True, False])
def test_side_by_side_is_the_kronecker_product(pairs: bool) -> None:
    for a, b in product([(1, 1), (2, 1), (0, 2), (2, 2), (1, 0)], repeat=2):
        for first, second in zip(some(*a, pairs), some(*b, pairs), strict=False):
            whole = torch.kron(first.matrix(2), second.matrix(2))
            assert torch.equal(first.beside(second).matrix(2), whole)


def test_the_order_of_composition_matters() -> None:
    cycle = Diagram(3, 3, ((0, 4), (1, 5), (2, 3)))
    swap = Diagram(3, 3, ((0, 4), (1, 3), (2, 5)))
    assert cycle.after(swap)[1] != swap.after(cycle)[1]


@pytest.mark.parametrize("shape", SHAPES)
def test_application_touches_few_numbers_and_agrees_with_the_matrix(shape: tuple[int, int]) -> None:
    n = 3
    for diagram in some(*shape, pairs=False):
        x = Draws(1, "x").normal(1, *[n] * shape[1])[0]
        y = diagram.apply(x, n)
        assert y.shape == (n,) * shape[0]
        assert (y.flatten() - diagram.matrix(n) @ x.flatten()).abs().max() < 1e-13
