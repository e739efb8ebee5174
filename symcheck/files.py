"""Bytes on disk: is the file readable, what is its digest, is its zip archive honest. No torch."""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import IO

from symcheck.errors import LoadError
from symcheck.registry import suggest

_SLACK = 64 * 2**20
_RATIO = 200
_LISTED = 1000  # names of a folder among which a misspelt one is looked for


def readable(path: str | Path) -> Path:
    """The path of a regular file that may be read; LoadError says what it is instead."""
    path = Path(path).expanduser()
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:3] if os.access(path, os.R_OK) else []
        hint = f"give one of its files, such as {', '.join(inside)}" if inside else "give a file"
        raise LoadError("a directory is no checkpoint", where=str(path), hint=hint)
    if not path.exists():
        raise LoadError("there is no such file", where=str(path), hint=nearest(path))
    if not path.is_file():
        raise LoadError("this is no regular file", where=str(path), hint="copy its content to a file first")
    try:
        with path.open("rb"):
            return path
    except OSError as error:
        raise LoadError(
            f"the file cannot be read: {error.strerror}", where=str(path), hint="check its permissions"
        ) from error


def nearest(path: Path) -> str:
    """A hint for a file that is not there: names in its folder that are nearly its own, or where paths start."""
    folder = path.parent
    there = folder.is_dir() and os.access(folder, os.R_OK)
    names = [entry.name for entry in islice(folder.iterdir(), _LISTED)] if there else []
    return suggest(path.name, names, f"relative paths start at {Path.cwd()}")


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 digest of the file, read as a stream."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_zip(path: Path, data: bytes | None = None) -> zipfile.ZipFile:
    """The zip archive at `path` (or in `data`), unless it is damaged, ambiguous or expands beyond reason.

    Refused with LoadError: two members of one name (readers disagree on which one counts), encryption, and
    members that declare more than 200 times the size of the archive (plus 64 MiB).
    """
    source: Path | IO[bytes] = path if data is None else io.BytesIO(data)
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise LoadError(
            f"the zip archive is damaged: {error}", where=str(path), hint="copy or download the file again"
        ) from error
    try:
        _check_members(archive, path, path.stat().st_size if data is None else len(data))
    except LoadError:
        archive.close()
        raise
    return archive


def _check_members(archive: zipfile.ZipFile, path: Path, size: int) -> None:
    members = archive.infolist()
    twice = [name for name, count in Counter(member.filename for member in members).items() if count > 1]
    if twice:
        raise _refused(path, f"the archive holds '{twice[0]}' twice, so that readers may disagree about it")
    if any(member.flag_bits & 1 for member in members):
        raise _refused(path, "the archive is encrypted")
    declared = sum(member.file_size for member in members)
    if declared > _RATIO * size + _SLACK:
        largest = max(members, key=lambda member: member.file_size)
        raise _refused(
            path,
            f"the archive of {size:,} bytes says that it expands to {declared:,} bytes, "
            f"most of it in '{largest.filename}'",
        )


def _refused(path: Path, message: str) -> LoadError:
    return LoadError(message, where=str(path), hint="write the file again with torch.save or numpy.savez")


def reason(error: BaseException) -> str:
    """The first line of an error of another library, or its type when it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
