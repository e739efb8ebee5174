"""The report for the terminal: one block per claim, one row per part and output, and what to do next."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from symcheck.report.model import Error, Finding, Report, Verdict
from symcheck.report.numbers import compact, interval, plain

_STYLE = {
    Verdict.EXACT: ("✓", "=", "green"),
    Verdict.APPROXIMATE: ("≈", "~", "cyan"),
    Verdict.BROKEN: ("✗", "x", "red"),
    Verdict.INCONCLUSIVE: ("?", "?", "yellow"),
    Verdict.TRIVIAL: ("○", "o", "yellow"),
    Verdict.INVALID: ("!", "!", "bold red"),
}
_WIDE = 118


def render_text(report: Report, console: Console, *, detailed: bool = False) -> None:
    """Print the report; `detailed` adds the three scales, quantiles and floors of every finding."""
    unicode = "utf" in (console.encoding or "").lower()
    for line in _head(report, unicode):
        console.print(line)
    for claim, group in groupby(report.findings, key=lambda f: f.claim):
        findings = list(group)
        console.print()
        console.print(Text(claim, style="bold"))
        console.print(_table(findings, console.width, unicode))
        for finding in findings:
            for line in _remarks(finding, console.width, unicode):
                console.print(Padding(line, (0, 0, 0, 4)))
            if detailed:
                console.print(Padding(_details(finding), (0, 0, 1, 4)))
    console.print()
    for note in report.notes:
        console.print(Text(f"note: {note}", style="yellow"))
    for line in _summary(report, unicode):
        console.print(line, soft_wrap=True)


def text_of(report: Report, width: int = 120) -> str:
    """The terminal report as plain text."""
    stream = io.StringIO()
    render_text(report, Console(file=stream, width=width, color_system=None, highlight=False, legacy_windows=False))
    return stream.getvalue()


def _head(report: Report, unicode: bool) -> Iterator[Text]:
    subject, environment, settings = report.subject, report.environment, report.settings
    dot = " · " if unicode else ", "
    facts = [f"{subject['parameters']:,} parameters"] if subject.get("parameters") else []
    facts += [subject["format"]] if subject.get("format") else []
    facts.append(f"{environment.get('dtype', '?')} on {environment.get('device', '?')}")
    yield Text.assemble((str(subject.get("name", "model")), "bold"), "  ", (dot.join(facts), "dim"))
    times = "×" if unicode else "x"
    tolerance = settings.get("tolerance")
    limit = f"{dot}tolerance {tolerance:g} of the spread" if isinstance(tolerance, float | int) else ""
    size = f"{settings.get('samples', '?')} samples {times} {settings.get('elements', '?')} elements"
    yield Text(f"{size}{dot}seed {settings.get('seed', '?')}{limit}", style="dim")
    if report.proposed:
        yield Text("No claim was given: these were proposed from the shapes of the inputs.", style="italic")


def _table(findings: list[Finding], width: int, unicode: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    table.add_column("  verdict", no_wrap=True, min_width=14)
    table.add_column("output", overflow="fold", min_width=12)
    table.add_column("error [95 %]", no_wrap=True, min_width=26)
    table.add_column("floor", no_wrap=True, min_width=7)
    if width >= _WIDE:
        table.add_column("worst", overflow="ellipsis", no_wrap=True)
    for f in findings:
        symbol, ascii_symbol, style = _STYLE[f.verdict]
        name = f"{f.output}, {f.part}" if f.part else f.output
        row = [
            Text(f"{symbol if unicode else ascii_symbol} {f.verdict}", style=style),
            Text(name),
            Text(interval(f.error.spread if f.error else None)),
            Text(compact(f.floor.rounding)),
        ]
        if width >= _WIDE:
            row.append(Text(_worst(f), style="dim"))
        table.add_row(*row)
    return table


def _worst(f: Finding) -> str:
    if f.worst is None:
        return "-"
    found = " (searched)" if f.worst.searched is not None else ""
    return f"{compact(f.worst.value)}{found}: {f.worst.element}, sample {f.worst.sample}"


def _remarks(f: Finding, width: int, unicode: bool) -> Iterator[Text]:
    arrow = "→" if unicode else "->"
    name = f"{f.output}, {f.part}" if f.part else f.output
    if f.note:
        yield Text(f"{name}: {f.note}")
    if width < _WIDE and f.worst is not None and (f.verdict is not Verdict.EXACT or f.worst.searched is not None):
        yield Text(f"worst {_worst(f)}", style="dim")
    if f.advice:
        yield Text(f"{arrow} {f.advice}", style="italic")


def _details(f: Finding) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style="dim")
    for heading in ("scale", "mean", "low", "high", "q50", "q95", "q99", "max"):
        table.add_column(heading, no_wrap=True)
    for name in ("absolute", "relative", "spread"):
        if f.error is not None:
            table.add_row(name, *_numbers(f.error, name))
    share = f.share
    if share is not None:
        table.add_row("share", *(plain(v) for v in (share.value, share.low, share.high)))
    table.add_row("floors", *(f"{k} {plain(getattr(f.floor, k))}" for k in ("rounding", "action", "batch", "repeat")))
    table.add_row(
        "precision", f"low {plain(f.floor.low)}", f"high {plain(f.floor.high)}", f"slope {plain(f.floor.slope)}"
    )
    table.add_row(
        "output", f"size {plain(f.size)}", f"spread {plain(f.spread)}", f"pose advantage {plain(f.advantage)}"
    )
    counts = f.counts
    word = "all elements" if counts.exhaustive else "sampled"
    table.add_row("pairs", f"{counts.elements} x {counts.samples}", word, f.law)
    return table


def _numbers(error: Error, name: str) -> list[str]:
    scale = {"absolute": error.absolute, "relative": error.relative, "spread": error.spread}[name]
    return [plain(v) for v in (scale.mean, scale.low, scale.high, scale.q50, scale.q95, scale.q99, scale.max)]


def _summary(report: Report, unicode: bool) -> Iterator[Text]:
    counts = {v: sum(f.verdict is v for f in report.findings) for v in reversed(Verdict)}
    line = Text()
    for verdict, count in counts.items():
        if count:
            line.append(f"{count} {verdict}", style=_STYLE[verdict][2]).append(", ")
    line.append(f"in {report.seconds:.1f} s, {report.forwards:,} forwards")
    yield line if report.findings else Text("nothing was measured", style="red")
    if report.proposed:
        for word, wanted in (("has", True), ("has not", False)):
            claims = [c for c, fs in _by_claim(report) if all(f.verdict.holds for f in fs) == wanted]
            if claims:
                yield Text(f"{word}: {'; '.join(claims)}")
    files = {f.worst.file.rpartition("#")[0] for f in report.findings if f.worst and f.worst.file}
    for file in sorted(files):
        yield Text(f"replay the worst pairs: symcheck audit --replay {file}", style="dim")


def _by_claim(report: Report) -> list[tuple[str, list[Finding]]]:
    return [(claim, list(group)) for claim, group in groupby(report.findings, key=lambda f: f.claim)]
