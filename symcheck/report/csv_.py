"""The curves of a document as CSV in long format, a row for each number: for plots in other tools.

Errors are on the spread scale (dimensionless), losses in their own unit. `at1` … `at4` say where on the curve a number
lies: what a curve over the group says of its element, the level 0..1 of a quantile, the least and the largest margin of
some samples, t along a path, or the parameter of a flow.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from symcheck.errors import LoadError
from symcheck.report.csv_told import told_points
from symcheck.report.documents import TOLD, Document
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import GateReport

COLUMNS = (
    "subject", "claim", "output", "part", "series", "kind", "index", "label", "at1", "at2", "at3", "at4", "value",
)  # fmt: skip
_FORMULA = ("=", "+", "-", "@")  # what a spreadsheet runs instead of showing, in full width too
_POINT = 4
Row = tuple[str | float | None, ...]


def render_csv(document: Document) -> str:
    """A header and a row for every point of every curve; text that a spreadsheet would run is quoted by an apostrophe.

    Raises `LoadError` for a document of another schema that has no curves, or not in the form that it should.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    try:
        writer.writerows(map(_cell, row) for row in _rows(document))
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise LoadError(
            f"the curves cannot be read: {type(error).__name__}: {error}",
            where=f"a document of schema {document['schema'] if isinstance(document, Mapping) else document.schema}",
            hint="write the document again with the command that made it",
        ) from error
    return file.getvalue()


def _rows(document: Document) -> Iterator[Row]:
    if isinstance(document, Report):
        subject = str(document.subject.get("name") or "")
        for finding in document.findings:
            yield from _finding(subject, finding)
    elif isinstance(document, GateReport):
        for report in document.reports:
            yield from _rows(report)
    elif document["schema"] == "symcheck.connect/1":
        yield from _connection(document)
    elif document["schema"] in TOLD:
        yield from ((*head, *_at(where), value) for *head, where, value in told_points(document))
    else:
        raise LoadError(
            f"a {document['schema']} document has no curves",
            where="format csv",
            hint="write it as .json, .txt, .html or a figure",
        )


def _finding(subject: str, finding: Finding) -> Iterator[Row]:
    head = (subject, finding.claim, finding.output, finding.part)
    numbers = {"tolerance": finding.tolerance}
    if finding.error is not None:
        scale = finding.error.spread
        numbers = {"mean": scale.mean, "low": scale.low, "high": scale.high, "max": scale.max, **numbers}
    for i, (name, value) in enumerate(numbers.items()):
        yield (*head, "summary", str(finding.verdict), i, name, *_at(()), value)
    if finding.curve is not None:
        curve = finding.curve
        for i, value in enumerate(curve.errors):
            label = curve.labels[i] if i < len(curve.labels) else ""
            yield (*head, "curve", curve.kind, i, label, *_at(curve.at[i] if i < len(curve.at) else ()), value)
    steps = max(len(finding.distribution) - 1, 1)
    for i, value in enumerate(finding.distribution):
        yield (*head, "distribution", "quantile", i, "", *_at((i / steps,)), value)
    if finding.flips is not None:
        flips = finding.flips
        for i, (name, value) in enumerate({"rate": flips.rate, "low": flips.low, "high": flips.high}.items()):
            yield (*head, "flips", "rate", i, name, *_at(()), value)
        for i, one in enumerate(flips.margins):
            yield (*head, "flips", "margin", i, "", *_at((one.least, one.most)), one.rate)
    for i, value in enumerate(finding.by_sample):
        yield (*head, "samples", "sample", i, "", *_at(()), value)


def _connection(document: Mapping[str, Any]) -> Iterator[Row]:
    subject = " - ".join(str(source.get("path", "?")) for source in document.get("checkpoints", ()))
    for name, variant in document["variants"].items():
        for data, curve in variant["curves"].items():
            for kind in ("loss", "error"):
                yield from _path((subject, "", "", str(data), str(name), kind), document["t"], curve[kind] or ())
        for found in variant["mechanisms"]:
            head = (subject, found["claim"], found["output"], found["part"], str(name), found["measure"])
            yield from _path(head, found["t"], found["error"])


def _path(head: tuple[str, ...], t: Sequence[float], values: Iterable[float | None]) -> Iterator[Row]:
    for i, value in enumerate(values):
        yield (*head, i, "", *_at((t[i],)), value)


def _at(point: Sequence[float]) -> tuple[float | None, ...]:
    return tuple(point[i] if i < len(point) else None for i in range(_POINT))


def _cell(value: str | float | None) -> str:
    """Numbers in full, nothing as an empty cell, text that stays text."""
    if value is None:
        return ""
    if isinstance(value, int | float):
        return repr(value)
    if not isinstance(value, str):
        raise TypeError(f"{type(value).__name__} where a number or text should be")
    text = "".join(c if c.isprintable() else " " for c in value)
    return f"'{text}" if unicodedata.normalize("NFKC", text).lstrip().startswith(_FORMULA) else text
