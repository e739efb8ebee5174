"""Text from files that nobody vouches for, fit to be shown."""

from __future__ import annotations


def clean(text: str) -> str:
    """Text that can be shown: no control or formatting characters, lone surrogates as `\\\\udcff`."""
    words = text.encode(errors="backslashreplace").decode()
    return "".join(c if c.isprintable() or c == "\n" else "\ufffd" for c in words)
