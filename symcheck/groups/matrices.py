"""Small matrices in batches: closed forms, since a threaded library call costs milliseconds on a 3×3."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import torch
from torch import Tensor


def determinant(m: Tensor) -> Tensor:
    """det of (n, d, d) matrices, (n,): differentiable closed forms to d = 6, else LAPACK on one thread."""
    d = m.shape[-1]
    if d == 1:
        return m[..., 0, 0]
    if d == 2:
        return m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    if d == 3:
        triple: Tensor = m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])
        return triple.sum(-1)
    if d <= 6:
        return _by_minors(m)
    return torch.from_numpy(np.asarray(np.linalg.det(m.cpu().numpy()))).to(m)


def _by_minors(m: Tensor) -> Tensor:
    """Σ ± det(upper half of the rows) det(lower half), over the choices of columns (Laplace)."""
    d, half = m.shape[-1], m.shape[-1] // 2
    choices = list(combinations(range(d), half))
    others = [[c for c in range(d) if c not in chosen] for chosen in choices]
    sign = m.new_tensor([(-1.0) ** (sum(chosen) - half * (half - 1) // 2) for chosen in choices])
    upper, lower = m[..., :half, :][..., choices].movedim(-2, 0), m[..., half:, :][..., others].movedim(-2, 0)
    terms = determinant(upper) * determinant(lower)
    return (terms.movedim(0, -1) * sign).sum(-1)
