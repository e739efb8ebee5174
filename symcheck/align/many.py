"""More than two checkpoints: all of them on the first, each re-aligned to the mean of the others until none moves.

Through one common numbering the alignments agree around every triangle by construction. How far alignments of pairs,
made one by one, are from that is the cycle defect: the share of units that P_AB P_BC P_CA leaves in their place.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.align.alignment import Alignment, Tell, align
from symcheck.align.problem import Problem
from symcheck.align.steps import applied
from symcheck.align.weight import match
from symcheck.weights.element import inverse
from symcheck.weights.spec import Spec

_SWEEPS = 10


@dataclass(frozen=True)
class Cycle:
    """The share of units that going around three checkpoints, one pair at a time, leaves in their place."""

    models: tuple[int, int, int]
    kept: float
    units: int


@dataclass(frozen=True)
class Family:
    """The alignments of all checkpoints but the first onto it, in order; sweeps of re-alignment; cycle defects."""

    alignments: tuple[Alignment, ...]
    sweeps: int
    cycles: tuple[Cycle, ...] = ()


def align_many(
    states: Sequence[Mapping[str, Tensor]], spec: Spec, *, seed: int = 0, cycles: bool = True, tell: Tell | None = None,
    **options: object,
) -> Family:
    """Every checkpoint aligned on the first by a common numbering (MergeMany of arXiv:2209.04836).

    `options` are those of `align`. With `cycles` all pairs are aligned on their own too, and followed around triangles.
    """
    told = tell or (lambda _: None)
    first = [
        align(states[0], b, spec, seed=seed, tell=tell, **options)  # type: ignore[arg-type]
        for b in states[1:]
    ]
    settled, sweeps = _settled([each.problem for each in first], told) if len(first) > 1 else ([], 0)
    found = tuple(_renumbered(spec, each, part, b) for each, part, b in zip(first, settled, states[1:], strict=False))
    around = _cycles(states, spec, first, seed, told) if cycles and len(states) > 2 else ()
    return Family(found or tuple(first), sweeps, around)


def _settled(problems: list[Problem], told: Tell) -> tuple[list[Problem], int]:
    """Match each with the mean of the others, A among them, until none moves."""
    for sweep in range(1, _SWEEPS + 1):
        moved = False
        for i, problem in enumerate(problems):
            told(f"to the mean of the others: sweep {sweep}, checkpoint {i + 2}")
            others = [problems[0].a, *(_arranged(other) for j, other in enumerate(problems) if j != i)]
            mean = {n: torch.stack([o[n].double() for o in others]).mean(0).to(x.dtype) if n in problem.voting else x
                    for n, x in problem.a.items()}  # fmt: skip
            trial = replace(
                problem, a=mean, b=dict(problem.b), source=dict(problem.source), element=dict(problem.element)
            )
            before = trial.objective()
            match(trial)
            if trial.objective() > before * (1 + 1e-9) + 1e-12:
                problems[i] = replace(trial, a=problem.a)
                moved = True
        if not moved:
            return problems, sweep
    return problems, _SWEEPS


def _arranged(problem: Problem) -> dict[str, Tensor]:
    """The working copy of B with every unit in the place of A's."""
    element = {name: problem.targets(name).cpu() for name in problem.matched}
    return problem.spec.apply(element, dict(problem.b))


def _renumbered(spec: Spec, one: Alignment, problem: Problem, b: Mapping[str, Tensor]) -> Alignment:
    """The alignment with what the common numbering made of its element."""
    element = problem.found()
    steps = tuple(
        element if k == one.central else step
        for k, step in enumerate(one.steps)
    )
    return replace(one, problem=problem, steps=steps, aligned=applied(spec, steps, b))


def _cycles(
    states: Sequence[Mapping[str, Tensor]], spec: Spec, first: list[Alignment], seed: int, told: Tell
) -> tuple[Cycle, ...]:
    """P_AB P_BC P_CA for every triangle, each pair aligned on its own."""
    pairs: dict[tuple[int, int], Mapping[str, Tensor]] = {(0, i + 1): _places(each) for i, each in enumerate(first)}
    for i, j in itertools.combinations(range(1, len(states)), 2):
        told(f"checkpoint {j + 1} on checkpoint {i + 1}")
        pairs[i, j] = _places(align(states[i], states[j], spec, seed=seed, controls=False))
    found = []
    for i, j, k in itertools.combinations(range(len(states)), 3):
        kept = units = 0
        for name, there in pairs[i, j].items():
            if there.dim() > 1:  # units of units: their numbering depends on that of the outer ones
                continue
            around = there[pairs[j, k][name][inverse(spec.spaces[name], pairs[i, k][name])]]
            kept, units = kept + int((around == torch.arange(len(around))).sum()), units + len(around)
        found.append(Cycle((i, j, k), kept / units if units else 1.0, units))
    return tuple(found)


def _places(one: Alignment) -> Mapping[str, Tensor]:
    """Where the units of B go, by space."""
    return {name: one.problem.targets(name).cpu() for name in one.problem.matched}
