"""Sp(n): real matrices with g^T J g = J, J = [[0, 1], [-1, 0]], as canonical transformations of phase space have."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Flow, MatrixGroup
from symcheck.groups.draws import Draws


class Symplectic(MatrixGroup):
    """Sp(n, R) of even n, drawn as exp(JS) exp(JT) with S, T symmetric and small; one component, not compact."""

    compact = False
    law = "exp(JS) exp(JT), S and T symmetric, entries normal with deviation 0.3/n"

    def __init__(self, n: int) -> None:
        if n < 2 or n % 2:
            raise ClaimError(f"Sp({n}) does not exist", where=f"Sp({n})", hint="the size must be even, e.g. Sp(4)")
        self.dimension, self.name = n, f"Sp({n})"
        half = torch.eye(n // 2, dtype=torch.float64)
        none = torch.zeros_like(half)
        self.form = torch.cat([torch.cat([none, half], 1), torch.cat([-half, none], 1)])

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Two factors, since exp alone is not onto."""
        return self._near(n, rng) @ self._near(n, rng)

    def proper(self, g: Tensor) -> Tensor:
        """All True: the determinant is 1."""
        return torch.ones(len(g), dtype=torch.bool)

    def flows(self) -> tuple[Flow, ...]:
        """exp(tJS) for the n(n+1)/2 elementary symmetric S."""
        found = []
        for i in range(self.dimension):
            for j in range(i, self.dimension):
                symmetric = torch.zeros_like(self.form)
                symmetric[i, j] = symmetric[j, i] = 1.0
                found.append(Flow(f"symplectic {i}-{j}", _exponential(self.form @ symmetric)))
        return tuple(found)

    def _near(self, n: int, rng: Draws) -> Tensor:
        x = rng.normal(n, self.dimension, self.dimension)
        g: Tensor = torch.linalg.matrix_exp(self.form @ (x + x.mT) * (0.3 / self.dimension))
        return g


def _exponential(x: Tensor) -> Callable[[Tensor], Tensor]:
    def at(t: Tensor) -> Tensor:
        g: Tensor = torch.linalg.matrix_exp(t[:, None, None] * x)
        return g

    return at
