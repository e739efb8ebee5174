"""Rotation groups of the regular solids as 3x3 matrices: T, O, I, and Th, Oh, Ih with the inversion."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from symcheck.groups.base import MatrixGroup, groups
from symcheck.groups.draws import Draws
from symcheck.groups.rotations import about_axis, describe

GOLDEN = (1.0 + math.sqrt(5.0)) / 2.0


class Polyhedral(MatrixGroup):
    """A finite group of orthogonal 3x3 matrices; products are snapped to the list, so that nothing drifts."""

    dimension = 3

    def __init__(self, name: str, rotations: Tensor, inversion: bool) -> None:
        self.name, self._inversion = name, inversion
        self._elements = torch.cat([rotations, -rotations]) if inversion else rotations
        self.order = len(self._elements)
        # the shortest turns: largest trace below the identity's 3
        trace = rotations.diagonal(dim1=1, dim2=2).sum(1)
        self._steps = rotations[(trace - trace[1:].max()).abs() < 1e-9]

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform elements."""
        return self._elements[rng.integers(n, high=len(self._elements))]

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The listed element nearest to the matrix product."""
        overlap = (a @ b).flatten(1) @ self._elements.flatten(1).T
        return self._elements[overlap.argmax(1)]

    def inverse(self, a: Tensor) -> Tensor:
        """The transpose."""
        return a.mT

    def elements(self) -> Tensor:
        """All rotations, identity first, then each times the inversion."""
        return self._elements

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """One of the group's shortest turns after g, whatever the size."""
        return self.compose(self._steps[rng.integers(len(g), high=len(self._steps))], g)

    @property
    def has_improper(self) -> bool:
        """Whether the inversion belongs to the group."""
        return self._inversion

    def label(self, g: Tensor, i: int) -> str:
        """`rotation 72.0 deg about (0.00, 0.53, 0.85)`."""
        return describe(g[i])


def tetrahedral() -> Tensor:
    """The 12 cyclic permutations of the axes with an even number of sign changes, (12, 3, 3)."""
    return _signed_permutations([(0, 1, 2), (1, 2, 0), (2, 0, 1)])


def octahedral() -> Tensor:
    """The 24 signed permutations of the axes with determinant 1, (24, 3, 3)."""
    return _signed_permutations(list(itertools.permutations(range(3))))


def icosahedral() -> Tensor:
    """The 5 turns about the vertex (0, 1, φ) times the 12 tetrahedral rotations, (60, 3, 3)."""
    fifths = about_axis((0.0, 1.0, GOLDEN), torch.arange(5, dtype=torch.float64) * (2 * math.pi / 5))
    return (fifths[:, None] @ tetrahedral()[None]).reshape(60, 3, 3)


def _signed_permutations(orders: list[tuple[int, ...]]) -> Tensor:
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=3)), dtype=torch.float64)
    matrices = signs[:, :, None] * torch.eye(3, dtype=torch.float64)[torch.tensor(orders)][:, None]
    matrices = matrices.reshape(-1, 3, 3) + 0.0
    return matrices[torch.linalg.det(matrices) > 0]


@groups.register("I")
def rotations_of_icosahedron() -> Polyhedral:
    """I, the 60 rotations of the icosahedron."""
    return Polyhedral("I", icosahedral(), False)


@groups.register("Th")
def tetrahedral_with_inversion() -> Polyhedral:
    """Th, the tetrahedral rotations and the inversion, order 24."""
    return Polyhedral("Th", tetrahedral(), True)


@groups.register("Oh")
def octahedral_with_inversion() -> Polyhedral:
    """Oh, all 48 symmetries of the cube."""
    return Polyhedral("Oh", octahedral(), True)


@groups.register("Ih")
def icosahedral_with_inversion() -> Polyhedral:
    """Ih, all 120 symmetries of the icosahedron."""
    return Polyhedral("Ih", icosahedral(), True)
