"""What a weights-only file may hold beside tensors: plain values whose making runs no code of anybody.

torch's strict reader refuses every name that it does not know, so that a checkpoint with a NumPy score or a path in it
is refused whole. Each name here stands for something inert. NumPy's own functions trust what a pickle says about
memory, and are replaced: arrays are made here, from bytes, and only of numbers and texts.
"""

from __future__ import annotations

import argparse
import datetime
import pathlib
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_LETTERS = "biufcSU"  # bool, integers, floats, complex, bytes, text: no objects, no records, no dates
_FACTORIES = (list, dict, int, float, str, bool, bytes)
_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_DATES = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta, datetime.timezone)
_LIGHTNING = (
    "pytorch_lightning.utilities.parsing", "lightning_fabric.utilities.data", "lightning.fabric.utilities.data",
)  # fmt: skip


class _DType:
    """A NumPy dtype as a pickle spells it: the name at first, then a state with the byte order."""

    def __init__(self, name: str, *_flags: Any) -> None:
        self.dtype = np.dtype(str(name))
        if self.dtype.kind not in _LETTERS:
            raise ValueError(f"an array of {self.dtype} is no plain data")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order, subarray, names, fields = state[1:5]
        if not (subarray is None and names is None and fields is None):
            raise ValueError("an array of records is no plain data")
        self.dtype = self.dtype.newbyteorder(order)

    def __repr__(self) -> str:
        return repr(self.dtype)


class _Array(np.ndarray):
    """A NumPy array that a pickle fills from bytes."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        plain = isinstance(dtype, _DType) and isinstance(data, bytes) and isinstance(shape, tuple)
        if not plain or not all(isinstance(size, int) for size in shape):
            raise ValueError("an array that is not written as bytes is no plain data")
        written: Any = (1, shape, dtype.dtype, fortran, data)
        super().__setstate__(written)


def _array(*_how: Any) -> _Array:
    return np.ndarray.__new__(_Array, (0,))


def _number(dtype: _DType, data: bytes) -> Any:
    if not isinstance(dtype, _DType) or not isinstance(data, bytes):
        raise ValueError("a number that is not written as bytes is no plain data")
    (number,) = np.frombuffer(data, dtype.dtype)
    return number.item()


def _default_dict(*_factory: Any) -> dict[Any, Any]:
    return {}


def _path(*parts: str) -> str:
    return str(pathlib.PurePath(*parts))


def inert_names() -> Iterator[tuple[Any, str]]:
    """What stands for each name, and the name."""
    for module in ("numpy.core.multiarray", "numpy._core.multiarray"):  # NumPy 1 and 2
        yield _array, f"{module}._reconstruct"
        yield _number, f"{module}.scalar"
    yield _Array, "numpy.ndarray"
    yield _DType, "numpy.dtype"
    yield _default_dict, "collections.defaultdict"  # only its items: the factory would be called later
    for factory in _FACTORIES:  # named by a defaultdict; NumPy writes its empty bytes so
        yield factory, f"builtins.{factory.__name__}"
    for module in ("pathlib", "pathlib._local"):  # as text: no path is looked up
        for name in _PATHS:
            yield _path, f"{module}.{name}"
    for kind in _DATES:  # immutable numbers
        yield kind, f"datetime.{kind.__name__}"
    for holder in (argparse.Namespace, types.SimpleNamespace):  # attributes and nothing else
        yield holder, f"{holder.__module__}.{holder.__name__}"
    yield Any, "typing.Any"  # a mark that cannot be called
    yield str, "torch.torch_version.TorchVersion"  # a text
    for module in _LIGHTNING:  # a dict whose keys are attributes too
        yield dict, f"{module}.AttributeDict"


@contextmanager
def inert_allowed() -> Iterator[None]:
    """Let torch's strict reader pass what is inert, and nothing else, meanwhile."""
    before = set(torch.serialization.get_safe_globals())
    with torch.serialization.safe_globals([entry for entry in inert_names() if entry not in before]):
        yield
