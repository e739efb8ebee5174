"""Groups given by generators in cycles: permutations of slots, permutations with signs, and a sign of each element.

`Perm((0 1 2)(3 4))` permutes slots; `Signed(3,(0 -0)(1 2))` also flips signs: (0 -0) sends e0 to -e0, (0 1 -0 -1) is a
quarter turn. A generator with a minus before it, `Perm(-(0 1))`, has the factor -1: `-> homogeneous` says that the
output changes sign with it.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import examples, whole
from symcheck.groups.base import Extents, Group, groups
from symcheck.groups.chain import Chain
from symcheck.groups.draws import Draws

LISTED = 5040
_GENERATOR = re.compile(r"(-?)((?:\(\s*-?\d+(?:\s+-?\d+)*\s*\))+)")


class Generated(Group):
    """Signed permutations; elements q, (K, n + 1) int64: slot i goes to q[i], to ~q[i] with a minus where q[i] < 0.

    The last entry is n, or ~n where the element has the factor -1.
    """

    def __init__(self, kind: str, rows: tuple[tuple[int, ...], ...], stated: bool) -> None:
        self.kind, self.rows, self.degree, self._stated = kind, rows, len(rows[0]) - 1, stated
        self.odd = any(row[-1] < 0 for row in rows)
        faces = {"permutation" if kind == "Perm" else "linear", *(["factor"] if self.odd else [])}
        self.faces = frozenset(faces)
        degree = [str(self.degree)] if stated else []
        self.name = f"{kind}({','.join([*degree, *map(spelled_row, rows)])})"
        self.order = self._chain.order
        if self.odd and Chain([_points(row)[:-2] for row in rows], 2 * self.degree).order != self.order:
            raise ClaimError(
                f"the signs of the generators of {self.name} contradict one another",
                where=self.name,
                hint="some product of generators moves nothing and yet has the factor -1: leave a minus out",
            )

    @cached_property
    def _chain(self) -> Chain:
        return Chain([_points(row) for row in self.rows], 2 * self.degree + 2)

    def bind(self, extents: Extents) -> Group:
        """The same generators on as many slots as the data has."""
        found = extents.degree if extents.degree is not None else extents.dimension
        if found is None or found == self.degree:
            return self
        if self._stated or found < self.degree:
            raise ClaimError(
                f"{self.name} moves {self.degree} slots, but the data has {found}",
                where=f"the group {self.name}",
                hint="slots are numbered from 0; a number before the generators states how many there are",
            )
        wider = tuple((*row[:-1], *range(self.degree, found), found if row[-1] >= 0 else ~found) for row in self.rows)
        return Generated(self.kind, wider, False)

    def identity(self, n: int) -> Tensor:
        """n times 0, 1, ..., n."""
        return torch.arange(self.degree + 1).repeat(n, 1)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform: a product of uniform elements of the stabiliser chain."""
        levels = len(self._chain.levels)
        draws = rng.uniform(n, levels).numpy()
        points = [self._chain.sample(row) for row in draws]
        return _signed(np.stack(points)) if points else self.identity(0)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """(ab)(i) = a(b(i)); signs multiply."""
        negative = b < 0
        image = a.gather(1, torch.where(negative, ~b, b))
        return torch.where(negative, ~image, image)

    def inverse(self, a: Tensor) -> Tensor:
        """The element that sends every image back, with the sign."""
        slots = torch.arange(a.shape[1]).expand_as(a)
        negative = a < 0
        return torch.empty_like(a).scatter_(1, torch.where(negative, ~a, a), torch.where(negative, ~slots, slots))

    def elements(self) -> Tensor | None:
        """All elements, up to 5040 of them."""
        return _signed(self._chain.elements()) if (self.order or 0) <= LISTED else None

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`permutation`: (K, n); `linear`: (K, n, n) signed permutation matrices; `factor`: (K,) signs."""
        if kind not in self.faces:
            return super().face(kind, g)
        if kind == "factor":
            return 1.0 - 2.0 * (g[:, -1] < 0).double()
        places, negative = torch.where(g < 0, ~g, g)[:, :-1], (g < 0)[:, :-1]
        if kind == "permutation":
            return places
        signs = (1.0 - 2.0 * negative.double())[:, None, :]
        return torch.zeros(len(g), self.degree, self.degree, dtype=torch.float64).scatter_(1, places[:, None, :], signs)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """A random generator after g, whatever the size."""
        rows = torch.tensor(self.rows)[rng.integers(len(g), high=len(self.rows))]
        return self.compose(rows, g)

    def proper(self, g: Tensor) -> Tensor:
        """All True: signs of slots are no mirrors of space."""
        return torch.ones(len(g), dtype=torch.bool)

    def label(self, g: Tensor, i: int) -> str:
        """The cycles, `(0 1 -0 -1)(2 3)`."""
        return spelled_row(tuple(g[i].tolist()))


def spelled_row(row: tuple[int, ...]) -> str:
    """The cycles of one element, as they are written: `-(0 -0)(1 2)`; the identity is `(0)`."""
    seen: set[int] = set()
    text = "" if row[-1] >= 0 else "-"
    body = ""
    for first in range(len(row) - 1):
        if first in seen:
            continue
        cycle, point = [first], row[first]
        while point != first:
            cycle.append(point)
            point = row[point] if point >= 0 else ~row[~point]
        seen |= {slot_of(point) for point in cycle}
        if len(cycle) > 1:
            body += "(" + " ".join(str(p) if p >= 0 else f"-{~p}" for p in cycle) + ")"
    return text + (body or "(0)")


def generated(kind: str, rows: list[tuple[int, ...]]) -> Generated:
    """The group of signed rows (n + 1,), see `Generated`; its degree stands in its name."""
    return Generated(kind, tuple(rows), True)


@groups.register("Perm")
@examples("Perm((0 1 2)(3 4))", "Perm(5,(0 1 2),(1 2 3))", "Perm(-(0 1),(0 1 2))")
def permutations(*args: str) -> Group:
    """The permutations of slots that some generate, `Perm((0 1 2)(3 4),(0 3))`."""
    return _made("Perm", args)


@groups.register("Signed")
@examples("Signed((0 -0)(1 -1),(0 1 2))", "Signed(5,(0 1 -0 -1))", "Signed(-(0 -0)(1 -1),(0 1))")
def signed_permutations(*args: str) -> Group:
    """The permutations of slots with signs that some generate, `Signed(3,(0 -0)(1 2))`."""
    return _made("Signed", args)


def _made(kind: str, args: tuple[str, ...]) -> Generated:
    stated = whole(args[0], kind, 1) if args and args[0].isdigit() else None
    texts = args if stated is None else args[1:]
    written = [_cycles(kind, text) for text in texts]
    largest = max((slot_of(p) for _, cycles in written for cycle in cycles for p in cycle), default=-1)
    if not texts or (stated is not None and largest >= stated):
        raise ClaimError(
            f"{kind} needs generators" if not texts else f"there is no slot {largest} among {stated}",
            where=f"{kind}({','.join(args)})",
            hint=f"write {kind}((0 1 2)(3 4)), slots numbered from 0",
        )
    degree = largest + 1 if stated is None else stated
    rows = tuple(_row(kind, text, odd, cycles, degree) for text, (odd, cycles) in zip(texts, written, strict=True))
    return Generated(kind, rows, stated is not None)


def _cycles(kind: str, text: str) -> tuple[bool, list[list[int]]]:
    """Whether there is a minus before the cycles, and their points, ~i for -i."""
    found = _GENERATOR.fullmatch(text.strip())
    negative = found is not None and "-" in found[2]
    if found is None or (negative and kind == "Perm"):
        raise ClaimError(
            f"'{text}' is not a generator of {kind}",
            where=f"{kind}({text})",
            hint="write cycles, (0 1 2)(3 4)" + (", and Signed for signs" if negative else "; (0 -0) flips a sign"),
        )
    cycles = re.findall(r"\(([^()]*)\)", found[2])
    return bool(found[1]), [[~int(p[1:]) if p[0] == "-" else int(p) for p in cycle.split()] for cycle in cycles]


def _row(kind: str, text: str, odd: bool, cycles: list[list[int]], degree: int) -> tuple[int, ...]:
    row = [*range(degree), ~degree if odd else degree]
    met: set[int] = set()
    for cycle in cycles:
        signed = {slot_of(p) for p in cycle}
        balanced = len(signed) < len(cycle)
        half = cycle[: len(cycle) // 2]
        sound = cycle == [*half, *(~p for p in half)] if balanced else True
        if met & signed or not sound:
            raise ClaimError(
                f"'{text}' is no permutation: a slot is met twice",
                where=f"{kind}({text})",
                hint="write disjoint cycles, (0 1 2)(3 4); a cycle with signs closes as in (0 1 -0 -1)",
            )
        met |= signed
        for p, q in zip(cycle, [*cycle[1:], cycle[0]], strict=True):
            row[slot_of(p)] = q if p >= 0 else ~q
    return tuple(row)


def slot_of(point: int) -> int:
    """The slot of a signed point: i for i and for ~i."""
    return point if point >= 0 else ~point


def _points(row: tuple[int, ...]) -> np.ndarray:
    """A signed row as a permutation of 2(n + 1) points: slot i is 2i, its negative 2i + 1."""
    image = [2 * q if q >= 0 else 2 * ~q + 1 for q in row]
    return np.array([p for q in image for p in (q, q ^ 1)])


def _signed(points: np.ndarray) -> Tensor:
    """The inverse of `_points`, (K, 2n + 2) to (K, n + 1)."""
    even = torch.from_numpy(np.ascontiguousarray(points[:, ::2]))
    return torch.where(even % 2 == 1, ~(even // 2), even // 2)
