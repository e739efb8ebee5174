"""What stands behind an option, as a value. Light: loaded with the command line itself."""

from __future__ import annotations

import tomllib
from typing import Any

from symcheck.errors import ConfigError


def pairs(items: list[str] | None, flag: str, *, toml: bool = False) -> dict[str, Any]:
    """Texts `key=value` as a table; with `toml` the values are read as TOML."""
    found: dict[str, Any] = {}
    for item in items or []:
        name, equals, value = item.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"'{item}' is not key=value", where=flag, hint=f"write {flag} width=64")
        found[name.strip()] = _toml(value) if toml else value
    return found


def _toml(text: str) -> Any:
    """A TOML value; what is none is a plain string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def input_sources(items: list[str] | None) -> Any:
    """One source for all inputs, or name=source for each."""
    if not items:
        return None
    if len(items) == 1 and not _named(items[0]):
        return items[0]
    unnamed = [item for item in items if not _named(item)]
    if unnamed:
        raise ConfigError(
            f"'{unnamed[0]}' has no name among several inputs", where="--inputs", hint="write name=source for each one"
        )
    return dict(item.split("=", 1) for item in items)


def _named(item: str) -> bool:
    name, equals, _ = item.partition("=")
    return bool(equals) and name.isidentifier()
