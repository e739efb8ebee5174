"""Weight matching: monotone, planted permutations found, and no better than chance between strangers."""

from __future__ import annotations

import itertools

import pytest
import torch
from matching import drawn, mlp, noisy, problem, recurrent

from symcheck.align.controls import fresh
from symcheck.align.matchers import by_sinkhorn
from symcheck.align.starts import random_start, signature_start
from symcheck.align.weight import match
from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec


def stream(width: int = 24, hidden: int = 40) -> Spec:
    """Two residual blocks whose stream has no end: nothing but its own entries tells its units apart."""
    spaces = {"r": Space("r", "permutation", width)}
    axes, shapes = {}, {}
    for i in range(2):
        spaces[f"h{i}"] = Space(f"h{i}", "permutation", hidden)
        for name, text, shape in (
            (f"u{i}", f"h{i} r", (hidden, width)), (f"ub{i}", f"h{i}", (hidden,)),
            (f"d{i}", f"r h{i}", (width, hidden)), (f"db{i}", "r", (width,)),
        ):  # fmt: skip
            axes[name], shapes[name] = parse_axes(text), shape
    return Spec(spaces, axes, shapes=shapes)


@pytest.mark.parametrize("spec", [mlp(9, 16, 20, 4), recurrent(), stream()], ids=["mlp", "recurrent", "stream"])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_planted_units_are_found(spec: Spec, noise: float) -> None:
    for seed in range(3):
        a, element = drawn(spec, seed), spec.sample(seed + 50)
        p = problem(spec, a, noisy(spec.apply(element, a), noise))
        match(p, signature_start(p))
        for name in spec.spaces:
            assert torch.equal(p.source[name], element[name]), name


def test_strangers_are_not_recovered() -> None:
    """The negative control of the test above."""
    spec = stream()
    p, element = problem(spec, drawn(spec, 0), drawn(spec, 1)), spec.sample(50)
    match(p, signature_start(p))
    assert all(float((p.source[name] == element[name]).double().mean()) < 0.3 for name in spec.spaces)


def test_a_stream_is_lost_from_the_identity() -> None:
    """Without signatures the ascent stops early: what the start is for."""
    spec = stream()
    a = drawn(spec, 0)
    p = problem(spec, a, spec.apply(spec.sample(50), a))
    done = match(p)
    assert done.settled
    assert float((p.source["r"] == spec.sample(50)["r"]).double().mean()) < 0.5


@pytest.mark.parametrize("spec", [mlp(9, 16, 20, 4), recurrent(), stream()], ids=["mlp", "recurrent", "stream"])
def test_the_objective_never_falls_and_is_what_it_says(spec: Spec) -> None:
    for seed in range(5):
        p = problem(spec, drawn(spec, seed), drawn(spec, seed + 100))
        random_start(p, seed)
        done = match(p)
        assert all(later >= earlier - 1e-12 for earlier, later in zip(done.objective, done.objective[1:], strict=False))
        moved = p.spec.apply({name: p.targets(name) for name in p.matched}, dict(p.b))
        assert done.objective[-1] == pytest.approx(sum(float((p.a[n] * moved[n]).sum()) for n in p.a), rel=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_signs_of_units_that_meet_themselves_never_lower_the_objective(seed: int) -> None:
    """A tanh recurrence: flipping two units at once leaves their own weight alone."""
    n, odd = 10, {"w": (1,), "u": (1, 1), "b": (1,), "v": (1,)}
    base = recurrent(n)
    spaces = {"h": Space("h", "permutation", n), "flip": Space("flip", "sign", n, on="h", exponents=odd)}
    spec = Spec(spaces, base.axes, shapes=base.shapes)
    p = problem(spec, drawn(spec, seed), drawn(spec, seed + 100))
    done = match(p)
    assert done.settled
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(done.objective))
    assert done.objective[-1] > done.objective[0]


def test_nothing_moves_between_equals() -> None:
    spec = mlp(9, 16, 20, 4)
    p = problem(spec, drawn(spec, 0), drawn(spec, 0))
    match(p)
    assert all(torch.equal(p.source[name], torch.arange(len(p.source[name]))) for name in spec.spaces)


def test_held_spaces_stay() -> None:
    spec = mlp(9, 16, 20, 4)
    a = drawn(spec, 0)
    p = problem(spec, a, spec.apply(spec.sample(1), a))
    match(p, held=frozenset({"h0"}))
    assert torch.equal(p.source["h0"], torch.arange(16))
    assert not torch.equal(p.source["h1"], torch.arange(20))


@pytest.mark.parametrize("seed", range(4))
def test_a_relaxed_start_is_polished_wherever_it_came_from(seed: int) -> None:
    """Spaces that a start has left at their best are not so any more once soft matrices have been rounded."""
    spec = mlp(5, 30, 3)
    p = problem(spec, drawn(spec, seed), drawn(spec, seed + 100))
    signature_start(p)
    p.best.add("h0")
    found = by_sinkhorn(p).objective[-1]
    assert match(p).objective[-1] == pytest.approx(found, rel=1e-12)


def test_problems_do_not_share_what_they_have_found() -> None:
    spec = mlp(5, 30, 3)
    p = problem(spec, drawn(spec, 0), drawn(spec, 1))
    p.best.add("h0")
    other = fresh(p, p.b)
    assert not other.best and other.best is not p.best and other.soft is not p.soft
