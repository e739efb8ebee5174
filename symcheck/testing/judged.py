"""A report that somebody relies on: whether every finding is as demanded, and what to say where one is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from symcheck.report import numbers
from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.outcome import Outcome, Place, Status, outcomes_of

_SHOWN = 5  # findings that are described in full
_CHECKS = {"claim": "is not as claimed", "same-function": "are not the same function"}


@dataclass(frozen=True)
class Judged:
    """A report with what was demanded of every finding: that it `holds`, or that it is `exact`.

    `who` names what was judged; `check` is `claim` or `same-function`. A report without findings fulfils nothing.
    """

    who: str
    report: Report
    expect: str = "holds"
    check: str = "claim"

    @property
    def failing(self) -> list[Finding]:
        """The findings that are not as demanded, worst first."""
        return numbers.worst_first(f for f in self.report.findings if not self._fulfils(f))

    @property
    def holds(self) -> bool:
        """Whether there are findings and all are as demanded."""
        return bool(self.report.findings) and not self.failing

    @property
    def replay(self) -> str:
        """The command that recomputes the worst pairs, with what it needs; empty where none were saved."""
        source = self.report.subject
        command = numbers.replay(self.failing, source)
        if not command:
            return ""
        model = "" if " --model " in command else " --model MODULE:FACTORY"
        if source.get("path") or not source.get("parameters"):
            return command + model
        return f"{command} weights.pt{model}  # first torch.save(model.state_dict(), 'weights.pt')"

    def demand(self) -> Report:
        """The report; raises AssertionError with everything that is known unless it holds."""
        __tracebackhide__ = True
        if not self.holds:
            raise AssertionError(self.message())
        return self.report

    def message(self) -> str:
        """What failed and by how much, why, and how to see it again."""
        failing = self.failing
        lines = [f"{self.who} {_CHECKS[self.check]}: {numbers.tally(self.report.findings)}"]
        for finding in failing[:_SHOWN]:
            lines += ["", *self._described(finding)]
        if len(failing) > _SHOWN:
            lines += ["", f"and {numbers.count(len(failing) - _SHOWN, 'more finding')}"]
        lines += [f"note: {note}" for note in self.report.notes]
        if failing and self.check == "claim":
            how = "pass save=Path('worst.safetensors') to keep the worst pairs for symcheck audit --replay"
            lines += ["", f"replay: {self.replay or how}"]
        return "\n".join(lines)

    def outcomes(self, gate: str, place: Place | None = None) -> list[Outcome]:
        """One outcome for each finding, under the name of what judged it; a failed one where there is none."""
        if not self.report.findings:
            reason = "; ".join(self.report.notes) or "nothing was measured"
            return [Outcome(gate, Status.FAILED, self.check, self.who, expect=self.expect, reason=reason, place=place)]
        pairs = zip(self.report.findings, outcomes_of(self.report, self.replay), strict=True)
        return [
            replace(self._outcome(finding, made), gate=f"{gate}: {made.gate}", check=self.check, place=place)
            for finding, made in pairs
        ]

    def _outcome(self, finding: Finding, outcome: Outcome) -> Outcome:
        if self.expect == "exact":
            outcome = replace(outcome, expect="exact", rule="exact: nothing beyond rounding", limit=None)
        if self._fulfils(finding):
            return replace(outcome, status=Status.PASSED, replay="")
        status = Status.FAILED if outcome.status is Status.PASSED else outcome.status
        return replace(outcome, status=status, reason="; ".join(self._reasons(finding)))

    def _fulfils(self, finding: Finding) -> bool:
        return finding.verdict is Verdict.EXACT if self.expect == "exact" else finding.verdict.holds

    def _described(self, finding: Finding) -> Iterator[str]:
        label = numbers.label(finding)
        yield f"{finding.verdict}: {finding.claim}" + (f" ({label})" if label else "")
        demanded = "exact" if self.expect == "exact" else f"tolerance {numbers.stated(finding.tolerance)}"
        yield f"  error {numbers.error(finding)} of the spread, floor {numbers.floor(finding)}; demanded: {demanded}"
        if finding.worst is not None:
            yield f"  worst {numbers.worst(finding)}"
        yield from (f"  {reason}" for reason in self._reasons(finding))

    def _reasons(self, finding: Finding) -> Iterator[str]:
        if self.expect == "exact" and finding.verdict is Verdict.APPROXIMATE:
            yield "within the tolerance, but more than rounding"
        if words := numbers.remark(finding):
            yield words
