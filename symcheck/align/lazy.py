"""The tensors of a checkpoint on disk, read when they are needed and dropped when room is."""

from __future__ import annotations

import ctypes
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import final

import torch
from torch import Tensor

from symcheck.weights.act import Actor, check_fit
from symcheck.weights.checks import acted_tensors
from symcheck.weights.spec import Spec
from symcheck.weights.stream import Checkpoint

ROOM = 2**28  # bytes


@final
class Lazy(Mapping[str, Tensor]):
    """The tensors of g·θ by canonical names, in one precision; g is what `element` holds when they are read.

    Those read last are kept as far as `room` bytes go, the very last one always. `reads` counts by name.
    Raises LoadError when the spec does not fit, and later when a file ends early.
    """

    def __init__(
        self,
        spec: Spec,
        checkpoint: Checkpoint,
        dtype: torch.dtype,
        element: Mapping[str, Tensor] | None = None,
        room: int = ROOM,
    ) -> None:
        self.spec, self.checkpoint, self.dtype, self.room = spec, checkpoint, dtype, room
        self.element: Mapping[str, Tensor] = {} if element is None else element
        self.sizes = check_fit(spec, checkpoint.shapes, str(checkpoint.path))
        self.holders = {spec.ties.get(name, name): name for name in checkpoint.tensors}
        self.holders |= {name: name for name in checkpoint.tensors if name in spec.axes}
        self.reads: Counter[str] = Counter()
        self._kept: dict[str, tuple[dict[str, Tensor], Tensor]] = {}
        self._acting: dict[str, list[str]] = {}
        for space in spec.spaces.values():
            for name in acted_tensors(spec, space):
                self._acting.setdefault(name, []).append(space.name)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor of the spec."""
        shapes = self.checkpoint.shapes
        return {name: shapes[self.holders[name]] for name in self.spec.axes}

    def __getitem__(self, name: str) -> Tensor:
        acting = {space: self.element[space] for space in self._acting.get(name, ()) if space in self.element}
        kept = self._kept.pop(name, None)
        if kept is None or not _same(kept[0], acting):
            kept = None  # its memory, before the new one is read
            kept = acting, self._moved(name, acting)
        self._kept[name] = kept
        return kept[1]

    def __iter__(self) -> Iterator[str]:
        return iter(self.spec.axes)

    def __len__(self) -> int:
        return len(self.spec.axes)

    def _moved(self, name: str, acting: Mapping[str, Tensor]) -> Tensor:
        self._make_room(name)
        tensor = self._read(name)
        if not acting:
            return tensor
        return Actor(self.spec, acting, self.sizes, self._read, owned=True).result(name, tensor)

    def _read(self, name: str) -> Tensor:
        self.reads[name] += 1
        holder = self.holders[name]
        tensor = self.checkpoint.tensors[holder].read(holder)
        return tensor.to(self.dtype) if tensor.is_floating_point() else tensor

    def _make_room(self, name: str) -> None:
        """Drop what was used longest ago until this tensor fits, and let the system have its pages."""
        file = self.checkpoint.tensors[self.holders[name]]
        needed = torch.Size(file.entries[self.holders[name]].shape).numel() * self.dtype.itemsize
        used = sum(tensor.nbytes for _, tensor in self._kept.values())
        while self._kept and used + needed > self.room:
            used -= self._kept.pop(next(iter(self._kept)))[1].nbytes
        _trim()


def _same(one: Mapping[str, Tensor], two: Mapping[str, Tensor]) -> bool:
    return one.keys() == two.keys() and all(part is two[name] for name, part in one.items())


def _trim() -> None:
    """Return free memory to the system: between small things that live long glibc would keep it, more with every layer.

    Where there is no glibc nothing is done.
    """
    if sys.platform == "linux" and (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
        trim(0)
