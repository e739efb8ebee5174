"""Proper and improper elements beside each other: what only one of the two suffers is no rounding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from symcheck.report.model import Finding, Verdict

RATIO = 10.0  # how much larger an error must be than that of the other part


def beside(findings: Sequence[Finding]) -> list[Finding]:
    """The findings of one claim; where precision could not be raised, `exact` also has to hold beside the other part.

    The floor of such a subject is what nudged inputs make of it, which may be far above its rounding. Both parts are
    sampled from one law and rounded alike, so an error ten times that of the other part is more than rounding.
    """
    return [_judged(finding, [other for other in findings if _twins(finding, other)]) for finding in findings]


def _twins(finding: Finding, other: Finding) -> bool:
    """Whether two findings differ in orientation alone, of a group that is sampled."""
    names = [one.part.replace("improper", "proper") for one in (finding, other)]
    sampled = not (finding.counts.exhaustive or other.counts.exhaustive)
    return sampled and finding.output == other.output and finding.part != other.part and names[0] == names[1]


def _judged(finding: Finding, twins: Sequence[Finding]) -> Finding:
    if finding.verdict is not Verdict.EXACT or finding.floor.high is not None or finding.error is None:
        return finding
    error, limit = finding.error.spread, finding.tolerance
    least = min((one.error.spread.mean for one in twins if one.error is not None), default=math.inf)
    if not (0 < RATIO * least < error.mean):
        return finding
    verdict = Verdict.APPROXIMATE if error.high <= limit else Verdict.INCONCLUSIVE
    verdict = Verdict.BROKEN if error.low > limit else verdict
    times = f"{error.mean / least:.0f} times the error of the other orientation"
    why = f"{times}: more than rounding, though within the floor"
    return replace(finding, verdict=verdict, note="; ".join(filter(None, (why, finding.note))))
