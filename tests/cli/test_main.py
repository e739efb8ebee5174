"""The command line's shell: exit codes, streams, and errors in three lines."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import typer

from symcheck.cli import main as shell
from symcheck.cli.main import main
from symcheck.errors import ClaimError
from symcheck.version import __version__

Run = Callable[[Callable[[], Any]], int]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_FORCE_DISABLE_TERMINAL", "1")
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a function as the only command of the app."""

    def act(function: Callable[[], Any]) -> int:
        app = typer.Typer(pretty_exceptions_enable=False)
        app.command()(lambda: function())
        monkeypatch.setattr(shell, "app", app)
        return main([])

    return act


def raising(error: BaseException) -> Callable[[], None]:
    def function() -> None:
        raise error

    return function


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ClaimError("wrong"), 2),
        (typer.BadParameter("wrong"), 2),
        (typer.Exit(0), 0),
        (typer.Exit(1), 1),
        (KeyboardInterrupt(), 130),
        (BrokenPipeError(32, "Broken pipe"), 141),
        (ValueError("wrong"), 3),
        (EOFError("wrong"), 3),
        (OSError(5, "wrong"), 3),
        (RecursionError(), 3),
        (AssertionError(), 3),
        (SystemExit(0), 3),  # the audited code ended the process: that is no pass
        (SystemExit(1), 3),
        (typer.Abort(), 3),
    ],
    ids=repr,
)
def test_exit_codes(run: Run, error: BaseException, code: int) -> None:
    assert run(raising(error)) == code


def test_a_command_that_returns_is_done(run: Run) -> None:
    assert run(lambda: None) == 0


def test_an_error_has_three_lines(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(ClaimError("claim '[bold]' is odd", where="a.toml:3", hint="did you mean " + "C4 " * 60 + "?")))
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:2] == ["symcheck: claim '[bold]' is odd", "where: a.toml:3"]
    assert len(err.splitlines()) == 3


def test_a_defect_says_so_with_its_traceback(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(ZeroDivisionError("by zero")))
    out, err = capsys.readouterr()
    assert out == ""
    first, where, *rest = err.splitlines()
    assert first == "symcheck: this is a defect of symcheck: ZeroDivisionError: by zero"
    assert "test_main.py" in where
    assert "Traceback (most recent call last):" in rest


def test_what_needs_no_words_is_quiet(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run(raising(BrokenPipeError(32, "Broken pipe")))
    run(raising(typer.Exit(1)))
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("args", [[], ["audit", "--foo"], ["nope"], ["audit", "--samples", "many"], ["--foo"]])
def test_usage_errors(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(":")[0] for line in err.splitlines()] == ["symcheck", "where", "hint"]
    assert "--help" in err


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"symcheck {__version__}\n"
    for args in (["--help"], ["-h"], ["audit", "--help"]):
        assert main(args) == 0
        assert "audit" in capsys.readouterr().out
    assert main(["audit", "--help"]) == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "[tool.symcheck]" in page  # square brackets are text, not markup


def test_as_a_module_in_an_ascii_terminal() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "GITHUB_ACTIONS": "1", "NO_COLOR": "1"}
    del environment["_TYPER_FORCE_DISABLE_TERMINAL"]
    command = [sys.executable, "-m", "symcheck", "--help"]
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    assert b"audit" in done.stdout
    assert b"\x1b" not in done.stdout


def test_a_reader_that_goes_away_leaves_no_traceback() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "symcheck", "audit", "--help"], stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert done.returncode == 141
    assert done.stderr == b""
