"""Paths: their grid and ends, every float moves, whole numbers stay; curves that keep the norm or are trained."""

from __future__ import annotations

import pytest
import torch
from small_nets import clusters, deep, generic, labelled, normed, plain, state_of, trained_pair

from symcheck.connect.bezier import bezier
from symcheck.connect.path import Path, grid, linear, quadratic
from symcheck.connect.walk import Walker
from symcheck.errors import ConfigError, DataError
from symcheck.measure.loss import loss_of

CPU, CE = torch.device("cpu"), loss_of("cross_entropy")


@pytest.mark.parametrize("points", [3, 4, 5, 10, 25, 26])
def test_the_grid_has_both_ends_and_the_midpoint(points: int) -> None:
    t = grid(points)
    assert t[0] == 0 and t[-1] == 1 and 0.5 in t
    assert list(t) == sorted(set(t))
    assert len(t) == points + (points % 2 == 0)


def test_a_grid_without_an_interior_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 points"):
        grid(2)


def test_every_float_moves_buffers_too_and_counters_stay() -> None:
    a, b = state_of(normed(seed=0)), state_of(normed(seed=1))
    b["1.num_batches_tracked"] += 7
    middle = linear(a, b).at(0.25)
    for name in a:
        expected = 0.75 * a[name] + 0.25 * b[name] if a[name].is_floating_point() else a[name]
        assert torch.allclose(middle[name], expected, rtol=1e-6), name
    assert not torch.allclose(middle["1.running_var"], a["1.running_var"])  # a skipped buffer would be seen
    assert int(middle["1.num_batches_tracked"]) == 0


@pytest.mark.parametrize("kind", ["linear", "quadratic"])
def test_the_ends_are_exact(kind: str) -> None:
    a, b = state_of(plain(seed=0)), state_of(plain(seed=1))
    path = linear(a, b) if kind == "linear" else quadratic(a, b, set(a))
    assert all(torch.equal(path.at(0)[n], a[n]) and torch.equal(path.at(1)[n], b[n]) for n in a)
    assert path.kind == kind


def test_weights_are_bernsteins_polynomials() -> None:
    path = Path("", ({}, {}, {}))
    assert path.weights(0.25) == pytest.approx((0.5625, 0.375, 0.0625))
    assert all(sum(path.weights(t)) == pytest.approx(1) for t in grid(7))


def test_placing_writes_what_at_gives() -> None:
    a, b = state_of(normed(seed=0)), state_of(normed(seed=1))
    slots = {name: torch.full_like(x, 3) for name, x in a.items()}
    linear(a, b).place(0.3, slots)
    expected = linear(a, b).at(0.3)
    assert all(torch.equal(slots[name], expected[name]) for name in a)


def test_half_precision_is_mixed_in_float32() -> None:
    a, b = {"w": torch.full((5,), 1.0).bfloat16()}, {"w": torch.full((5,), 1.0078125).bfloat16()}
    assert float(linear(a, b).at(0.5)["w"][0]) == pytest.approx(1.00390625)
    slots = {"w": torch.zeros(5, dtype=torch.bfloat16)}
    linear(a, b).place(0.5, slots)
    assert slots["w"].dtype == torch.bfloat16


def test_the_parabola_keeps_the_norm_that_the_segment_loses() -> None:
    a, b = ({"w": torch.randn(300, 300), "buffer": torch.randn(300)} for _ in range(2))
    ends = (a["w"].norm() + b["w"].norm()) / 2
    assert float(linear(a, b).at(0.5)["w"].norm() / ends) == pytest.approx(2**-0.5, rel=0.02)
    curve = quadratic(a, b, {"w"})
    assert float(curve.at(0.5)["w"].norm() / ends) == pytest.approx(1, rel=1e-5)
    assert torch.allclose(curve.at(0.5)["buffer"], linear(a, b).at(0.5)["buffer"])


def test_the_parabola_between_equal_networks_stands_still_and_between_opposite_ones_is_finite() -> None:
    a = {"w": torch.randn(4, 4)}
    assert torch.allclose(quadratic(a, a, {"w"}).at(0.3)["w"], a["w"], atol=1e-6)
    assert bool(quadratic(a, {"w": -a["w"]}, {"w"}).at(0.5)["w"].isfinite().all())


@pytest.mark.parametrize("norm", [False, True])
def test_training_the_middle_lowers_the_expected_loss(norm: bool) -> None:
    net, a, b = trained_pair(norm)
    data = clusters(seed=1)
    walker = Walker.of(net, {"train": data}, CE, CPU)
    curve = bezier(a, b, walker.network, walker.train, CE, steps=60, batch_size=128)
    assert all(torch.equal(curve.at(0)[n], a[n]) and torch.equal(curve.at(1)[n], b[n]) for n in a)
    if not norm:  # a network with batch normalisation needs its statistics reset first
        before, after = (walker.walk(path, grid(9)).scores["train"] for path in (linear(a, b), curve))
        means = [sum(float(one.loss.mean()) for one in found) for found in (before, after)]
        assert means[1] < 0.5 * means[0]
    again = bezier(a, b, walker.network, walker.train, CE, steps=60, batch_size=128)
    assert all(torch.equal(curve.points[1][n], again.points[1][n]) for n in a)


def test_training_leaves_the_network_in_eval_mode_and_refuses_what_is_not_finite() -> None:
    net = generic(deep(True), 0)
    data = labelled(16, classes=8)
    walker = Walker.of(net, {"train": data}, CE, CPU)
    a, b = state_of(net), state_of(generic(deep(True), 1))
    bezier(a, b, walker.network, walker.train, CE, steps=2, batch_size=16)
    assert not any(part.training for part in walker.network.module.modules())
    b["0.weight"][0, 0] = float("nan")
    with pytest.raises(DataError, match="step 1 of training"):
        bezier(a, b, walker.network, walker.train, CE, steps=2, batch_size=16)
