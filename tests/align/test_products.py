"""The gains of units: right, kept up to date, and certain only where no column can overtake."""

from __future__ import annotations

import pytest
import torch
from matching import drawn, mlp, noisy, problem, recurrent
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from symcheck.align.assign import assign, margins
from symcheck.align.certainty import certain
from symcheck.align.problem import Problem
from symcheck.align.products import Products


def brute(p: Problem, name: str) -> Tensor:
    """G[i, u]: what the objective gains when slot i is met by unit u, entry by entry."""
    space = p.spec.spaces[name]
    gains = torch.zeros(space.size, space.size, dtype=torch.float64)
    for use in p.uses(space):
        a, b = p.view_a(use.block).movedim(use.dim, 0), p.view_b(use.block, but=[use.dim]).movedim(use.dim, 0)
        for i in range(space.size):
            for u in range(space.size):
                gains[i, u] += (a[i] * b[u]).sum()
    return gains


@pytest.fixture(autouse=True)
def looks_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small spaces too."""
    monkeypatch.setattr("symcheck.align.certainty.WORTH", 1)


def only(classes: dict[frozenset[str], Tensor]) -> Tensor:
    (gains,) = classes.values()
    return gains


@pytest.mark.parametrize("spec", [mlp(5, 7, 6, 3), recurrent()], ids=["mlp", "recurrent"])
def test_gains_are_sums_over_all_places(spec: object) -> None:
    p = problem(spec, drawn(spec, 0), drawn(spec, 1))  # type: ignore[arg-type]
    for name in p.matched:
        assert torch.allclose(only(Products(p, 0).gains(p.spec.spaces[name])), brute(p, name), atol=1e-12)


def test_kept_gains_follow_neighbours_that_move() -> None:
    spec = mlp(5, 40, 40, 40, 3)
    p = problem(spec, drawn(spec, 0), drawn(spec, 1))
    products = Products(p, 10**6)
    space = spec.spaces["h1"]
    products.gains(space)
    before = products.multiplied
    p.source["h0"][[3, 4, 5]] = p.source["h0"][[4, 5, 3]]
    p.source["h2"][[1, 7]] = p.source["h2"][[7, 1]]
    found = only(products.gains(space))
    assert torch.allclose(found, brute(p, "h1"), atol=1e-12)
    few = products.multiplied - before
    before = products.multiplied
    products.gains(spec.spaces["h0"])
    assert few < (products.multiplied - before) / 2  # columns that stayed are not multiplied again


def test_kept_gains_are_dropped_when_b_turns() -> None:
    spec = mlp(5, 8, 3)
    p = problem(spec, drawn(spec, 0), drawn(spec, 1))
    products = Products(p, 10**6)
    stale = only(products.gains(spec.spaces["h0"])).clone()
    p.b = {**p.b, "w0": -p.b["w0"]}
    assert torch.equal(only(products.gains(spec.spaces["h0"])), stale)  # nobody said so
    p.version["w0"] = p.version.get("w0", 0) + 1
    assert torch.allclose(only(products.gains(spec.spaces["h0"])), brute(p, "h0"), atol=1e-12)


@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3, 1.0, 3.0])
def test_what_is_certain_is_best(noise: float) -> None:
    spec = mlp(300, 64, 300)
    a = drawn(spec, 0)
    element = spec.sample(4)
    p = problem(spec, a, noisy(spec.apply(element, a), noise))
    found = certain(Products(p, 0), spec.spaces["h0"])
    best = torch.from_numpy(linear_sum_assignment(brute(p, "h0").numpy(), maximize=True)[1])
    if noise <= 0.3:
        assert found is not None
    if found is not None:
        assert torch.equal(found, best)


def test_nothing_is_certain_between_strangers_and_fewer_columns_decide_between_copies() -> None:
    spec = mlp(600, 64, 600)
    a = drawn(spec, 0)
    strangers, copies = (problem(spec, a, b) for b in (drawn(spec, 1), spec.apply(spec.sample(4), a)))
    cost = {}
    for what, p in (("strangers", strangers), ("copies", copies)):
        products = Products(p, 0)
        assert (certain(products, spec.spaces["h0"]) is None) == (what == "strangers")
        cost[what] = products.multiplied
    assert cost["copies"] < cost["strangers"] / 3


def test_assignment_takes_the_row_maxima_only_when_they_differ() -> None:
    rng = torch.Generator().manual_seed(0)
    for _ in range(50):
        gains = torch.rand(2, 6, 6, generator=rng, dtype=torch.float64)
        found = assign(gains)
        for k in range(2):
            rows, columns = linear_sum_assignment(gains[k].numpy(), maximize=True)
            best = gains[k][rows, columns].sum()
            assert float(gains[k].gather(1, found[k][:, None]).sum()) == pytest.approx(float(best))
            assert sorted(found[k].tolist()) == list(range(6))


def test_margins_see_doubles() -> None:
    gains = torch.eye(5, dtype=torch.float64)
    source = torch.arange(5)
    assert bool((margins(gains, source) > 1).all())
    gains[3, 3] = gains[3, 4] = gains[4, 3] = gains[4, 4] = 1.0
    assert (margins(gains, source) <= 0).tolist() == [False, False, False, True, True]
