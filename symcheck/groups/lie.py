"""Rotations, rigid motions and translations: SO(n), O(n), SE(n), E(n), T(n)."""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import examples, plain, positive, title, whole
from symcheck.groups.base import Flow, Group, MatrixGroup, groups, per_row
from symcheck.groups.draws import Draws
from symcheck.groups.flows import rotations, shifts, through
from symcheck.groups.noncompact import Lorentz
from symcheck.groups.polyhedral import Polyhedral, octahedral, tetrahedral
from symcheck.groups.rotations import describe, haar_orthogonal, haar_rotation, turn, vector

BOX = 10.0


class Orthogonal(MatrixGroup):
    """SO(d), or O(d) with `mirrors`; Haar-distributed d x d matrices."""

    def __init__(self, d: int, mirrors: bool) -> None:
        self.dimension, self._mirrors = d, mirrors
        self.name = title("O" if mirrors else "SO", d)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Haar-distributed; half of O(d) reverses orientation."""
        return (haar_orthogonal if self._mirrors else haar_rotation)(n, self.dimension, rng)

    def inverse(self, a: Tensor) -> Tensor:
        """The transpose."""
        return a.mT

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """A turn by about `size` radians after g."""
        return turn(len(g), self.dimension, size, rng) @ g

    @property
    def has_improper(self) -> bool:
        """Whether mirrors belong to the group."""
        return self._mirrors

    def flows(self) -> tuple[Flow, ...]:
        """The turns about the axes, or in the planes of two axes; mirrors are not connected to the identity."""
        return rotations(self.dimension)

    def label(self, g: Tensor, i: int) -> str:
        """`rotation 73.2 deg about (0.27, 0.53, 0.80)`."""
        return describe(g[i])


class Euclidean(Group):
    """SE(d), or E(d) with `mirrors`: x -> R x + t as homogeneous matrices [[R, t], [0, 1]], (K, d+1, d+1)."""

    compact = False
    faces = frozenset({"linear", "translation"})

    def __init__(self, d: int, box: float, mirrors: bool) -> None:
        self.dimension, self.box, self._mirrors = d, box, mirrors
        self.name = title("E" if mirrors else "SE", d, box, default=BOX)
        self.law = f"R uniform (Haar), t {_box_law(d, box)}"

    def identity(self, n: int) -> Tensor:
        """n identity matrices."""
        return torch.eye(self.dimension + 1, dtype=torch.float64).repeat(n, 1, 1)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """R Haar-distributed, t uniform in the box."""
        r = (haar_orthogonal if self._mirrors else haar_rotation)(n, self.dimension, rng)
        return self._motion(r, rng.uniform(n, self.dimension, low=-self.box, high=self.box))

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The matrix product: (R, t)(S, u) = (RS, Ru + t)."""
        return a @ b

    def inverse(self, a: Tensor) -> Tensor:
        """(R^T, -R^T t)."""
        r, t = self.face("linear", a), self.face("translation", a)
        return self._motion(r.mT, -(r.mT @ t[:, :, None])[:, :, 0])

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: R, (K, d, d); `translation`: t, (K, d)."""
        if kind == "linear":
            return g[:, :-1, :-1]
        if kind == "translation":
            return g[:, :-1, -1]
        return super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """R turned by about `size` radians, t moved by about `size` boxes and kept in the box."""
        r = turn(len(g), self.dimension, size, rng) @ self.face("linear", g)
        return self._motion(r, _moved(self.face("translation", g), size, self.box, rng))

    @property
    def has_improper(self) -> bool:
        """Whether mirrors belong to the group."""
        return self._mirrors

    def flows(self) -> tuple[Flow, ...]:
        """The turns about the origin, then the translations."""
        d = self.dimension
        turns = (through(flow, lambda r: self._motion(r, r.new_zeros(len(r), d))) for flow in rotations(d))
        moves = (through(flow, lambda t: self._motion(torch.eye(d, dtype=t.dtype), t)) for flow in shifts(d))
        return (*turns, *moves)

    def label(self, g: Tensor, i: int) -> str:
        """`rotation 73.2 deg about (...), then translation (...)`."""
        return f"{describe(g[i, :-1, :-1])}, then translation {vector(g[i, :-1, -1])}"

    def _motion(self, r: Tensor, t: Tensor) -> Tensor:
        g = self.identity(len(t))
        g[:, :-1, :-1], g[:, :-1, -1] = r, t
        return g


class Translations(Group):
    """T(d): x -> x + t, elements (K, d) float64."""

    compact = False
    faces = frozenset({"linear", "translation"})

    def __init__(self, d: int, box: float) -> None:
        self.dimension, self.box = d, box
        self.name = title("T", d, box, default=BOX)
        self.law = _box_law(d, box)

    def identity(self, n: int) -> Tensor:
        """n zero vectors."""
        return torch.zeros(n, self.dimension, dtype=torch.float64)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform in the box: there is no uniform law on all translations."""
        return rng.uniform(n, self.dimension, low=-self.box, high=self.box)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b."""
        return a + b

    def inverse(self, a: Tensor) -> Tensor:
        """-a."""
        return -a

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`linear`: identity matrices, (K, d, d); `translation`: the elements themselves."""
        if kind == "linear":
            return torch.eye(self.dimension, dtype=torch.float64).repeat(len(g), 1, 1)
        return g if kind == "translation" else super().face(kind, g)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Moved by about `size` boxes and kept in the box."""
        return _moved(g, size, self.box, rng)

    def flows(self) -> tuple[Flow, ...]:
        """One along every axis."""
        return shifts(self.dimension)

    def label(self, g: Tensor, i: int) -> str:
        """`translation (3.14, -2.72, 0.00)`."""
        return f"translation {vector(g[i])}"


@groups.register("SO")
@examples("SO(3)", "SO(2)", "SO(5)", "SO(1,3)", "SO(1,2,0.5)")
def special_orthogonal(n: str, space: str = "", rapidity: str = "2") -> Group:
    """SO(n), or the restricted Lorentz group SO(1,n) with rapidities up to a third argument."""
    if not space:
        return Orthogonal(whole(n, "SO", 2), mirrors=False)
    if n != "1":
        raise ClaimError(
            f"SO({n},{space}) is not offered: of the indefinite groups there is SO(1,n), time first",
            where=f"SO({n},{space})",
            hint="write SO(1,3), or SO(1,3,1.5) to bound the rapidity",
        )
    return Lorentz(whole(space, "SO", 1), positive(rapidity, "SO"))


@groups.register("O")
@examples("O(3)", "O(2)", "O")
def orthogonal_or_octahedral(n: str = "") -> Group:
    """O(n), all orthogonal matrices; bare `O` is the 24 rotations of the cube."""
    if not n:
        return Polyhedral("O", octahedral(), inversion=False)
    return Orthogonal(whole(n, "O", 2), mirrors=True)


@groups.register("T")
@examples("T(3)", "T(2,0.5)", "T")
def translations_or_tetrahedral(n: str = "", box: str = "10") -> Group:
    """T(n), translations in a box; bare `T` is the 12 rotations of the tetrahedron."""
    if not n:
        return Polyhedral("T", tetrahedral(), inversion=False)
    return Translations(whole(n, "T", 1), positive(box, "T"))


@groups.register("SE")
@examples("SE(3)", "SE(2,3)")
def rigid_motions(n: str, box: str = "10") -> Group:
    """SE(n), rotations with translations in a box."""
    return Euclidean(whole(n, "SE", 2), positive(box, "SE"), mirrors=False)


@groups.register("E")
@examples("E(3)", "E(2,0.5)", "E(1)")
def isometries(n: str, box: str = "10") -> Group:
    """E(n), rotations and mirrors with translations in a box."""
    return Euclidean(whole(n, "E", 1), positive(box, "E"), mirrors=True)


def _box_law(d: int, box: float) -> str:
    edge = plain(box)
    return f"uniform in the box [-{edge}, {edge}]^{d}"


def _moved(t: Tensor, size: float | Tensor, box: float, rng: Draws) -> Tensor:
    return (t + per_row(size, 1) * box * rng.normal(*t.shape)).clamp(-box, box)
