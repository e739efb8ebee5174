"""Documents to files, in the format that the suffix names: written beside the place and moved, never half-written."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterable
from pathlib import Path

from symcheck.errors import ConfigError
from symcheck.registry import suggest
from symcheck.report.documents import Document, judged
from symcheck.report.formats import FORMATS, JUDGED, format_of
from symcheck.report.model import Report
from symcheck.report.outcome import GateReport


def check_path(path: Path, *, plain: bool = False, keep: Iterable[Path] = ()) -> None:
    """Refuse a destination that cannot be written, before anything is measured; `plain` documents have fewer forms.

    The files to `keep` are those that the same run reads: neither the document nor its worst pairs may replace one.
    """
    if plain and format_of(path) in JUDGED:
        raise ConfigError(
            f"only reports are written as '{path.suffix}'", where=str(path), hint="use .json, .html, .txt, .csv or .pdf"
        )
    format_of(path)
    if not path.parent.is_dir():
        raise ConfigError(f"the folder '{path.parent}' does not exist", where=str(path), hint=f"mkdir -p {path.parent}")
    if path.is_dir() or not os.access(path.resolve().parent, os.W_OK):
        raise ConfigError("this cannot be written", where=str(path), hint="choose a file in a folder you may write to")
    for kept in keep:
        if what := _replaced(kept, path):
            raise ConfigError(f"{what} would replace what this run reads", where=str(kept), hint="choose another name")


def worst_file(path: Path) -> Path:
    """Where the worst pairs of a document go: beside it."""
    return path.with_suffix(".worst.safetensors")


def parts_file(path: Path) -> Path:
    """Where the pieces of a shard go: beside its report."""
    return path.with_suffix(".parts.safetensors")


def parts_folder(path: Path) -> Path:
    """Where a run that may be resumed keeps what it has finished: beside its report."""
    return path.with_suffix(".parts")


def _replaced(kept: Path, path: Path) -> str:
    """What would be written over a file when a document goes to `path`; empty where nothing would."""
    if kept.resolve() == path.resolve() or (kept.exists() and path.exists() and kept.samefile(path)):
        return f"the output '{path}'"
    worst = re.compile(re.escape(path.stem) + r"\.worst(\.\d+)*\.safetensors")
    for place in (kept.absolute(), kept.resolve()):
        if worst.fullmatch(place.name) and place.parent.resolve() == path.absolute().parent.resolve():
            return f"the worst pairs beside the output '{path}'"
    return ""


def write_report(document: Document, path: Path, beside: Path | None = None) -> None:
    """Write a document in the format of the suffix, whole or not at all; worst pairs are also looked for `beside`."""
    check_path(path)
    if (format_ := format_of(path)) != "figure":
        write_text(path, rendered(document, format_, beside))
        return
    from symcheck.report.html.figures import write_figure

    write_figure(document, path)


def write_text(path: Path, text: str) -> None:
    """Write a text file as UTF-8, whole or not at all."""
    # a file name that is no UTF-8 reaches the text as lone surrogates: \udcff, in JSON too
    write_bytes(path, text.encode(errors="backslashreplace"))


def rendered(document: Document, format_: str, beside: Path | None = None) -> str:
    """A document as text in one of `formats.FORMATS`; what is no report has no Markdown, JUnit or SARIF."""
    if format_ not in FORMATS:
        raise ConfigError(f"unknown format '{format_}'", where="format", hint=suggest(format_, list(FORMATS)))
    if format_ == "json":
        if isinstance(document, Report | GateReport):
            return document.to_json()
        return json.dumps(document, indent=2, allow_nan=False) + "\n"
    if format_ == "text":
        from symcheck.report.text import text_of

        return text_of(document)
    if format_ == "html":
        from symcheck.report.html import render_html

        return render_html(document, beside)
    if format_ == "csv":
        from symcheck.report.csv_ import render_csv

        return render_csv(document)
    record = judged(document)
    if format_ == "junit":
        from symcheck.report.junit import render_junit

        return render_junit(record)
    if format_ == "sarif":
        from symcheck.report.sarif import render_sarif

        return render_sarif(record)
    from symcheck.report.gate_markdown import render_summary

    return render_summary(document)


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all: into a temporary file in the same folder, which is moved into place.

    A symbolic link stays: the file that it points to is written.
    """
    path = path.resolve() if path.is_symlink() else path
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written: {error.strerror}", where=str(path), hint="choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
