"""Colour is decided for each stream by itself."""

import io
import os
import sys

import pytest

from symcheck.cli.console import PIPE_WIDTH, error_console, output_console, wants_colour


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("terminal", "environment", "colour"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": ""}, False),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
        (False, {"GITHUB_ACTIONS": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (True, {"_TYPER_FORCE_DISABLE_TERMINAL": "1"}, False),
    ],
)
def test_who_gets_colour(
    terminal: bool, environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Terminal() if terminal else io.StringIO()
    assert wants_colour(stream, environment) is colour
    for name in ("NO_COLOR", "FORCE_COLOR", "GITHUB_ACTIONS", "TERM", "_TYPER_FORCE_DISABLE_TERMINAL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setitem(os.environ, name, value)
    monkeypatch.setattr(sys, "stdout", stream)
    console = output_console()
    console.print("word", style="bold red")
    assert ("\x1b" in stream.getvalue()) is colour
    assert console.is_terminal is terminal  # forced colour brings no progress bar into a file


def test_each_stream_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "_TYPER_FORCE_DISABLE_TERMINAL", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert output_console().color_system is None
    assert error_console().color_system is not None
    assert output_console().width == PIPE_WIDTH


def test_markup_in_words_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    output_console().print("irreps [red]x[/red] :smile:")
    assert stream.getvalue() == "irreps [red]x[/red] :smile:\n"
