"""Small matrices in batches: closed forms, since a threaded library call costs milliseconds on a 3×3."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def determinant(m: Tensor) -> Tensor:
    """det of (n, d, d) matrices, (n,): Leibniz for d <= 3, else LAPACK on one thread."""
    d = m.shape[-1]
    if d == 1:
        return m[..., 0, 0]
    if d == 2:
        return m[..., 0, 0] * m[..., 1, 1] - m[..., 0, 1] * m[..., 1, 0]
    if d == 3:
        triple: Tensor = m[..., 0, :] * torch.linalg.cross(m[..., 1, :], m[..., 2, :])
        return triple.sum(-1)
    return torch.from_numpy(np.asarray(np.linalg.det(m.cpu().numpy()))).to(m)
