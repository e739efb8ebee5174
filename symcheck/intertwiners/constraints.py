"""The equivariant weights as a null space: one linear constraint for each generator, any group, compact or not.

A W = ρ_out(h) W ρ_in(h)⁻¹ − W for elements h, dρ_out(X) W − W dρ_in(X) for flows X
(Finzi et al. 2021, arXiv:2104.09459).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.groups.draws import Draws
from symcheck.intertwiners.characters import character_dimension
from symcheck.intertwiners.generating import generating
from symcheck.intertwiners.subspace import Axis, Subspace

_NULL, _CLEAR = 1e-11, 1e-8  # shares of the largest eigenvalue of Σ A^T A: rounding below, constraints above
_SOLVED = 1e-12  # of each pass, relative to what the last one left
_STEPS, _PASSES = 2000, 3
_PROBES = 32


@dataclass(frozen=True)
class Constraint:
    """One generator's matrix on every axis of W, and the step that makes the defect of W, rows (b, *sizes)."""

    matrices: tuple[Tensor, ...]
    flow: bool

    def __call__(self, w: Tensor) -> Tensor:
        """A W."""
        return self._moved(w, self.matrices)

    def transposed(self, w: Tensor) -> Tensor:
        """A^T W."""
        return self._moved(w, tuple(m.mT for m in self.matrices))

    def _moved(self, w: Tensor, matrices: Sequence[Tensor]) -> Tensor:
        if self.flow:
            terms = [_on_axis(m, w, i) for i, m in enumerate(matrices)]
            return torch.stack(terms).sum(0)
        moved = w
        for i, m in enumerate(matrices):
            moved = _on_axis(m, moved, i)
        return moved - w


class NullSpace(Subspace):
    """ΠW = Q Q^T W, the columns of Q the eigenvectors of Σ A^T A that belong to zero."""

    method = "null space"

    def __init__(self, axes: Sequence[Axis]) -> None:
        super().__init__(axes)
        eye = torch.eye(self.unknowns, dtype=torch.float64).reshape(-1, *self.sizes)
        gram = torch.zeros(self.unknowns, self.unknowns, dtype=torch.float64)
        for constraint in constraints(axes):
            rows = constraint(eye).flatten(1)
            gram += rows @ rows.T
        values, vectors = torch.linalg.eigh(gram)
        self.basis = vectors[:, : _nullity(values, self._where())]
        self.dimension = self.basis.shape[1]

    def project(self, weight: Tensor) -> Tensor:
        """Two products with the basis."""
        flat = weight.flatten(1)
        nearest: Tensor = flat @ self.basis @ self.basis.T
        return nearest.reshape(weight.shape)

    def coefficients(self, weight: Tensor) -> Tensor:
        """Q^T W."""
        return torch.matmul(weight.flatten(1), self.basis)

    def _where(self) -> str:
        return " -> ".join(str(axis.space) for axis in reversed(self.axes))


class Krylov(Subspace):
    """ΠW = W − z, z the solution of Σ A^T A z = Σ A^T A W in the range, by conjugate gradients: no basis is made."""

    method = "Krylov"

    def __init__(self, axes: Sequence[Axis]) -> None:
        super().__init__(axes)
        self._constraints = constraints(axes)

    @cached_property
    def dimension(self) -> int:  # type: ignore[override]
        """By characters where the group is compact, else the rank of more projected random weights than it has."""
        if self.axes[0].space.group.compact:
            with suppress(DataError):
                return character_dimension(self.axes)
        count = _PROBES
        while True:
            probes = Draws(0, "probes").normal(min(count, self.unknowns), *self.sizes)
            values = torch.linalg.svdvals(self.project(probes).flatten(1))
            rank = int((values > 1e-8 * float(probes[0].norm())).sum())
            if rank < len(probes) or len(probes) == self.unknowns:
                return rank
            count *= 4

    def project(self, weight: Tensor) -> Tensor:
        """Conjugate gradients, repeated on what is left until rounding."""
        for _ in range(_PASSES):
            weight = weight - _solve(self._normal, self._normal(weight))
        return weight

    def _normal(self, w: Tensor) -> Tensor:
        return torch.stack([c.transposed(c(w)) for c in self._constraints]).sum(0)


def constraints(axes: Sequence[Axis]) -> list[Constraint]:
    """One constraint for each generator and flow, divided by its size so that none drowns the others."""
    found = generating(axes[0].space.group)
    made = []
    for i in range(len(found.elements)):
        g = found.elements[i : i + 1]
        made.append(Constraint(tuple(_written(axis, axis.space.matrices(g)[0]) for axis in axes), False))
    for flow in found.flows:
        each = [axis.space.derivative(flow) for axis in axes]
        made.append(Constraint(tuple(-m.mT if a.reads else m for a, m in zip(axes, each, strict=True)), True))
    return made


def _written(axis: Axis, matrix: Tensor) -> Tensor:
    """ρ(h), or its inverse transpose on an axis that reads."""
    inverse: Tensor = torch.linalg.inv(matrix) if axis.reads else matrix
    return inverse.mT if axis.reads else matrix


def _on_axis(matrix: Tensor, w: Tensor, axis: int) -> Tensor:
    """Σ_j matrix[i, j] w[.., j, ..] on one axis, counted after the batch."""
    moved: Tensor = torch.tensordot(w, matrix, dims=([axis + 1], [1]))
    return moved.movedim(-1, axis + 1)


def _nullity(values: Tensor, where: str) -> int:
    """How many eigenvalues are zero; a DataError where no gap says so."""
    scale = float(values[-1].clamp(min=0.0)) or 1.0
    null = int((values <= _NULL * scale).sum())
    if null < len(values) and not float(values[null]) > _CLEAR * scale:
        raise DataError(
            "the constraints of the group are too badly conditioned to count the equivariant maps",
            where=where,
            hint="draw from a smaller part of the group, e.g. E(3,1) or Scale(0.8,1.25)",
        )
    return null


def _solve(normal: Callable[[Tensor], Tensor], b: Tensor) -> Tensor:
    """z with normal(z) = b for a positive semidefinite operator and b in its range, rows by themselves."""
    z, r = torch.zeros_like(b), b
    p, size = r, _dots(r, r)
    goal = size * _SOLVED**2
    for _ in range(_STEPS):
        if not bool((size > goal).any()):
            break
        image = normal(p)
        step = _safe(size, _dots(p, image))
        z, r = z + step * p, r - step * image
        grown = _dots(r, r)
        p, size = r + _safe(grown, size) * p, grown
    return z


def _dots(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).flatten(1).sum(1).reshape(-1, *[1] * (a.dim() - 1))


def _safe(a: Tensor, b: Tensor) -> Tensor:
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0)
