"""Maps between sums of irreps of SO(3) or O(3): a number for each pair of equal irreps, times the identity (Schur)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from symcheck.actions.irreps import Block
from symcheck.groups.lie import Orthogonal
from symcheck.intertwiners.subspace import Axis, Subspace


class Schur(Subspace):
    """ΠW: the trace of every (2l+1)² block between copies of one irrep, and zero between different ones.

    Under SO(3) parity does not tell irreps apart.
    """

    method = "Schur blocks"
    natural = True

    def __init__(self, axes: Sequence[Axis]) -> None:
        super().__init__(axes)
        self._mirrors = axes[0].space.group.has_improper
        self._spans = [list(_spans(axis.space.blocks or ())) for axis in axes]
        if len(axes) == 1:  # a bias is a map from one scalar
            self._spans.append([(0, Block(1, 0, 1))])
        self._pairs = [
            (a, b) for a in self._spans[0] for b in self._spans[1] if self._kind(a[1]) == self._kind(b[1])
        ]
        self.dimension = sum(a.multiplicity * b.multiplicity for (_, a), (_, b) in self._pairs)

    def project(self, weight: Tensor) -> Tensor:
        """Only the traces of the blocks are kept."""
        w = weight.reshape(len(weight), self.sizes[0], -1)
        kept = torch.zeros_like(w)
        for a, b in self._pairs:
            traces, d = self._traces(w, a, b), 2 * a[1].degree + 1
            block = torch.einsum("nij,ab->niajb", traces / d, torch.eye(d, dtype=torch.float64))
            kept[:, a[0] : a[0] + a[1].size, b[0] : b[0] + b[1].size] = block.reshape(len(w), a[1].size, b[1].size)
        return kept.reshape(weight.shape)

    def coefficients(self, weight: Tensor) -> Tensor:
        """The traces, divided by the root of 2l+1."""
        w = weight.reshape(len(weight), self.sizes[0], -1)
        found = [self._traces(w, a, b).flatten(1) / (2 * a[1].degree + 1) ** 0.5 for a, b in self._pairs]
        return torch.cat([w.new_zeros(len(w), 0), *found], dim=1)

    def _kind(self, block: Block) -> tuple[int, int]:
        return block.degree, block.parity if self._mirrors else 1

    def _traces(self, w: Tensor, a: tuple[int, Block], b: tuple[int, Block]) -> Tensor:
        d = 2 * a[1].degree + 1
        piece = w[:, a[0] : a[0] + a[1].size, b[0] : b[0] + b[1].size]
        blocks = piece.reshape(len(w), a[1].multiplicity, d, b[1].multiplicity, d)
        return torch.einsum("niaja->nij", blocks)


def schur(axes: Sequence[Axis]) -> Schur | None:
    """The subspace for SO(3) and O(3) between known irreps; else None."""
    group = axes[0].space.group
    fits = isinstance(group, Orthogonal) and group.dimension == 3 and len(axes) < 3
    return Schur(axes) if fits and all(axis.space.blocks is not None for axis in axes) else None


def _spans(blocks: Sequence[Block]) -> Iterator[tuple[int, Block]]:
    start = 0
    for block in blocks:
        if block.multiplicity:
            yield start, block
        start += block.size
