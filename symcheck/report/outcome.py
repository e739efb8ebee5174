"""What a gate decided: one outcome for each thing it judged, and the record of a whole run. No torch, no numpy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from symcheck.report.model import Finding, Report, finite

SCHEMA = "symcheck.gate/1"


class Status(StrEnum):
    """How one judgement ended, worst first."""

    UNMEASURED = "unmeasured"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    WAIVED = "waived"
    PASSED = "passed"


EXIT = {Status.UNMEASURED: 2, Status.FAILED: 1, Status.INCONCLUSIVE: 1, Status.WAIVED: 0, Status.PASSED: 0}


@dataclass(frozen=True)
class Place:
    """Where a gate is written."""

    file: str
    line: int


@dataclass(frozen=True)
class Outcome:
    """One gate on one output of one part of its group.

    `value` is the measured statistic with its interval [low, high], in the unit of `metric` (spread, relative,
    share, flips: no dimension; absolute: the output's unit; a barrier: that of the loss); None: no number.
    `rule` is what was asked in words, `reason` why the status is what it is, `advice` what to do next.
    """

    gate: str
    status: Status
    check: str  # claim, barrier, weights or same-function
    subject: str
    claim: str = ""
    output: str = ""
    part: str = ""
    metric: str = ""
    stat: str = ""
    expect: str = "holds"
    rule: str = ""
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    baseline: float | None = None
    verdict: str = ""  # of the finding that was judged
    reason: str = ""
    advice: str = ""
    worst: str = ""  # `8.1 % at quarter turn 1, sample 12`
    replay: str = ""  # the command that recomputes the worst pair
    waiver: str = ""  # why a failure is accepted, and until when
    fingerprint: str = ""  # the same for the same question, whatever the answer
    place: Place | None = None
    files: Mapping[str, str] = field(default_factory=dict)  # SHA-256 of what a barrier rests on, by what it is for

    @property
    def label(self) -> str:
        """Which output, and which part of the group: `forces, improper`."""
        return ", ".join(filter(None, (self.output, self.part)))


@dataclass(frozen=True)
class GateReport:
    """Everything one run of the gates decided, with the reports that it rests on."""

    config: str
    outcomes: tuple[Outcome, ...]
    reports: tuple[Report, ...] = ()
    notes: tuple[str, ...] = ()
    environment: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    schema: str = field(default=SCHEMA)

    @property
    def status(self) -> Status:
        """The worst status; `unmeasured` when nothing was judged."""
        order = list(Status)
        return min((o.status for o in self.outcomes), key=order.index, default=Status.UNMEASURED)

    @property
    def exit_code(self) -> int:
        """0: all passed or waived, 1: one failed or is inconclusive, 2: one could not be judged, or none was."""
        return EXIT[self.status]

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become None and are counted under `nonfinite`."""
        counter = [0]
        plain: dict[str, Any] = {"schema": self.schema, "status": str(self.status), "exit_code": self.exit_code}
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("schema", "reports", "outcomes")}
        plain |= {k: finite(v, counter) for k, v in own.items()}
        plain["outcomes"] = [finite(asdict(outcome), counter) for outcome in self.outcomes]
        plain["reports"] = [report.to_dict() for report in self.reports]
        plain["nonfinite"] = counter[0]
        return plain

    def to_json(self) -> str:
        """The record as JSON, schema `symcheck.gate/1`, without NaN."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_dict(cls, data: Any, where: str = "report") -> GateReport:
        """Read what `to_dict` made; null numbers come back as NaN, keys of a later version pass."""
        from symcheck.report.reading import read_as

        return read_as(cls, data, where, "write it again with symcheck gate -o FILE.json")


def outcomes_of(report: Report, replay: str = "") -> tuple[Outcome, ...]:
    """The findings of an audit as outcomes, so that every format can show both: a claim that holds has passed."""
    return tuple(_judged(finding, report, replay) for finding in report.findings)


def worst_first(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Outcomes by status, worst first; in the order of the gates within one status."""
    order = list(Status)
    return sorted(outcomes, key=lambda outcome: order.index(outcome.status))


def _judged(finding: Finding, report: Report, replay: str) -> Outcome:
    from symcheck.report import numbers

    scale = None if finding.error is None else finding.error.spread
    return Outcome(
        gate=", ".join(filter(None, (finding.claim, numbers.label(finding)))),
        status=_status(finding, report.proposed),
        check="claim",
        subject=str(report.subject.get("name") or ""),
        claim=finding.claim,
        output=finding.output,
        part=finding.part,
        metric="spread",
        stat="mean",
        rule=f"mean error within {numbers.stated(finding.tolerance)} of the spread",
        value=None if scale is None else scale.mean,
        low=None if scale is None else scale.low,
        high=None if scale is None else scale.high,
        limit=finding.tolerance,
        verdict=str(finding.verdict),
        reason=numbers.remark(finding),
        worst=numbers.worst(finding),
        replay=replay,
    )


def _status(finding: Finding, proposed: bool) -> Status:
    if finding.verdict.holds:
        return Status.PASSED
    if finding.verdict == "inconclusive":
        return Status.INCONCLUSIVE
    return Status.PASSED if proposed and finding.verdict != "invalid" else Status.FAILED
