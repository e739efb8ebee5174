"""What `symcheck gate` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import typer

from symcheck.cli.gate_run import Done
from symcheck.report.write import rendered


def show(done: Done, format_: str, environ: Mapping[str, str]) -> None:
    """Print the record in one format; what became of the baseline follows in the text."""
    if format_ == "github":
        from symcheck.report.github import emit_github

        emit_github(done.report, environ, typer.echo)
    elif format_ == "text":
        from symcheck.cli.console import output_console
        from symcheck.report.gate_text import render_gate_text

        render_gate_text(done.report, output_console())
    else:
        typer.echo(rendered(done.report, format_), nl=False)
    _show_changes(done, to_stderr=format_ != "text")


def _show_changes(done: Done, to_stderr: bool) -> None:
    if done.baseline is None:
        return
    moved = [change for change in done.changes if change.kind != "kept"]
    for change in moved:
        typer.echo(str(change), err=to_stderr)
    words = f"{len(moved)} of {len(done.changes)} entries moved" if moved else "as it was"
    typer.echo(f"{done.baseline}: {words}", err=to_stderr)
    if any(change.kind == "refused to loosen" for change in moved):
        typer.echo("a worse value is taken only with --loosen", err=True)


@contextmanager
def shown_progress(quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr; nothing where it is no terminal, or nothing is measured."""
    if quiet:
        yield None
        return
    from symcheck.cli.console import error_console
    from symcheck.cli.progress import progress

    with progress(error_console()) as tell:
        yield tell
