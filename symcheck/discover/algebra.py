"""A space of matrices as a Lie algebra: brackets, Killing form, centre, derived series, radical, simple ideals."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.discover.forms import null_space, signature

_LARGEST = 28  # dimension up to which a semisimple algebra is split into simple ideals


@dataclass(frozen=True)
class Structure:
    """Structure constants [X_i, X_j] = Σ_k c[i, j, k] X_k of a basis, and what of the brackets lies outside."""

    constants: Tensor
    closure: float
    tolerance: float

    @property
    def dimension(self) -> int:
        """How many generators."""
        return len(self.constants)

    @property
    def closed(self) -> bool:
        """Whether brackets stay inside."""
        return self.closure <= self.tolerance

    @property
    def killing(self) -> Tensor:
        """K_ij = tr(ad X_i ad X_j)."""
        form: Tensor = torch.einsum("iab,jba->ij", self.constants, self.constants)
        return form

    @property
    def killing_signature(self) -> tuple[int, int, int]:
        """How many eigenvalues of the Killing form are positive, negative, zero."""
        return signature(self.killing, self.tolerance) if self.constants.abs().max() > self.tolerance else (
            0, 0, self.dimension)  # fmt: skip

    @property
    def centre(self) -> int:
        """The dimension of {X: [X, Y] = 0 for all Y}."""
        if not self.constants.abs().max() > self.tolerance:
            return self.dimension
        return len(null_space(self.constants.reshape(self.dimension, -1).T, self.tolerance))

    @property
    def derived(self) -> tuple[int, ...]:
        """The dimensions of g, [g, g], [[g, g], [g, g]], ... until they stay."""
        sizes, span = [self.dimension], torch.eye(self.dimension, dtype=torch.float64)
        while len(span):
            span = self.bracket(span, span)
            if len(span) == sizes[-1]:
                break
            sizes.append(len(span))
        return tuple(sizes)

    def bracket(self, a: Tensor, b: Tensor) -> Tensor:
        """An orthonormal basis of the span of all [u, v], u in the rows of a, v in those of b."""
        return row_space(torch.einsum("ui,vj,ijk->uvk", a, b, self.constants).reshape(-1, self.dimension),
                         self.tolerance)  # fmt: skip

    @property
    def radical(self) -> Tensor:
        """An orthonormal basis, as rows, of the largest solvable ideal: what [g, g] is Killing-orthogonal to."""
        eye = torch.eye(self.dimension, dtype=torch.float64)
        paired = self.bracket(eye, eye) @ self.killing
        if not len(paired) or not paired.abs().max() > self.tolerance:
            return eye
        return null_space(paired, self.tolerance)

    @property
    def levi(self) -> Structure:
        """The semisimple quotient by the radical."""
        radical = self.radical
        rest = null_space(radical, self.tolerance) if len(radical) else torch.eye(self.dimension, dtype=torch.float64)
        return Structure(
            torch.einsum("ui,vj,wk,ijk->uvw", rest, rest, rest, self.constants), self.closure, self.tolerance
        )

    def simple_ideals(self) -> list[tuple[int, int, int]]:
        """(dimension, positive, negative) of each simple ideal of a semisimple algebra, largest first.

        Maps that commute with the brackets act on each ideal by a number, for complex algebras by a complex one: the
        eigenspaces of a random one are the ideals. One entry for all where the algebra is too large to be split.
        """
        n = self.dimension
        if not n:
            return []
        above, below, _ = self.killing_signature
        if n > _LARGEST or n < 6:
            return [(n, above, below)]
        found = []
        for ideal in self._eigenspaces():
            up, down, _ = signature(ideal @ self.killing @ ideal.T, self.tolerance)
            found.append((len(ideal), up, down))
        return sorted(found, reverse=True) if sum(size for size, _, _ in found) == n else [(n, above, below)]

    def _eigenspaces(self) -> list[Tensor]:
        n, eye = self.dimension, torch.eye(self.dimension, dtype=torch.float64)
        generator = torch.Generator().manual_seed(0)
        rows = []
        for _ in range(3):  # a few random elements generate everything
            ad = torch.einsum("i,ijk->kj", torch.randn(n, dtype=torch.float64, generator=generator), self.constants)
            rows.append(torch.kron(eye, ad) - torch.kron(ad.T.contiguous(), eye))  # column-major vec of ad φ − φ ad
        kernel = null_space(torch.cat(rows), self.tolerance)
        mix = torch.randn(len(kernel), dtype=torch.float64, generator=generator)
        values, vectors = torch.linalg.eig((mix @ kernel).reshape(n, n).mT.contiguous())
        left, spaces = set(range(n)), []
        limit = 1e3 * self.tolerance * float(values.abs().max())
        while left:
            here = values[min(left)]
            alike = {i for i in left if min(abs(values[i] - here), abs(values[i] - here.conj())) <= limit}
            left -= alike
            some = vectors[:, sorted(alike)].T
            spaces.append(row_space(torch.cat([some.real, some.imag]), self.tolerance))
        return spaces


def structure(matrices: Tensor, tolerance: float) -> Structure:
    """The structure constants of a basis (k, D, D) by least squares on all brackets."""
    k = len(matrices)
    flat = matrices.reshape(k, -1)
    brackets = matrices[:, None] @ matrices[None] - matrices[None] @ matrices[:, None]
    target = brackets.reshape(k * k, -1)
    constants = target @ torch.linalg.pinv(flat)
    left, size = target - constants @ flat, torch.linalg.vector_norm(target, dim=1)
    scale = torch.linalg.matrix_norm(matrices).square().max()
    counted = size > tolerance * scale
    closure = float((torch.linalg.vector_norm(left, dim=1)[counted] / size[counted]).max()) if counted.any() else 0.0
    return Structure(constants.reshape(k, k, k), closure, tolerance)


def row_space(rows: Tensor, tolerance: float) -> Tensor:
    """An orthonormal basis, as rows, of the span of some rows."""
    if not rows.numel() or not rows.abs().max() > tolerance:
        return rows.new_zeros((0, rows.shape[-1]))
    _, values, vh = torch.linalg.svd(rows, full_matrices=False)
    space: Tensor = vh[values > tolerance * values.max()]
    return space


def cosines(a: Tensor, b: Tensor) -> Tensor:
    """Cosines of the principal angles between two spaces of matrices, (k, ...) and (m, ...), largest first."""
    q = [row_space(x.reshape(len(x), -1), 1e-12) for x in (a, b)]
    values: Tensor = torch.linalg.svdvals(q[0] @ q[1].T).clamp(max=1.0)
    return values


def reduced(rows: Tensor, tolerance: float) -> Tensor:
    """The reduced echelon form with complete pivoting: a sparse basis of the row space, leading entries 1."""
    rows = rows.clone()
    for k in range(len(rows)):
        place = int(rows[k:].abs().argmax())
        i, j = k + place // rows.shape[1], place % rows.shape[1]
        rows[[k, i]] = rows[[i, k]]
        rows[k] = rows[k] / rows[k, j]
        others = [r for r in range(len(rows)) if r != k]
        rows[others] = rows[others] - rows[others, j][:, None] * rows[k]
    return torch.where(rows.abs() > tolerance * rows.abs().max(), rows, 0.0)
