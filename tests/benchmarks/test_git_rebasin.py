"""The yardstick itself: it undoes a planted permutation, climbs at every sweep and leaves the function alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from alignment_cases import Case, blocks, distance, mlp, recovered, resnet
from git_rebasin import applied, match, objective, sizes

SMALL = [mlp(24), resnet(16, 1), blocks(2, 12, 40)]


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_a_planted_order_comes_back(case: Case) -> None:
    a, b = case.pair("planted", 1)
    found = match(case.table, a, b)
    assert recovered(case, a, b) < 0.3
    assert recovered(case, a, applied(case.table, found.order, b)) == 1


@pytest.mark.parametrize("case", SMALL, ids=lambda case: case.name)
def test_the_order_leaves_the_function_alone(case: Case) -> None:
    a, b = case.pair("random", 2)
    model = case.build()
    moved = applied(case.table, match(case.table, a, b).order, b)
    x = torch.randn(3, *case.example, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        outputs = []
        for state in (b, moved):
            model.load_state_dict({name: torch.from_numpy(np.ascontiguousarray(w)) for name, w in state.items()})
            outputs.append(model(x))
    assert any(not np.array_equal(b[name], moved[name]) for name in b)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)


def test_every_sweep_gains_what_the_objective_gains() -> None:
    case = mlp(64)
    a, b = case.pair("random", 3)
    rest = {group: np.arange(size) for group, size in sizes(case.table, a).items()}
    found = match(case.table, a, b)
    gained = objective(case.table, found.order, a, b) - objective(case.table, rest, a, b)
    assert found.sweeps > 2 and found.gains[-1] == 0 and min(found.gains[:-1]) > 0
    assert sum(found.gains) == pytest.approx(gained, rel=1e-4)
    assert found.solved == found.sweeps * len(found.order)
    assert distance(a, applied(case.table, found.order, b)) < distance(a, b)


def test_no_single_group_can_be_improved() -> None:
    """The end is a local optimum: exchanging two units of a group never helps."""
    case = mlp(10)
    a, b = case.pair("random", 4)
    order = match(case.table, a, b).order
    best = objective(case.table, order, a, b)
    for group, found in order.items():
        for i in range(len(found)):
            for j in range(i):
                swapped = found.copy()
                swapped[[i, j]] = found[[j, i]]
                assert objective(case.table, {**order, group: swapped}, a, b) <= best + 1e-4
