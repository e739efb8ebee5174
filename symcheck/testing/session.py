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
from symcheck.files import reason as reason_of
from symcheck.gate.waive import may_be_waived
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport, Outcome, Place, Status
from symcheck.testing import assertions
from symcheck.testing.judged import Judged

if TYPE_CHECKING:
    from symcheck.measure.given import Inputs

Claims = str | Sequence[str]


@dataclass(frozen=True)
class Ending:
    """How one phase of a test ended: passed, failed or skipped; `xfail` is why a failure was expected, if it was.

    `broke` is what an exception makes of a test that found nothing wrong by itself, and `words` are its own.
    """

    outcome: str
    xfail: str | None = None
    broke: Status = Status.UNMEASURED
    words: str = ""

    @property
    def bad(self) -> bool:
        """Whether the phase failed, expected or not."""
        return self.outcome == "failed" or (self.outcome == "skipped" and self.xfail is not None)

    @property
    def unexpected(self) -> bool:
        """Whether the phase failed, or was skipped: neither says that it expects what it found."""
        return self.outcome == "failed" or (self.outcome == "skipped" and self.xfail is None)


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
    endings: list[Ending] = field(default_factory=list)

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
        try:
            judged = judge(*arguments, **options)
        except SymcheckError as error:
            self.outcomes.append(self._outcome(Status.UNMEASURED, error.message, error.hint))
            raise
        except Exception as error:
            self.outcomes.append(self._outcome(Status.UNMEASURED, f"{type(error).__name__}: {reason_of(error)}"))
            raise
        self.reports.append(judged.report)
        self.outcomes += judged.outcomes(self.test, Place(*self.place))
        return judged.demand()

    def found(self) -> list[Outcome]:
        """All outcomes in the light of how the test ended: what it expects is waived, what it failed by is in it."""
        found, bad = self.outcomes, next((ending for ending in self.endings if ending.bad), None)
        if bad is not None and all(outcome.status is Status.PASSED for outcome in found):
            found = [*found, self._outcome(bad.broke, bad.words)]
        expected = self._expected()
        return [
            replace(outcome, status=Status.WAIVED, waiver=expected) if expected and may_be_waived(outcome) else outcome
            for outcome in found
        ]

    def _expected(self) -> str:
        """Why failures are no failures of the test; empty where it failed, or was skipped before it could tell."""
        if any(ending.unexpected for ending in self.endings):
            return ""
        reasons = [ending.xfail for ending in self.endings if ending.xfail is not None]
        return (reasons[0] or "xfail") if reasons else "the test passed: it expects this"

    def _outcome(self, status: Status, reason: str, advice: str = "") -> Outcome:
        return Outcome(self.test, status, "claim", "", reason=reason, advice=advice, place=Place(*self.place))


@dataclass
class Session:
    """Everything that a session of tests found; `summary` says what became of it."""

    paths: tuple[Path, ...]
    start: float
    outcomes: list[Outcome] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    summary: str = ""

    def take(self, checks: Checks) -> None:
        """What one test found, once it has ended."""
        self.outcomes += checks.found()
        self.reports += checks.reports

    def lost(self, who: str, why: str) -> None:
        """A worker, or the run, ended without all of its findings: that is never a pass."""
        advice = "run again; what ended it is told above"
        self.outcomes.append(Outcome(who, Status.UNMEASURED, "claim", "", reason=why, advice=advice))

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

    def write(self, config: str, environment: Mapping[str, Any]) -> int:
        """Write the report wherever it is wanted, and say what it holds; its exit code. Raises ConfigError."""
        from symcheck.report.write import write_report

        if not self.outcomes:
            self.notes.append("no test asserted anything with the symcheck fixture: an empty report does not hold")
        self.outcomes.sort(key=_order)  # workers end as they like
        report = self._report(config, environment)
        for path in self.paths:
            write_report(report, path)
        counts = {status: sum(o.status is status for o in self.outcomes) for status in reversed(Status)}
        words = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing was asserted"
        places = ", ".join(map(str, self.paths))
        self.summary = "\n".join([f"{report.status}: {words}; report in {places}", *self.notes])
        return report.exit_code

    def _report(self, config: str, environment: Mapping[str, Any]) -> GateReport:
        seconds = time.perf_counter() - self.start
        notes, outcomes = tuple(self.notes), tuple(self.outcomes)
        return GateReport(config, outcomes, tuple(self.reports), notes, environment, seconds)


def _order(outcome: Outcome) -> tuple[str, int, str]:
    place = outcome.place or Place("", 0)
    return place.file, place.line, outcome.gate
