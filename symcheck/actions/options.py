"""Reading and writing the arguments of an action's text."""

from __future__ import annotations

from collections.abc import Mapping

from symcheck.actions.base import no_options
from symcheck.errors import ClaimError


def whole(name: str, options: dict[str, str], key: str, default: int = 0, least: int = 0) -> int:
    """Take the integer option `key` out of `options`; anything else is a ClaimError."""
    text = options.pop(key, str(default))
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ClaimError(
            f"'{key}={text}' is not understood by the action '{name}'",
            where=f"{name}({key}={text})",
            hint=f"give a whole number of at least {least}, e.g. {name}({key}={max(least, 1)})",
        )
    return value


def listens(name: str, words: list[str], kinds: Mapping[str, str]) -> frozenset[str]:
    """The faces that an action uses: all of `kinds`, or only those that `words` name: `sequence(shift)`.

    In a product the words say which factor moves this slot, and leave the others to its other actions.
    """
    no_options(name, [word for word in words if word not in kinds])
    return frozenset(kinds[word] for word in words or kinds)


def spelled(name: str, *parts: str) -> str:
    """The text of an action with its arguments, empty ones left out."""
    given = [part for part in parts if part]
    return f"{name}({','.join(given)})" if given else name


def choice(name: str, options: dict[str, str], key: str, known: tuple[str, ...]) -> str | None:
    """Take the option `key`, one of the words `known`, out of `options`; None where it is not given."""
    value = options.pop(key, None)
    if value is not None and value not in known:
        raise ClaimError(
            f"'{key}={value}' is not understood by the action '{name}'",
            where=f"{name}({key}={value})",
            hint=f"write one of: {', '.join(f'{key}={word}' for word in known)}",
        )
    return value
