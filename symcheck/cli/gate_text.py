"""What `symcheck gate` says beside its record: the baseline, and a bar while it measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

from symcheck.cli.gate_run import Done
from symcheck.errors import ConfigError
from symcheck.gate.config import Gate, GateFile
from symcheck.gate.files import absent
from symcheck.report.numbers import count


def show_configuration(config: GateFile, gates: Sequence[Gate]) -> None:
    """What was read, and which files are not here; code that is not here is an error."""
    words = (count(len(gates), "gate"), count(len(config.subjects), "subject"), count(len(config.waivers), "waiver"))
    typer.echo(f"{config.path}: {', '.join(words)}")
    missing = dict.fromkeys(pair for g in gates for pair in absent(vars(config.subject(g)), g.against, g.spec))
    for what, path in missing:
        if what == "model":
            raise ConfigError("the code of the model is not here", where=path, hint="mend the path, or add the file")
        typer.echo(f"not here: {path} ({what.partition('.')[0]})")


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
