"""Where a symmetry breaks, for the terminal: bars for modules, a table of operations, the most likely cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from symcheck.cli.group_text import show_group
from symcheck.cli.locate_parts_text import cancelling, show_certificates, show_lie
from symcheck.cli.numerics_text import show_aliasing, show_numerics
from symcheck.locate.result import Attribution, Located, Operation
from symcheck.report import numbers
from symcheck.report.page import INDENT, Page

_BAR, _ROWS, _LABEL, _OUTPUTS = 24, 8, 12, 3
_HOW = {"assumed": "assumed", "near": "nearest", "unknown": "unknown", "declared": "declared", "fitted": "fitted"}


def show(found: Located, console: Console, *, details: bool = False, written: Sequence[Path] = ()) -> None:
    """Print what was found."""
    page = Page(console)
    page.line(str(found.subject.get("name") or "subject"), "bold")
    page.line(found.claim, "", INDENT)
    for finding in found.findings:
        words = page.mark(finding.verdict)
        what = f"  {finding.output}{f' ({finding.part})' if finding.part else ''}  {numbers.error(finding)}"
        page.row([(Text.assemble(words, page.text(what)), page.width - INDENT)], INDENT)
    if found.attribution is not None:
        _attribution(page, found.attribution, details)
    if found.group is not None:
        page.line()
        show_group(page, found.group, details)
    if found.certificates is not None:
        show_certificates(page, found.certificates, details)
    if found.lie is not None:
        show_lie(page, found.lie)
    if found.aliasing is not None:
        page.line()
        show_aliasing(found.aliasing, console)
    if found.numerics is not None:
        page.line()
        show_numerics(found.numerics, console)
    for note in (*found.notes, *(found.attribution.notes if found.attribution else ())):
        page.line()
        page.labelled(Text("note", "dim"), page.text(note), _LABEL)
    page.line()
    page.line(" · ".join(_facts(found)), "dim")
    for path in written:
        page.whole(Text.assemble(("wrote ", "bold"), page.text(str(path))))


def _attribution(page: Page, found: Attribution, details: bool) -> None:
    """Bars for modules, then operations, then the cause."""
    page.line()
    if not found.operations:
        page.line("Layer by layer, nothing but rounding.", "bold")
    else:
        page.line("Where the error is made: signed shares, which sum to 100 %", "bold")
        outputs = [*found.modules[0].share]
        for output in outputs:
            if len(outputs) > 1:
                page.line(f"{output}, error {numbers.ratio(found.error[output])} of the spread", "", INDENT)
            _bars(page, found, output)
        page.line()
        _operations(page, found.operations)
        page.line()
        page.labelled(Text("cause", "bold"), page.text(found.sentence or "unknown"), _LABEL)
    if details:
        _layers(page, found)
    known = len(found.layers) - found.unknown
    page.line(
        f"{known} of {len(found.layers)} operations have a known action · closes to "
        f"{numbers.number(found.closure, 1)} · {found.pairs} pairs, {found.runs} passes", "dim",
    )  # fmt: skip
    page.line("what shares, redraws and hidden actions are: symcheck explain attribution", "dim")


def _bars(page: Page, found: Attribution, output: str) -> None:
    shown = found.modules[:_ROWS]
    width = min(max(len(_named(row.path, row.kind)) for row in shown), max(page.width - _BAR - 30, 12))
    largest = max(abs(row.share[output]) for row in shown) or 1.0
    full = "█" if page.unicode else "#"
    for row in shown:
        share = row.share[output]
        bar = full * round(_BAR * abs(share) / largest)
        again = f"first in {100 * row.again:.0f} % of redraws" if row is shown[0] else ""
        cells = [
            (page.text(_named(row.path, row.kind)), width),
            (page.text(bar, "red" if share > 0 else "cyan"), _BAR),
            (page.text(f"{round(100 * share, 1) + 0.0:6.1f} %"), 9),
            (page.text(again, "dim"), 28),
        ]
        page.row(cells, INDENT)
    if len(found.modules) > _ROWS:
        rest = sum(row.share[output] for row in found.modules[_ROWS:])
        page.line(f"{len(found.modules) - _ROWS} more: {100 * rest:.1f} %", "dim", INDENT)


def _operations(page: Page, operations: Sequence[Operation]) -> None:
    outputs = [*operations[0].share]
    each = len(outputs) <= _OUTPUTS
    last = ["at the output", "share"] if len(outputs) == 1 else [f"of {n}" for n in outputs] if each else ["mean share"]
    head = ("operation", "at", "hidden action", "own defect", *last)
    rows = []
    for row in operations[:_ROWS]:
        shares = [*row.share.values()] if each else [_mean(row.share)]
        many = f" … {row.group[-1].rpartition(': ')[2]}" if len(row.group) > 1 else ""
        rows.append(
            [
                f"{row.path or row.kind}: {row.function}{many}" if row.function != "outputs" else "at the outputs",
                row.line,
                " ".join(filter(None, (row.action, f"({_HOW[row.how]})" if row.how in _HOW else ""))),
                "" if row.local is None else numbers.ratio(row.local),
                *([numbers.ratio(one) for one in row.size.values()] if len(outputs) == 1 else []),
                *(f"{round(100 * share, 1) + 0.0:.1f} %" for share in shares),
            ]
        )
    page.table(head, rows)
    for name in outputs:
        if (words := cancelling([row.share[name] for row in operations])):
            page.line(f"{name}: {words}" if len(outputs) > 1 else words, "dim", INDENT)
    grouped = [row for row in operations[:_ROWS] if row.group]
    if grouped:
        page.line(
            "unknown: nobody knows how the group acts in between, so that the error may come from any operation of the "
            "group; declare it with --hidden PATH=ACTION", "dim", INDENT,
        )  # fmt: skip


def _layers(page: Page, found: Attribution) -> None:
    page.line()
    rows = [
        [f"{row.path or '.'}: {row.function}", row.line, f"{row.action or '?'} ({row.how})",
         "" if row.local is None else numbers.number(row.local)]
        for row in found.layers
    ]  # fmt: skip
    page.table(("operation", "at", "hidden action", "own defect"), rows)


def _named(path: str, kind: str) -> str:
    return f"{path} ({kind})" if path and kind else path or kind or "at the outputs"


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def _facts(found: Located) -> list[str]:
    settings = found.settings
    pieces = [numbers.count(settings["samples"], "sample"), numbers.count(found.forwards, "forward")]
    pieces += [f"{found.environment['dtype']} on {found.environment['device']}", numbers.duration(found.seconds)]
    return pieces
