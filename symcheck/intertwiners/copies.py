"""Channels: a weight between copies of one representation is a table of weights between single ones."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from symcheck.intertwiners.subspace import Axis, Subspace


class Copies(Subspace):
    """Hom(C' ⊗ V', C ⊗ V) = R^(C' × C) ⊗ Hom(V', V): every pair of channels is projected by itself."""

    def __init__(self, axes: Sequence[Axis], inner: Subspace) -> None:
        super().__init__(axes)
        self._inner = inner
        self._copies = tuple(size // unit for size, unit in zip(self.sizes, inner.sizes, strict=True))
        count = len(self._copies)
        self._order = [0, *range(1, 2 * count, 2), *range(2, 2 * count + 1, 2)]
        self.method, self.natural = inner.method, inner.natural
        self.dimension = prod(self._copies) * inner.dimension

    def project(self, weight: Tensor) -> Tensor:
        """One channel pair after another, all at once."""
        split = self._split(weight)
        moved = self._inner.project(split.reshape(-1, *self._inner.sizes)).reshape(split.shape)
        return moved.permute([self._order.index(i) for i in range(split.dim())]).reshape(weight.shape)

    def coefficients(self, weight: Tensor) -> Tensor | None:
        """Those of every pair, (b, pairs · dimension of one)."""
        found = self._inner.coefficients(self._split(weight).reshape(-1, *self._inner.sizes))
        return None if found is None else found.reshape(len(weight), -1)

    def _split(self, weight: Tensor) -> Tensor:
        """(b, all copies, one of each)."""
        pairs = [size for pair in zip(self._copies, self._inner.sizes, strict=True) for size in pair]
        return weight.reshape(len(weight), *pairs).permute(self._order)


def units(axes: Sequence[Axis]) -> list[Axis] | None:
    """The same axes with one copy each; None where no representation is known to repeat."""
    single = [Axis(axis.space.unit or axis.space, axis.reads) for axis in axes]
    return single if any(a.space is not b.space for a, b in zip(single, axes, strict=True)) else None
