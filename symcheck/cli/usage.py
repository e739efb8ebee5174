"""What is wrong with a command line, in our three lines: typer's usage errors, with the nearest command or option."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from symcheck.registry import suggest

_UNKNOWN = re.compile(r"No such (command|option):? '?(.*?)'?(?:\.?$|\.? (?:Did you|\(Possible|\(Did))")


def usage(error: Exception, program: str) -> tuple[str, str, str]:
    """Message, command and hint of a usage error of typer; `program` stands in where it knows no command."""
    context: Any = getattr(error, "ctx", None)
    command: str = context.command_path if context is not None else program
    message = str(getattr(error, "format_message", error.__str__)()).rstrip(".")
    if not message:  # the help page of a group of commands has been shown
        return "there is no command", command, f"{command} --help"
    found = _UNKNOWN.match(message)
    if found is None or context is None:
        return message, command, f"{command} --help"
    kind, word = found.groups()
    return f"there is no {kind} '{word}'", command, _nearest(word, _known(kind, context), f"{command} --help")


def _known(kind: str, context: Any) -> Iterable[str]:
    """The names of the command's own commands, or options."""
    if kind == "command":
        return list(context.command.list_commands(context))
    return [name for option in context.command.get_params(context) for name in (*option.opts, *option.secondary_opts)]


def _nearest(word: str, known: Iterable[str], page: str) -> str:
    """The closest names and where all of them stand; dashes make no two options alike."""
    names = {name.lstrip("-"): name for name in known if len(name) > 2}
    hint = suggest(word.lstrip("-"), list(names), page)
    if hint == page:
        return page
    return re.sub(r"'([^']+)'", lambda match: f"'{names[match[1]]}'", hint) + f" {page} lists them all"
