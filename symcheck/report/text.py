"""A report for the terminal: a header, one table, what to do next, one summary line."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from symcheck.report import numbers
from symcheck.report.documents import TOLD, Document
from symcheck.report.model import Finding, Report, Verdict
from symcheck.report.outcome import GateReport
from symcheck.report.page import GAP, INDENT, Page, packed, style_of

_WORST_COLUMN = 32  # with less room than this the worst element gets a line of its own
_MANY = 8  # values of plain data side by side
_NAMED = 4  # claims, and outputs of a claim, with the same note are listed by name up to here


def render_text(report: Report, console: Console, *, detailed: bool = False) -> None:
    """Print the report on `console`; `detailed` adds every scale, quantile and floor of every finding."""
    page = Page(console)
    _header(page, report, detailed)
    if report.proposed:
        _proposed(page, report.findings)
    _table(page, report.findings)
    if detailed:
        for finding in report.findings:
            _details(page, finding)
    _next_steps(page, report)
    _summary(page, report)


def render_document(document: Document, console: Console, *, detailed: bool = False) -> None:
    """Print any document: a report, the record of gates, or plain data of another schema."""
    if isinstance(document, Report):
        render_text(document, console, detailed=detailed)
    elif isinstance(document, GateReport):
        from symcheck.report.gate_text import render_gate_text

        render_gate_text(document, console, detailed=detailed)
    elif document.get("schema") in TOLD:
        from symcheck.report.told_text import render_told

        render_told(Page(console), document, detailed=detailed)
    else:
        _plain(Page(console), document)


def text_of(document: Document, width: int = 100) -> str:
    """A document as plain text, `width` columns wide."""
    file = io.StringIO()
    render_document(document, Console(file=file, width=width, color_system=None, force_terminal=False), detailed=True)
    return file.getvalue()


def _plain(page: Page, document: Mapping[str, Any]) -> None:
    """A line for every value, under its path; many numbers by their range."""
    page.line(str(document["schema"]), "bold")
    leaves = list(_leaves({key: value for key, value in document.items() if key != "schema"}))
    width = min(max((len(path) for path, _ in leaves), default=0) + INDENT, page.width * 3 // 5)
    for path, words in leaves:
        page.labelled(page.text(f"  {path}", "dim"), page.text(words), width)


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """The values of nested plain data with their paths: `variants.naive.loss`."""
    items = list(value.items() if isinstance(value, Mapping) else enumerate(value, 1))
    flat = not any(isinstance(item, Mapping | list) for _, item in items)
    if path and items and (flat if isinstance(value, list) else len(items) > 4 * _MANY):
        yield path, _several([item for _, item in items])
        return
    if isinstance(value, list) and len(items) > _MANY:
        yield path, f"{len(items)} entries"
        return
    for name, item in items:
        inner = f"{path}.{name}" if path else str(name)
        if isinstance(item, Mapping | list):
            yield from _leaves(item, inner)
        elif item not in (None, ""):
            yield inner, numbers.number(item, 4) if isinstance(item, float) else str(item)


def _several(values: Sequence[Any]) -> str:
    """Values side by side; where there are many, their number and range."""
    if len(values) <= _MANY:
        return ", ".join(numbers.number(v, 3) if isinstance(v, float) else str(v) for v in values)
    found = [v for v in values if isinstance(v, int | float)]
    if len(found) < len(values):
        return f"{len(values)} entries"
    return f"{len(found)} numbers from {numbers.number(float(min(found)), 3)} to {numbers.number(float(max(found)), 3)}"


def _header(page: Page, report: Report, detailed: bool) -> None:
    page.line(str(report.subject.get("name") or "unnamed subject"), "bold")
    for line in packed(numbers.facts(report), " · ", page.width - INDENT):
        page.line(line, "dim", INDENT)
    if detailed:
        rows = [("path", report.subject), ("sha256", report.subject), ("model", report.subject)]
        for key, data in [*rows, *((key, report.environment) for key in report.environment)]:
            if str(data.get(key) or ""):
                page.line(f"{key} {data[key]}", "dim", INDENT)
    page.line()


def _proposed(page: Page, findings: Sequence[Finding]) -> None:
    """Which of the proposed symmetries this checkpoint has, and which it has not."""
    claims: dict[str, list[Verdict]] = {}
    for finding in findings:
        claims.setdefault(finding.claim, []).append(finding.verdict)
    has = [c for c, verdicts in claims.items() if all(v.holds for v in verdicts)]
    broken = [c for c, verdicts in claims.items() if Verdict.BROKEN in verdicts]
    undecided = [c for c in claims if c not in has and c not in broken]
    page.line("The symmetries of this checkpoint (no claim was stated: these were proposed from its inputs)", "bold")
    for word, style, names in (("has", "green", has), ("has not", "red", broken), ("undecided", "yellow", undecided)):
        for i, name in enumerate(names):
            page.labelled(Text(f"  {word}" if i == 0 else "", style), page.text(name), 12)
    page.line()


def _table(page: Page, findings: Sequence[Finding]) -> None:
    """One row a finding under the claim it belongs to."""
    if not findings:
        return
    head = ["", "verdict", "error / spread", "floor", "worst element"]
    rows = [_words(finding) for finding in findings]
    head[4] = head[4] if any(row[4] for row in rows) else ""
    widths = _widths(page.width, head, rows)
    beside = len(widths) == len(head)
    page.row(list(zip((page.text(word, "dim") for word in head), widths, strict=False)), INDENT)
    claim = None
    for finding, row in zip(findings, rows, strict=True):
        if finding.claim != claim:
            claim = finding.claim
            page.line(claim, "bold")
        cells = [page.text(words) for words in row]
        cells[1] = page.mark(finding.verdict)
        cells[4].stylize("dim")
        page.row(list(zip(cells, widths, strict=False)), INDENT)
        if not beside and _shows_worst(finding):
            page.line(f"worst {row[4]}", "dim", 2 * INDENT)
    page.line()


def _words(finding: Finding) -> list[str]:
    mark = f"? {finding.verdict}"
    worst = numbers.worst(finding) if _shows_worst(finding) else ""
    return [numbers.label(finding), mark, numbers.error(finding), numbers.floor(finding), worst]


def _shows_worst(finding: Finding) -> bool:
    """Among exact findings the worst element is mere rounding, unless it was searched for."""
    return finding.worst is not None and (finding.verdict is not Verdict.EXACT or finding.worst.searched is not None)


def _widths(width: int, head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Column widths; the worst element has a column only where there is room for it."""
    full = [max(len(row[i]) for row in [head, *rows]) for i in range(4)]
    room = width - INDENT - sum(full) - 4 * GAP
    if room >= _WORST_COLUMN:
        return [*full, room]
    # labels and intervals wrap before a verdict or a floor would
    spare = width - INDENT - full[1] - full[3] - 3 * GAP
    interval = min(full[2], max(spare // 2, spare - full[0]))
    return [max(min(full[0], spare - interval), 1), full[1], max(interval, 1), full[3]]


def _next_steps(page: Page, report: Report) -> None:
    """For every failing or noteworthy finding what to do next; equal advice is said once."""
    groups: dict[tuple[Verdict, str], list[Finding]] = {}
    for finding in numbers.worst_first(report.findings):
        if words := numbers.remark(finding):
            groups.setdefault((finding.verdict, words), []).append(finding)
    for (verdict, words), findings in groups.items():
        where = page.text(_where(findings), "bold")
        page.labelled(page.mark(verdict, word=False), Text.assemble(where, ": ", page.text(words)), 1)
    for note in report.notes:
        page.labelled(Text("-"), page.text(note), 1)
    if groups or report.notes:
        page.line()


def _where(findings: Iterable[Finding]) -> str:
    """The findings by claim: `C4: image -> invariant (logits; energy)`, at most a few of each."""
    claims: dict[str, list[str]] = {}
    for finding in findings:
        claims.setdefault(finding.claim, []).append(numbers.label(finding))
    return _few([f"{claim} ({_few(labels)})" for claim, labels in claims.items()])


def _few(words: Sequence[str]) -> str:
    more = f" and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return "; ".join(words[:_NAMED]) + more


def _summary(page: Page, report: Report) -> None:
    done = f"{numbers.tally(report.findings)} in {numbers.duration(report.seconds)}"
    style = "bold" if not report.findings else style_of(report.worst)
    lines = [f"{done}, {numbers.count(report.forwards, 'forward')}"]
    failing = (f for f in numbers.worst_first(report.findings) if not f.verdict.holds)
    if replay := numbers.replay(failing, report.subject):
        lines.append(f"replay the worst: {replay}")
    for line in packed(lines, "; ", page.width):
        page.whole(page.text(line, style))


def _details(page: Page, finding: Finding) -> None:
    """Everything one finding holds."""
    mark = page.mark(finding.verdict)
    page.labelled(mark, page.text(f"{finding.claim} ({numbers.label(finding)})", "bold"), mark.cell_len)
    _lines(page, numbers.details(finding))
    if finding.error is not None:
        head = ["error", "mean", "95 % interval", "median", "95 %", "99 %", "max"]
        scales = (finding.error.absolute, finding.error.relative, finding.error.spread)
        names = ("absolute", "/ size", "/ spread")
        rows = [head, *([name, *numbers.scale_row(scale)] for name, scale in zip(names, scales, strict=True))]
        widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
        for row in rows:
            cells = (cell.ljust(size) for cell, size in zip(row, widths, strict=True))
            page.line("  ".join(cells).rstrip(), "dim" if row is head else "", INDENT)
    page.line()


def _lines(page: Page, pairs: Iterable[tuple[str, str]]) -> None:
    for name, words in pairs:
        page.labelled(Text(f"  {name}", "dim"), page.text(words), 18)
