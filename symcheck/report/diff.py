"""What changed between two reports: better, worse, new, gone or the same, decided on intervals and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from symcheck.errors import LoadError
from symcheck.report import wording
from symcheck.report.documents import judged
from symcheck.report.markdown import LIMIT, escaped, row, table
from symcheck.report.model import Report, Verdict, finite
from symcheck.report.outcome import GateReport, Outcome, Status

SCHEMA = "symcheck.diff/1"
_COLUMNS = ("change", "gate", "old", "new", "why")
Question = tuple[str, ...]


class Kind(StrEnum):
    """How one outcome changed, worst first."""

    WORSE = "worse"
    GONE = "gone"
    NEW = "new"
    BETTER = "better"
    SAME = "same"


@dataclass(frozen=True)
class Change:
    """One question with its old and its new answer; None where only one of the reports asks it."""

    kind: Kind
    why: str
    old: Outcome | None
    new: Outcome | None

    @property
    def gate(self) -> str:
        """What was asked."""
        found = self.new or self.old
        return "" if found is None else found.gate

    @property
    def answers(self) -> tuple[str, str]:
        """The old and the new answer: `exact 3.6e-07`, `broken 5.2 % [4.8, 5.6]`."""
        return _answer(self.old), _answer(self.new)


def diff(old: Report | GateReport, new: Report | GateReport) -> tuple[Change, ...]:
    """The changes, worst first; within one kind in the order of the new report.

    Worse: the status or verdict got worse, or neither got better and the new interval lies above the old one. Two exact
    findings are the same, since what is left is rounding. Raises `LoadError` where the reports share no question.
    """
    before, after = _questions(old), _questions(new)
    if before and after and not before.keys() & after.keys():
        raise LoadError(
            "the reports have no finding in common",
            where=f"{next(iter(before.values())).gate!r} and {next(iter(after.values())).gate!r}",
            hint="compare reports on the same claims and outputs",
        )
    changes = [_change(before.get(question), outcome) for question, outcome in after.items()]
    gone = [o for question, o in before.items() if question not in after]
    changes += [Change(Kind.GONE, "the new report does not have it", o, None) for o in gone]
    order = list(Kind)
    return tuple(sorted(changes, key=lambda change: order.index(change.kind)))


def tally(changes: Sequence[Change]) -> str:
    """`1 worse, 3 same`."""
    parts = [f"{n} {kind}" for kind in Kind if (n := sum(change.kind is kind for change in changes))]
    return ", ".join(parts) or "nothing to compare"


def render_diff_markdown(changes: Sequence[Change]) -> str:
    """A table of what is not the same, worst first, at most 64 KiB."""
    head = f"## symcheck: {tally(changes)}\n\n"
    rows = [_row(change) for change in changes if change.kind is not Kind.SAME]
    return head + table(_COLUMNS, rows, LIMIT - len(head.encode()))


def render_diff_json(changes: Sequence[Change]) -> str:
    """The changes as JSON, schema `symcheck.diff/1`, without NaN."""
    counter = [0]
    plain: dict[str, Any] = {"schema": SCHEMA, "tally": dict.fromkeys(Kind, 0)}
    for change in changes:
        plain["tally"][change.kind] += 1
    plain["changes"] = [finite(asdict(change), counter) for change in changes]
    return json.dumps({**plain, "nonfinite": counter[0]}, indent=2, allow_nan=False) + "\n"


def _questions(report: Report | GateReport) -> dict[Question, Outcome]:
    """Outcomes by what was asked; the subject's name counts only where there are several subjects."""
    outcomes = judged(report).outcomes
    several = len({o.subject for o in outcomes}) > 1
    found: dict[Question, Outcome] = {}
    for outcome in outcomes:
        question = _question(outcome, outcome.subject if several else "")
        count = 1
        while (*question, str(count)) in found:
            count += 1
        found[(*question, str(count))] = outcome
    return found


def _question(outcome: Outcome, subject: str) -> Question:
    o = outcome
    return (o.check, subject, o.gate, o.claim, o.output, o.part, o.metric, o.stat, o.expect)


def _change(old: Outcome | None, new: Outcome) -> Change:
    if old is None:
        return Change(Kind.NEW, "the old report does not have it", None, new)
    kind, why = _judge(old, new)
    return Change(kind, why, old, new)


def _judge(old: Outcome, new: Outcome) -> tuple[Kind, str]:
    """The status decides, then the verdict, then the intervals."""
    statuses, verdicts = list(map(str, Status)), list(map(str, Verdict))
    for order, before, after in ((statuses, old.status, new.status), (verdicts, old.verdict, new.verdict)):
        if before != after and before in order and after in order:
            worse = order.index(after) < order.index(before)
            return (Kind.WORSE if worse else Kind.BETTER), f"{before} before, {after} now"
    if old.verdict == new.verdict == Verdict.EXACT or new.expect != "holds":
        return Kind.SAME, ""
    if None not in (old.low, old.high, new.low, new.high):
        if _above(new.low, old.high):
            return Kind.WORSE, "the new interval lies above the old one"
        if _above(old.low, new.high):
            return Kind.BETTER, "the new interval lies below the old one"
    return Kind.SAME, ""


def _above(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low > high


def _answer(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    word = outcome.verdict or str(outcome.status)
    return word if outcome.value is None else f"{word} {wording.value(outcome)}"


def _row(change: Change) -> str:
    cells: Iterable[str] = (change.gate, *change.answers, change.why)
    return row((f"**{change.kind}**", *map(escaped, cells)))
