"""One figure for a paper: the worst findings, the curves between two checkpoints, shares, singular values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from symcheck.errors import ConfigError, LoadError
from symcheck.report import numbers
from symcheck.report.documents import Document
from symcheck.report.html.figures.barrier import barrier_panels, ends
from symcheck.report.html.figures.canvas import Panel, as_figure
from symcheck.report.html.figures.curves import curve_panels
from symcheck.report.html.figures.distribution import distribution_panel
from symcheck.report.html.figures.told import discovered_rows, located_rows
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import GateReport
from symcheck.report.write import write_bytes

KINDS = (".pdf", ".svg", ".png")
_ROWS = 4  # findings in one figure: what fits a page
_Rows = list[tuple[str, list[Panel]]]


def write_figure(document: Document, path: Path) -> None:
    """Write the figure as PDF with embedded fonts, SVG or PNG, whole or not at all; the same document, the same bytes.

    Raises ConfigError for another suffix, for a document with nothing to draw, and for a place that cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        hint = f"end the name in {', '.join(KINDS)}"
        raise ConfigError(f"figures are not written as '{path.suffix or path.name}'", where=str(path), hint=hint)
    rows = _rows(document, str(path))
    if not rows:
        raise ConfigError(
            "there is nothing to draw in this document",
            where=str(path),
            hint="figures are made of audits and gates with findings, and of what connect, locate and discover write",
        )
    write_bytes(path, as_figure(rows, kind.removeprefix(".")))


def _rows(document: Document, where: str) -> _Rows:
    if isinstance(document, Report):
        return _findings(document.findings)
    if isinstance(document, GateReport):
        return _findings([finding for report in document.reports for finding in report.findings])
    draw = _DRAWN.get(str(document.get("schema")))
    if draw is None:
        return []
    try:
        return draw(document)
    except (KeyError, TypeError, AttributeError, ValueError, IndexError, StopIteration) as error:
        raise LoadError(
            f"the document cannot be drawn: {type(error).__name__}: {error}",
            where=where,
            hint="write it again with the command that made it",
        ) from error


def _connection(document: Mapping[str, Any]) -> _Rows:
    panels = barrier_panels(document)
    return [(ends(document) if i == 0 else "", panels[i : i + 2]) for i in range(0, len(panels), 2)]


def _findings(findings: Sequence[Finding]) -> _Rows:
    """The worst findings that have something to draw: the curve, or its first panel, beside the distribution."""
    rows: _Rows = []
    for finding in numbers.worst_first(findings):
        distribution = distribution_panel(finding)
        panels = [*curve_panels(finding)[-1:], *([distribution] if distribution is not None else [])]
        if panels:
            title = ", ".join(filter(None, (finding.claim, numbers.label(finding))))
            rows.append((f"{title}: {finding.verdict}", panels))
    return rows[:_ROWS]


_DRAWN = {
    "symcheck.connect/1": _connection, "symcheck.locate/1": located_rows, "symcheck.discover/1": discovered_rows,
}  # fmt: skip
