"""Small finite groups: rotations of the regular n-gon, the same with mirrors, and signs."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from symcheck.groups.arguments import whole
from symcheck.groups.base import Group, groups
from symcheck.groups.draws import Draws
from symcheck.groups.rotations import in_plane

LISTED = 5040


@groups.register("C")
class Cyclic(Group):
    """C_n, the turns by 2πk/n of the plane; elements k mod n, (K,) int64."""

    examples = ("C5", "C12", "C2")
    faces = frozenset({"linear", "regular"})

    def __init__(self, n: str) -> None:
        self.n = self.order = whole(n, "C", 1)
        self.name = f"C{self.n}"

    def identity(self, n: int) -> Tensor:
        """n zeros."""
        return torch.zeros(n, dtype=torch.int64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform turns."""
        return rng.integers(n, high=self.n)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b mod n."""
        return (a + b) % self.n

    def inverse(self, a: Tensor) -> Tensor:
        """-a mod n."""
        return -a % self.n

    def elements(self) -> Tensor | None:
        """0, 1, ..., n - 1."""
        return torch.arange(self.n) if self.n <= LISTED else None

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: R(2πk/n), (K, 2, 2); `regular`: h -> g + h mod n, (K, n)."""
        if kind == "linear":
            return turns(g, self.n)
        if kind == "regular":
            return (g[:, None] + torch.arange(self.n)) % self.n
        return super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """One step to either side, whatever the size."""
        return (g + _step(len(g), rng)) % self.n

    def label(self, g: Tensor, i: int) -> str:
        """`C4: turn 1 of 4 (90 deg)`."""
        return f"{self.name}: {_turn_label(int(g[i]), self.n)}"


@groups.register("D")
class Dihedral(Group):
    """D_n of order 2n; (k, f) is R(2πk/n) diag(1, -1)^f, mirror first, then turn; elements (K, 2) int64."""

    examples = ("D3", "D4", "D7")
    faces = frozenset({"linear", "regular"})

    def __init__(self, n: str) -> None:
        self.n = whole(n, "D", 1)
        self.order = 2 * self.n
        self.name = f"D{self.n}"

    def identity(self, n: int) -> Tensor:
        """n times (0, 0)."""
        return torch.zeros(n, 2, dtype=torch.int64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform; half of the elements are mirrors."""
        return self._at(rng.integers(n, high=2 * self.n))

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """(k, f)(l, e) = (k + (-1)^f l, f + e)."""
        k = a[:, 0] + torch.where(a[:, 1] == 1, -b[:, 0], b[:, 0])
        return torch.stack([k % self.n, (a[:, 1] + b[:, 1]) % 2], 1)

    def inverse(self, a: Tensor) -> Tensor:
        """-k for turns; mirrors are their own inverses."""
        return torch.stack([torch.where(a[:, 1] == 1, a[:, 0], -a[:, 0] % self.n), a[:, 1]], 1)

    def elements(self) -> Tensor | None:
        """The n turns, then the n mirrors: element (k, f) stands at k + n f."""
        return self._at(torch.arange(2 * self.n)) if 2 * self.n <= LISTED else None

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: (K, 2, 2); `regular`: place of h -> place of gh, (K, 2n)."""
        if kind == "linear":
            mirror = torch.stack([torch.ones(len(g)), 1 - 2 * g[:, 1]], 1).double()
            return turns(g[:, 0], self.n) * mirror[:, None, :]
        if kind == "regular":
            h = self._at(torch.arange(2 * self.n))
            product = self.compose(g.repeat_interleave(2 * self.n, 0), h.repeat(len(g), 1))
            return (product[:, 0] + self.n * product[:, 1]).reshape(len(g), 2 * self.n)
        return super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """One turn to either side, on the same side of the mirror, whatever the size."""
        return torch.stack([(g[:, 0] + _step(len(g), rng)) % self.n, g[:, 1]], 1)

    @property
    def has_improper(self) -> bool:
        """Half of the elements are mirrors."""
        return True

    def label(self, g: Tensor, i: int) -> str:
        """`D4: reflection + turn 1 of 4 (90 deg)`."""
        mirror = "reflection + " if int(g[i, 1]) else ""
        return f"{self.name}: {mirror}{_turn_label(int(g[i, 0]), self.n)}"

    def _at(self, place: Tensor) -> Tensor:
        return torch.stack([place % self.n, place // self.n], 1)


@groups.register("Sign")
class Sign(Group):
    """{+1, -1}^n, elements (K, n) float64; bare `Sign` is one global sign and offers itself as a factor, too.

    Signs of channels are no mirrors of space, so every element counts as proper.
    """

    examples = ("Sign", "Sign(3)")

    def __init__(self, n: str = "") -> None:
        self.n = whole(n, "Sign", 1) if n else 1
        self.name = f"Sign({self.n})" if n else "Sign"
        self._count = self.order = 2**self.n
        self.faces = frozenset({"linear", "factor"} if self.n == 1 else {"linear"})

    def identity(self, n: int) -> Tensor:
        """n rows of ones."""
        return torch.ones(n, self.n, dtype=torch.float64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Independent fair signs."""
        return 1.0 - 2.0 * rng.integers(n, self.n, high=2).double()

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The products."""
        return a * b

    def inverse(self, a: Tensor) -> Tensor:
        """Every sign is its own inverse."""
        return a.clone()

    def elements(self) -> Tensor | None:
        """All 2^n rows of signs."""
        if self._count > LISTED:
            return None
        return torch.tensor(list(itertools.product((1.0, -1.0), repeat=self.n)), dtype=torch.float64)

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: diag(g), (K, n, n); `factor` when n = 1: (K,)."""
        if kind == "linear":
            return torch.diag_embed(g)
        if kind == "factor" and self.n == 1:
            return g[:, 0]
        return super().face(kind, g)

    def proper(self, g: Tensor) -> Tensor:
        """All True."""
        return torch.ones(len(g), dtype=torch.bool)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """One sign flipped, whatever the size."""
        one = torch.nn.functional.one_hot(rng.integers(len(g), high=self.n), self.n)
        return g * (1.0 - 2.0 * one)

    def label(self, g: Tensor, i: int) -> str:
        """`signs +--`."""
        return "signs " + "".join("+" if v > 0 else "-" for v in g[i].tolist())


def turns(k: Tensor, n: int) -> Tensor:
    """R(2πk/n), (K, 2, 2) float64, free of rounding at quarter turns."""
    return in_plane((k % n).double() * (2 * math.pi / n))


def _step(n: int, rng: Draws) -> Tensor:
    return 2 * rng.integers(n, high=2) - 1


def _turn_label(k: int, n: int) -> str:
    return f"turn {k} of {n} ({360 * k / n:.4g} deg)"
