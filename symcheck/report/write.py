"""Reports to files, by suffix: written to a temporary file in the same folder and moved, never half-written."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import NoReturn

from symcheck.errors import ConfigError, LoadError
from symcheck.report.model import Report

SUFFIXES = (".json", ".md", ".txt")


def check_path(path: Path) -> None:
    """Refuse a destination that cannot be written, before anything is measured."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"reports are not written as '{path.suffix or path.name}'",
            where=str(path),
            hint=f"end the name in {', '.join(SUFFIXES)}",
        )
    if not path.parent.is_dir():
        raise ConfigError(f"the folder '{path.parent}' does not exist", where=str(path), hint=f"mkdir -p {path.parent}")
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise ConfigError("this cannot be written", where=str(path), hint="choose a file in a folder you may write to")


def write_report(report: Report, path: Path) -> None:
    """Write the report as JSON, Markdown or text, whole or not at all."""
    check_path(path)
    write_text(path, _rendered(report, path.suffix))


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # a file name that is no UTF-8 reaches the text as lone surrogates: \udcff, in JSON too
        temporary.write_bytes(text.encode(errors="backslashreplace"))
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written: {error.strerror}", where=str(path), hint="choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def read_report(path: Path) -> Report:
    """Read a JSON report; bare NaN or Infinity, which no JSON has, is refused."""
    hint = "give a file written with symcheck audit -o FILE.json"

    def refuse(constant: str) -> NoReturn:
        raise LoadError(f"the report holds {constant}, which is not JSON", where=str(path), hint=hint)

    try:
        text = path.read_text(encoding="utf-8")
        json.loads(text, parse_constant=refuse)
    except (OSError, ValueError, RecursionError) as error:
        raise LoadError(f"the report cannot be read: {error}", where=str(path), hint=hint) from error
    return Report.from_json(text, str(path))


def _rendered(report: Report, suffix: str) -> str:
    if suffix == ".json":
        return report.to_json()
    if suffix == ".md":
        from symcheck.report.markdown import render_markdown

        return render_markdown(report)
    from symcheck.report.text import text_of

    return text_of(report)
