"""GL(n,Z): the changes of basis that leave a lattice the same, integer matrices of determinant ±1."""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import title, whole
from symcheck.groups.base import Group, groups
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant

STEPS = 3


@groups.register("GL")
class Unimodular(Group):
    """GL(n,Z), elements U (K, n, n) int64 of determinant ±1: the rows of U·cell span the lattice of the cell."""

    examples = ("GL(3,Z)", "GL(2,Z)")
    compact = False
    faces = frozenset({"unimodular"})

    def __init__(self, n: str, ring: str = "") -> None:
        if ring != "Z":
            raise ClaimError(
                f"GL({','.join(filter(None, (n, ring)))}) is not offered: of all invertible matrices there is GL+(n)",
                where=f"GL({','.join(filter(None, (n, ring)))})",
                hint="write GL(3,Z) for the cells of one lattice, GL+(3) for real matrices",
            )
        self.dimension = whole(n, "GL", 2)
        self.name = title("GL", self.dimension).replace(")", ",Z)")
        self.law = f"a signed permutation, then {STEPS} times one basis vector added to or taken from another"

    def identity(self, n: int) -> Tensor:
        """n identity matrices."""
        return torch.eye(self.dimension, dtype=torch.int64).repeat(n, 1, 1)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """E₃ E₂ E₁ P with P a uniform signed permutation and E = 1 ± e_ij; entries are at most 3."""
        d = self.dimension
        u = self.identity(n).gather(1, rng.permutations(n, d)[:, :, None].expand(n, d, d))
        u = u * (2 * rng.integers(n, d, 1, high=2) - 1)
        rows = torch.arange(n)
        for _ in range(STEPS):
            target, other, sign = rng.integers(n, high=d), rng.integers(n, high=d - 1), rng.integers(n, high=2)
            source = (target + 1 + other) % d
            u[rows, target] += (2 * sign - 1)[:, None] * u[rows, source]
        return u

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product."""
        return a @ b

    def inverse(self, a: Tensor) -> Tensor:
        """The inverse, which holds integers again."""
        inverse: Tensor = torch.linalg.inv(a.double())
        return inverse.round().to(torch.int64)

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`unimodular`: the matrices themselves."""
        return g if kind == "unimodular" else super().face(kind, g)

    def proper(self, g: Tensor) -> Tensor:
        """(n,) bool: True where a right-handed basis stays one."""
        return determinant(g.double()) > 0

    @property
    def has_improper(self) -> bool:
        """Half of the elements exchange right and left-handed bases."""
        return True

    def label(self, g: Tensor, i: int) -> str:
        """`basis (1, 0, 0), (1, 1, 0), (0, 0, 1)`."""
        return "basis " + ", ".join(f"({', '.join(map(str, row))})" for row in g[i].tolist())
