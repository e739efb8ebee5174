"""The mean over all elements of a small finite group: ΠW = E_g ρ_out(g) W ρ_in(g)⁻¹."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from symcheck.intertwiners.subspace import Axis, Subspace

LISTED = 1024
_CHUNK = 2**22  # numbers in the matrices that are made at once


class Mean(Subspace):
    """The mean of ρ_out(g) W ρ_in(g)^T: the representations are orthogonal, so that this is the nearest weight."""

    method = "mean over elements"

    def __init__(self, axes: Sequence[Axis], elements: Tensor) -> None:
        super().__init__(axes)
        self._elements = elements
        total = sum(float(torch.stack([_traces(m) for m in chunk]).prod(0).sum()) for chunk in self._chunks())
        self.dimension = round(total / len(elements))

    def project(self, weight: Tensor) -> Tensor:
        """Every element in turn."""
        total = torch.zeros_like(weight)
        for chunk in self._chunks():
            moved = weight[None].expand(len(chunk[0]), *weight.shape)
            for axis, matrix in enumerate(chunk):
                front = moved.movedim(axis + 2, -1)
                rows = front.flatten(1, -2) @ matrix.mT
                moved = rows.reshape(front.shape).movedim(-1, axis + 2)
            total = total + moved.sum(0)
        return total / len(self._elements)

    def _chunks(self) -> Iterator[list[Tensor]]:
        size = max(1, _CHUNK // max(max(n * n for n in self.sizes), self.unknowns))
        for g in torch.split(self._elements, size):
            yield [axis.space.matrices(g) for axis in self.axes]


def mean(axes: Sequence[Axis], listed: int = LISTED) -> Mean | None:
    """The subspace of a finite group with at most `listed` elements, acting orthogonally; else None."""
    group = axes[0].space.group
    elements = group.elements() if group.order is not None and group.order <= listed else None
    if elements is None or not all(axis.space.orthogonal(elements[:8]) for axis in axes):
        return None
    return Mean(axes, elements)


def _traces(matrices: Tensor) -> Tensor:
    return matrices.diagonal(dim1=1, dim2=2).sum(1)
