"""The formats of a document by name and by the suffix of its file."""

from __future__ import annotations

from pathlib import Path

from symcheck.errors import ConfigError
from symcheck.registry import suggest

# a suffix before those that it ends in
SUFFIXES = {
    ".sarif.json": "sarif", ".sarif": "sarif", ".json": "json", ".md": "markdown", ".txt": "text", ".html": "html",
    ".xml": "junit", ".csv": "csv", ".pdf": "figure", ".svg": "figure", ".png": "figure",
}  # fmt: skip
FORMATS = ("text", "json", "markdown", "html", "junit", "sarif", "csv")  # what is text
JUDGED = ("markdown", "junit", "sarif")  # what only reports and the records of gates can be
PRINTED = (*FORMATS, "github")  # what a command prints


def format_of(path: Path) -> str:
    """The format that a file name ends in; an unknown one is an error with a suggestion."""
    name = path.name.lower()
    for suffix, found in SUFFIXES.items():
        if name.endswith(suffix) and name != suffix:
            return found
    raise ConfigError(
        f"reports are not written as '{path.suffix or path.name}'",
        where=str(path),
        hint=suggest(path.suffix or path.name, list(SUFFIXES)),
    )
