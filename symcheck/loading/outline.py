"""What a pickle that is refused would hold, read without importing or calling anything that it names."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from symcheck.files import open_zip
from symcheck.loading.sniff import Kind

_PICKLES = 5  # a legacy file is that many in a row: magic number, protocol, system, content, keys of storages


class Held(dict[Any, Any]):
    """What stands for an object of any class: the items and the attributes that the pickle gives it."""

    def __init__(self, *_: Any, **__: Any) -> None:
        super().__init__()

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, Mapping):
            self.update(state)

    def append(self, item: Any) -> None:
        """An item of something like a list."""

    def extend(self, items: Any) -> None:
        """The same for several."""


class _Reader(pickle._Unpickler):
    """The reader in Python, whose memo cannot be made to fill the memory."""

    def find_class(self, module: str, name: str) -> Any:
        """A holder, or for what rebuilds a tensor, a tensor without numbers."""
        if module == "torch._utils" and name.startswith("_rebuild_") and "." not in name:
            return _tensor
        return type(name.rpartition(".")[2], (Held,), {"__module__": module})

    def persistent_load(self, pid: Any) -> None:
        """A storage, which is left in the file."""


def _tensor(*given: Any) -> Tensor:
    """A tensor without numbers that has as many axes: of a parameter that of its data, else the size is third."""
    if given and isinstance(given[0], Tensor):
        return given[0]
    axes = len(given[2]) if len(given) > 2 and isinstance(given[2], tuple) else 1
    return torch.empty([1] * axes, device="meta")


def outline(path: Path, kind: Kind) -> Any:
    """The content of a torch.save file with holders for objects and empty tensors; None when it cannot be read."""
    try:
        if kind is not Kind.LEGACY:
            with open_zip(path) as archive:
                name = next(n for n in archive.namelist() if n.partition("/")[2] == "data.pkl")
                return _Reader(io.BytesIO(archive.read(name))).load()
        with path.open("rb") as file:
            pickles = [_Reader(file).load() for _ in range(_PICKLES - 1)]
        return pickles[-1]
    except Exception:  # a damaged pickle raises nearly anything; the caller says what is wrong with it
        return None
