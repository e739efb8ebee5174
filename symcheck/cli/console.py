"""The two consoles: results to stdout, progress and errors to stderr, colour decided for each stream by itself."""

from __future__ import annotations

import os
import sys
from typing import Literal, TextIO, final

from rich.console import Console

from symcheck.cli.streams import wants_colour

PIPE_WIDTH = 100  # columns when the stream is no terminal and COLUMNS is not set


def output_console() -> Console:
    """The console of results, on stdout."""
    return _console(sys.stdout)


def error_console() -> Console:
    """The console of progress, notes and errors, on stderr."""
    return _console(sys.stderr)


@final
class _Console(Console):
    """A console that lets a closed pipe be seen by `main` instead of ending the process with 1."""

    def on_broken_pipe(self) -> None:
        """Let the BrokenPipeError that is being handled pass on."""
        raise  # rich calls this while it handles the error


def _console(stream: TextIO) -> Console:
    terminal = stream.isatty()
    return _Console(
        file=stream,
        color_system=_colours() if wants_colour(stream, os.environ) else None,
        force_terminal=terminal,
        width=None if terminal or os.environ.get("COLUMNS") else PIPE_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def _colours() -> Literal["truecolor", "standard"]:
    return "truecolor" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "standard"
