"""What every group's maker does with its text arguments."""

from __future__ import annotations

import math
from collections.abc import Callable

from symcheck.errors import ClaimError
from symcheck.groups.base import GroupMaker, number


def examples(*texts: str) -> Callable[[GroupMaker], GroupMaker]:
    """Decorator for a maker function: the group texts that its errors show and that the law tests run.

    A maker class states the same as a class attribute `examples`.
    """

    def mark(maker: GroupMaker) -> GroupMaker:
        vars(maker)["examples"] = texts
        return maker

    return mark


def whole(text: str, group: str, least: int) -> int:
    """An integer argument of at least `least`; anything else is a ClaimError."""
    value: int = number(text, int, group)
    if value < least:
        raise ClaimError(
            f"{group} needs an integer of at least {least}, not {value}",
            where=f"{group}({text})",
            hint=f"write {group}({least}) or more",
        )
    return value


def positive(text: str, group: str) -> float:
    """A finite positive argument; anything else is a ClaimError."""
    value: float = number(text, float, group)
    if not (0.0 < value < math.inf):
        raise ClaimError(
            f"{group} needs a positive number, not {text}",
            where=f"{group}({text})",
            hint="write a finite number above 0",
        )
    return value


def plain(value: float) -> str:
    """The shortest text that parses back to the number: 10.0 is `10`."""
    short = f"{value:g}"
    return short if float(short) == value else repr(value)


def title(group: str, *args: int | float, default: float | None = None) -> str:
    """`group(arg,arg)`; a last argument equal to `default` is left out."""
    shown = args[:-1] if default is not None and args[-1] == default else args
    return f"{group}({','.join(plain(a) for a in shown)})"
