"""Bytes on disk: is the file readable, what is its digest, which shards has it, is its zip archive honest. No torch."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import IO

from symcheck.errors import LoadError
from symcheck.registry import suggest

INDEX = "model.safetensors.index.json"
_SCHEME = re.compile(r"([a-z][a-z0-9_-]+):(.+)")
_SLACK = 64 * 2**20
_RATIO = 200
_LISTED = 1000  # names of a folder among which a misspelt one is looked for


def readable(path: str | Path) -> Path:
    """The path of a regular file that may be read; LoadError says what it is instead."""
    path = Path(path).expanduser()
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.is_file())[:3] if os.access(path, os.R_OK) else []
        hint = f"give one of its files, such as {', '.join(inside)}" if inside else "give a file"
        hint = f"what transformers wrote is read whole: write hf:{path}" if of_transformers(path) else hint
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


def of_transformers(folder: Path) -> bool:
    """Whether a folder looks like one that transformers wrote: it has a config.json that names a `model_type`."""
    try:
        return b'"model_type"' in (folder / "config.json").read_bytes()
    except OSError:
        return False


def scheme(checkpoint: str | Path) -> tuple[str, str] | None:
    """`(scheme, rest)` of a checkpoint written `scheme:rest`, such as `hf:FOLDER`; None for a path.

    A file or folder that is there wins, and one letter is a drive.
    """
    found = _SCHEME.fullmatch(str(checkpoint))
    return None if found is None or Path(checkpoint).exists() else (found[1], found[2])


def nearest(path: Path) -> str:
    """A hint for a file that is not there: names in its folder that are nearly its own, or where paths start."""
    folder = path.parent
    there = folder.is_dir() and os.access(folder, os.R_OK)
    names = [entry.name for entry in islice(folder.iterdir(), _LISTED)] if there else []
    return suggest(path.name, names, f"relative paths start at {Path.cwd()}")


def sha256(path: Path) -> str:
    """The hexadecimal SHA-256 digest of the file, read as a stream; of shards, the one over all their digests."""
    if is_sharded(path):
        found = shards(path)
        lines = [f"{file.name} {_digest(file)}\n" for file in found.all]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    return _digest(path)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Shards:
    """The files of one checkpoint, its index if it has one, and which file the index names for each tensor."""

    path: Path
    files: tuple[Path, ...]
    index: Path | None = None
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file that is read."""
        return self.files if self.index is None else (*self.files, self.index)

    def holders(self, names: Mapping[Path, Iterable[str]]) -> dict[str, Path]:
        """Which file holds each tensor, from the names in each; LoadError unless each is in one, as the index says."""
        found: dict[str, Path] = {}
        for file, held in names.items():
            for name in held:
                if name in found:
                    raise LoadError(
                        f"'{name}' stands in two files, {found[name].name} and {file.name}",
                        where=str(self.path),
                        hint=f"give one file, or a folder with {INDEX}",
                    )
                found[name] = file
        if wrong := [name for name in self.named if name not in found]:
            raise LoadError(
                f"no shard holds '{wrong[0]}', which the index names",
                where=str(self.index),
                hint="copy all shards again",
            )
        return found


def is_sharded(path: Path) -> bool:
    """Whether a path is a folder of safetensors or an index of shards, by its name."""
    if path.is_dir():
        return next(path.glob("*.safetensors"), None) is not None or next(path.glob("*.index.json"), None) is not None
    return path.name.endswith(".index.json") and path.is_file()


def shards(path: Path) -> Shards:
    """The files of a folder of safetensors, or of an index (.index.json), which a folder may hold.

    Raises LoadError: no such files, a damaged index, one that names a file that is not beside it, several indices.
    """
    if not path.is_dir():
        return _indexed(path.parent, path)
    indices = [path / INDEX] if (path / INDEX).is_file() else sorted(path.glob("*.index.json"))
    if len(indices) > 1:
        raise LoadError(
            f"the folder holds {len(indices)} checkpoints: {', '.join(index.name for index in indices)}",
            where=str(path),
            hint=f"give one of them, such as {indices[0]}",
        )
    if indices:
        return _indexed(path, indices[0])
    files = tuple(sorted(path.glob("*.safetensors")))
    if not files:
        raise LoadError(
            "the folder holds no safetensors", where=str(path), hint=f"give one with *.safetensors or {INDEX}"
        )
    return Shards(path, files)


def _indexed(folder: Path, index: Path) -> Shards:
    try:
        where = {str(k): str(v) for k, v in json.loads(index.read_text(encoding="utf-8"))["weight_map"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LoadError(
            f"the index cannot be read: {type(error).__name__}: {error}",
            where=str(index),
            hint='an index holds a "weight_map" of tensors and files',
        ) from error
    names = sorted(set(where.values()))
    for name in names:
        if Path(name).name != name or not (folder / name).is_file():
            raise LoadError(
                f"the index names '{name}', which is no file beside it", where=str(index), hint="copy all shards"
            )
    return Shards(folder, tuple(folder / name for name in names), index, where)


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
