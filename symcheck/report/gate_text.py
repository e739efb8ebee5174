"""The record of gates for the terminal: a line for each outcome, what to know of each that did not pass, a summary."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from symcheck.report import wording
from symcheck.report.outcome import GateReport, Outcome, Status, worst_first
from symcheck.report.page import GAP, INDENT, Page, style_of

_LABEL = 11
_NARROW = 12  # a gate's name or label is not squeezed below this: the number goes to a line of its own


def render_gate_text(report: GateReport, console: Console, *, detailed: bool = False) -> None:
    """Print what the gates decided on `console`; `detailed` explains what passed as well."""
    page = Page(console)
    page.line(wording.heading(report), "bold")
    _table(page, report.outcomes)
    page.line()
    for outcome in worst_first(report.outcomes):
        if detailed or outcome.status is not Status.PASSED:
            _explain(page, outcome)
    for note in report.notes:
        page.labelled(page.text("-"), page.text(note), 1)
    if report.notes:
        page.line()
    page.line(wording.summary(report), style_of(report.status))


def _table(page: Page, outcomes: Sequence[Outcome]) -> None:
    """Status, gate, output, and the number against its limit."""
    rows = [(f"? {o.status}", o.gate, wording.label(o), wording.value(o), wording.limit(o)) for o in outcomes]
    head = ("", "gate", "output" if any(row[2] for row in rows) else "", "measured", "limit")
    sizes = [max((len(row[i]) for row in [head, *rows]), default=0) for i in range(len(head))]
    room = page.width - INDENT - GAP * (len(head) - 1) - sizes[0] - sizes[3] - sizes[4]
    beside = room >= 2 * _NARROW or sizes[1] + sizes[2] <= room
    if not beside:
        room = page.width - INDENT - GAP * 2 - sizes[0]
    sizes[2] = min(sizes[2], max(room // 2, room - sizes[1], 1))
    sizes[1] = max(min(sizes[1], room - sizes[2]), 1)
    if rows and beside:
        page.row(list(zip((page.text(word, "dim") for word in head), sizes, strict=True)), INDENT)
    for outcome, row in zip(outcomes, rows, strict=True):
        cells = [page.text(word) for word in row]
        cells[0] = page.mark(outcome.status)
        cells[4].stylize("dim")
        page.row(list(zip(cells, sizes, strict=True))[: None if beside else 3], INDENT)
        if not beside and (words := wording.against(outcome)):
            page.line(words, "dim", 2 * INDENT)


def _explain(page: Page, outcome: Outcome) -> None:
    page.labelled(page.mark(outcome.status, word=False), page.text(wording.headline(outcome), "bold"), 1)
    for label, words in wording.details(outcome):
        if label == "replay":
            page.whole(page.text(f"  {label:<{_LABEL - 2}} {words}"))
        else:
            page.labelled(page.text(f"  {label}", "dim"), page.text(words), _LABEL)
    page.line()
