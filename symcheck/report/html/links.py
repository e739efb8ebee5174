"""Which finding each outcome of a record of gates is about, so that a page can lead from one to the other."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from symcheck.grammar import heard
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import GateReport, Outcome, Status

_OTHER = ("barrier",)  # checks that judge no finding
Place = tuple[str, int]  # the name of a report on the page, and the place of a finding in it
Judged = tuple[int, Outcome]  # an outcome with its place


def report_name(index: int) -> str:
    """What the ids of the findings of a report begin with."""
    return f"r{index}f"


def worst_of(gates: Sequence[Judged]) -> Status:
    """The worst status of some outcomes."""
    order = list(Status)
    return min((outcome.status for _, outcome in gates), key=order.index)


@dataclass(frozen=True)
class Links:
    """For each outcome, by its place, the finding that it judged; and for each finding its outcomes."""

    found: Mapping[int, Place]
    judged: Mapping[Place, Sequence[Judged]]

    @classmethod
    def of_gate(cls, gate: GateReport) -> Links:
        """Matched by what is asked; where several findings answer that, by the number that was judged."""
        kept = _by_label(gate.reports)
        found: dict[int, Place] = {}
        judged: dict[Place, list[Judged]] = {}
        for i, outcome in enumerate(gate.outcomes):
            if (place := _matched(outcome, kept.get((outcome.output, outcome.part), []))) is not None:
                found[i] = place
                judged.setdefault(place, []).append((i, outcome))
        return cls(found, judged)

    def finding(self, outcome: int) -> str:
        """The id of the finding that the outcome at this place judged; empty where there is none."""
        return "{}{}".format(*self.found[outcome]) if outcome in self.found else ""


_Kept = tuple[Place, Finding, Report]


def _by_label(reports: Sequence[Report]) -> dict[tuple[str, str], list[_Kept]]:
    found: dict[tuple[str, str], list[_Kept]] = {}
    for number, report in enumerate(reports):
        for i, finding in enumerate(report.findings):
            kept = ((report_name(number), i), finding, report)
            found.setdefault((finding.output, finding.part), []).append(kept)
    return found


def _matched(outcome: Outcome, kept: Sequence[_Kept]) -> Place | None:
    """The finding of the gate's claim and number; the subject may have another name in the configuration."""
    if outcome.check in _OTHER:
        return None
    alike = [k for k in kept if _asked(outcome, k[1], k[2])]
    named = [k for k in alike if k[2].subject.get("name") == outcome.subject] or alike
    exact = [k for k in named if outcome.value == _number(outcome, k[1])]
    chosen = exact or (named if len({id(k[2]) for k in named}) == 1 or outcome.value is None else [])
    return chosen[0][0] if chosen else None


def _asked(outcome: Outcome, finding: Finding, report: Report) -> bool:
    if outcome.claim:
        return outcome.claim == finding.claim or heard(outcome.claim) == heard(finding.claim)
    return report.settings.get("gate") == outcome.gate


def _number(outcome: Outcome, finding: Finding) -> float:
    """What an outcome on this finding has judged; NaN where the finding has no such number."""
    sure = finding.certificate
    if outcome.metric == "fraction":
        return sure.violations / sure.draws if sure is not None and sure.draws else math.nan
    if outcome.metric == "share":
        return finding.share.value if finding.share is not None else math.nan
    if outcome.metric == "flips":
        return finding.flips.rate if finding.flips is not None else math.nan
    if finding.error is None or outcome.metric not in ("spread", "relative", "absolute"):
        return math.nan
    return float(getattr(getattr(finding.error, outcome.metric), outcome.stat or "mean", math.nan))
