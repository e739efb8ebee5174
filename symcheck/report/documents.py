"""Documents on disk, read back: reports, records of gates, and plain documents of the other schemas."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from symcheck.errors import LoadError
from symcheck.registry import suggest
from symcheck.report import numbers
from symcheck.report.consistent import negative_error
from symcheck.report.model import SCHEMA as REPORT
from symcheck.report.model import Report
from symcheck.report.outcome import SCHEMA as GATE
from symcheck.report.outcome import GateReport, outcomes_of
from symcheck.report.reading import unfit

TOLD = ("symcheck.locate/1", "symcheck.discover/1")  # whose text is that of their pages
PLAIN = ("symcheck.connect/1", "symcheck.align/1", "symcheck.merge/1", "symcheck.distance/1", *TOLD)
Document = Report | GateReport | Mapping[str, Any]
_HINT = "give a file written with symcheck audit -o FILE.json or symcheck gate -o FILE.json"


def read_document(path: Path) -> Document:
    """Read any JSON document of symcheck: a report, the record of gates, or plain data of another known schema.

    Raises `LoadError` for what is no JSON (bare NaN and Infinity included), no document, or does not fit its schema.
    """
    data = _loaded(path)
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema == REPORT:
        return Report.from_dict(data, str(path))
    if schema == GATE:
        return GateReport.from_dict(data, str(path))
    if schema in PLAIN:
        return _plain(data, str(path))
    if not isinstance(schema, str):
        raise LoadError("this is not a document of symcheck: it names no schema", where=str(path), hint=_HINT)
    known = suggest(schema, [REPORT, GATE, *PLAIN])
    raise LoadError(f"the schema '{schema[:80]}' is not known", where=str(path), hint=known)


def read_report(path: Path) -> Report | GateReport:
    """Read a report or the record of gates; another document is refused."""
    found = read_document(path)
    if isinstance(found, Report | GateReport):
        return found
    raise LoadError(f"this is a {found['schema']} document, not a report", where=str(path), hint=_HINT)


def _plain(data: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A document without a form that is laid down here; what no measurement gives is refused."""
    if fault := unfit(data):
        raise LoadError(f"the document {fault}", where=where, hint=_HINT)
    if place := negative_error(data):
        raise LoadError(f"the document cannot be read: {place} is negative, and no error is", where=where, hint=_HINT)
    return dict(data)


def judged(document: Document) -> GateReport:
    """An audit as the record of gates, one for each finding; a record stays, what judges nothing is refused."""
    if isinstance(document, GateReport):
        return document
    if isinstance(document, Report):
        outcomes = outcomes_of(document, numbers.replay(document.findings, document.subject))
        return GateReport("", outcomes, (document,), document.notes, document.environment, document.seconds)
    raise LoadError(
        f"a {document.get('schema')} document judges nothing, and has no such form",
        where="the format",
        hint="write it as .json, .txt, .html, .csv or a figure",
    )


def _loaded(path: Path) -> Any:
    def refuse(constant: str) -> NoReturn:
        raise LoadError(f"the report holds {constant}, which is not JSON", where=str(path), hint=_HINT)

    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        what = error.strerror if isinstance(error, OSError) else error
        raise LoadError(f"the report cannot be read: {what}", where=str(path), hint=_HINT) from error
