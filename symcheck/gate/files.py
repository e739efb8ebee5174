"""The files that a measurement rests on, told apart by their digests: they may not be what is there now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from symcheck.files import sha256
from symcheck.subject_file import read_subject_file


def digests(settings: Mapping[str, Any], against: str = "", known: Mapping[str, str] | None = None) -> dict[str, str]:
    """SHA-256 of the checkpoint, the code of the model, the inputs and the other checkpoint, where they are files.

    `settings` are those of a subject; digests that are `known` are not taken again. The keys are what the files are
    for, so that they stay the same on another machine.
    """
    known = known or {}
    return {what: known.get(what) or sha256(path) for what, path in _files(settings, against)}


def changed(before: Mapping[str, Any], settings: Mapping[str, Any], against: str = "") -> str:
    """Which file is another one than before, in words; empty when none is, or when they are not here."""
    for what, path in _files(settings, against):
        if before.get(what) and sha256(path) != before[what]:
            return f"{path.name} is another file than the one that was measured"
    return ""


def _files(settings: Mapping[str, Any], against: str) -> Iterator[tuple[str, Path]]:
    if against.endswith(".toml"):
        against = read_subject_file(against).checkpoint or against
    inputs = settings.get("inputs") or {}
    named = {"checkpoint": settings.get("checkpoint"), "model": settings.get("model"), "against": against}
    named |= {f"inputs.{k}": v for k, v in inputs.items()} if isinstance(inputs, Mapping) else {"inputs": inputs}
    for what, text in named.items():
        for name in (str(text or ""), str(text or "").rpartition(":")[0]):
            if name and Path(name).is_file():
                yield what, Path(name)
                break
