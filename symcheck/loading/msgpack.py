"""Weights that flax wrote with `flax.serialization`: msgpack with three extension types, read as data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.importing import extra

_ARRAY, _COMPLEX, _SCALAR = 1, 2, 3
_CHUNKS = "__msgpack_chunked_array__"


def read_msgpack(path: Path) -> dict[str, Tensor]:
    """The arrays of nested maps by dotted key (`params.Dense_0.kernel`), as stored; lists count from 0.

    Raises LoadError: the file is damaged, or holds what is no array.
    """
    msgpack = extra("msgpack", "flax")

    def made(code: int, data: bytes) -> Any:
        content = msgpack.unpackb(data, raw=False)
        if code in (_ARRAY, _SCALAR):
            shape, dtype, raw = content
            return _tensor(shape, dtype, raw)
        if code == _COMPLEX:
            return torch.tensor(complex(*content))
        raise ValueError(f"an extension of the unknown type {code}")

    try:
        content = msgpack.unpackb(path.read_bytes(), ext_hook=made, raw=False, strict_map_key=False)
        return dict(_flat(content, ""))
    except Exception as error:  # a damaged file fails in many ways
        raise LoadError(
            f"the msgpack file cannot be read as weights: {type(error).__name__}: {error}",
            where=str(path),
            hint="it should be what flax.serialization.to_bytes(params) returned; copy it again if it is damaged",
        ) from error


def _tensor(shape: Any, dtype: Any, raw: bytes) -> Tensor:
    name = dtype.decode() if isinstance(dtype, bytes) else str(dtype)
    if name == "bfloat16":
        return torch.frombuffer(bytearray(raw), dtype=torch.bfloat16).reshape(tuple(shape))
    if np.dtype(name).kind not in "biufc":
        raise ValueError(f"an array of {name}")
    return torch.from_numpy(np.ndarray(tuple(shape), np.dtype(name), raw).copy())


def _flat(content: Any, prefix: str) -> Iterator[tuple[str, Tensor]]:
    if isinstance(content, Tensor):
        yield prefix.rstrip("."), content
    elif isinstance(content, Mapping) and _CHUNKS in content:  # an array above a gigabyte lies in pieces
        parts = [content["chunks"][str(i)] for i in range(len(content["chunks"]))]
        shape = [content["shape"][str(i)] for i in range(len(content["shape"]))]
        yield prefix.rstrip("."), torch.cat([part.flatten() for part in parts]).reshape(shape)
    elif isinstance(content, Mapping | list):
        for name, value in content.items() if isinstance(content, Mapping) else enumerate(content):
            yield from _flat(value, f"{prefix}{name}.")
    elif isinstance(content, bool | int | float):
        yield prefix.rstrip("."), torch.tensor(content)
    elif content is not None:
        raise ValueError(f"'{prefix.rstrip('.')}' is a {type(content).__name__}, not an array")
