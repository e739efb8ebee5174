"""A report as GitHub Markdown for job summaries and comments: worst first, at most 64 KiB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from symcheck.report import numbers
from symcheck.report.model import Finding, Report

LIMIT = 64 * 1024  # GitHub drops a whole job summary above its own limit, without a word
_CELL = 600  # characters of one cell or note; what comes from a model or a file has no limit of its own
_NOTES = 20
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_COLUMNS = ("verdict", "claim", "output", "error / spread", "floor", "worst element", "note")


def render_markdown(report: Report) -> str:
    """A heading, one table with the worst findings first, notes, and how it was measured."""
    name = escaped(str(report.subject.get("name") or "unnamed subject"))
    head = f"## symcheck: {name}\n\n**{numbers.tally(report.findings)}**\n\n"
    facts = " · ".join(escaped(piece) for piece in numbers.facts(report))
    effort = f"{numbers.count(report.forwards, 'forward')} in {numbers.duration(report.seconds)}"
    tail = listed(report.notes) + f"\n{facts} · {effort}\n"
    rows = [_row(finding) for finding in numbers.worst_first(report.findings)]
    return head + table(_COLUMNS, rows, LIMIT - len((head + tail).encode())) + tail


def table(columns: Sequence[str], rows: Sequence[str], room: int) -> str:
    """As many rows as fit into `room` bytes, and how many more there are."""
    if not rows:
        return ""
    head = row(columns) + "|---" * len(columns) + "|\n"
    kept = fitting(rows, room - len(head.encode()) - len(more(len(rows))))
    return head + "".join(rows[:kept]) + (more(len(rows) - kept) if kept < len(rows) else "")


def fitting(pieces: Sequence[str], room: int) -> int:
    """How many of the first pieces fit into `room` bytes."""
    for kept, piece in enumerate(pieces):
        room -= len(piece.encode())
        if room < 0:
            return kept
    return len(pieces)


def row(cells: Iterable[str]) -> str:
    """A row of a table from cells that are escaped already."""
    return f"| {' | '.join(cells)} |\n"


def more(count: int) -> str:
    """How many are not shown."""
    return f"\nand {count} more\n"


def listed(notes: Sequence[str], room: int = LIMIT // 4) -> str:
    """The first notes as a list, as many as fit into `room` bytes, and how many more there are."""
    lines = [f"\n- {escaped(note)}" for note in notes[:_NOTES]]
    kept = fitting(lines, room)
    return "".join(lines[:kept]) + ("\n" if kept else "") + (more(len(notes) - kept) if kept < len(notes) else "")


def escaped(text: str) -> str:
    """Text that shows as itself: one line, no markup, no HTML, nobody mentioned, not endless."""
    words = text.encode(errors="backslashreplace").decode()
    words = " ".join("".join(c if c.isprintable() else " " for c in words).split())
    words = words if len(words) <= _CELL else words[:_CELL] + "…"
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", words).replace("@", "@&#8203;")


def _row(finding: Finding) -> str:
    return row(
        (
            f"**{finding.verdict}**",
            escaped(finding.claim),
            escaped(numbers.label(finding)),
            escaped(numbers.error(finding)),
            numbers.floor(finding),
            escaped(numbers.worst(finding)),
            escaped(numbers.remark(finding)),
        )
    )
