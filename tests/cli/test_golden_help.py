"""Every help page as it is printed on 100 columns; `SYMCHECK_REGENERATE=1 pytest tests/cli/test_golden_help.py`
writes the pages anew, and fails so that somebody reads them."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from test_layers import loaded
from typer.main import get_command

from symcheck.cli.main import app

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
MADE_WITH = GOLDEN / "typer-version.txt"  # pages of other versions have other borders
MAIN = "symcheck"
WIDTH = 100


def tree(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and those below it, by the words that call them."""
    yield name, command
    for own, below in getattr(command, "commands", {}).items():
        yield from tree(below, f"{name} {own}")


PAGES: dict[str, Any] = dict(tree(get_command(app), MAIN))
GROUPS = [name for name, command in PAGES.items() if getattr(command, "commands", None)]
COMMANDS = [name for name in PAGES if name not in GROUPS]


def file_of(name: str) -> Path:
    return GOLDEN / f"{name.replace(' ', '-')}.txt"


def page(name: str) -> str:
    """A help page as a terminal without colours shows it."""
    plain = {"COLUMNS": str(WIDTH), "TERM": "dumb", "_TYPER_FORCE_DISABLE_TERMINAL": "1", "PYTHONUTF8": "1"}
    environment = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "GITHUB_ACTIONS")}
    args = name.split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "symcheck", *args, "--help"], env={**environment, **plain}, capture_output=True,
        encoding="utf-8", check=True, cwd=ROOT, timeout=120,
    )  # fmt: skip
    return "\n".join(line.rstrip() for line in done.stdout.splitlines()) + "\n"


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    return {}


def shown(name: str, pages: dict[str, str]) -> str:
    return pages.setdefault(name, page(name))


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_the_one_that_was_read(name: str, pages: dict[str, str]) -> None:
    golden = file_of(name)
    if os.environ.get("SYMCHECK_REGENERATE"):
        golden.write_text(shown(name, pages), encoding="utf-8")
        MADE_WITH.write_text(version("typer") + "\n", encoding="utf-8")
        pytest.fail(f"written anew: read {golden.relative_to(ROOT)}")
    if MADE_WITH.read_text(encoding="utf-8").strip() != version("typer"):
        pytest.skip("the pages were made with another version of typer")
    assert shown(name, pages) == golden.read_text(encoding="utf-8")


def test_every_command_has_a_page_and_no_page_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.glob("*.txt")} == {*(file_of(name).stem for name in PAGES), MADE_WITH.stem}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits(name: str, pages: dict[str, str]) -> None:
    lines = shown(name, pages).splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert "\x1b" not in "".join(lines)


def test_the_first_page_names_every_command_in_one_line(pages: dict[str, str]) -> None:
    lines = shown(MAIN, pages).splitlines()
    for name in PAGES[MAIN].commands:
        (line,) = [line for line in lines if re.match(rf"  {name}\s{{2,}}\S", line)]
        assert line[-1] in ".?" and not line.endswith("..."), "cut short: give the command a short_help"


def examples(text: str) -> list[list[str]]:
    """The commands of a docstring or an epilog, without what stands before `symcheck` and behind #."""
    found = (re.fullmatch(r"\s+(?:[A-Z_]+=\S* )?symcheck (.*)", line) for line in text.splitlines())
    return [shlex.split(match[1], comments=True) for match in found if match]


def text_of(name: str) -> str:
    return (app.info.epilog if name == MAIN else PAGES[name].callback.__doc__) or ""


def parsed(words: list[str]) -> str:
    """The name of the command that the words call; raises where an option or an argument is unknown."""
    name, command = MAIN, PAGES[MAIN]
    while words and words[0] in getattr(command, "commands", {}):
        name, command, words = f"{name} {words[0]}", command.commands[words[0]], words[1:]
    command.make_context(name, list(words))
    return name


@pytest.mark.parametrize("name", [MAIN, *COMMANDS])
def test_a_page_has_examples_that_are_commands(name: str) -> None:
    """Three of them; the commands of a group share theirs, with one each at least."""
    group = name.rpartition(" ")[0]
    kin = [other for other in COMMANDS if other.startswith(f"{group} ")] if group not in ("", MAIN) else [name]
    assert examples(text_of(name)) and sum(len(examples(text_of(other))) for other in kin) >= 3
    for words in examples(text_of(name)):
        called = parsed(words)
        assert called in COMMANDS and name in (MAIN, called)
        assert all((ROOT / word).is_file() for word in words if word.startswith("fixtures/"))


@pytest.mark.parametrize("name", [name for name in GROUPS if name != MAIN])
def test_a_page_without_examples_leads_to_pages_that_have_them(name: str, pages: dict[str, str]) -> None:
    assert all(re.search(rf"\b{own} .*\S", shown(name, pages)) for own in PAGES[name].commands)


@pytest.mark.parametrize(
    ("text", "count"), [("  symcheck doctor\n\n  X= symcheck list a  # b\n", 2), ("symcheck doctor\n", 0), ("", 0)]
)
def test_examples_are_found(text: str, count: int) -> None:
    assert len(examples(text)) == count


@pytest.mark.parametrize("words", [["doctor", "--nothing"], ["list", "a", "b"], ["audit", "--samples", "x"]])
def test_a_planted_example_that_is_no_command_is_found(words: list[str]) -> None:
    with pytest.raises(Exception, match=r"No such option|unexpected|valid integer"):
        parsed(words)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_exit_code_is_promised(name: str) -> None:
    assert "Exit code 0" in text_of(name)


@pytest.mark.parametrize("name", PAGES)
def test_help_loads_nothing_heavy(name: str) -> None:
    args = [*name.split()[1:], "--help"]
    assert loaded(f"from symcheck.cli.main import main\nmain({args!r})") == set()
