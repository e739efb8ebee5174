"""Where an outcome points to: the line of its gate, else the configuration, else the checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from symcheck.report.outcome import GateReport, Outcome, Place


def place_of(outcome: Outcome, report: GateReport) -> Place | None:
    """The line of the gate, the first line of the configuration or of the checkpoint; None where there is no file."""
    if outcome.place is not None:
        return outcome.place
    paths = [r.subject.get("path") for r in report.reports if r.subject.get("name") == outcome.subject]
    config = report.config if Path(report.config).suffix else ""  # what collects reports by itself has no file
    files = [config, *(str(path) for path in paths if path)]
    return next((Place(file, 1) for file in files if file), None)


def relative_to(file: str, base: Path) -> str:
    """A file as seen from the folder `base`, with forward slashes; absolute where it lies elsewhere."""
    path, folder = Path(os.path.abspath(file)), Path(os.path.abspath(base))
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()
