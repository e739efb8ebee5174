"""What is decided about a stream before rich is loaded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO


def wants_colour(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether `stream` gets colour: NO_COLOR beats FORCE_COLOR, that beats being a terminal."""
    if environ.get("NO_COLOR") or environ.get("_TYPER_FORCE_DISABLE_TERMINAL"):
        return False
    if environ.get("FORCE_COLOR", "0") not in ("", "0"):
        return True
    return stream.isatty() and environ.get("TERM") != "dumb"
