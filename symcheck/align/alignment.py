"""Align: bring B onto A by an element of the weight symmetries, so that g·B is the same function as B.

    g = argmax ⟨A, g·B⟩        gauges first, then units, signs and rotations; the result is in the gauge of A
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from symcheck.align.gauge import GAUGES, gauged, undone
from symcheck.align.problem import Problem
from symcheck.align.products import Products
from symcheck.align.setup import check_same, left_alone, problem_of
from symcheck.align.starts import random_start, signature_start
from symcheck.align.weight import Ascent, ascend
from symcheck.weights.spec import Space, Spec

Steps = tuple[dict[str, Tensor], ...]
Tell = Callable[[str], None]
_KEPT = 3  # matrices of gains that are kept, of the largest space


@dataclass(frozen=True)
class Run:
    """One ascent from one start: ⟨A, g·B⟩ / (‖A‖ ‖B‖) after every sweep, the assignments solved, the sources found."""

    start: str
    cosine: tuple[float, ...]
    solved: int
    settled: bool
    source: Mapping[str, Tensor] = field(repr=False)
    element: Mapping[str, Tensor] = field(repr=False)


@dataclass(frozen=True)
class Alignment:
    """B brought onto A. `aligned` = the steps applied to B one after another, by B's names and in its dtypes."""

    aligned: dict[str, Tensor] = field(repr=False)
    steps: Steps = field(repr=False)
    problem: Problem = field(repr=False)
    runs: tuple[Run, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def best(self) -> Run:
        """The run whose element was taken."""
        return max(self.runs, key=lambda run: run.cosine[-1])


def align(
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    spec: Spec,
    *,
    gauges: Collection[str] = GAUGES,
    kinds: Collection[str] | None = None,
    starts: Collection[str] = ("signature", "identity"),
    restarts: int = 0,
    seed: int = 0,
    tell: Tell | None = None,
) -> Alignment:
    """The element g of the spec's spaces that maximises ⟨A, g·B⟩, by weight matching, and g·B.

    `gauges` are the kinds of spaces fixed beforehand, `kinds` those that are looked for. Each start is followed to the
    end and the best is taken; `restarts` adds random ones. Raises LoadError when the checkpoints or the spec differ.
    """
    check_same(a, b)
    one, two = gauged(spec, (a, b), gauges)
    problem = problem_of(spec, one, two, kinds)
    given = dict(problem.b)
    runs = []
    for k, start in enumerate((*starts, *(f"random {i + 1}" for i in range(restarts)))):
        problem.b, problem.source, problem.element, problem.version = dict(given), {}, {}, {}
        problem.__post_init__()
        runs.append(_run(problem, start, seed + k, tell))
    best = max(runs, key=lambda run: run.cosine[-1])
    problem.b, problem.source = dict(given), dict(best.source)
    element = dict(best.element)
    steps = (*two.steps, _element(spec, problem, element), *undone(spec, one.steps))
    return Alignment(applied(spec, steps, b), steps, problem, tuple(runs), left_alone(spec, problem))


def _run(problem: Problem, start: str, seed: int, tell: Tell | None) -> Run:
    norm = math.sqrt(math.prod(problem.squares())) or 1.0
    order = None
    if start == "signature":
        order = signature_start(problem)
    elif start != "identity":
        random_start(problem, seed)
    done = match(problem, order, None if tell is None else lambda value: tell(f"{start}: {value / norm:.4f}"))
    cosines = tuple(value / norm for value in done.objective)
    return Run(start, cosines, done.solved, done.settled, dict(problem.source), dict(problem.element))


def match(problem: Problem, order: list[str] | None = None, tell: Callable[[float], None] | None = None) -> Ascent:
    """Weight matching from where the problem stands; the sources and turns are left in the problem."""
    signs: dict[str, tuple[Space, ...]] = {}
    for name in problem.turning:
        space = problem.spec.spaces[name]
        own = problem.by_atom.get(space.on or "")
        if space.kind == "sign" and own is not None and own.over == space.over:
            signs[own.name] = (*signs.get(own.name, ()), space)
    sizes = [problem.source[name].numel() * problem.spec.spaces[name].size for name in problem.matched]
    return ascend(problem, Products(problem, _KEPT * max(sizes, default=0), signs), order, tell=tell)


def _element(spec: Spec, problem: Problem, turned: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Turns and permutations as one element, in the order of the spec."""
    parts = {**turned, **{name: problem.targets(name).cpu() for name in problem.matched}}
    return {name: parts[name] for name in spec.spaces if name in parts}


def applied(spec: Spec, steps: Steps, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The steps one after another, in float64 where they do more than move and flip; in the dtypes of the state."""
    found = dict(state)
    exact = all(spec.spaces[name].kind in ("permutation", "sign") for step in steps for name in step)
    if not exact:
        found = {n: t.double() if t.is_floating_point() else t for n, t in found.items()}
    for step in steps:
        found = spec.apply(step, found)
    return {name: found[name].to(t.dtype) for name, t in state.items()}


