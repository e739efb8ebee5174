"""Reports to files, by suffix: written to a temporary file in the same folder and moved, so none is ever half-written."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from symcheck.errors import ConfigError, LoadError
from symcheck.report.model import Report

SUFFIXES = (".json", ".md", ".txt")


def check_path(path: Path) -> None:
    """Refuse a destination that cannot be written, before anything is measured."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"reports are not written as '{path.suffix or path.name}'", where=str(path), hint=f"use {', '.join(SUFFIXES)}"
        )
    if not path.parent.is_dir():
        raise ConfigError(
            f"the folder '{path.parent}' does not exist", where=str(path), hint=f"mkdir -p {path.parent}"
        )
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError("this cannot be written", where=str(path), hint="choose a file in a folder you may write to")


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON, Markdown or text."""
    check_path(path)
    write_text(path, _rendered(report, path.suffix))


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written: {error.strerror}", where=str(path), hint="choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_report(path: Path) -> Report:
    """Read a JSON report."""
    try:
        return Report.from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise LoadError(
            f"the report cannot be read: {error}", where=str(path), hint="give a file written with symcheck audit -o FILE.json"
        ) from error


def _rendered(report: Report, suffix: str) -> str:
    if suffix == ".json":
        return report.to_json()
    if suffix == ".md":
        from symcheck.report.markdown import render_markdown

        return render_markdown(report)
    from symcheck.report.text import text_of

    return text_of(report)
