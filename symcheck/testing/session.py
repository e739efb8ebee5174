"""What one test checks, and what a whole session of tests collects; no torch until something is measured."""

from __future__ import annotations

import re
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from symcheck.errors import SymcheckError
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport, Outcome, Place, Status
from symcheck.testing import assertions
from symcheck.testing.judged import Judged

if TYPE_CHECKING:
    from symcheck.measure.given import Inputs

Claims = str | Sequence[str]


@dataclass(repr=False)
class Checks:
    """The fixture `symcheck` of one test: the assertions of symcheck.testing with the test's defaults.

    `outcomes` and `reports` are what it found so far; an audit that nothing judges is a report without outcomes.
    """

    test: str
    defaults: Mapping[str, Any]
    place: tuple[str, int]
    beside: Path | None
    folder: Callable[[str], Path]
    outcomes: list[Outcome] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<the symcheck fixture of {self.test}>"  # pytest shows the arguments of a test that failed

    def audit(self, model: Any, claims: Claims | None, inputs: Inputs, **options: Any) -> Report:
        """symcheck.audit: measures and collects, but judges nothing."""
        from symcheck.api import audit

        self.reports.append(audit(model, claims, inputs, **{**self.defaults, **options}))
        return self.reports[-1]

    def assert_equivariant(self, model: Any, claims: Claims, inputs: Inputs, **options: Any) -> Report:
        """symcheck.testing.assert_equivariant; the worst pairs of a failure are saved."""
        __tracebackhide__ = True
        return self._judged(assertions.judge_equivariant, model, claims, inputs, **self._options(options))

    def assert_invariant(self, model: Any, claims: Claims, inputs: Inputs, **options: Any) -> Report:
        """symcheck.testing.assert_invariant; the worst pairs of a failure are saved."""
        __tracebackhide__ = True
        return self._judged(assertions.judge_invariant, model, claims, inputs, **self._options(options))

    def assert_same_function(self, a: Any, b: Any, inputs: Inputs, **options: Any) -> Report:
        """symcheck.testing.assert_same_function; the defaults of the test are those of claims and do not apply."""
        __tracebackhide__ = True
        return self._judged(assertions.judge_same, a, b, inputs, **options)

    def _options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """What was said here, else in the marker; and a file for the worst pairs."""
        return {**self.defaults, "save": self._file(), **options}

    def _file(self) -> Path:
        name = re.sub(r"[^\w.-]+", "-", self.test)[-60:].strip("-.")
        name = f"{name}-{zlib.crc32(self.test.encode()):08x}-{len(self.reports)}.worst.safetensors"
        if self.beside is not None:
            return self.beside.with_name(f"{self.beside.stem}-{name}")
        return self.folder("symcheck") / name

    def _judged(self, judge: Callable[..., Judged], *arguments: Any, **options: Any) -> Report:
        __tracebackhide__ = True
        place = Place(*self.place)
        try:
            judged = judge(*arguments, **options)
        except SymcheckError as error:
            reason, status = error.message, Status.UNMEASURED
            self.outcomes.append(
                Outcome(self.test, status, "claim", "", reason=reason, advice=error.hint, place=place)
            )
            raise
        self.reports.append(judged.report)
        self.outcomes += judged.outcomes(self.test, place)
        return judged.demand()


@dataclass
class Session:
    """Everything that a session of tests found; `summary` says what became of it."""

    path: Path | None
    start: float
    outcomes: list[Outcome] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    summary: str = ""

    def take(self, checks: Checks, expected: str) -> None:
        """What one test found; failures of a test that did not fail itself are waived: `expected` says why."""
        for outcome in checks.outcomes:
            waived = bool(expected) and outcome.status is not Status.PASSED
            self.outcomes.append(replace(outcome, status=Status.WAIVED, waiver=expected) if waived else outcome)
        self.reports += checks.reports
        checks.outcomes, checks.reports = [], []

    def lost(self, worker: str, why: str) -> None:
        """A worker ended without its findings: that is never a pass."""
        advice = "run again; the worker's own error is above"
        self.outcomes.append(Outcome(worker, Status.UNMEASURED, "claim", "", reason=why, advice=advice))

    def to_json(self) -> str:
        """What a worker hands over."""
        return self._report("", {}).to_json()

    def join(self, handed: str) -> None:
        """What a worker handed over."""
        import json

        report = GateReport.from_dict(json.loads(handed))
        self.outcomes += report.outcomes
        self.reports += report.reports
        self.notes += report.notes

    def write(self, config: str, environment: Mapping[str, Any]) -> None:
        """Write the report, and say what it holds. Raises ConfigError."""
        from symcheck.report.write import write_report

        if self.path is None:
            return
        if not self.outcomes:
            self.notes.append("no test asserted anything with the symcheck fixture: an empty report does not hold")
        self.outcomes.sort(key=_order)  # workers end as they like
        report = self._report(config, environment)
        write_report(report, self.path)
        counts = {status: sum(o.status is status for o in self.outcomes) for status in reversed(Status)}
        words = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing was asserted"
        self.summary = "\n".join([f"{report.status}: {words}; report in {self.path}", *self.notes])

    def _report(self, config: str, environment: Mapping[str, Any]) -> GateReport:
        seconds = time.perf_counter() - self.start
        notes, outcomes = tuple(self.notes), tuple(self.outcomes)
        return GateReport(config, outcomes, tuple(self.reports), notes, environment, seconds)


def _order(outcome: Outcome) -> tuple[str, int, str]:
    place = outcome.place or Place("", 0)
    return place.file, place.line, outcome.gate
