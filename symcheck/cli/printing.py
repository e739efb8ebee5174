"""What commands that judge have in common: the formats that they print, and the files that they write."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from symcheck.cli.choices import check_choice
from symcheck.report.formats import PRINTED

if TYPE_CHECKING:
    from symcheck.report.documents import Document


def check_output(format_: str, paths: Iterable[Path] | None, keep: Sequence[Path] = ()) -> None:
    """Refuse an unknown format or a bad destination before anything is measured; the files to `keep` are read."""
    check_choice(format_, PRINTED, "--format")
    from symcheck.report.write import check_path

    for path in paths or ():
        check_path(path, keep=keep)


def show(document: Document, format_: str, details: bool = False) -> None:
    """Print a document on stdout in one of `PRINTED`; `github` also adds to the summary of the step."""
    if format_ == "text":
        from symcheck.cli.console import output_console
        from symcheck.report.text import render_document

        render_document(document, output_console(), detailed=details)
        return
    import typer

    if format_ != "github":
        from symcheck.report.write import rendered

        typer.echo(rendered(document, format_), nl=False)
        return
    import os

    from symcheck.report.github import emit_github

    emit_github(document, os.environ, typer.echo)
