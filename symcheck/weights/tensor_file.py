"""safetensors files as streams: one tensor at a time in and out, never the whole file in memory.

Eight bytes of header length (little-endian), a header of JSON padded to a multiple of eight bytes, then the bytes
of the tensors.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from symcheck.errors import ConfigError, LoadError

BLOCK = 2**22
DTYPES: Mapping[str, torch.dtype] = MappingProxyType({
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8,
    "U16": torch.uint16, "U32": torch.uint32, "U64": torch.uint64, "BOOL": torch.bool, "C64": torch.complex64,
})  # fmt: skip
NAMES = MappingProxyType({dtype: name for name, dtype in DTYPES.items()})


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its dtype as the file names it, its shape, and where its bytes are."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file: its head, byte for byte, and where its tensors are, in the order of their bytes."""

    path: Path
    head: bytes
    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]

    @classmethod
    def open(cls, path: Path) -> TensorFile:
        """Read the head of the file; LoadError when it is no healthy safetensors file."""
        try:
            with safe_open(path, framework="pt"):  # checks lengths, dtypes and that nothing overlaps
                pass
            with path.open("rb") as file:
                length = file.read(8)
                head = length + file.read(int.from_bytes(length, "little"))
            table = json.loads(head[8:])
        except (OSError, SafetensorError, ValueError) as error:
            raise LoadError(
                f"this cannot be read as safetensors: {str(error).splitlines()[0]}",
                where=str(path),
                hint="give a .safetensors file, or copy it again if it is damaged",
            ) from error
        metadata = table.pop("__metadata__", None) or {}
        entries = {
            name: Entry(given["dtype"], tuple(given["shape"]), *(len(head) + at for at in given["data_offsets"]))
            for name, given in table.items()
        }
        return cls(path, head, dict(sorted(entries.items(), key=lambda item: item[1].start)), metadata)

    def read(self, name: str) -> Tensor:
        """The tensor `name`, in memory of its own."""
        entry = self.entries[name]
        if entry.dtype not in DTYPES:
            raise LoadError(
                f"'{name}' is stored as {entry.dtype}, in which nothing can act",
                where=str(self.path),
                hint="give the checkpoint before quantisation",
            )
        data = torch.empty(entry.stop - entry.start, dtype=torch.uint8)
        with self.path.open("rb", buffering=0) as file:
            file.seek(entry.start)
            view, done = _memory(data), 0
            while done < len(view):
                count = file.readinto(view[done:])
                if not count:
                    raise LoadError(
                        f"the file ends within '{name}'", where=str(self.path), hint="copy the file again"
                    )
                done += count
        return data.view(DTYPES[entry.dtype]).reshape(entry.shape)

    def copy(self, name: str, target: BinaryIO) -> None:
        """Copy the bytes of a tensor as they are, whatever its dtype."""
        entry = self.entries[name]
        with self.path.open("rb") as file:
            file.seek(entry.start)
            left = entry.stop - entry.start
            while left:
                block = file.read(min(left, BLOCK))
                if not block:
                    raise LoadError(
                        f"the file ends within '{name}'", where=str(self.path), hint="copy the file again"
                    )
                left -= len(block)
                target.write(block)

    def rewrite(self, path: Path, changed: Callable[[str], Tensor | None]) -> None:
        """Write a file of the same head to `path`, with the tensors that `changed` gives and the others as they are."""
        with path.open("wb") as target:
            target.write(self.head)
            for name in self.entries:
                tensor = changed(name)
                if tensor is None:
                    self.copy(name, target)
                else:
                    write_bytes(tensor, target)
                    del tensor  # before the next one is read


def write_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, whole or not at all; what shares storage is written for each name.

    Raises ConfigError for a dtype that the format does not have, or a place that cannot be written.
    """
    ordered = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # each starts aligned
    head = head_of({name: (tensors[name].dtype, tuple(tensors[name].shape)) for name in ordered}, metadata or {})
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as target:
            target.write(head)
            for name in ordered:
                write_bytes(tensors[name], target)
        os.replace(temporary, path)
    except OSError as error:
        raise ConfigError(
            f"the file cannot be written: {error.strerror}", where=str(path), hint="choose another place"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def head_of(tensors: Mapping[str, tuple[torch.dtype, tuple[int, ...]]], metadata: Mapping[str, str]) -> bytes:
    """The head of a file whose tensors have these dtypes and shapes and follow one another in this order."""
    table: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    start = 0
    for name, (dtype, shape) in tensors.items():
        if dtype not in NAMES:
            raise ConfigError(
                f"'{name}' holds {dtype}, which safetensors does not have",
                where=f"tensor '{name}'",
                hint="convert it first",
            )
        stop = start + math.prod(shape) * dtype.itemsize
        table[name] = {"dtype": NAMES[dtype], "shape": [*shape], "data_offsets": [start, stop]}
        start = stop
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def write_bytes(tensor: Tensor, target: BinaryIO) -> None:
    """Append the bytes of a tensor, row-major."""
    for block in _bytes(tensor.detach().cpu().contiguous()):
        target.write(block)


def _bytes(tensor: Tensor) -> Iterator[memoryview]:
    data = _memory(tensor.reshape(-1).view(torch.uint8))
    for start in range(0, len(data), BLOCK):
        yield data[start : start + BLOCK]


def _memory(data: Tensor) -> memoryview:
    """The memory of a 1-D tensor of bytes."""
    return memoryview(data.numpy())  # type: ignore[arg-type]
