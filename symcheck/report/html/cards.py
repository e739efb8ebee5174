"""Findings and outcomes as rows of a page: what is seen at once, and what unfolds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from symcheck.report import numbers, wording
from symcheck.report.html.figures.curves import curve_panels
from symcheck.report.html.figures.distribution import distribution_panel
from symcheck.report.html.figures.pair import SIDES, pair_panels
from symcheck.report.html.gauge import Axis, finding_axis, finding_gauge, outcome_gauge
from symcheck.report.html.links import Judged, Links, worst_of
from symcheck.report.html.pairs import Pair, read_pair
from symcheck.report.html.view import Block, Easel, Facts, Section, Table, Words
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import GateReport, Outcome, Status, worst_first

Item = TypeVar("Item")
SHOWN = 500  # findings of one report, and outcomes, that get a row
_OPEN, _MANY = 3, 50  # rows that are unfolded at first: so many of those that do not hold, and none among many
_BAD = (Status.UNMEASURED, Status.FAILED, Status.INCONCLUSIVE)
_SCALES = (("absolute", "absolute"), ("relative", "/ size"), ("spread", "/ spread"))


@dataclass(frozen=True)
class Row:
    """One finding or outcome; `words` are its numbers, `section` what unfolds; `index` is its place in the data.

    `tone` is the word whose colour it has; `name` is its id on the page, `links` are ids and names of other rows.
    """

    index: int
    verdict: str
    label: str
    words: str
    under: str
    gauge: str
    remark: str
    section: Section
    name: str = ""
    tone: str = ""
    links: Sequence[tuple[str, str]] = ()
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


def findings_of(report: Report, easel: Easel, beside: Path | None, name: str, links: Links | None = None) -> Findings:
    """Rows for the findings of a report, worst first within each claim; figures while there is room.

    Where gates judged them, what failed comes first, and only that is unfolded and in the colour of a failure.
    """
    gated = {} if links is None else {i: found for (owner, i), found in links.judged.items() if owner == name}
    ranked = _placed(report.findings, numbers.worst_first(report.findings))
    ranked.sort(key=lambda pair: _order(worst_of(gated[pair[0]])) if pair[0] in gated else len(Status))
    axis = finding_axis(report.findings)
    few = len(ranked) < _MANY
    claims: dict[str, list[Row]] = {}
    for rank, (place, finding) in enumerate(ranked[:SHOWN]):
        row = _row(report, place, axis, easel, beside, name)
        bad = not finding.verdict.holds if links is None else place in gated and worst_of(gated[place]) in _BAD
        row = replace(row, open=few and rank < _OPEN and bad)
        claims.setdefault(finding.claim, []).append(_told(row, gated[place]) if place in gated else row)
    groups = [Group(claim, rows) for claim, rows in claims.items()]
    return Findings(groups, axis.ticks(), len(ranked) - len(ranked[:SHOWN]))


def _told(row: Row, gates: Sequence[Judged]) -> Row:
    """A row of a finding with what the gates made of it."""
    judged = [f"gate {o.gate}: {o.status}" + (", expected to break" if o.expect == "breaks" else "") for _, o in gates]
    remark = "; ".join(filter(None, (*judged, row.remark)))
    links = [(f"o{i}", f"gate {outcome.gate}") for i, outcome in gates]
    return replace(row, tone=str(worst_of(gates)), remark=remark, links=links)


def _order(status: Status) -> int:
    return list(Status).index(status)


def _placed(given: Sequence[Item], ranked: Sequence[Item]) -> list[tuple[int, Item]]:
    """What is ranked with its places among what was given, where one thing may be given twice."""
    places: dict[int, list[int]] = {}
    for place, item in enumerate(given):
        places.setdefault(id(item), []).append(place)
    return [(places[id(item)].pop(0), item) for item in ranked]


def _row(report: Report, index: int, axis: Axis, easel: Easel, beside: Path | None, name: str) -> Row:
    finding = report.findings[index]
    return Row(
        index=index,
        verdict=str(finding.verdict),
        label=numbers.label(finding),
        words=numbers.error(finding),
        under=f"floor {numbers.floor(finding)} · tolerance {numbers.stated(finding.tolerance)}",
        gauge=finding_gauge(finding, axis, f"{name}g{index}"),
        remark=numbers.remark(finding),
        section=Section("", [*_figures(finding, easel, beside), *_tables(finding, report.subject)]),
        name=f"{name}{index}",
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


def _tables(finding: Finding, subject: Mapping[str, Any]) -> Iterator[Block]:
    """The error on its three scales, and everything else that a finding holds."""
    if finding.error is not None:
        head = ("error", "mean", "95 % interval", "median", "95 %", "99 %", "max")
        rows = [[words, *numbers.scale_row(getattr(finding.error, key))] for key, words in _SCALES]
        yield Table(head, rows)
    yield Facts([*numbers.details(finding)])
    if command := numbers.replay([finding], subject):
        yield Words(command, "command")


def outcomes_of(gate: GateReport, links: Links) -> list[Row]:
    """Rows for what the gates decided, worst first, each with a link to the finding that it judged."""
    few = len(gate.outcomes) < _MANY
    ranked = _placed(gate.outcomes, worst_first(gate.outcomes))
    rows = [_outcome(one, place, unfolded=few) for place, one in ranked[:SHOWN]]
    found = {row.name: links.finding(row.index) for row in rows}
    return [replace(row, links=[(id_, "finding")]) if (id_ := found[row.name]) else row for row in rows]


def _outcome(outcome: Outcome, index: int, *, unfolded: bool) -> Row:
    told = dict(wording.details(outcome))
    known = outcome.value is not None
    under = [wording.bound(outcome) if known else ""]
    under += [f"baseline {told['baseline']}"] if "baseline" in told and not under[0].startswith("baseline") else []
    facts = [("subject", outcome.subject), ("verdict", outcome.verdict), *told.items()]
    shown = [(key, words) for key, words in facts if words and key not in ("why", "replay", "found", "baseline")]
    return Row(
        index=index,
        verdict=str(outcome.status),
        label=wording.headline(outcome),
        words=wording.value(outcome) if known else "",
        under=" · ".join(filter(None, under)),
        gauge=outcome_gauge(outcome, f"o{index}"),
        remark=outcome.reason,
        section=Section("", [Facts(shown), *([Words(outcome.replay, "command")] if outcome.replay else [])]),
        name=f"o{index}",
        open=unfolded and outcome.status in _BAD,
    )
