"""How one element of a space acts on a view of shape (*over, n, *rest): in place, one kind after another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import torch
from torch import Tensor

SLAB = 2**20  # entries of which a copy is made at once


def move(view: Tensor, targets: Tensor) -> None:
    """Send slot i to slot targets[i] along the atom: y[p] = x.

    Shapes: view (*over, n, *rest), targets (*over, n), int64.
    """
    lead = targets.dim()
    sources = targets.argsort(-1)
    order = sorted(range(view.dim()), key=lambda dim: -view.stride()[dim])  # as in memory: far quicker
    dim = order.index(lead - 1)
    index = _spread(sources, view)
    for slab in _slabs(view, lead):
        laid = slab.permute(order)
        if lead == 1:
            laid.copy_(laid.index_select(dim, index.reshape(-1)))
        else:
            laid.copy_(laid.gather(dim, index.expand(slab.shape).permute(order)))


def multiply(view: Tensor, factors: Tensor, offset: float = 0.0) -> None:
    """Multiply entry by entry along the atom: t' = factor · (t + offset) − offset.

    Shapes: view (*over, n, *rest), factors (*over, n), or (*over) and none for a view without an atom.
    """
    factors = _spread(factors, view)
    view.mul_(factors.to(view.dtype))
    if offset:
        view.add_(((factors - 1) * offset).to(view.dtype))


def transform(view: Tensor, matrices: Tensor, working: torch.dtype) -> None:
    """Multiply by a matrix along the atom: y = A x, computed in `working`.

    Shapes: view (*over, n, *rest), matrices (*over, n, n).
    """
    lead = matrices.dim() - 1
    matrices = matrices.to(view.device, working)
    for slab in _slabs(view, lead):
        columns = slab.reshape(*slab.shape[:lead], -1).to(working)
        slab.copy_((matrices @ columns).reshape(slab.shape))


def powered(factors: Tensor, exponent: Fraction) -> Tensor:
    """e ** exponent, exactly 1/e for −1 and by parity for signs."""
    if exponent.denominator == 1:
        return factors ** int(exponent)
    return factors ** float(exponent)


def rotations(angles: Tensor) -> Tensor:
    """The rotations [[cos, −sin], [sin, cos]]. Shapes: (*over) radians to (*over, 2, 2)."""
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def contragredient(matrices: Tensor) -> Tensor:
    """A^-T."""
    inverse: Tensor = torch.linalg.inv(matrices)
    return inverse.mT


def tree_slots(flips: Tensor) -> Tensor:
    """Where the flips of a binary tree send its nodes and leaves, in heap order, the leaves after the nodes.

    The children of a flipped node change places, each with its own subtree; flips belong to the node before it
    moves. Shapes: flips (*over, n) of 0 and 1 to (*over, 2n + 1), int64.
    """
    n = flips.shape[-1]
    slots = torch.zeros((*flips.shape[:-1], 2 * n + 1), dtype=torch.int64)
    for node in range(n):
        flip, slot = flips[..., node].to(torch.int64), slots[..., node]
        slots[..., 2 * node + 1] = 2 * slot + 1 + flip
        slots[..., 2 * node + 2] = 2 * slot + 2 - flip
    return slots


def _spread(values: Tensor, view: Tensor) -> Tensor:
    """`values` with trailing dimensions of size 1 up to those of the view, on its device."""
    return values.to(view.device).reshape([*values.shape, *[1] * (view.dim() - values.dim())])


def _slabs(view: Tensor, lead: int) -> Iterator[Tensor]:
    """Parts of the view along its longest dimension behind the first `lead`, so that copies stay small."""
    rest = view.shape[lead:]
    if not rest or view.numel() <= SLAB:
        yield view
        return
    dim = lead + max(range(len(rest)), key=lambda i: rest[i])
    step = max(1, math.floor(SLAB * view.shape[dim] / view.numel()))
    yield from torch.split(view, step, dim)
