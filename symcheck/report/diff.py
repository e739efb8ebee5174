"""What changed between two reports: better, worse, new, gone or the same, decided on intervals and verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
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
_STATUSES: Mapping[str, int] = {
    Status.UNMEASURED: 0, Status.FAILED: 1, Status.WAIVED: 1, Status.INCONCLUSIVE: 2, Status.PASSED: 3,
}  # fmt: skip
_VERDICTS: Mapping[str, int] = {
    Verdict.INVALID: -1, Verdict.TRIVIAL: 0, Verdict.BROKEN: 1, Verdict.INCONCLUSIVE: 2, Verdict.APPROXIMATE: 3,
    Verdict.EXACT: 4,
}  # fmt: skip
_BY_LIMIT = (  # what a limit tells apart
    Status.FAILED, Status.WAIVED, Status.INCONCLUSIVE, Status.PASSED,
    Verdict.BROKEN, Verdict.INCONCLUSIVE, Verdict.APPROXIMATE,
)  # fmt: skip
_HOLDING = ("holds", "exact")  # an error that should be small
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
    def title(self) -> str:
        """What was asked: the gate with its output and part."""
        found = self.new or self.old
        return "" if found is None else wording.title(found)

    @property
    def answers(self) -> tuple[str, str]:
        """The old and the new answer: `exact 3.6e-07`, `broken 5.2 % [4.8, 5.6]`."""
        return _answer(self.old), _answer(self.new)


def diff(old: Report | GateReport, new: Report | GateReport) -> tuple[Change, ...]:
    """The changes, worst first; within one kind in the order of the new report.

    Worse: the status or verdict got worse, or neither got better and the new interval lies above the old one. A status
    or verdict that only another limit, baseline or waiver explains says nothing: then the intervals decide. Two exact
    findings are the same, since what is left is rounding. Raises `LoadError` where the reports share no question.
    """
    before, after = _outcomes(old), _outcomes(new)
    pairs = _paired(before, after)
    if not pairs:
        found = [f"{outcomes[0].gate!r}" if outcomes else "nothing" for outcomes in (before, after)]
        raise LoadError(
            "the reports have no finding in common",
            where=" and ".join(found),
            hint="compare reports on the same claims and outputs",
        )
    changes = [_change(before[pairs[i]] if i in pairs else None, outcome) for i, outcome in enumerate(after)]
    gone = [outcome for i, outcome in enumerate(before) if i not in pairs.values()]
    changes += [Change(Kind.GONE, "the new report does not have it", o, None) for o in gone]
    order = list(Kind)
    return tuple(sorted(changes, key=lambda change: order.index(change.kind)))


def lost(changes: Iterable[Change]) -> bool:
    """Whether anything got worse, or is not checked any more."""
    return any(change.kind in (Kind.WORSE, Kind.GONE) for change in changes)


def tally(changes: Sequence[Change]) -> str:
    """`1 worse, 3 same`."""
    parts = [f"{n} {kind}" for kind in Kind if (n := sum(change.kind is kind for change in changes))]
    return ", ".join(parts) or "nothing to compare"


def render_diff_markdown(changes: Sequence[Change]) -> str:
    """A table of what is not the same, worst first, at most 64 KiB."""
    head = f"## symcheck: {tally(changes)}\n\n"
    rows = [_row(change) for change in changes if change.kind is not Kind.SAME or change.why]
    return head + table(_COLUMNS, rows, LIMIT - len(head.encode()))


def render_diff_json(changes: Sequence[Change]) -> str:
    """The changes as JSON, schema `symcheck.diff/1`, without NaN."""
    counter = [0]
    plain: dict[str, Any] = {"schema": SCHEMA, "tally": dict.fromkeys(Kind, 0)}
    for change in changes:
        plain["tally"][change.kind] += 1
    plain["changes"] = [finite(asdict(change), counter) for change in changes]
    return json.dumps({**plain, "nonfinite": counter[0]}, indent=2, allow_nan=False) + "\n"


def _outcomes(report: Report | GateReport) -> tuple[Outcome, ...]:
    """What was judged; of an audit by its verdicts, whether or not its claims were proposed."""
    return judged(replace(report, proposed=False) if isinstance(report, Report) else report).outcomes


def _paired(before: Sequence[Outcome], after: Sequence[Outcome]) -> dict[int, int]:
    """Which old outcome answers the question of each new one, by their places.

    The same question under the same name first; then what was renamed: a gate, or a subject that one side alone has.
    """
    pairs: dict[int, int] = {}
    both = {o.subject for o in before} & {o.subject for o in after}
    for key in (_question, _without_gate, lambda o: None if o.subject in both else _question(replace(o, subject=""))):
        free: dict[Question, list[int]] = {}
        for i, outcome in enumerate(before):
            if i not in pairs.values() and (question := key(outcome)) is not None:
                free.setdefault(question, []).append(i)
        for i, outcome in enumerate(after):
            question = key(outcome)
            if i not in pairs and question is not None and free.get(question):
                pairs[i] = free[question].pop(0)
    return pairs


def _question(outcome: Outcome) -> Question:
    o = outcome
    return (o.check, o.subject, o.gate, o.claim, o.output, o.part, o.metric, o.stat, o.expect)


def _without_gate(outcome: Outcome) -> Question | None:
    """The question of a claim, whatever its gate is called; other checks are known by their gate alone."""
    return _question(replace(outcome, gate="")) if outcome.check == "claim" and outcome.claim else None


def _change(old: Outcome | None, new: Outcome) -> Change:
    if old is None:
        return Change(Kind.NEW, "the old report does not have it", None, new)
    kind, why = _judge(old, new)
    return Change(kind, why, old, new)


def _judge(old: Outcome, new: Outcome) -> tuple[Kind, str]:
    """The status decides, then the verdict, then the intervals."""
    moved = (old.rule, old.limit, old.baseline) != (new.rule, new.limit, new.baseline)
    for ranks, before, after in ((_STATUSES, old.status, new.status), (_VERDICTS, old.verdict, new.verdict)):
        one, two = _rank(ranks, before, moved), _rank(ranks, after, moved)
        if one is not None and two is not None and one != two:
            return (Kind.WORSE if two < one else Kind.BETTER), f"{before} before, {after} now"
    why = _explained(old, new, moved)
    if old.verdict == new.verdict == Verdict.EXACT or new.expect not in _HOLDING:
        return Kind.SAME, why
    if None not in (old.low, old.high, new.low, new.high):
        if _above(new.low, old.high):
            return Kind.WORSE, "; ".join(filter(None, ("the new interval lies above the old one", why)))
        if _above(old.low, new.high):
            return Kind.BETTER, "; ".join(filter(None, ("the new interval lies below the old one", why)))
    return Kind.SAME, why


def _rank(ranks: Mapping[str, int], word: str, moved: bool) -> int | None:
    """How good an answer is; all that a limit tells apart are alike where the limit has moved."""
    return 1 if moved and word in _BY_LIMIT else ranks.get(word)


def _explained(old: Outcome, new: Outcome, moved: bool) -> str:
    """What else changed where the answer is another one without being better or worse."""
    if (old.status, old.verdict) == (new.status, new.verdict):
        return ""
    words = f"{old.rule or 'no rule'} before, {new.rule or 'no rule'} now" if moved and old.rule != new.rule else ""
    return words or f"{old.status} before, {new.status} now, by a baseline or waiver"


def _above(low: float | None, high: float | None) -> bool:
    return low is not None and high is not None and low > high


def _answer(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    word = outcome.verdict or str(outcome.status)
    return word if outcome.value is None else f"{word} {wording.value(outcome)}"


def _row(change: Change) -> str:
    cells: Iterable[str] = (change.title, *change.answers, change.why)
    return row((f"**{change.kind}**", *map(escaped, cells)))
