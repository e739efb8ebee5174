"""The report as GitHub Markdown: worst first, at most 64 KiB."""

from __future__ import annotations

from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.numbers import compact, interval

LIMIT = 64 * 1024
_HEAD = "| verdict | claim | output | error [95 %] | floor | worst | note |\n|---|---|---|---|---|---|---|\n"


def render_markdown(report: Report) -> str:
    """A heading, one table with the worst findings first, and how it was measured."""
    subject, settings, environment = report.subject, report.settings, report.environment
    title = f"## symcheck: {_cell(str(subject.get('name', 'model')))}: {report.worst}\n\n"
    tail = (
        f"\n{settings.get('samples', '?')} samples × {settings.get('elements', '?')} elements, "
        f"seed {settings.get('seed', '?')}, {environment.get('dtype', '?')} on {environment.get('device', '?')}, "
        f"{report.forwards} forwards in {report.seconds:.1f} s.\n"
    )
    tail += "".join(f"\n> {_cell(note)}\n" for note in report.notes)
    order = list(Verdict)
    rows = [_row(f) for f in sorted(report.findings, key=lambda f: order.index(f.verdict))]
    room = LIMIT - len((title + _HEAD + tail).encode()) - 64
    kept: list[str] = []
    for row in rows:
        room -= len(row.encode())
        if room < 0:
            break
        kept.append(row)
    more = f"\nand {len(rows) - len(kept)} more\n" if len(kept) < len(rows) else ""
    return title + _HEAD + "".join(kept) + more + tail


def _row(f: Finding) -> str:
    output = f"{f.output}, {f.part}" if f.part else f.output
    worst = f"{compact(f.worst.value)}: {f.worst.element}" if f.worst else "-"
    note = " → ".join(filter(None, (f.note, f.advice)))
    error = interval(f.error.spread if f.error else None)
    cells = (f"**{f.verdict}**", f"`{f.claim}`", output, error, compact(f.floor.rounding), worst, note)
    return "| " + " | ".join(map(_cell, cells)) + " |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
