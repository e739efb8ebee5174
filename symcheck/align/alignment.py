"""Align: bring B onto A by an element of the weight symmetries, so that g·B is the same function as B.

    g = argmax ⟨A, g·B⟩        gauges first, then units, signs and rotations; the result is in the gauge of A
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.align.controls import Matched, Planted, cosine, fresh, matched, null, planted
from symcheck.align.evidence import Evidence
from symcheck.align.gauge import GAUGES, gauged, natural, undone
from symcheck.align.matchers import matched_by
from symcheck.align.problem import Problem, cosine_of
from symcheck.align.products import Products
from symcheck.align.setup import check_finite, check_same, left_alone, problem_of
from symcheck.align.starts import random_start, signature_start
from symcheck.align.steps import Steps, applied
from symcheck.weights.spec import Spec

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """One ascent from one start: ⟨A, g·B⟩ / (‖A‖ ‖B‖) after every sweep, the assignments solved, the sources found."""

    start: str
    cosine: tuple[float, ...]
    solved: int
    settled: bool
    source: Mapping[str, Tensor] = field(repr=False)
    element: Mapping[str, Tensor] = field(repr=False)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alignment:
    """B brought onto A. `aligned` = the steps applied to B one after another, by B's names and in its dtypes.

    `before` is the cosine of A and B in one gauge; `stored` those of A with B, and with `aligned`, as they are stored.
    """

    aligned: dict[str, Tensor] = field(repr=False)
    steps: Steps = field(repr=False)
    problem: Problem = field(repr=False)
    before: float = 0.0
    runs: tuple[Run, ...] = ()
    left: Mapping[str, str] = field(default_factory=dict)
    matched: tuple[Matched, ...] = ()
    central: int = 0  # which of the steps holds what was looked for; the others change the gauge
    planted: Planted | None = None
    null: float | None = None
    stored: tuple[float, float] | None = None

    @property
    def best(self) -> Run:
        """The run whose element was taken."""
        return max(self.runs, key=lambda run: run.cosine[-1])

    @property
    def cosine(self) -> tuple[float, float]:
        """⟨A, B⟩ / (‖A‖ ‖B‖) in the gauge, before and after."""
        return self.before, self.best.cosine[-1]

    @property
    def agreement(self) -> float:
        """The share of units for which all starts found the same place."""
        places = [torch.cat([run.source[name].flatten() for name in sorted(run.source)] or [torch.ones(1)])
                  for run in self.runs]
        same = torch.stack([torch.eq(places[0], other) for other in places]).all(0)
        return float(same.double().mean())

    @property
    def record(self) -> dict[str, Any]:
        """All that was found as plain data."""
        runs = [{k: v for k, v in vars(run).items() if k not in ("source", "element")} for run in self.runs]
        return {
            "cosine": {"before": self.cosine[0], "after": self.cosine[1], "null": self.null},
            "cosine_as_stored": self.stored and {"before": self.stored[0], "after": self.stored[1]},
            "planted": None if self.planted is None else asdict(self.planted),
            "agreement": self.agreement if len(self.runs) > 1 else None,
            "start": self.best.start,
            "runs": runs,
            "spaces": [asdict(one) for one in self.matched],
            "left_alone": dict(self.left),
            "steps": [{name: tuple(part.shape) for name, part in step.items()} for step in self.steps],
        }


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
    controls: bool = True,
    matcher: str = "weights",
    evidence: Evidence | None = None,
    tell: Tell | None = None,
) -> Alignment:
    """The element g of the spec's spaces that maximises ⟨A, g·B⟩, or what another matcher finds, and g·B.

    `gauges` are the kinds of spaces fixed beforehand, `kinds` those that are looked for. Each start is followed to the
    end and the best is taken; `restarts` adds random ones. With `controls` the same search is made where the answer is
    known and where there is none. The matchers that look at data need `evidence`; see `matchers`.
    Raises LoadError when the checkpoints or the spec differ, ConfigError when there is no such matcher.
    """
    check_same(a, b)
    check_finite(a, "A")
    check_finite(b, "B")
    one, two = gauged(spec, (a, b), gauges)
    problem = problem_of(spec, one, two, kinds)
    given, before = dict(problem.b), cosine(problem, problem.objective())
    runs = []
    if matcher == "activations":  # one assignment, wherever it starts from
        starts, restarts = ("identity",), 0
    for k, start in enumerate((*starts, *(f"random {i + 1}" for i in range(restarts)))):
        runs.append(_run(fresh(problem, given), start, seed + k, tell, matcher, evidence))
    best = max(runs, key=lambda run: run.cosine[-1])
    problem = replace(fresh(problem, given), source=dict(best.source))
    for name, part in best.element.items():
        problem.turn(spec.spaces[name], part)
    steps = (*two.steps, problem.found(), *undone(spec, one.steps))
    if last := natural(spec, steps, problem.a, problem.sizes):
        steps = (*steps, last)
    left = left_alone(spec, problem, one.fixed)
    moved = applied(spec, steps, b)
    names = sorted(problem.voting & a.keys())
    then, now = (cosine_of((a[n], other[n]) for n in names) for other in (b, moved))
    found = Alignment(moved, steps, problem, before, tuple(runs), left, central=len(two.steps), stored=(then, now))
    if not controls:
        return found
    return _controlled(found, given, seed, tell or _silent, by_weights=matcher in ("weights", "sinkhorn"))


def _controlled(
    found: Alignment, given: Mapping[str, Tensor], seed: int, told: Tell, *, by_weights: bool
) -> Alignment:
    """The alignment with what was found space by space, and its controls; `given` is B in its gauge.

    The controls match weights: they say nothing of a matcher that looks at data.
    """
    told("controls: every space")
    found = replace(found, matched=matched(found.problem, given))
    if not by_weights:
        return found
    told("controls: A against A re-labelled")
    found = replace(found, planted=planted(found.problem, seed))
    told("controls: A against B shuffled")
    return replace(found, null=null(fresh(found.problem, given), seed))


def _silent(_: str) -> None:
    return None


def _run(
    problem: Problem, start: str, seed: int, tell: Tell | None, matcher: str, evidence: Evidence | None
) -> Run:
    norm = math.sqrt(math.prod(problem.squares())) or 1.0
    order, products = None, Products.of(problem)
    if start == "signature":
        order = signature_start(problem, products)
    elif start != "identity":
        random_start(problem, seed)
    said = None if tell is None else lambda value: tell(f"{start}: {value / norm:.4f}")
    done, notes = matched_by(matcher, problem, order, evidence, said, products)
    cosines = tuple(value / norm for value in done.objective)
    return Run(start, cosines, done.solved, done.settled, dict(problem.source), dict(problem.element), notes)
