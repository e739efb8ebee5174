"""Diagrams of maps between tensor powers: set partitions of the legs, each block one shared index.

Θ(d)[i, j] = 1 where all legs of a block carry the same index, else 0. Partitions span the maps of S_n, those into
pairs the maps of O(n) (Brauer 1937; Pearce-Crump 2022, arXiv:2212.08630).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Blocks = tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Diagram:
    """A set partition of `out` legs, numbered first, and `into` legs after them; the map (R^n)^into -> (R^n)^out."""

    out: int
    into: int
    blocks: Blocks

    def after(self, other: Diagram) -> tuple[int, Diagram]:
        """(loops, d) with Θ(self) Θ(other) = n^loops Θ(d): blocks that touch meet, loops stay in the middle."""
        middle = [(self.out + i, self.out + self.into + i) for i in range(self.into)]
        lower = [tuple(leg + self.out + self.into for leg in block) for block in other.blocks]
        count = self.out + self.into + other.out + other.into
        merged = _joined([*self.blocks, *lower, *middle], count)
        first, last = self.out, self.out + self.into + other.out
        kept = [[leg for leg in block if leg < first or leg >= last] for block in merged]
        names = {leg: leg if leg < first else leg - last + first for leg in range(count)}
        blocks = tuple(sorted(tuple(names[leg] for leg in block) for block in kept if block))
        return sum(not block for block in kept), Diagram(self.out, other.into, blocks)

    def beside(self, other: Diagram) -> Diagram:
        """d with Θ(d) = Θ(self) ⊗ Θ(other)."""
        mine = [tuple(leg + (other.out if leg >= self.out else 0) for leg in block) for block in self.blocks]
        shift = self.out, self.out + self.into
        theirs = [tuple(leg + shift[leg >= other.out] for leg in block) for block in other.blocks]
        blocks = tuple(sorted(tuple(sorted(block)) for block in [*mine, *theirs]))
        return Diagram(self.out + other.out, self.into + other.into, blocks)

    def matrix(self, n: int) -> Tensor:
        """Θ(d), (n^out, n^into)."""
        whole = torch.zeros((n,) * (self.out + self.into), dtype=torch.float64)
        diagonal(whole, self.blocks).fill_(1.0)
        return whole.reshape(n**self.out, n**self.into)

    def apply(self, x: Tensor, n: int) -> Tensor:
        """Θ(d) x for x of shape (n, .., n): permute, contract, expand; n^max(out, into) numbers are touched."""
        lower = [tuple(leg - self.out for leg in block if leg >= self.out) for block in self.blocks]
        upper = [tuple(leg for leg in block if leg < self.out) for block in self.blocks]
        order = [i for i, block in enumerate(lower) if block]
        seen = diagonal(x.contiguous(), [lower[i] for i in order])
        closed = [place for place, i in enumerate(order) if not upper[i]]
        carried = seen.sum(closed) if closed else seen
        y = x.new_zeros((n,) * self.out)
        through = [upper[i] for i in order if upper[i]]
        free = [block for block, below in zip(upper, lower, strict=True) if block and not below]
        target = diagonal(y, [*through, *free])
        target += carried[(..., *[None] * len(free))]
        return y


def diagonal(x: Tensor, blocks: Sequence[Sequence[int]]) -> Tensor:
    """The view of a contiguous tensor with one axis for each block, on which all axes of the block run together."""
    sizes = [x.shape[block[0]] for block in blocks]
    return x.as_strided(sizes, [sum(x.stride(leg) for leg in block) for block in blocks])


def partitions(legs: int, most: int | None = None) -> Iterator[Blocks]:
    """All set partitions of 0, .., legs - 1 into at most `most` blocks."""
    if legs == 0:
        yield ()
        return
    for smaller in partitions(legs - 1, most):
        for i, block in enumerate(smaller):
            yield (*smaller[:i], (*block, legs - 1), *smaller[i + 1 :])
        if most is None or len(smaller) < most:
            yield (*smaller, (legs - 1,))


def matchings(legs: Sequence[int]) -> Iterator[Blocks]:
    """All (m-1)!! ways to pair the legs; none for an odd number."""
    if not legs:
        yield ()
        return
    first, rest = legs[0], legs[1:]
    for i, other in enumerate(rest):
        for pairs in matchings((*rest[:i], *rest[i + 1 :])):
            yield ((first, other), *pairs)


def _joined(blocks: Sequence[Sequence[int]], count: int) -> list[list[int]]:
    """The classes of 0, .., count - 1 when every block is one."""
    root = list(range(count))

    def find(i: int) -> int:
        while root[i] != i:
            root[i] = root[root[i]]
            i = root[i]
        return i

    for block in blocks:
        for leg in block[1:]:
            root[find(leg)] = find(block[0])
    classes: dict[int, list[int]] = {}
    for leg in range(count):
        classes.setdefault(find(leg), []).append(leg)
    return list(classes.values())
