"""The record of gates as GitHub Markdown for job summaries and comments: worst first, at most 64 KiB."""

from __future__ import annotations

from collections.abc import Iterable

from symcheck.report import wording
from symcheck.report.documents import Document, judged
from symcheck.report.markdown import LIMIT, escaped, fitting, listed, more, render_markdown, row, table
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport, Outcome, Status, worst_first

_COLUMNS = ("status", "gate", "output", "measured", "limit", "worst element")
_MARKS = {
    Status.PASSED: "✅",
    Status.WAIVED: "➖",
    Status.INCONCLUSIVE: "❔",
    Status.FAILED: "❌",
    Status.UNMEASURED: "❗",
}
_ROOM_OF_ROWS = 0.6  # of what is left goes to the table of what did not pass, the rest to details


def render_summary(document: Document) -> str:
    """A report or the record of gates as Markdown; a document of another schema is refused."""
    return render_markdown(document) if isinstance(document, Report) else render_gate_markdown(judged(document))


def render_gate_markdown(report: GateReport, limit: int = LIMIT) -> str:
    """A heading, what did not pass with its details folded, and what passed folded; at most `limit` bytes."""
    status = f"{_MARKS[report.status]} {wording.tally(report.outcomes)}"
    head = f"## symcheck: {escaped(wording.heading(report))}\n\n**{status}**\n\n"
    tail = listed(report.notes) + f"\n{escaped(wording.summary(report))}\n"
    room = limit - len((head + tail).encode())
    open_ = [o for o in worst_first(report.outcomes) if o.status is not Status.PASSED]
    passed = [o for o in report.outcomes if o.status is Status.PASSED]
    failing = table(_COLUMNS, [_row(o) for o in open_], int(room * _ROOM_OF_ROWS))
    room -= len(failing.encode())
    blocks = [_block(o) for o in open_]
    kept = fitting(blocks, room // 2 if passed else room)
    explained = "\n" + "".join(blocks[:kept]) if kept else ""
    rest = _folded(f"{len(passed)} passed", passed, room - len(explained.encode()))
    return head + failing + explained + rest + tail


def _row(outcome: Outcome) -> str:
    cells = (outcome.gate, wording.label(outcome), wording.value(outcome), wording.limit(outcome), outcome.worst or "-")
    return row((f"{_MARKS[outcome.status]} **{outcome.status}**", *map(escaped, cells)))


def _block(outcome: Outcome) -> str:
    """Everything else about one outcome, folded."""
    name = escaped(wording.headline(outcome))
    lines = "".join(f"- **{label}**: {_words(label, words)}\n" for label, words in wording.details(outcome))
    return f"<details><summary>{_MARKS[outcome.status]} {name}</summary>\n\n{lines}\n</details>\n"


def _words(label: str, words: str) -> str:
    """Words as text; a command as code, where it is harmless as such."""
    return f"`{words}`" if label == "replay" and not set(words) & set("`\n\r") else escaped(words)


def _folded(title: str, outcomes: Iterable[Outcome], room: int) -> str:
    rows = [_row(outcome) for outcome in outcomes]
    frame = f"\n<details><summary>{title}</summary>\n\n", "\n</details>\n"
    room -= len("".join(frame).encode())
    if not rows or room < 1024:
        return more(len(rows)) if rows and room > 64 else ""
    return frame[0] + table(_COLUMNS, rows, room) + frame[1]
