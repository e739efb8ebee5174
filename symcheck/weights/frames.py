"""Frames and signs: what rotations and flips are left of a balanced network, fixed by rules of its own numbers.

A rotation turns the axes of the Gram matrix of everything that it acts on into the coordinate axes, the largest
first. A flip makes the sum of cubes of its entries positive, over entries on which no other flip is still open.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.weights.balance import Balance
from symcheck.weights.element import element_shape
from symcheck.weights.slots import Place, effective, places
from symcheck.weights.spec import Space
from symcheck.weights.terms import parse_reference

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


@dataclass(frozen=True)
class Flips:
    """A group of flips: of a sign space, of a tree's nodes, or those that a rotation leaves open."""

    space: Space

    def odd(self, place: Place) -> bool:
        """Whether a flip changes the sign of the entries at this place."""
        if self.space.kind in TURNS:
            return bool(place.exponent)
        return place.exponent.denominator == 1 and bool(place.exponent % 2)

    def rows(self, rows: Tensor) -> Tensor:
        """Entries by flip, (copies, flips, rest)."""
        if self.space.kind == "rotation":  # half a turn flips both coordinates: the first one decides
            return rows[:, :1]
        inner = coordinates(self.space)
        return rows if inner is None else inner.mT @ rows

    def alone(self, counts: Tensor) -> Tensor:
        """Which of these entries no other open flip touches, (copies, flips, rest)."""
        only = counts == 1
        if self.space.kind == "rotation":
            return only.all(1, keepdim=True)
        if self.space.fixes:
            return only.all(1, keepdim=True).expand(-1, counts.shape[1] - 1, -1)
        return only

    def part(self, signs: Tensor, shape: tuple[int, ...]) -> Tensor:
        """The element of the space with these signs, (copies, flips)."""
        kind = self.space.kind
        if kind == "tree":
            return (signs < 0).to(torch.int64).reshape(shape)
        if kind == "sign":
            return signs.reshape(shape)
        if kind == "rotation":
            return (torch.pi / 2 * (1 - signs)).reshape(shape)
        inner = coordinates(self.space)
        if inner is None:
            return torch.diag_embed(signs).reshape(shape)
        n = self.space.size
        whole = inner @ torch.diag_embed(signs) @ inner.mT + torch.full((n, n), 1 / n, dtype=torch.float64)
        return whole.reshape(shape)


def flip(balance: Balance) -> list[str]:
    """Fix every flip, in rounds: one that can be decided from entries of its own decides others; the undecided."""
    spaces = balance.spec.spaces.values()
    kinds = ("sign", "tree", *TURNS)
    waiting = [Flips(space) for space in spaces if space.kind in kinds and not space.approximate]
    undecided: list[str] = []
    while waiting:
        counts = _counts(balance, waiting)
        sums = {flips.space.name: _sums(balance, flips, counts) for flips in waiting}
        ready = [flips for flips in waiting if bool((sums[flips.space.name][1] > 0).all())]
        if not ready:  # a flip that another group has too: leave it to that one
            ready = sorted(waiting, key=lambda flips: flips.space.kind in TURNS)[:1]
            undecided.append(ready[0].space.name)
            waiting.remove(ready[0])
            continue
        for flips in ready:
            signs = torch.where(sums[flips.space.name][0] < 0, -1.0, 1.0).double()
            shape = element_shape(flips.space, balance.sizes)
            balance.act(flips.space.name, flips.part(signs, shape))
        waiting = [flips for flips in waiting if flips not in ready]
    return undecided


def _counts(balance: Balance, waiting: list[Flips]) -> dict[str, Tensor]:
    """For every entry of every tensor, how many of the waiting flips may change its sign."""
    counts = {name: torch.zeros(t.shape, dtype=torch.int8) for name, t in balance.state.items()}
    for flips in waiting:
        for place in places(balance.spec, flips.space, counts, balance.sizes):
            if flips.odd(place):
                place.view.add_(1)
        for term in flips.space.terms:  # what a flip adds to says nothing about any flip
            counts[parse_reference(term.to).name].fill_(2)
    return counts


def _sums(balance: Balance, flips: Flips, counts: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The sum of cubes over the entries that are open to this flip alone, and how many these are."""
    total = number = torch.zeros(1, 1, dtype=torch.float64)
    space = flips.space
    found, beside = (places(balance.spec, space, state, balance.sizes) for state in (balance.state, counts))
    for place, count in zip(found, beside, strict=True):
        if flips.odd(place):
            rows = flips.rows(effective(space, place, balance.state))
            open_here = flips.alone(count.rows)
            size = rows.square().mean().sqrt().clamp_min(1e-300)
            total = total + ((rows / size) ** 3 * open_here).sum(-1)
            number = number + open_here.sum(-1)
    return total, number
