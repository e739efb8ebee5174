"""From one cell on the host to one finding: three scales with intervals, share, floors, worst pair, verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from symcheck.measure.curve import Where, curve_of, rounded
from symcheck.measure.flips import flips_of
from symcheck.measure.floors import RATIO, Precision
from symcheck.measure.laws import Law
from symcheck.measure.plan import Stratum
from symcheck.measure.search import Searched
from symcheck.measure.statistics import Interval, crossed_interval, quantile_interval
from symcheck.measure.tally import Cell
from symcheck.measure.verdict import Decision, Evidence, decide
from symcheck.report.model import Counts, Error, Finding, Floor, Scale, Share, Split, Verdict, Worst

QUANTILES = 41  # points of the distribution: every 2.5 %


@dataclass(frozen=True)
class Facts:
    """Everything measured about one output in one part of a claim: plain data, nothing of the model or the group."""

    claim: str
    output: str
    stratum: Stratum
    where: Where
    law_in: Mapping[str, Law]
    law_out: Law
    precision: Precision
    repeat: float
    company: float
    notes: tuple[str, ...]
    searched: Searched | None
    tolerance: float


def assemble(facts: Facts, cell: Cell) -> Finding:
    """The finding of one cell."""
    stratum, precision = facts.stratum, facts.precision
    with np.errstate(all="ignore"):
        numbers = _numbers(cell, stratum.exhaustive)
    evidence = _evidence(facts, cell, numbers)
    decision = _by_component(decide(evidence), facts, cell)
    decision = _by_edges(decision, facts, cell, numbers)
    spread = numbers.spread

    def scaled(value: float | None) -> float | None:
        return value / spread if value is not None and spread > 0 else None

    return Finding(
        claim=facts.claim,
        output=facts.output,
        part=stratum.name,
        verdict=decision.verdict,
        share=numbers.share,
        error=numbers.error,
        floor=Floor(
            rounding=scaled(precision.floor),
            action=evidence.action_floor,
            batch=scaled(facts.company),
            repeat=scaled(facts.repeat),
            low=scaled(precision.low),
            high=None if math.isnan(precision.high) else scaled(precision.high),
            slope=precision.slope,
            how=precision.how,
        ),
        counts=Counts(len(cell.squared), cell.squared.shape[1], cell.squared.size, stratum.exhaustive),
        worst=_worst(facts, cell, spread),
        law=stratum.law,
        tolerance=facts.tolerance,
        note="; ".join(filter(None, (decision.note, *facts.notes))),
        advice=decision.advice,
        advantage=None if cell.advantage is None or not spread > 0 else math.sqrt(cell.advantage) / spread,
        size=numbers.size,
        spread=spread,
        component=None if cell.component is None else cell.component[1],
        flips=flips_of(cell, stratum.exhaustive),
        **(_drawn(facts.where, cell, spread) if numbers.error is not None and spread > 0 else {}),
    )


def _drawn(where: Where, cell: Cell, spread: float) -> dict[str, Any]:
    """What is drawn, and what a later run is compared with: by element, by sample, and the distribution."""
    errors = np.sqrt(cell.squared) / spread
    return {
        "curve": curve_of(where, errors.mean(axis=1)),
        "by_sample": rounded(errors.mean(axis=0)),
        "distribution": rounded(np.quantile(errors, np.linspace(0.0, 1.0, QUANTILES))),
        "by_graph": _by_graph(cell, errors),
    }


def _by_graph(cell: Cell, errors: np.ndarray) -> tuple[Split, ...]:
    """The errors where g·x has the neighbour graph of x, and where an edge has crossed the cut-off."""
    if cell.changed is None:
        return ()
    parts = (("same graph", errors[~cell.changed]), ("graph changed", errors[cell.changed]))
    return tuple(Split(name, e.size, float(e.mean()), float(e.max())) for name, e in parts if e.size)


def _by_edges(decision: Decision, facts: Facts, cell: Cell, numbers: _Numbers) -> Decision:
    """Says where edges that cross the cut-off make the output jump and nothing else does; the interval then decides.

    Such a jump is rounding to a rounding floor (in float64 the edge crosses elsewhere), but it does not shrink.
    """
    spread, silent = numbers.spread, decision.verdict in (Verdict.INVALID, Verdict.TRIVIAL)
    if silent or cell.changed is None or not cell.changed.any() or not spread > 0:
        return decision
    same, crossed = (np.sqrt(cell.squared[part]) for part in (~cell.changed, cell.changed))
    limit = facts.tolerance * spread
    jumps = crossed.mean() > max(limit, 10 * same.mean() if same.size else limit)
    if not (jumps and same.size and same.mean() <= limit):
        return decision
    within, above = numbers.interval.high <= facts.tolerance, numbers.interval.low > facts.tolerance
    verdict = Verdict.APPROXIMATE if within else Verdict.BROKEN if above else Verdict.INCONCLUSIVE
    return Decision(
        verdict,
        f"only where an edge crosses the cut-off: {int(cell.changed.sum()):,} of {cell.changed.size:,} pairs change "
        f"the neighbour graph, on the others the error is {same.mean() / spread:.2g} of the spread",
        "let the messages of an edge fade out towards the cut-off, or break ties between neighbours smoothly",
    )


def _by_component(decision: Decision, facts: Facts, cell: Cell) -> Decision:
    """An output whose large numbers hide a broken small one does not pass."""
    component = cell.component
    if decision.verdict is not Verdict.APPROXIMATE or component is None or component[1] <= 10 * facts.tolerance:
        return decision
    return Decision(
        Verdict.BROKEN,
        f"number {component[0]} of this output is off by {component[1]:.2g} of its own spread, hidden by larger ones",
        "return numbers of different scale as outputs of their own",
    )


@dataclass(frozen=True)
class _Numbers:
    error: Error | None
    share: Share | None
    interval: Interval
    size: float
    spread: float


def _numbers(cell: Cell, exhaustive: bool) -> _Numbers:
    errors = np.sqrt(cell.squared)
    variance = cell.variance.mean(axis=0)
    total = float(variance.mean()), max(float(cell.between.mean()), 0.0)
    square = sum(total)
    spread, size = math.sqrt(max(square, 0.0)), math.sqrt(float(cell.size.mean()))
    if not np.isfinite(errors).all() or not math.isfinite(spread):
        nothing = Interval(math.nan, math.nan, math.nan, math.nan)
        return _Numbers(None, None, nothing, size, spread)
    # the scales are estimated too: each cell carries the linearised change of the scale that its sample makes
    within = variance + cell.between  # its mean is below `square` where the variance between samples is clamped to 0
    by_spread = errors / spread - errors.mean() / (2 * spread**3) * (within - within.mean())
    by_size = errors / size - errors.mean() / (2 * size**3) * (cell.size - size**2)
    interval = crossed_interval(by_spread, exhaustive=exhaustive)
    plain, roots = _ranked(errors, exhaustive), np.sqrt(cell.components)
    absolute = errors / roots
    own = _ranked(absolute, exhaustive) if np.ptp(roots) else None  # samples of different sizes
    error = Error(
        absolute=_scale(absolute, 1.0, own) if own else _scale(absolute, float(roots[0]), plain),
        relative=_scale(by_size, size, plain, _relative(cell.size)),
        spread=_scale(by_spread, spread, plain, _relative(within)),
    )
    return _Numbers(error, _share(cell, total, exhaustive), interval, size, spread)


def _relative(squares: np.ndarray) -> float:
    """Half-width of the interval of √mean over itself, from its cells, one for each sample."""
    interval = crossed_interval(squares[None], exhaustive=True)
    return (interval.high - interval.mean) / (2 * interval.mean) if interval.mean > 0 else 0.0


@dataclass(frozen=True)
class _Ranked:
    """Mean and quantiles of the errors in their own unit."""

    mean: float
    exhaustive: bool
    quantiles: tuple[float, ...]  # 50 %, 95 %, 99 %, 100 %
    ends: tuple[tuple[float | None, float | None], ...]  # of 95 % and 99 %


def _ranked(errors: np.ndarray, exhaustive: bool) -> _Ranked:
    ranked = np.sort(errors, axis=None)
    quantiles = tuple(float(ranked[round(q * (ranked.size - 1))]) for q in (0.5, 0.95, 0.99, 1.0))
    ends = tuple(quantile_interval(errors, level, exhaustive=exhaustive) for level in (0.95, 0.99))
    return _Ranked(float(errors.mean()), exhaustive, quantiles, ends)


def _scale(linear: np.ndarray, unit: float, found: _Ranked, unsure: float = 0.0) -> Scale:
    """The errors over `unit`: `linear` are the cells whose interval is the mean's, linearised in the unit.

    `unsure` is the relative half-width of the interval of the unit itself, which quantiles share.
    """
    interval = crossed_interval(linear, exhaustive=found.exhaustive)
    mean, q50, q95, q99, top = (np.array([found.mean, *found.quantiles]) / unit).tolist()  # by 0: no numbers
    ends: list[float | None] = []
    for value, (low, high) in zip((q95, q99), found.ends, strict=True):
        ends += [None if low is None else max(value - math.hypot(value - np.divide(low, unit), unsure * value), 0.0)]
        ends += [None if high is None else value + math.hypot(np.divide(high, unit) - value, unsure * value)]
    return Scale(mean, max(interval.low, 0.0), interval.high, q50, q95, q99, top, *ends)


def _share(cell: Cell, total: tuple[float, float], exhaustive: bool) -> Share | None:
    v, d = total
    if not v + d > 0:
        return None
    linear = v / (v + d) + (cell.variance * d - v * cell.between) / (v + d) ** 2
    interval = crossed_interval(linear, exhaustive=exhaustive)
    low, high = (math.sqrt(min(max(x, 0.0), 1.0)) if math.isfinite(x) else x for x in (interval.low, interval.high))
    return Share(math.sqrt(max(v / (v + d), 0.0)), low, high)


def _evidence(facts: Facts, cell: Cell, numbers: _Numbers) -> Evidence:
    stratum, laws = facts.stratum, facts.law_in.values()
    resampled = stratum.resampled
    found = facts.precision.ratio > RATIO  # an error beyond rounding shows that something moved
    return Evidence(
        finite=cell.finite,
        law_in=all(law.holds or (resampled and math.isfinite(law.round_trip)) for law in laws),
        law_out=facts.law_out.holds or (resampled and math.isfinite(facts.law_out.round_trip)),
        precision=facts.precision,
        repeat=facts.repeat,
        company=facts.company,
        spread=numbers.spread,
        size=numbers.size,
        error=numbers.interval,
        moved_in=math.inf if found else max(law.moved for law in laws),
        moved_out=(math.inf if found else facts.law_out.moved) if facts.law_out.moves else None,
        resampled=resampled,
        action_floor=max([law.floor for law in laws] + [facts.law_out.floor]),
        tolerance=facts.tolerance,
        samples=cell.squared.shape[1],
    )


def _worst(facts: Facts, cell: Cell, spread: float) -> Worst:
    scale = spread if spread > 0 else math.nan
    found = facts.searched
    if found is None:
        element, sample = cell.worst()
        error = math.sqrt(cell.squared[element, sample])
        return Worst(facts.where.labels[element], sample, error / scale)
    return Worst(found.label, found.sample, found.value / scale, searched=found.value / scale)
