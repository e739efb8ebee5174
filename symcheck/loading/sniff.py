"""What a file is, told by its first bytes and its members, not by its suffix (but for an index). No torch."""

from __future__ import annotations

import struct
from enum import StrEnum
from pathlib import Path

from symcheck.files import is_sharded, open_zip, readable

_ONNX_FIELDS = (0x12, 0x1A, 0x22, 0x28, 0x32, 0x3A, 0x42)


class Kind(StrEnum):
    """What a file holds; the value is the `format` of a report."""

    SAFETENSORS = "safetensors"
    SHARDS = "safetensors in shards"
    TORCH = "pt"
    LEGACY = "pt (legacy)"
    SCRIPT = "torchscript"
    EXPORT = "pt2"
    NPZ = "npz"
    NPY = "npy"
    ONNX = "onnx"
    MSGPACK = "msgpack"
    POINTER = "git-lfs pointer"
    EMPTY = "empty"
    UNKNOWN = "unknown"


def sniff(path: str | Path) -> Kind:
    """The kind of the file or folder at `path`, by content; LoadError when it cannot be read or its zip lies."""
    if is_sharded(Path(path).expanduser()):
        return Kind.SHARDS
    path = readable(path)
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        return Kind.EMPTY
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(path)
    if head.startswith(b"\x93NUMPY"):
        return Kind.NPY
    if head.startswith(b"version https://git-lfs"):
        return Kind.POINTER
    if head[0] == 0x80 and len(head) > 1 and head[1] <= 5:
        return Kind.LEGACY
    if _is_safetensors(head):
        return Kind.SAFETENSORS
    if head[0] == 0x08 and len(head) > 2 and head[1] < 64 and head[2] in _ONNX_FIELDS:
        return Kind.ONNX
    if _is_map(head):
        return Kind.MSGPACK
    return Kind.UNKNOWN


def _is_safetensors(head: bytes) -> bool:
    """Eight bytes of header length, then '{'; eight printable bytes would be the start of a text."""
    return len(head) > 8 and head[8] == ord("{") and not head[:8].decode("latin-1").isprintable()


def _is_map(head: bytes) -> bool:
    """A msgpack map (of up to 15, 2^16 or 2^32 entries) whose first key is a text."""
    start = 1 if 0x81 <= head[0] <= 0x8F else {0xDE: 3, 0xDF: 5}.get(head[0], len(head))
    return start < len(head) and (0xA1 <= head[start] <= 0xBF or head[start] in (0xD9, 0xDA))


def header_length(path: Path) -> int:
    """The length of a safetensors header as the file states it: a little-endian uint64."""
    with path.open("rb") as file:
        return int(struct.unpack("<Q", file.read(8))[0])


def _sniff_zip(path: Path) -> Kind:
    with open_zip(path) as archive:
        names = archive.namelist()
    if names and all(name.endswith(".npy") for name in names):
        return Kind.NPZ
    inner = {name.partition("/")[2] for name in names}
    if "archive_format" in inner or "serialized_exported_program.json" in names:
        return Kind.EXPORT
    if "data.pkl" in inner:
        coded = "constants.pkl" in inner or any(name.startswith("code/") for name in inner)
        return Kind.SCRIPT if coded else Kind.TORCH
    return Kind.UNKNOWN
