"""`symcheck doctor`: is this installation fit to measure with? Parse, examine, render."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from symcheck.cli.choices import check_choice, words

if TYPE_CHECKING:
    from symcheck.cli.doctor_checks import Stage
    from symcheck.report.page import Page

SCHEMA = "symcheck.doctor/1"
FORMATS = ("text", "json")

Format = Annotated[str, typer.Option("--format", help="What to print: text or json.", autocompletion=words(*FORMATS))]


def doctor(format_: Format = "text") -> None:
    """Are this installation and its devices fit to measure with? Versions, devices, determinism, two planted networks.

    On every device one network that is exactly equivariant must be found `exact`, and one with a leak `broken`. To
    send with a report of a defect: symcheck doctor --format json.

    Exit code 0: all is well. 1: a check failed.

    Examples:

      symcheck doctor

      symcheck doctor --format json

      CUDA_VISIBLE_DEVICES= symcheck doctor     # the processor alone
    """
    check_choice(format_, FORMATS, "--format")
    from symcheck.cli.doctor_checks import examined

    stages = examined()
    healthy = all(stage.ok for stage in stages)
    if format_ == "json":
        plain = [{"ok": stage.ok, **asdict(stage)} for stage in stages]
        typer.echo(json.dumps({"schema": SCHEMA, "ok": healthy, "stages": plain}, indent=2, ensure_ascii=False))
    else:
        from symcheck.cli.console import output_console
        from symcheck.report.page import Page

        _show(Page(output_console()), stages)
    if not healthy:
        raise typer.Exit(1)


def _show(page: Page, stages: tuple[Stage, ...]) -> None:
    from symcheck.report.numbers import count, duration

    marks = {True: ("✓", "+", "green"), False: ("✗", "x", "bold red"), None: ("○", "o", "dim")}
    width = max(len(check.name) for stage in stages for check in stage.checks)
    for stage in stages:
        page.line(f"{stage.name}  {duration(stage.seconds)}", "bold")
        for check in stage.checks:
            symbol, plain, style = marks[check.ok]
            found = page.text(check.found)
            if check.hint:
                found.append_text(page.text(f"; {check.hint}", "dim" if check.ok is not False else "bold"))
            room = max(page.width - width - 7, 20)
            mark = page.text(symbol if page.unicode else plain, style)
            page.row([(mark, 1), (page.text(check.name), width), (found, room)], 2)
        page.line()
    failed = [check for stage in stages for check in stage.checks if check.ok is False]
    page.line(f"{count(len(failed), 'check')} failed" if failed else "all is well", "bold red" if failed else "green")
