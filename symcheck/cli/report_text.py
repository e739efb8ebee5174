"""What `symcheck report diff` prints in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from symcheck.report.diff import Change, Kind, tally
from symcheck.report.page import Page

_STYLES = {Kind.WORSE: "bold red", Kind.GONE: "yellow", Kind.NEW: "cyan", Kind.BETTER: "green", Kind.SAME: "dim"}
_WORD, _ANSWER = 7, 5


def show_changes(changes: Sequence[Change], console: Console) -> None:
    """Print every change with its old and new answer, worst first, and how many there are of each kind."""
    page = Page(console)
    for change in changes:
        page.labelled(page.text(str(change.kind), _STYLES[change.kind]), page.text(change.title, "bold"), _WORD)
        if change.kind is Kind.SAME and not change.why:
            continue
        for label, words in (("old", change.answers[0]), ("new", change.answers[1]), ("why", change.why)):
            if words not in ("", "-"):
                cells = [(page.text(label, "dim"), _ANSWER), (page.text(words), page.width - _WORD - _ANSWER - 1)]
                page.row(cells, _WORD + 1, gap=0)
    if changes:
        page.line()
    worst = changes[0].kind if changes else Kind.SAME
    page.line(tally(changes), _STYLES[worst] if worst is not Kind.SAME else "")
