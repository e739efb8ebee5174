"""Plain tables as TOML text, laid out to be read and compared line by line. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

WIDTH = 120
_BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_text(document: Mapping[str, Any]) -> str:
    """The document as TOML: a section for every table, a line for every entry that fits into one.

    A `certificate` may hold nulls, which TOML has not: it is written as a JSON text.
    """
    lines = [f"{_key(key)} = {_value(value)}" for key, value in document.items() if not _is_section(value)]
    for key, value in document.items():
        if key == "certificate":
            lines += ["", f"[{key}]", *_json_text(value)]
        elif isinstance(value, Mapping):
            lines += ["", f"[{_key(key)}]", *(line for k, v in value.items() for line in _entry(_key(k), v))]
        elif _is_section(value):
            for table in value:
                lines += ["", f"[[{_key(key)}]]", *(line for k, v in table.items() for line in _entry(_key(k), v))]
    return "\n".join(lines) + "\n"


def _is_section(value: Any) -> bool:
    return isinstance(value, Mapping) or _is_tables(value)


def _is_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _entry(key: str, value: Any) -> Iterator[str]:
    """One line where it fits; else a line for each part of a table, or for each item of a list."""
    line = f"{key} = {_value(value)}"
    if len(line) <= WIDTH or not value or not isinstance(value, Mapping | list):
        yield line
    elif isinstance(value, Mapping):
        for inner, part in value.items():
            yield from _entry(f"{key}.{_key(inner)}", part)
    else:
        yield f"{key} = ["
        yield from (f"  {_value(item)}," for item in value)
        yield "]"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _string(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        inside = ", ".join(f"{_key(key)} = {_value(part)}" for key, part in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    return _string(value) if isinstance(value, str) else repr(value)


def _string(text: str) -> str:
    """A basic string; JSON's escapes are TOML's, but for the one character that JSON leaves as it is."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _json_text(value: Mapping[str, Any]) -> list[str]:
    """A literal string of JSON, in which an apostrophe can only stand inside a JSON string."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
    return ["json = '''", *text.replace("'", "\\u0027").replace("\x7f", "\\u007f").split("\n"), "'''"]
