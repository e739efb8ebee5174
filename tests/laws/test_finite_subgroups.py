from __future__ import annotations

import pytest
import torch

from symcheck.groups.draws import Draws
from symcheck.groups.point_groups import named_groups, polished, schoenflies
from symcheck.groups.products import make_group
from symcheck.groups.rotations import haar_rotation
from symcheck.groups.subgroups import Table, elements_of, structure, table_of


def listed(name: str) -> Table:
    group = make_group(name)
    table = table_of(group.compose, elements_of(group))
    assert table is not None
    return table


@pytest.mark.parametrize(
    "name, classes, total",
    [("C6", 4, 4), ("D4", 8, 10), ("D6", 10, 16), ("S(4)", 11, 30), ("S(5)", 19, 156), ("A(5)", 9, 59), ("Oh", 33, 98)],
)
def test_all_subgroups_are_listed(name: str, classes: int, total: int) -> None:
    found = listed(name).subgroups()
    assert found is not None and (len(found), sum(map(len, found))) == (classes, total)


@pytest.mark.parametrize(
    "name, word",
    [("C2 x C4", "C2 x C4"), ("C2 x C3", "C6"), ("C4 x C4", "C4 x C4"), ("C2 x C2 x C4", "C2 x C2 x C4"),
     ("C6 x C2", "C2 x C6"), ("S(3)", "D3"), ("A(4)", "A4"), ("S(4)", "S4"), ("I", "A5"), ("Th", "A4 x C2"),
     ("Sign x D4", "D4 x C2")],
)  # fmt: skip
def test_abstract_names(name: str, word: str) -> None:
    table = listed(name)
    assert structure(table, tuple(range(table.order))) == word


def test_largest_subgroups_among_allowed_elements() -> None:
    table = listed("D4")
    turns_ = table.generated([1])
    assert table.largest_in(turns_) == [turns_]
    # a turn missing: what is left is no group, and its largest parts are found
    assert sorted(map(len, table.largest_in([0, 2, 4, 5]))) == [2, 2, 2]


@pytest.mark.parametrize("name", list(named_groups()))
def test_point_groups_are_told_in_any_orientation(name: str) -> None:
    q = haar_rotation(1, 3, Draws(4, "tilted"))[0]
    g = q @ named_groups()[name] @ q.T
    assert schoenflies(g) == name
    noise = 1e-5 * torch.randn(len(g), 3, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    exact = polished(g + noise)
    products = (exact[:, None] @ exact[None]).reshape(-1, 9)
    assert float(torch.cdist(products, exact.flatten(1)).amin(1).max()) < 1e-7  # of cdist's own rounding
    assert schoenflies(exact) == name
