"""Groups given by generators: known orders, texts that come back, and what is refused."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from symcheck.claim import Claim
from symcheck.errors import ClaimError
from symcheck.groups.chain import Chain
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group

ORDERS = {
    "Perm((0 1 2)(3 4))": 6, "Perm((0 1),(0 1 2 3 4 5 6 7 8 9))": math.factorial(10), "Perm(5,(0 1 2),(1 2 3))": 12,
    "Perm((0 1 2 3 4 5 6 7 8 9 10),(2 6 10 7)(3 9 4 5))": 7920,  # the Mathieu group of degree 11
    "Signed((0 -0),(0 1 2),(0 1))": 48, "Signed((0 1 -0 -1))": 4, "Perm(-(0 1),(0 1 2))": 6,
    "Signed(-(0 -0),(1 -1))": 4,
}  # fmt: skip


@pytest.mark.parametrize("text", ORDERS)
def test_orders_are_those_of_the_books(text: str) -> None:
    group = make_group(text)
    assert group.order == ORDERS[text]
    assert make_group(group.name).name == group.name


def test_all_elements_are_listed_once_and_drawn_evenly() -> None:
    group = make_group("Perm((0 1),(0 1 2 3))")
    elements, drawn = group.elements(), group.sample(2400, Draws(0, "even"))
    assert elements is not None
    assert len({tuple(row) for row in elements.tolist()}) == 24
    counts = Counter(tuple(row) for row in drawn.tolist())
    assert len(counts) == 24 and sum((n - 100) ** 2 / 100 for n in counts.values()) < 50  # χ² of 23: 0.1 % above 49.7


def test_a_chain_knows_its_members() -> None:
    rows = [torch.tensor(p).numpy() for p in ([1, 2, 0, 3], [0, 2, 3, 1])]
    chain = Chain(rows, 4)
    assert chain.order == 12
    assert chain.contains(torch.tensor([1, 0, 3, 2]).numpy())
    assert not chain.contains(torch.tensor([1, 0, 2, 3]).numpy())


@pytest.mark.parametrize("n", [40, 60])
def test_many_generators_of_little_moves_give_the_whole_group(n: int) -> None:
    exchanges = [np.array([*range(k), k + 1, k, *range(k + 2, n)]) for k in reversed(range(n - 1))]
    assert Chain(exchanges, n).order == math.factorial(n)


def test_cycles_move_slots_as_they_say() -> None:
    x = torch.tensor([[10.0, 11.0, 12.0]])
    bound = Claim.parse("Signed(3,(0 1 -0 -1)): x=axes(h) -> invariant").bind({"x": (3,)})
    row = torch.tensor([[1, ~0, 2, 3]])
    assert bound.inputs["x"](row, x).tolist() == [[-11.0, 10.0, 12.0]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Perm", "needs generators"),
        ("Perm((0 1)(1 2))", "a slot is met twice"),
        ("Signed((0 1 -0))", "a slot is met twice"),
        ("Perm((0 -0))", "is not a generator of Perm"),
        ("Perm(2,(0 1 2))", "there is no slot 2 among 2"),
        ("Perm(-(0 1 2))", "contradict one another"),
        ("Perm(zero)", "is not a generator"),
    ],
)
def test_what_is_no_group_is_refused(text: str, words: str) -> None:
    with pytest.raises(ClaimError, match=words):
        make_group(text)


def test_a_degree_that_the_data_do_not_have_is_refused() -> None:
    with pytest.raises(ClaimError, match="moves 4 slots, but the data has 5"):
        Claim.parse("Perm(4,(0 1)): x=nodes -> invariant").bind({"x": (5,)})
