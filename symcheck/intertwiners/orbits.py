"""Groups that move entries, with signs: the equivariant weights are constant on orbits of entries.

Maron et al. 2019 (arXiv:1812.09902) for S_n; graph automorphisms and signs need nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from symcheck.intertwiners.generating import generating
from symcheck.intertwiners.subspace import Axis, Subspace

Moves = tuple[Tensor, Tensor]  # (source, sign): (g W)[i] = sign[i] W[source[i]]


class Orbits(Subspace):
    """ΠW = mean of ±W over the orbit of each entry; zero where an entry meets its own negative."""

    method = "orbits"
    natural = True

    def __init__(self, axes: Sequence[Axis], moves: Sequence[Moves]) -> None:
        super().__init__(axes)
        self.ids, self.signs, self.dimension = signed_orbits(moves, self.unknowns)
        self._counts = torch.bincount(self.ids, minlength=self.dimension + 1).double()

    def coefficients(self, weight: Tensor) -> Tensor:
        """Σ ±W over each orbit, divided by the root of its length."""
        flat = weight.flatten(1) * self.signs
        sums = torch.zeros(len(flat), self.dimension + 1, dtype=torch.float64).index_add_(1, self.ids, flat)
        return (sums / self._counts.clamp(min=1.0).sqrt())[:, : self.dimension]

    def project(self, weight: Tensor) -> Tensor:
        """Scatter the means of the orbits."""
        means = torch.nn.functional.pad(self.coefficients(weight), (0, 1)) / self._counts.clamp(min=1.0).sqrt()
        return (means[:, self.ids] * self.signs).reshape(weight.shape)


def orbits(axes: Sequence[Axis]) -> Orbits | None:
    """The subspace, where the group is finite and every generator moves entries with signs; else None."""
    found = generating(axes[0].space.group)
    if found.flows or axes[0].space.group.order is None:
        return None
    moves = []
    for i in range(len(found.elements)):
        each = [axis.space.signed_permutation(found.elements[i : i + 1]) for axis in axes]
        known = [move for move in each if move is not None]
        if len(known) < len(each):
            return None
        moves.append(_together(known))
    return Orbits(axes, moves)


def signed_orbits(moves: Sequence[Moves], count: int) -> tuple[Tensor, Tensor, int]:
    """(ids, signs, orbits) of `count` entries by union of i and its image under every generator.

    Every entry stands twice, plus and minus; an orbit that joins both is dead, with the id `orbits` and the sign 0.
    """
    plain = np.arange(count)
    first, second = [], []
    for source, sign in moves:
        start, flipped = source.numpy(), (sign < 0).numpy() * count
        first += [start, start + count]
        second += [plain + flipped, plain + count - flipped]
    ends = (np.concatenate(first), np.concatenate(second)) if first else (plain[:0], plain[:0])
    graph = coo_array((np.ones(len(ends[0]), dtype=np.int8), ends), shape=(2 * count, 2 * count))
    labels = connected_components(graph, directed=False)[1]
    plus, minus = labels[:count], labels[count:]
    alive = plus != minus
    # an orbit and its mirror image have two labels; the smaller one names both
    names, ids = np.unique(np.minimum(plus, minus)[alive], return_inverse=True)
    whole = np.full(count, len(names), dtype=np.int64)
    whole[alive] = ids
    signs = np.where(alive, np.where(plus < minus, 1.0, -1.0), 0.0)
    return torch.from_numpy(whole), torch.from_numpy(signs), len(names)


def _together(moves: Sequence[Moves]) -> Moves:
    """The move of all axes at once, on the flattened weight."""
    source, sign = moves[0]
    for other, its in moves[1:]:
        source = (source[:, None] * len(other) + other).flatten()
        sign = (sign[:, None] * its).flatten()
    return source, sign
