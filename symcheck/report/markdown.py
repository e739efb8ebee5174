"""A report as GitHub Markdown for job summaries and comments: worst first, at most 64 KiB."""

from __future__ import annotations

import re

from symcheck.report import numbers
from symcheck.report.model import Finding, Report

LIMIT = 64 * 1024  # GitHub drops a whole job summary above its own limit, without a word
_CELL = 600  # characters of one cell or note; what comes from a model or a file has no limit of its own
_NOTES = 20
_SPECIAL = re.compile(r"([\\`*_\[\]|~#])")
_HEAD = "| verdict | claim | output | error / spread | floor | worst element | note |\n" + "|---" * 7 + "|\n"


def render_markdown(report: Report) -> str:
    """A heading, one table with the worst findings first, notes, and how it was measured."""
    name = _escaped(str(report.subject.get("name") or "unnamed subject"))
    head = f"## symcheck: {name}\n\n**{numbers.tally(report.findings)}**\n\n"
    facts = " · ".join(_escaped(piece) for piece in numbers.facts(report))
    effort = f"{numbers.count(report.forwards, 'forward')} in {numbers.duration(report.seconds)}"
    tail = _notes(report.notes) + f"\n{facts} · {effort}\n"
    rows = [_row(finding) for finding in numbers.worst_first(report.findings)]
    return head + _table(rows, LIMIT - len((head + tail).encode())) + tail


def _table(rows: list[str], room: int) -> str:
    """As many rows as fit into `room` bytes, and how many more there are."""
    if not rows:
        return ""
    room -= len(_HEAD) + len(_more(len(rows)))
    kept = 0
    for row in rows:
        room -= len(row.encode())
        if room < 0:
            break
        kept += 1
    return _HEAD + "".join(rows[:kept]) + (_more(len(rows) - kept) if kept < len(rows) else "")


def _more(count: int) -> str:
    return f"\nand {count} more\n"


def _row(finding: Finding) -> str:
    cells = (
        f"**{finding.verdict}**",
        _escaped(finding.claim),
        _escaped(numbers.label(finding)),
        _escaped(numbers.error(finding)),
        numbers.floor(finding),
        _escaped(numbers.worst(finding)),
        _escaped(numbers.remark(finding)),
    )
    return f"| {' | '.join(cells)} |\n"


def _notes(notes: tuple[str, ...]) -> str:
    more = _more(len(notes) - _NOTES) if len(notes) > _NOTES else ""
    return "".join(f"\n- {_escaped(note)}" for note in notes[:_NOTES]) + ("\n" if notes else "") + more


def _escaped(text: str) -> str:
    """Text that shows as itself: one line, no markup, no HTML, not endless."""
    words = " ".join(text.split()).encode(errors="backslashreplace").decode()
    words = words if len(words) <= _CELL else words[:_CELL] + "…"
    words = words.replace("&", "&amp;").replace("<", "&lt;")
    return _SPECIAL.sub(r"\\\1", words)
