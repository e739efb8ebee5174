"""What `symcheck gate` says beside its record: the baseline, and a bar while it measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer

from symcheck.cli.gate_run import Done


def show_changes(done: Done, to_stderr: bool) -> None:
    """What became of the baseline."""
    if done.baseline is None:
        return
    told = [change for change in done.changes if change.kind != "kept"]
    for change in told:
        typer.echo(str(change), err=to_stderr)
    moved = [change for change in told if change.kind != "refused to loosen"]
    words = f"{len(moved)} of {len(done.changes)} entries changed" if moved else "not changed"
    typer.echo(f"{done.baseline}: {words}", err=to_stderr)
    if any(change.kind == "refused to loosen" for change in told):
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
