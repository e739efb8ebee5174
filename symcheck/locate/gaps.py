"""How far hidden tensors and outputs are apart."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.measure.defect import widest


def apart(y: Tensor, z: Tensor, pairs: int) -> Tensor:
    """||y − z|| / ||z|| of each pair, (pairs,) float64; of what is no number, the fraction of entries that differ."""
    y, z = y.detach(), z.detach()
    if not (y.is_floating_point() or y.is_complex()):
        gap, size = (y != z).double(), torch.ones_like(y, dtype=torch.float64)
    else:
        gap, size = (widest(y) - widest(z)).abs(), widest(z).abs()
        gap = torch.where(widest(y) == widest(z), 0.0, gap)  # masks hold infinities
        size = torch.where(size.isfinite(), size, 0.0)
    axis = next((i for i, n in enumerate(y.shape) if n % pairs == 0), None)
    if axis is None:
        whole = float(torch.linalg.vector_norm(size)) or 1.0
        return torch.full((pairs,), float(torch.linalg.vector_norm(gap)) / whole, dtype=torch.float64)
    gap, size = (torch.linalg.vector_norm(t.movedim(axis, 0).reshape(pairs, -1), dim=1) for t in (gap, size))
    least = torch.maximum(size, 0.01 * size.square().mean().sqrt())
    relative: Tensor = gap / torch.where(size > 0, least, torch.ones_like(size))
    return relative


def rms(terms: Tensor) -> float:
    """RMS of ||term|| over the rows; infinite where it is no number."""
    value = float((terms.abs().square().sum() / len(terms)).sqrt())
    return value if value == value else float("inf")


def size(deltas: Mapping[str, Tensor]) -> float:
    """The norm of all defects together."""
    return math.sqrt(sum(float(delta.abs().square().sum()) for delta in deltas.values()))
