"""`symcheck list`: the names that symcheck knows, one line each. Parse, look up, render."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from symcheck.cli.choices import check_choice, kinds, words
from symcheck.registry import plugins

if TYPE_CHECKING:
    from symcheck.topics import Chapter

SCHEMA = "symcheck.list/1"
FORMATS = ("text", "json")

Kind = Annotated[
    str | None,
    typer.Argument(help="groups, actions, metrics, verdicts, ...; without it all kinds.", show_default=False,
                   autocompletion=kinds),
]  # fmt: skip
Format = Annotated[str, typer.Option("--format", help="What to print: text or json.", autocompletion=words(*FORMATS))]


def list_(kind: Kind = None, format_: Format = "text") -> None:
    """Which groups, actions, metrics, checks, formats, matchers, methods, verdicts, ... are there? One line each.

    Names that installed packages add are listed too, without loading them. Exit code 0: done. 2: there is no such kind.

    Examples:

      symcheck list groups

      symcheck list actions --format json

      symcheck list
    """
    from symcheck.topics import chapters

    check_choice(format_, FORMATS, "--format")
    known = {chapter.name: chapter for chapter in chapters()}
    if kind is not None:
        check_choice(kind, known, "KIND")
    found = [(chapter.name, chapter.about) for chapter in known.values()] if kind is None else lines(known[kind])
    if format_ == "json":
        plain = {"schema": SCHEMA, "kind": kind, "names": [{"name": name, "summary": text} for name, text in found]}
        typer.echo(json.dumps(plain, indent=2, ensure_ascii=False))
        return
    from symcheck.cli.console import output_console
    from symcheck.cli.explain_text import show_lines
    from symcheck.report.page import Page

    show_lines(Page(output_console()), found)


def lines(chapter: Chapter) -> list[tuple[str, str]]:
    """The names of a chapter with a sentence each, then those that other packages add."""
    from symcheck.topics.find import ADDED

    own = [(name, topic.summary) for topic in chapter.topics for name in topic.names]
    added = sorted(plugins(ADDED.get(chapter.name, "")), key=lambda entry: entry.name)
    return own + [(entry.name, f"From {entry.value}, a plug-in.") for entry in added]
