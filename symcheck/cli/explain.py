"""`symcheck explain`: what a word of a report, a claim or an option means. Parse, look up, render."""

from __future__ import annotations

from typing import Annotated

import typer

from symcheck.cli.choices import check_choice, topics, words
from symcheck.errors import ConfigError

FORMATS = ("text", "markdown", "toml")

Words = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="TOPIC", help="A verdict, metric, group, action, method, ...; also 'SO(3)' or a whole claim.",
        show_default=False, autocompletion=topics,
    ),
]  # fmt: skip
List = Annotated[bool, typer.Option("--list", help="All topics by kind.")]
Format = Annotated[
    str,
    typer.Option(
        "--format", help="What to print: text, markdown, or the toml of a preset.", autocompletion=words(*FORMATS)
    ),
]


def explain(topic: Words = None, list_: List = False, format_: Format = "text") -> None:
    """What does a word mean, by which formula, from which source, and what is to be done about it?

    Exit code 0: explained. 2: there is no such topic.

    Examples:

      symcheck explain broken

      symcheck explain 'O(3): irreps(16x0e+8x1o) -> irreps(1x1o)'

      symcheck explain potential --format toml > mine.toml

      symcheck explain --list
    """
    check_choice(format_, FORMATS, "--format")
    wanted = " ".join(topic or ())
    if not wanted and not list_:
        raise ConfigError("there is no topic", where="symcheck explain", hint="symcheck explain --list shows them all")
    if wanted and list_:
        raise ConfigError("--list takes no topic", where=f"symcheck explain {wanted}", hint="drop one of the two")
    if format_ == "toml":
        from symcheck.preset import preset_text

        typer.echo(preset_text(wanted), nl=False)
        return
    from symcheck.topics import chapter_of, chapters, explained

    whole = chapter_of(wanted)
    shown = chapters() if list_ else () if whole is None else (whole,)
    found = () if shown else explained(wanted)
    if format_ == "markdown":
        from symcheck.cli.explain_text import contents, section

        typer.echo("\n\n".join([*map(contents, shown), *map(section, found)]))
        return
    from symcheck.cli.console import output_console
    from symcheck.cli.explain_text import show_chapters, show_topics
    from symcheck.report.page import Page

    page = Page(output_console())
    show_chapters(page, shown)
    show_topics(page, found)
