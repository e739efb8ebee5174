"""Controls that stand beside every alignment: what is found where the answer is known, and where there is none.

Matching always finds something: independent weights of 256 × 256 reach a cosine of 0.17 by matching alone. Hence the
null: the same search on B with the entries of every tensor shuffled.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.align.assign import margins
from symcheck.align.problem import Problem, cosine_of, rows
from symcheck.align.products import Products
from symcheck.align.starts import signature_start
from symcheck.align.steps import applied
from symcheck.align.turns import drawn
from symcheck.align.weight import Ascent, match
from symcheck.groups.draws import Draws
from symcheck.weights.spec import Space

_SAME = 1e-3  # of a unit's norm: a unit that is closer is recovered
_TIE = 1e-6  # of the mean gain: a smaller margin is none
_LARGEST = 4096  # units of a space whose margins are worth their product


@dataclass(frozen=True)
class Planted:
    """A against a random re-labelling of A: how many of the units were recovered."""

    recovered: int
    units: int


@dataclass(frozen=True)
class Matched:
    """What was found for one space: units that changed place, the cosine of what they hold before and after, and how
    many could be exchanged with another one at no cost. The margin is the median cost of an exchange over the mean
    gain of a unit; None where it was not computed."""

    space: str
    kind: str
    units: int
    moved: int
    before: float
    after: float
    margin: float | None = None
    ambiguous: int | None = None


def planted(problem: Problem, seed: int) -> Planted:
    """Look for the element that a random one has hidden: A against g·A, with everything that the problem looks for."""
    names = (*problem.matched, *problem.turning)
    element = drawn(problem.spec, seed, names)
    hidden = applied(problem.spec, (element,), {name: t.cpu() for name, t in problem.a.items()})
    trial = fresh(problem, hidden)
    searched(trial)
    good = total = 0
    for name in trial.matched:
        found = recovered(trial, problem.spec.spaces[name])
        good, total = good + int(found.sum()), total + found.numel()
    return Planted(good, total)


def null(problem: Problem, seed: int) -> float:
    """The cosine that matching alone finds: A against B with the entries of every tensor shuffled."""
    shuffled = {}
    for name, tensor in problem.b.items():
        order = Draws(seed, f"null:{name}").permutations(1, tensor.numel())[0]
        mixed = tensor.flatten()[order.to(tensor.device)].reshape(tensor.shape)
        shuffled[name] = mixed if name in problem.voting else tensor
    trial = fresh(problem, shuffled)
    return cosine(trial, searched(trial).objective[-1])


def searched(problem: Problem) -> Ascent:
    """Weight matching from the signatures."""
    products = Products.of(problem)
    return match(problem, signature_start(problem, products), products=products)


def fresh(problem: Problem, b: Mapping[str, Tensor]) -> Problem:
    """The same problem with another B, from the identity."""
    return replace(problem, b=dict(b), source={}, element={}, version={}, soft={}, best=set())


def cosine(problem: Problem, objective: float) -> float:
    """⟨A, g·B⟩ / (‖A‖ ‖B‖)."""
    a, b = problem.squares()
    return objective / (a * b) ** 0.5 if a * b > 0 else 0.0


def recovered(problem: Problem, space: Space, within: float = _SAME) -> Tensor:
    """For every slot whether B's unit there is A's, (*over, n): ‖x − y‖ <= within · ‖x‖ over all of its rows."""
    gap = size = torch.zeros(())
    for use in problem.uses(space):
        x, y = (rows(space, use, view(use.block)) for view in (problem.view_a, problem.view_b))
        gap = gap + (x - y).square().sum(-1)
        size = size + x.square().sum(-1)
    return gap <= within**2 * size


def matched(problem: Problem, given: Mapping[str, Tensor]) -> tuple[Matched, ...]:
    """What was found space by space; `given` is B before, in its gauge."""
    before = fresh(problem, given)
    products = Products(problem, 0)
    found = []
    for name in problem.matched:
        space = problem.spec.spaces[name]
        blocks = {use.block for use in problem.uses(space)}
        rest = torch.arange(space.size, device=problem.device)
        moved = int((problem.source[name] != rest).sum())
        then, now = (cosine_of((p.view_a(block), p.view_b(block)) for block in blocks) for p in (before, problem))
        one = Matched(name, space.kind, problem.source[name].numel(), moved, then, now)
        plain = not space.over and not any(problem.inner(space)) and space.size <= _LARGEST
        found.append(_with_margin(one, problem, products, space) if plain and space.size > 1 else one)
    return tuple(found)


def _with_margin(one: Matched, problem: Problem, products: Products, space: Space) -> Matched:
    gains = sum(products.gains(space).values(), torch.zeros(()))
    source = problem.source[space.name]
    costs = margins(gains, source)
    size = float(gains.gather(1, source[:, None]).mean())
    ambiguous = int((costs <= _TIE * size).sum())
    return replace(one, margin=float(costs.median()) / size if size else 0.0, ambiguous=ambiguous)
