"""Permutations: S(n) and A(n); bare `S` and `A` read their degree from the data."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import examples, whole
from symcheck.groups.base import Extents, Group, groups
from symcheck.groups.draws import Draws

LISTED_DEGREE = 7
SHOWN = 12


class Permutations(Group):
    """All permutations of n slots, or the even ones; p, (K, n) int64, sends slot i to slot p(i)."""

    faces = frozenset({"permutation"})

    def __init__(self, letter: str, degree: int | None) -> None:
        self.letter, self.degree, self.even = letter, degree, letter == "A"
        self.name = letter if degree is None else f"{letter}({degree})"
        if degree is not None:
            self.order = max(1, math.factorial(degree) // (2 if self.even else 1))

    def bind(self, extents: Extents) -> Group:
        """The group on as many slots as the data has; a stated degree must agree with it."""
        if extents.degree is None or extents.degree == self.degree:
            return self
        if self.degree is not None:
            raise ClaimError(
                f"{self.name} permutes {self.degree} slots, but the data has {extents.degree}",
                where=f"the group {self.name}",
                hint=f"write {self.letter}({extents.degree}), or {self.letter} to read it from the data",
            )
        return Permutations(self.letter, extents.degree)

    def identity(self, n: int) -> Tensor:
        """n times 0, 1, ..., degree - 1."""
        return torch.arange(self._known()).repeat(n, 1)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform; an odd draw is made even by exchanging its last two values."""
        p = rng.permutations(n, self._known())
        if self.even and p.shape[1] > 1:
            swapped = torch.cat([p[:, :-2], p[:, -2:].flip(1)], 1)
            p = torch.where(odd(p)[:, None], swapped, p)
        return p

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """(ab)(i) = a(b(i))."""
        return a.gather(1, b)

    def inverse(self, a: Tensor) -> Tensor:
        """The permutation that sends p(i) back to i."""
        return torch.empty_like(a).scatter_(1, a, torch.arange(a.shape[1]).expand_as(a))

    def elements(self) -> Tensor | None:
        """All permutations in lexicographic order, up to degree 7."""
        degree = self._known()
        if degree > LISTED_DEGREE:
            return None
        p = torch.tensor(list(itertools.permutations(range(degree))), dtype=torch.int64)
        return p[~odd(p)] if self.even else p

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`permutation`: the elements themselves."""
        return g if kind == "permutation" else super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """One random transposition (S) or 3-cycle (A) after g, whatever the size."""
        length = 3 if self.even else 2
        if g.shape[1] < length:
            return g.clone()
        slots = rng.permutations(len(g), g.shape[1])[:, :length]
        cycle = self.identity(len(g)).scatter_(1, slots, slots.roll(-1, 1))
        return self.compose(cycle, g)

    def label(self, g: Tensor, i: int) -> str:
        """The cycles, `(0 3 1)(2 4)`; long ones are cut and the number of moved slots is given."""
        cycles = _cycles(g[i].tolist())
        moved = sum(map(len, cycles))
        if not cycles:
            return "identity permutation"
        text, shown = "", 0
        for cycle in cycles:
            head = cycle[: SHOWN - shown]
            text += "(" + " ".join(map(str, head)) + (")" if len(head) == len(cycle) else " ...)")
            shown += len(head)
            if shown == SHOWN:
                break
        return f"permutation {text}" + ("" if shown == moved else f", {moved} of {g.shape[1]} slots moved")

    def _known(self) -> int:
        if self.degree is None:
            raise ClaimError(
                f"the degree of {self.name} is unknown",
                where=f"the group {self.name}",
                hint=f"write {self.letter}(16), or give an input an action on nodes, which tells the degree",
            )
        return self.degree


@groups.register("S")
@examples("S(5)", "S", "S5")
def symmetric(n: str = "") -> Group:
    """S(n), all permutations of n slots; `S` reads n from the data."""
    return Permutations("S", whole(n, "S", 1) if n else None)


@groups.register("A")
@examples("A(5)", "A")
def alternating(n: str = "") -> Group:
    """A(n), the even permutations of n slots; `A` reads n from the data."""
    return Permutations("A", whole(n, "A", 1) if n else None)


def odd(p: Tensor) -> Tensor:
    """(K,) bool: whether n minus the number of cycles is odd; O(n log n) a row by pointer doubling."""
    start = torch.arange(p.shape[1]).expand_as(p)
    least, jump = start, p
    for _ in range(p.shape[1].bit_length()):
        least = torch.minimum(least, least.gather(1, jump))
        jump = jump.gather(1, jump)
    return (p.shape[1] - (least == start).sum(1)) % 2 == 1


def _cycles(p: list[int]) -> list[list[int]]:
    """The cycles longer than one, each from its smallest slot."""
    seen: set[int] = set()
    cycles = []
    for first in range(len(p)):
        cycle, slot = [], first
        while slot not in seen:
            seen.add(slot)
            cycle.append(slot)
            slot = p[slot]
        if len(cycle) > 1:
            cycles.append(cycle)
    return cycles
