"""Frames: a rotation turns the axes of the Gram matrix of all that it acts on into the coordinate axes.

The largest comes first. What is left open is the sign of every axis.
"""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.weights.balance import Balance
from symcheck.weights.element import element_shape
from symcheck.weights.slots import effective, places
from symcheck.weights.spec import Space

TURNS = ("orthogonal", "general", "rotation")


def turn(balance: Balance) -> None:
    """Turn every atom with a rotation group into the frame of its Gram matrix."""
    spaces = [s for s in balance.spec.spaces.values() if s.kind in TURNS and not s.approximate]
    frames = {space.name: _frame(balance, space) for space in spaces}
    for space in spaces:
        part = frames[space.name]
        if space.kind == "rotation":
            part = -torch.atan2(part[..., 0, 1], part[..., 0, 0])
        balance.act(space.name, part.reshape(element_shape(space, balance.sizes)))


def _frame(balance: Balance, space: Space) -> Tensor:
    """The rotation whose rows are the axes of the Gram matrix, by decreasing size, (copies, n, n)."""
    total: Tensor | None = None
    for place in places(balance.spec, space, balance.state, balance.sizes):
        if place.exponent:
            rows = effective(space, place, balance.state)
            gram = rows @ rows.mT
            total = gram if total is None else total + gram
    if total is None:
        return torch.eye(space.size, dtype=torch.float64)
    inner = coordinates(space)
    within = total if inner is None else inner.mT @ total @ inner
    vectors: Tensor = torch.linalg.eigh(within)[1].flip(-1)
    if inner is None:
        return vectors.mT
    ones = torch.full((space.size, space.size), 1 / space.size, dtype=torch.float64)
    return inner @ vectors.mT @ inner.mT + ones


def coordinates(space: Space) -> Tensor | None:
    """An orthonormal basis of what is perpendicular to the vector that the space fixes, (n, n − 1), if it fixes one."""
    if not space.fixes:
        return None
    n = space.size
    full = torch.cat([torch.ones(n, 1, dtype=torch.float64), torch.eye(n, dtype=torch.float64)[:, 1:]], 1)
    basis: Tensor = torch.linalg.qr(full)[0]
    return basis[:, 1:]
