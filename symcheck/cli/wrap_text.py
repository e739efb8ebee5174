"""What `symcheck wrap` made, for the terminal: errors before and after, accuracies, degenerate inputs, files."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from symcheck.cli.wrap_run import Found
from symcheck.frames.result import Accuracy
from symcheck.report import numbers
from symcheck.report.model import Finding, Report
from symcheck.report.page import Page

_HEAD = ("", "before", "", "after", "", "floor")
_SCORES = ("", "loss", "on moved data", "right", "on moved data")
_LABEL = 12


def show(found: Found, console: Console) -> None:
    """Print what was found."""
    page = Page(console)
    page.line(f"{found.claim}, by {found.by}", "bold")
    page.table(_HEAD, [_row(page, one, _like(one, found.before)) for one in found.after.findings])
    if found.poses is not None:
        rows = [f for f in found.poses.findings if f.claim == found.claim and not _usual(f, found.after)]
        if rows:
            page.line()
            page.line("On inputs where a frame may degenerate", "bold")
            page.table(("", "error / spread", ""), [_degenerate(page, one) for one in rows])
    if found.accuracy:
        page.line()
        page.line("Accuracy", "bold")
        page.table(_SCORES, [_score(row) for row in found.accuracy])
    page.line()
    for label, words in _lines(found):
        page.labelled(Text(label, "dim"), page.text(words), _LABEL)
    for path in found.written:
        page.whole(Text.assemble(("wrote ", "bold"), page.text(str(path))))


def _row(page: Page, after: Finding, before: Finding | None) -> list[str]:
    cells = ["-", "-"] if before is None else [numbers.error(before), page.mark(before.verdict).plain]
    return [numbers.label(after), *cells, numbers.error(after), page.mark(after.verdict).plain, numbers.floor(after)]


def _degenerate(page: Page, finding: Finding) -> list[str]:
    return [numbers.label(finding), numbers.error(finding), page.mark(finding.verdict).plain]


def _like(finding: Finding, report: Report) -> Finding | None:
    same = [f for f in report.findings if (f.output, f.part) == (finding.output, finding.part)]
    return same[0] if same else None


def _usual(finding: Finding, report: Report) -> bool:
    return _like(finding, report) is not None


def _score(row: Accuracy) -> list[str]:
    shares = ["-" if v is None else f"{100 * v:.1f} %" for v in (row.correct, row.correct_moved)]
    return [row.model, numbers.number(row.loss, 3), numbers.number(row.loss_moved, 3), *shares]


def _lines(found: Found) -> Iterator[tuple[str, str]]:
    for finding in numbers.worst_first(found.after.findings):
        if not finding.verdict.holds and (words := numbers.remark(finding)):
            yield "after", f"{numbers.label(finding)}: {words}"
    if found.poses is not None:
        for note in found.poses.figures.notes():
            yield "note", note
    if found.exported:
        yield "note", f"no program (.pt2) was written: {found.exported}"
    yield "cost", f"{numbers.count(found.forwards, 'forward')} of the network for each sample"
