"""Findings and outcomes as rows of a page: what is seen at once, and what unfolds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from symcheck.report import numbers, wording
from symcheck.report.html.figures.curves import curve_panels
from symcheck.report.html.figures.distribution import distribution_panel
from symcheck.report.html.figures.pair import SIDES, pair_panels
from symcheck.report.html.gauge import Axis, finding_axis, finding_gauge, outcome_gauge
from symcheck.report.html.pairs import Pair, read_pair
from symcheck.report.html.view import Block, Easel, Facts, Section, Table, Words
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import GateReport, Outcome, Status, worst_first

Item = TypeVar("Item")
SHOWN = 500  # findings of one report, and outcomes, that get a row
_OPEN, _MANY = 3, 50  # rows that are unfolded at first: so many of those that do not hold, and none among many
_SCALES = (("absolute", "absolute"), ("relative", "/ size"), ("spread", "/ spread"))


@dataclass(frozen=True)
class Row:
    """One finding or outcome; `words` are its numbers, `section` what unfolds; `index` is its place in the data."""

    index: int
    verdict: str
    label: str
    words: str
    under: str
    gauge: str
    remark: str
    section: Section
    open: bool = False


@dataclass(frozen=True)
class Group:
    """The findings of one claim."""

    claim: str
    rows: Sequence[Row]


@dataclass(frozen=True)
class Findings:
    """All findings of one report: by claim, the claim with the worst finding first."""

    groups: Sequence[Group]
    ticks: Sequence[tuple[float, str]]
    left_out: int


def findings_of(report: Report, easel: Easel, beside: Path | None, name: str) -> Findings:
    """Rows for the findings of a report, worst first within each claim; figures while there is room."""
    ranked = numbers.worst_first(report.findings)
    axis = finding_axis(ranked)
    few = len(ranked) < _MANY
    claims: dict[str, list[tuple[int, int, Finding]]] = {}
    for rank, (place, finding) in enumerate(_placed(report.findings, ranked)[:SHOWN]):
        claims.setdefault(finding.claim, []).append((rank, place, finding))
    groups = []
    for claim, found in claims.items():
        rows = [_row(f, axis, easel, beside, place, name) for _, place, f in found]
        opened = [few and rank < _OPEN and not f.verdict.holds for rank, _, f in found]
        groups.append(Group(claim, [replace(row, open=yes) for row, yes in zip(rows, opened, strict=True)]))
    return Findings(groups, axis.ticks(), len(ranked) - len(ranked[:SHOWN]))


def _placed(given: Sequence[Item], ranked: Sequence[Item]) -> list[tuple[int, Item]]:
    """What is ranked with its places among what was given, where one thing may be given twice."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(given):
        places.setdefault(id(item), []).append(place)
    return [(places[id(item)].pop(0), item) for item in ranked]


def _row(finding: Finding, axis: Axis, easel: Easel, beside: Path | None, index: int, name: str) -> Row:
    return Row(
        index=index,
        verdict=str(finding.verdict),
        label=numbers.label(finding),
        words=numbers.error(finding),
        under=f"floor {numbers.floor(finding)} · tolerance {numbers.stated(finding.tolerance)}",
        gauge=finding_gauge(finding, axis, f"{name}g{index}"),
        remark=numbers.remark(finding),
        section=Section("", [*_figures(finding, easel, beside), *_tables(finding)]),
    )


def _figures(finding: Finding, easel: Easel, beside: Path | None) -> Iterator[Block]:
    """The curve, the distribution, and the worst pair."""
    panels = curve_panels(finding)
    distribution = distribution_panel(finding)
    panels += [distribution] if distribution is not None else []
    yield from easel.figures(panels)
    if finding.worst is None or not finding.worst.file:
        return
    pair = read_pair(finding.worst.file, beside)
    if isinstance(pair, str):
        yield Words(pair)
        return
    yield from easel.figures(pair_panels(pair, finding.output))
    yield from _scalars(pair, finding.output)


def _scalars(pair: Pair, output: str) -> Iterator[Block]:
    """Both sides in digits where they are one number."""
    left, right = pair.left.get(output), pair.right.get(output)
    if left is not None and right is not None and left.size == right.size == 1:
        a, b = float(left.reshape(-1)[0]), float(right.reshape(-1)[0])
        cells = [f"{a:.7g}", f"{b:.7g}", numbers.number(a - b)]
        yield Table(("worst pair", *SIDES, "difference"), [[output, *cells]])


def _tables(finding: Finding) -> Iterator[Block]:
    """The error on its three scales, and everything else that a finding holds."""
    if finding.error is not None:
        head = ("error", "mean", "95 % interval", "median", "95 %", "99 %", "max")
        rows = [[words, *numbers.scale_row(getattr(finding.error, key))] for key, words in _SCALES]
        yield Table(head, rows)
    yield Facts([*numbers.details(finding)])
    if command := numbers.replay([finding]):
        yield Words(command, "command")


def outcomes_of(gate: GateReport) -> list[Row]:
    """Rows for what the gates decided, worst first."""
    few = len(gate.outcomes) < _MANY
    ranked = _placed(gate.outcomes, worst_first(gate.outcomes))
    return [_outcome(one, place, unfolded=few) for place, one in ranked[:SHOWN]]


def _outcome(outcome: Outcome, index: int, *, unfolded: bool) -> Row:
    told = dict(wording.details(outcome))
    known = outcome.value is not None
    under = [f"limit {wording.limit(outcome)}"] if known and outcome.limit is not None else []
    under += [f"baseline {told['baseline']}"] if "baseline" in told else []
    facts = [("subject", outcome.subject), ("verdict", outcome.verdict), *told.items()]
    shown = [(key, words) for key, words in facts if words and key not in ("why", "replay", "found", "baseline")]
    return Row(
        index=index,
        verdict=str(outcome.status),
        label=": ".join(filter(None, (outcome.gate, wording.label(outcome)))),
        words=wording.value(outcome) if known else "",
        under=" · ".join(under),
        gauge=outcome_gauge(outcome, f"o{index}"),
        remark=outcome.reason,
        section=Section("", [Facts(shown), *([Words(outcome.replay, "command")] if outcome.replay else [])]),
        open=unfolded and outcome.status is not Status.PASSED,
    )
