"""How far an alignment has come, on disk: written whole or not at all, and bound to what it belongs to."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from symcheck.errors import ConfigError, LoadError
from symcheck.weights.spec import Spec
from symcheck.weights.spec_file import to_table
from symcheck.weights.stream import Checkpoint
from symcheck.weights.tensor_file import TensorFile, write_tensors

SCHEMA = "symcheck.align-state/1"
_PARTS = ("source", "element")

Sums = tuple[tuple[float, float, float], ...]  # of every block ⟨A, B⟩, ‖A‖², ‖B‖²


@dataclass(frozen=True)
class Position:
    """Where an alignment stands: what it has found, and what is left to do.

    `settled` are the spaces that the start has settled, in order; `waiting` those that are still to be solved, None
    while the start goes on; `best` those that the start has left at their best. `before` are the sums of the blocks
    at the identity, `seconds` the time that it took.
    """

    before: Sums = ()
    settled: tuple[str, ...] = ()
    best: tuple[str, ...] = ()
    waiting: tuple[str, ...] | None = None
    solved: int = 0
    seconds: float = 0.0
    source: Mapping[str, Tensor] = field(default_factory=dict)
    element: Mapping[str, Tensor] = field(default_factory=dict)


def bound_of(a: Checkpoint, b: Checkpoint, spec: Spec, options: Mapping[str, Any]) -> dict[str, str]:
    """What a position belongs to: digests of both checkpoints (paths, sizes, times, heads), the spec, the options."""
    parts = {"A": _identity(a), "B": _identity(b), "the spec": to_table(spec), "the options": dict(options)}
    texts = {what: json.dumps(part, default=str) for what, part in parts.items()}
    return {what: hashlib.sha256(text.encode()).hexdigest() for what, text in texts.items()}


def _identity(checkpoint: Checkpoint) -> list[list[str]]:
    files = []
    for file in checkpoint.files:
        status = file.path.stat()
        head = hashlib.sha256(file.head).hexdigest()
        files.append([str(file.path.resolve()), str(status.st_size), str(status.st_mtime_ns), head])
    return files


def save_position(path: Path, bound: Mapping[str, str], position: Position) -> None:
    """Write a position as safetensors; ConfigError when that is not possible."""
    tensors = {f"{kind}/{name}": t for kind in _PARTS for name, t in getattr(position, kind).items()}
    plain = {name: value for name, value in vars(position).items() if name not in _PARTS}
    about = {"schema": SCHEMA, "bound": json.dumps(bound), "position": json.dumps(plain)}
    write_tensors({name: t.contiguous() for name, t in tensors.items()}, path, about)


def load_position(path: Path, bound: Mapping[str, str]) -> Position | None:
    """The position that was written for the same work, None where there is none.

    Raises ConfigError when it belongs to other work, or is no position.
    """
    if not path.exists():
        return None
    hint = "delete the file, or add --force to begin anew"
    try:
        file = TensorFile.open(path)
        found: dict[str, str] = json.loads(file.metadata["bound"])
        plain = json.loads(file.metadata["position"])
        if file.metadata["schema"] != SCHEMA:
            raise KeyError("schema")
        parts = {kind: _part(file, f"{kind}/") for kind in _PARTS}
    except (LoadError, KeyError, ValueError) as error:
        raise ConfigError("this is no state of an alignment", where=str(path), hint=hint) from error
    other = [what for what, digest in bound.items() if found.get(what) != digest]
    if other:
        raise ConfigError(
            f"an alignment was begun here with another value of {' and '.join(other)}", where=str(path),
            hint=f"give the same arguments to go on with it, {hint}",
        )  # fmt: skip
    waiting = plain.pop("waiting")
    plain["waiting"] = None if waiting is None else tuple(waiting)
    plain["before"] = tuple(map(tuple, plain["before"]))
    plain |= {name: tuple(plain[name]) for name in ("settled", "best")}
    return Position(**plain | parts)


def _part(file: TensorFile, prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): file.read(name) for name in file.entries if name.startswith(prefix)}


@dataclass
class Keeper:
    """Keeps the latest position, and writes it as often as that costs little; without a path it is only kept."""

    path: Path | None
    bound: Mapping[str, str]
    position: Position = field(default_factory=Position)
    share: float = 0.05  # of the time that writing may take
    _due: float = 0.0
    _written: Position | None = None

    def __post_init__(self) -> None:
        self._written = self.position  # it was read, or says nothing

    def keep(self, position: Position) -> None:
        """Take a position, and write it if the last time is long enough ago."""
        self.position = position
        if time.monotonic() >= self._due:
            self.write()

    def write(self) -> None:
        """Write the position if it has not been."""
        if self.path is None or self._written is self.position:
            return
        start = time.monotonic()
        save_position(self.path, self.bound, self.position)
        self._written = self.position
        self._due = time.monotonic() + (time.monotonic() - start) / self.share

    def forget(self) -> None:
        """Remove what was written."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def clear_leftovers(path: Path) -> None:
    """Remove what processes that were killed left of writing a file or folder: `.NAME.PID.tmp` beside it."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
        number = left.name.split(".")[-2]
        if number.isdigit() and not _alive(int(number)):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _alive(number: int) -> bool:
    """Whether there is a process of this number."""
    if os.name != "posix":
        return True  # a signal 0 would end it
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
