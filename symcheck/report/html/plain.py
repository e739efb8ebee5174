"""Text and numbers from files that nobody vouches for, fit to be shown."""

from __future__ import annotations

import math

_SMALL, _LARGE = 1e-100, 1e100  # beyond these the arithmetic of an axis fails


def clean(text: str) -> str:
    """Text that can be shown: no control or formatting characters, lone surrogates as `\\\\udcff`."""
    words = text.encode(errors="backslashreplace").decode()
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in words)


def drawable(value: float) -> float:
    """The number; 0 where it is too small for an axis, NaN where it is too large."""
    size = abs(value)
    return value if _SMALL <= size < _LARGE else 0.0 if size < _SMALL else math.nan
