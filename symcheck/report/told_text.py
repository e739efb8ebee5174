"""What another command wrote, for the terminal: the sections of its page as tables, bars of blocks and words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.documents import (
    document_sections,
    document_summary,
    document_title,
    document_words,
    findings_in,
)
from symcheck.report.html.view import Bars, Easel, Facts, Figure, Section, Table
from symcheck.report.page import GAP, INDENT, Page, packed

_ROWS, _BAR, _LABEL = 12, 24, 24
_NARROW = 16  # a column of fewer letters stays in its table
_COMPLETE = 400  # rows of a table with all details


def render_told(page: Page, document: Mapping[str, Any], *, detailed: bool = False) -> None:
    """Print a document whose page has sections of its own; `detailed`: folded sections, and tables in full."""
    sections, report = document_sections(document, Easel(words=True)), findings_in(document)
    page.line(document_title(document), "bold")
    about = filter(None, (*document_summary(document), document_words(document)))
    for line in packed(about, " · ", page.width - INDENT):
        page.line(line, "dim", INDENT)
    for claim in dict.fromkeys(finding.claim for finding in report.findings) if report is not None else ():
        page.line(claim, "", INDENT)
    for finding in numbers.worst_first(report.findings) if report is not None else ():
        mark, what = page.mark(finding.verdict), f"{numbers.label(finding)}  {numbers.error(finding)}"
        page.row([(mark, mark.cell_len), (page.text(what), max(page.width - mark.cell_len - 2 * INDENT, 1))], INDENT)
    for section in sections:
        if detailed or not section.folded:
            _section(page, section, detailed)


def _section(page: Page, section: Section, detailed: bool) -> None:
    page.line()
    page.line(section.title, "bold")
    for block in section.blocks:
        if isinstance(block, Bars):
            _bars(page, block)
        elif isinstance(block, Table):
            _table(page, block, detailed)
        elif isinstance(block, Facts):
            _facts(page, block)
        elif isinstance(block, Figure):
            page.line(block.title, "dim", INDENT)
        elif block.kind == "command":
            page.whole(page.text(" " * INDENT + block.text))
        else:
            page.line(block.text, "", INDENT)


def _facts(page: Page, facts: Facts) -> None:
    if facts.title:
        page.line(facts.title, "", INDENT)
    for name, words in facts.pairs:
        label = min(_LABEL, page.width // 3)
        page.row([(page.text(name, "dim"), label), (page.text(words), max(page.width - label - 2 * INDENT, 1))], INDENT)


def _bars(page: Page, bars: Bars) -> None:
    """One row a bar; what takes away has another sign and colour."""
    page.line(bars.title, "", INDENT)
    names = [page.text(name) for name, _, _ in bars.rows]
    width = min(max(name.cell_len for name in names), max(page.width - _BAR - 16, 12))
    largest = max((abs(value) for _, value, _ in bars.rows if math.isfinite(value)), default=0.0) or 1.0
    for name, (_, value, words) in zip(names, bars.rows, strict=True):
        length = round(_BAR * abs(value) / largest) if math.isfinite(value) else 0
        bar = page.text(("█" if page.unicode else "#") * length, "red" if value > 0 else "cyan")
        page.row([(name, width), (bar, _BAR), (page.text(words.rjust(8)), 10)], INDENT)


def _table(page: Page, table: Table, detailed: bool) -> None:
    """The first rows; a column that is empty goes, and what has no room beside the others stands below."""
    rows = table.rows[: _COMPLETE if detailed else _ROWS]
    kept = [i for i in range(len(table.head)) if i == 0 or any(row[i] for row in rows)]
    sizes = {i: max(page.text(row[i]).cell_len for row in (table.head, *rows)) for i in kept}
    below: list[int] = []
    while len(kept) > 2 and sum(sizes[i] + GAP for i in kept) > page.width:
        widest = max(kept[1:], key=lambda i: sizes[i])
        if sizes[widest] < _NARROW:
            break
        kept.remove(widest)
        below.append(widest)
    if table.title:
        page.line(table.title, "", INDENT)
    page.table([table.head[i] for i in kept], [[row[i] for i in kept] for row in rows])
    for line in dict.fromkeys(f"{row[0]}: {row[i]}" for row in rows for i in sorted(below) if row[i]):
        page.line(line, "dim", INDENT)
    if len(rows) < len(table.rows):
        page.line(f"and {len(table.rows) - len(rows)} more: --details", "dim", INDENT)
