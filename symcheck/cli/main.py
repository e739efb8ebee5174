"""The command `symcheck`: its subcommands, and one place where every outcome becomes an exit code.

0 done · 1 a claim does not hold · 2 nothing could be concluded · 3 a defect of symcheck · 130 interrupted ·
141 the reader of the output went away. An error of any kind never looks like 1.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from symcheck.cli.align import align
from symcheck.cli.apply import apply
from symcheck.cli.audit import audit
from symcheck.cli.connect import connect
from symcheck.cli.discover import discover
from symcheck.cli.distance import distance
from symcheck.cli.doctor import doctor
from symcheck.cli.explain import explain
from symcheck.cli.gate import gate
from symcheck.cli.list_ import list_
from symcheck.cli.locate import locate
from symcheck.cli.merge import merge
from symcheck.cli.report import report
from symcheck.cli.streams import wants_colour
from symcheck.cli.usage import usage
from symcheck.cli.weights import weights
from symcheck.cli.wrap import wrap
from symcheck.errors import ConfigError, SymcheckError
from symcheck.version import __version__

UNCONCLUDED, DEFECT, INTERRUPTED, BROKEN_PIPE = 2, 3, 130, 141

# typer brings its own copy of click in some versions and depends on it in others; in both, the public
# BadParameter leads to the base of all its errors: BadParameter < UsageError < ClickException
_ClickError: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="symcheck",
    help="Symmetry analysis of trained neural networks: f(g·θ, g·x) = g·f(θ, x).",
    epilog="Examples:\n\n  symcheck audit fixtures/potential.toml\n\n  symcheck explain verdicts\n\n  symcheck doctor",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
app.command(short_help="Does f(g·x) = g·f(x) hold? The equivariance error, with floors and a verdict.")(audit)
app.command(short_help="Where does a symmetry break? Which operation, which part of the group, and why.")(locate)
app.command(short_help="Do all gates of this project pass? Limits, baselines, an exit code for CI.")(gate)
app.command(short_help="Which changes of the weights leave the function alone? Derived and proved.")(weights)
app.command(short_help="Write the checkpoint g·θ for such a change g.")(apply)
app.command(short_help="Bring a checkpoint onto another one by symmetries of its weights.")(align)
app.command(short_help="How far does the loss rise between two checkpoints?")(connect)
app.command(short_help="Make one checkpoint out of several.")(merge)
app.command(short_help="Which symmetries does a network have that nobody declared?")(discover)
app.command(short_help="How far apart are checkpoints, modulo the symmetries of their weights?")(distance)
app.command(short_help="Make a network equivariant by frames, averages or a canonicaliser.")(wrap)
app.add_typer(report, name="report", short_help="Show, convert, compare and join what the other commands wrote.")
app.command(short_help="What does a word mean: a verdict, a metric, a group, ...?")(explain)
app.command("list", short_help="The names that symcheck knows: groups, actions, metrics, methods and more.")(list_)
app.command(short_help="Are this installation and its devices fit to measure with?")(doctor)


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line `args` (by default the process's own) and return the exit code."""
    given = list(sys.argv[1:] if args is None else args)
    if traced := "--traceback" in given:
        given.remove("--traceback")
    # loading rich costs more than the short page of all commands
    app.rich_markup_mode = None if given in (["--help"], ["-h"]) else "markdown"
    _quiet_help()
    _replace_what_cannot_be_encoded()
    try:
        # not standalone: typer would turn an aborted run and a closed pipe into 1, which means "a claim fails"
        result = app(given, prog_name="symcheck", standalone_mode=False)
        sys.stdout.flush()
        if result == INTERRUPTED:  # newer versions of typer make a code of Ctrl-C by themselves
            _say("interrupted")
        return result if isinstance(result, int) else 0
    except (Exception, KeyboardInterrupt, SystemExit) as error:
        if isinstance(error, SystemExit) and _completes(given):
            return int(error.code or 0)
        if traced:
            sys.stderr.write("".join(traceback.format_exception(error)))
        return _exit_code(error)


@app.callback(invoke_without_command=True)
def _commands(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", is_eager=True, help="Print the version.")] = False,
    traceback_: Annotated[bool, typer.Option("--traceback", help="Show where an error came from.")] = False,
) -> None:
    if version:
        typer.echo(f"symcheck {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        raise ConfigError(
            "there is no command",
            where="symcheck",
            hint="symcheck audit CHECKPOINT 'C4: image -> invariant', or symcheck --help",
        )


def _exit_code(error: BaseException) -> int:
    """Say on stderr what happened, and the exit code for it."""
    cause = _cause(error)
    if isinstance(cause, BrokenPipeError):
        _forget_stdout()
        return BROKEN_PIPE
    if isinstance(cause, OSError) and cause.errno == errno.ENOSPC:
        _say("the disk is full", "standard output or a report file", "make room, or write elsewhere with -o")
        return UNCONCLUDED
    if isinstance(cause, KeyboardInterrupt):
        _say("interrupted")
        return INTERRUPTED
    if isinstance(cause, SymcheckError):
        _say(cause.message, cause.where, cause.hint)
        return UNCONCLUDED
    if isinstance(cause, _ClickError):
        _say(*usage(cause, "symcheck"))
        return UNCONCLUDED
    _say_defect(cause)
    return DEFECT


def _completes(given: Sequence[str]) -> bool:
    """Whether typer speaks with a shell about completion, and ends the process when it has."""
    return "_SYMCHECK_COMPLETE" in os.environ or any(
        word.partition("=")[0] in ("--install-completion", "--show-completion") for word in given
    )


def _cause(error: BaseException) -> BaseException:
    """What really happened, where typer has put an Abort or a SystemExit in its place."""
    if isinstance(error, typer.Abort) and error.__cause__ is not None:
        return error.__cause__
    if isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError):
        return BrokenPipeError()
    return error


def _say(message: str, where: str = "", hint: str = "") -> None:
    """Three lines on stderr: what is wrong, where, what to do."""
    from rich.text import Text

    from symcheck.cli.console import error_console

    console = error_console()
    for label, text in (("symcheck", message), ("where", where), ("hint", hint)):
        if text:
            style = "bold red" if label == "symcheck" else "bold"
            console.print(Text.assemble((f"{label}:", style), f" {text}"), soft_wrap=True)


def _say_defect(error: BaseException) -> None:
    what = f"{type(error).__name__}: {error}".rstrip(": ")
    frames = traceback.extract_tb(error.__traceback__)
    where = f"{frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name}" if frames else ""
    _say(f"this is a defect of symcheck: {what}", where, "please report it with the traceback below")
    sys.stderr.write("".join(traceback.format_exception(error)))


def _quiet_help() -> None:
    """Keep the help pages plain where our own output is: typer forces styles under GITHUB_ACTIONS."""
    if not wants_colour(sys.stdout, os.environ):
        os.environ["_TYPER_FORCE_DISABLE_TERMINAL"] = "1"


def _replace_what_cannot_be_encoded() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _forget_stdout() -> None:
    """Send what is left in the buffer of stdout nowhere, so that the interpreter's last flush stays quiet."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return  # stdout is no file: nothing to flush
