"""On which line of a TOML file a table and its keys stand, so that a message can point there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

_HEADER = re.compile(r"^\s*\[{1,2}\s*([^\[\]]+?)\s*\]{1,2}\s*(#.*)?$")
_KEY = re.compile(r"^\s*(?:\"([^\"]+)\"|'([^']+)'|([A-Za-z0-9_-]+))\s*(?:=|\.)")


@dataclass(frozen=True)
class Lines:
    """The lines of one table: where it begins, and where each of its keys stands."""

    start: int = 1
    keys: dict[str, int] = field(default_factory=dict)

    def of(self, key: str = "") -> int:
        """The line of a key, or of the table itself where the key is not found."""
        return self.keys.get(key, self.start)


def tables(text: str, name: str, count: int) -> Sequence[Lines]:
    """The `count` entries of the array of tables `[[name]]`; all at line 1 where they are written in another way."""
    lines = text.splitlines()
    inside = _inside_texts(text, len(lines))
    found: list[Lines] = []
    current: Lines | None = None
    for i, line in enumerate(lines, start=1):
        if inside[i - 1]:
            continue
        if header := _HEADER.match(line):
            own = "".join(header[1].split()).replace('"', "") == name and line.lstrip().startswith("[[")
            current = Lines(i, {}) if own else None
            if current is not None:
                found.append(current)
        elif current is not None and (key := _KEY.match(line)):
            current.keys.setdefault(key[1] or key[2] or key[3], i)
    return found if len(found) == count else [Lines()] * count


def _inside_texts(text: str, count: int) -> list[bool]:
    """Whether each line begins inside a text of several lines: there the lines above alone are no TOML."""
    flags, marks = [], re.findall(r'"""|\'\'\'|\n|#[^\n]*|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'', text)
    opened = ""
    flags.append(False)
    for mark in marks:
        if mark == "\n":
            flags.append(bool(opened))
        elif mark in ('"""', "'''"):
            opened = "" if opened == mark else opened or mark
    return (flags + [False] * count)[:count]
