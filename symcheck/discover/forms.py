"""Bilinear forms: what a user declares, the matrices that preserve one, and the forms that matrices preserve."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from symcheck.errors import ConfigError

WORDS = ("skew", "symplectic")
_DIAGONAL = re.compile(r"diag\(([^()]*)\)")


def parse_form(text: str, width: int, where: str = "--form") -> Tensor:
    """The matrix J, (d, d) float64, of `skew` (J = 1), `symplectic` ([[0, 1], [-1, 0]]) or `diag(1,-1,-1,-1)`.

    Raises ConfigError for other words, and where the form does not fit vectors of `width` numbers.
    """
    word = text.strip()
    if word == "skew":
        return torch.eye(width, dtype=torch.float64)
    if word == "symplectic":
        if width % 2:
            raise ConfigError(
                f"a symplectic form needs an even number of components, not {width}", where=where,
                hint="use skew or diag(...)",
            )  # fmt: skip
        half = torch.eye(width // 2, dtype=torch.float64)
        return torch.kron(torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64), half)
    found = _DIAGONAL.fullmatch(word)
    entries = _numbers(found[1]) if found else []
    if not entries or not all(entries):
        raise ConfigError(
            f"'{text}' is not a form", where=where, hint="write skew, symplectic, or diag(1,-1,-1,-1) without zeros"
        )
    if len(entries) != width:
        raise ConfigError(
            f"'{word}' has {len(entries)} entries, but the input has {width} components", where=where,
            hint="give one entry for each component of the trailing axis",
        )  # fmt: skip
    return torch.diag(torch.tensor(entries, dtype=torch.float64))


def preserving(form: Tensor) -> Tensor:
    """A basis (m, d, d) of the matrices X with Xᵀ J + J X = 0."""
    d = len(form)
    eye = torch.eye(d, dtype=torch.float64)
    units = torch.einsum("ia,jb->ijab", eye, eye).reshape(d * d, d, d)
    return null_space((units.mT @ form + form @ units).reshape(d * d, -1).T).reshape(-1, d, d)


def preserved(matrices: Tensor, *, symmetric: bool, tolerance: float) -> Tensor:
    """A basis (m, d, d) of the (anti)symmetric J with Aᵀ J + J A = 0 for every A of `matrices`, (k, d, d)."""
    d, sign = matrices.shape[-1], 1.0 if symmetric else -1.0
    rows, columns = torch.triu_indices(d, d, 0 if symmetric else 1)
    units = torch.zeros((len(rows), d, d), dtype=torch.float64)
    units[torch.arange(len(rows)), rows, columns] = 1.0
    units[torch.arange(len(rows)), columns, rows] = sign
    units = units / torch.linalg.matrix_norm(units)[:, None, None] if len(units) else units
    if not len(units):
        return units
    image = torch.einsum("kba,mbc->mkac", matrices, units) + torch.einsum("mab,kbc->mkac", units, matrices)
    kernel = null_space(image.reshape(len(units), -1).T, tolerance)
    return torch.einsum("km,mab->kab", kernel, units)


def signature(form: Tensor, tolerance: float = 1e-6) -> tuple[int, int, int]:
    """How many eigenvalues of a symmetric matrix are positive, negative and zero (relative to the largest)."""
    values = torch.linalg.eigvalsh(form)
    limit = tolerance * float(values.abs().max()) if len(values) else 0.0
    above, below = int((values > limit).sum()), int((values < -limit).sum())
    return above, below, len(values) - above - below


def null_space(matrix: Tensor, tolerance: float = 1e-9) -> Tensor:
    """An orthonormal basis (m, n), as rows, of the x with M x = 0, to `tolerance` of the largest singular value."""
    _, values, vh = torch.linalg.svd(matrix, full_matrices=True)
    top = float(values.max()) if len(values) else 0.0
    rank = int((values > tolerance * top).sum()) if top > 0 else 0
    kernel: Tensor = vh[rank:]
    return kernel


def block_diagonal(blocks: Iterable[Tensor]) -> Tensor:
    """The matrix with these blocks on its diagonal."""
    whole: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return whole


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        return []
