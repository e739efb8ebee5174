"""Pieces: what was measured of one output for some elements of a part, so that devices, machines and days add up.

A piece is plain data and sums (see Tally), no model, no group. Elements are drawn one by one from (seed, claim, i),
so that the pieces of all blocks are together what one run measures, to the last count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from symcheck.errors import DataError
from symcheck.measure.curve import Where
from symcheck.measure.finding import Facts, assemble
from symcheck.measure.floors import RATIO, Precision
from symcheck.measure.siblings import beside
from symcheck.measure.tally import Rest, Tally, finish
from symcheck.measure.worst import WorstPair
from symcheck.report.model import Finding, Verdict

SLACK = 0.05  # relative: ||f(x)||² in half precision on two devices


@dataclass(frozen=True)
class Block:
    """Block `index` of `count` of the elements of every part of a group; (0, 1) is all of them."""

    index: int = 0
    count: int = 1

    def rows(self, total: int) -> slice:
        """Which of `total` elements: blocks follow each other, and only the last one may hold an odd number."""
        pairs = -(-total // 2)
        first, last = (2 * (pairs * i // self.count) for i in (self.index, self.index + 1))
        return slice(min(first, total), min(last, total))


@dataclass(frozen=True)
class Piece:
    """One output of one part: elements `start`, `start` + 1, ... of `total`; `place` orders the findings of a claim."""

    place: tuple[int, int]
    start: int
    total: int
    facts: Facts
    tally: Tally
    rest: Rest
    worst: WorstPair
    finding: Finding  # of these elements alone
    instead: str = ""  # the action that would explain the error

    @property
    def whole(self) -> bool:
        """Whether nothing is missing."""
        return self.start == 0 and len(self.facts.stratum.g) == self.total

    @property
    def size(self) -> float:
        """The largest error, for choosing the worst pair; what is not finite is largest."""
        return self.worst.error if math.isfinite(self.worst.error) else math.inf


def findings_of(pieces: Iterable[Piece], *, whole: bool = True) -> list[tuple[Finding, WorstPair]]:
    """The findings of one claim and their worst pairs, from pieces that hold every element once.

    Unless `whole`, pieces that follow one another will do, and the findings are of their elements alone. Raises
    DataError where elements are missing or measured twice.
    """
    groups: dict[tuple[int, int], list[Piece]] = {}
    for piece in pieces:
        groups.setdefault(piece.place, []).append(piece)
    found = [_joined(sorted(groups[place], key=lambda p: p.start), whole) for place in sorted(groups)]
    findings = beside([finding for finding, _ in found])
    return [(finding, worst) for finding, (_, worst) in zip(findings, found, strict=True)]


def _joined(pieces: Sequence[Piece], whole: bool) -> tuple[Finding, WorstPair]:
    if len(pieces) == 1 and pieces[0].whole:
        return pieces[0].finding, pieces[0].worst
    end = _check(pieces, 0 if whole else pieces[0].start)
    if whole and end != pieces[0].total:
        raise DataError(
            f"only {end} of {pieces[0].total} elements are there: '{pieces[0].facts.claim}', {pieces[0].facts.output}",
            where="the parts of one audit",
            hint="give all parts, 1/n to n/n",
        )
    facts = _facts([piece.facts for piece in pieces])
    if not whole:
        facts = replace(facts, stratum=replace(facts.stratum, exhaustive=False))
    cell = finish(
        Tally.joined([p.tally for p in pieces]), pieces[0].rest, facts.stratum.exhaustive, facts.stratum.subgroup
    )
    finding = assemble(facts, cell)
    if finding.verdict is Verdict.BROKEN and (instead := next((p.instead for p in pieces if p.instead), "")):
        finding = replace(finding, advice=instead)
    worst = max(pieces, key=lambda piece: piece.size).worst
    return finding, replace(worst, spread=finding.spread or 0.0, floor=facts.precision.floor)


def _check(pieces: Sequence[Piece], end: int) -> int:
    """Refuse gaps, overlaps, and pieces of different measurements; the element after the last one."""
    first = pieces[0]
    for piece in pieces:
        if piece.start != end or piece.total != first.total or not _same_rest(piece.rest, first.rest):
            what = "is missing" if piece.start > end else "was measured twice or otherwise"
            raise DataError(
                f"element {min(piece.start, end)} of {first.total} {what}: '{first.facts.claim}', {first.facts.output}",
                where="the parts of one audit",
                hint="give every part once, all of them of one audit (same network, data, seed and elements)",
            )
        end += len(piece.facts.stratum.g)
    return end


def _same_rest(one: Rest, other: Rest) -> bool:
    """Whether f(x) is the same, but for what another device or batch size may round otherwise."""
    if one.flat.shape != other.flat.shape:
        return False
    size, slack = other.size.nan_to_num(), SLACK * float(other.size.nan_to_num().max())
    return bool(torch.allclose(one.size.nan_to_num(), size, rtol=SLACK, atol=slack))


def _facts(parts: Sequence[Facts]) -> Facts:
    first = parts[0]
    searched = [part.searched for part in parts if part.searched is not None]
    return replace(
        first,
        stratum=replace(first.stratum, g=torch.cat([part.stratum.g for part in parts])),
        where=Where(
            first.where.kind,
            tuple(label for part in parts for label in part.where.labels),
            tuple(point for part in parts for point in part.where.at),
        ),
        precision=_precision([part.precision for part in parts]),
        repeat=max(part.repeat for part in parts),
        company=max(part.company for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        searched=max(searched, key=lambda one: one.value) if searched else None,
    )


def _precision(parts: Sequence[Precision]) -> Precision:
    """Root mean squares of all, and the worst ratios; constants explain it only where they explain every part."""

    def rms(values: list[float]) -> float:
        return math.sqrt(sum(value * value for value in values) / len(values))

    suspects = [part for part in parts if part.worst > RATIO]
    return replace(
        parts[0],
        low=rms([part.low for part in parts]),
        high=rms([part.high for part in parts]),
        floor=rms([part.floor for part in parts]),
        worst=max(part.worst for part in parts),
        ratio=max(part.ratio for part in parts),
        constants=bool(suspects) and all(part.constants for part in suspects),
    )
