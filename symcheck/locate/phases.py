"""The error of circular shifts, phase by phase: it is periodic in the stride, which is read off it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.grammar import GroupTree, Term
from symcheck.groups.base import Group
from symcheck.groups.shifts import CroppedShifts, Shifts
from symcheck.locate.aliasing_result import Phase, Phases
from symcheck.measure.audit import Audit
from symcheck.measure.evaluator import Chunks, Evaluator
from symcheck.measure.plan import Stratum
from symcheck.measure.samples import Samples
from symcheck.report.model import Finding, Verdict

Fits = Callable[[Sequence[Phase], Sequence[Phase]], bool]

FEW = 8  # samples, and elements of each part
_FAR, _STRIDE = 16, 8  # shifts along one axis; the largest stride whose phases are all measured
_CLEAR = 0.5  # how much less than others the error at multiples of a stride must be, where it is not exact


def few(audit: Audit, tensors: Mapping[str, Tensor]) -> Audit:
    """An audit of the same subject on the first few samples of these tensors."""
    data = Samples({name: x[:FEW] for name, x in tensors.items()})
    size = audit.evaluator.chunks.size
    evaluator = Evaluator(audit.evaluator.runner, data, Chunks(size=size, fixed=True, cap=size))
    return replace(audit, evaluator=evaluator)


def phases_of(audit: Audit, claim: Claim) -> Iterator[Phases]:
    """The phases of every output; SymcheckError where shifts by one pixel mean nothing for one of them."""
    shifts = Claim(replace(claim.tree, group=GroupTree((Term("Shift", ("1",)),))))
    smaller = few(audit, audit.evaluator.samples.tensors)
    bound, _, outputs = smaller.bound(shifts)
    room = _room(bound.group)
    along = [(k, 0) for k in range(1, room[0] + 1)] + [(0, k) for k in range(1, room[1] + 1)]
    lines = _judged(smaller, shifts, along)
    for name in outputs:
        found = [phase(shift, one[name]) for shift, one in zip(along, lines, strict=True)]
        stride, least = stride_of(found)
        rows, columns = stride or (1, 1)
        inside = [(a, b) for a, b in product(range(rows), range(columns)) if a or b]
        cells = _judged(smaller, shifts, inside) if max(rows, columns) <= _STRIDE else []
        grid = tuple(phase(shift, one[name]) for shift, one in zip(inside, cells, strict=False))
        yield Phases(name, tuple(found), stride, least, grid)


def phase(shift: tuple[int, int], finding: Finding) -> Phase:
    """One shift from its finding."""
    return Phase(shift, float("nan") if finding.error is None else finding.error.spread.mean, finding.verdict)


def stride_of(along: Sequence[Phase]) -> tuple[tuple[int, int] | None, bool]:
    """The stride (rows, columns), and whether its multiples are only the least wrong; None where there is none."""
    exact = [_period([one for one in along if one.shift[1 - axis] == 0], axis, _all_exact) for axis in (0, 1)]
    if exact[0] is not None and exact[1] is not None:
        return (exact[0], exact[1]), False
    least = [_period([one for one in along if one.shift[1 - axis] == 0], axis, _clearly_least) for axis in (0, 1)]
    if least[0] is not None and least[1] is not None:
        return (least[0], least[1]), True
    return None, False


def _period(line: Sequence[Phase], axis: int, fits: Fits) -> int | None:
    """The smallest step that fits, seen at least twice (a step of one, at least once)."""
    for step in range(1, len(line) // 2 + 1):
        inside = [one for one in line if one.shift[axis] % step == 0]
        others = [one for one in line if one.shift[axis] % step]
        if fits(inside, others):
            return step
    return None


def _all_exact(inside: Sequence[Phase], others: Sequence[Phase]) -> bool:
    return all(one.verdict is Verdict.EXACT for one in inside)


def _clearly_least(inside: Sequence[Phase], others: Sequence[Phase]) -> bool:
    return bool(others) and max(one.error for one in inside) <= _CLEAR * min(one.error for one in others)


def _room(group: Group) -> tuple[int, int]:
    """How far to shift rows and columns: half of a circular grid, or the reach of a cropped one."""
    if isinstance(group, CroppedShifts):
        return min(_FAR, group.reach), min(_FAR, group.reach)
    grid = group.grid if isinstance(group, Shifts) and group.grid else (2, 2)
    return min(_FAR, grid[0] // 2), min(_FAR, grid[1] // 2)


def _judged(audit: Audit, claim: Claim, shifts: Sequence[tuple[int, int]]) -> list[dict[str, Finding]]:
    """The findings of every shift alone."""
    parts = [Stratum(f"shift {s}", torch.tensor([s]), True, False, False, f"the shift {s}") for s in shifts]
    return audit.judge(claim, parts) if parts else []
