"""What merging has kept of every model, tensor by tensor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.merge.sources import Layer, Sources

_LEFT_OUT = 0.05  # of a norm, when the leading directions stand for all


@dataclass(frozen=True)
class Kept:
    """One tensor. Δ_t are the updates from the base, or the tensors themselves without one, M what they became.

    cosine        mean of cos(Δ_s, Δ_t) over the pairs; `least_cosine` the least of them
    conflict      share of the entries in which two updates have opposite signs
    size          ‖M‖ / mean ‖Δ_t‖
    change        ‖Δ_t‖ / ‖θ_0‖ of each model, empty without a base
    alignment     subspace alignment ratio ‖U U^T Δ_t‖ / ‖Δ_t‖ of each model, U the fewest left singular vectors of M
                  that leave out at most 5 % of ‖M‖ (Marczak et al. 2025, arXiv:2502.04959)
    interference  ‖(M − Δ_t) V‖ / ‖Δ_t V‖ of each model, V the fewest right singular vectors of Δ_t that leave out at
                  most 5 % of ‖Δ_t‖: what reaches a model's own features from the others, or is lost of them
    rank          exp of the entropy of M's singular values, out of min(d_out, d_in)
    The last three are of matrices. None or nothing stands where an update is zero.
    """

    name: str
    shape: tuple[int, ...]
    cosine: float | None
    least_cosine: float | None
    conflict: float
    size: float | None
    change: tuple[float, ...] = ()
    alignment: tuple[float, ...] = ()
    interference: tuple[float, ...] = ()
    rank: float | None = None

    @property
    def worst_interference(self) -> float:
        """The interference of the model that suffers most; 0 where there is none to speak of."""
        return max(self.interference, default=0.0)


def kept(sources: Sources, merged: Mapping[str, Tensor]) -> tuple[Kept, ...]:
    """What is kept of every tensor that was merged, running statistics left out."""
    return tuple(_kept(layer, merged[layer.name]) for layer in sources.layers() if not layer.statistic)


def conflicts(updates: Tensor) -> float:
    """The share of entries in which two of the updates have opposite signs. Shapes: (T, *shape)."""
    return float(((updates > 0).any(0) & (updates < 0).any(0)).double().mean())


def subspace_alignment(merged: Tensor, updates: Tensor) -> list[float]:
    """‖U U^T Δ_t‖ / ‖Δ_t‖ with U the leading left singular vectors of the merged update. Shapes: (o, i), (T, o, i)."""
    u = _leading(merged.mT)
    return [float((u.mT @ each).norm() / each.norm()) for each in updates]


def interference(merged: Tensor, updates: Tensor) -> list[float]:
    """‖(M − Δ_t) V‖ / ‖Δ_t V‖ with V the leading right singular vectors of Δ_t. Shapes: (o, i), (T, o, i)."""
    found = []
    for each in updates:
        v = _leading(each)
        found.append(float(((merged - each) @ v).norm() / (each @ v).norm()))
    return found


def _kept(layer: Layer, merged: Tensor) -> Kept:
    updates = layer.updates
    stored = torch.view_as_real(merged) if merged.is_complex() else merged
    change = stored.to(layer.base) - layer.base
    norms = [float(x) for x in layer.rows.norm(dim=1)]
    pairs = _cosines(layer.rows, norms)
    whole = float(layer.base.norm())
    facts = Kept(
        layer.name,
        tuple(merged.shape),
        sum(pairs) / len(pairs) if pairs else None,
        min(pairs, default=None),
        conflicts(updates),
        float(change.norm()) * len(norms) / sum(norms) if sum(norms) > 0 else None,
        tuple(norm / whole for norm in norms) if whole > 0 else (),
    )
    if not layer.matrix or not all(norms) or not bool(change.any()):
        return facts
    m = change.flatten(1)
    sizes = _squares(m / m.abs().max())[0].clamp_min(0).sqrt()
    return replace(
        facts,
        alignment=tuple(subspace_alignment(m, layer.matrices)),
        interference=tuple(interference(m, layer.matrices)),
        rank=float(torch.special.entr(sizes / sizes.sum()).sum().exp()),
    )


def _cosines(flat: Tensor, norms: Sequence[float]) -> list[float]:
    """The cosines of the pairs of which neither is zero."""
    pairs = itertools.combinations([i for i, norm in enumerate(norms) if norm > 0], 2)
    return [float(flat[i] @ flat[j]) / (norms[i] * norms[j]) for i, j in pairs]


def _leading(m: Tensor) -> Tensor:
    """The fewest right singular vectors that leave out at most 5 % of the norm of m (o, i), as columns (i, k)."""
    m = m / m.abs().max().clamp_min(1e-300)  # squares of large numbers would overflow
    squares, vectors = _squares(m)
    if len(m) < m.shape[1]:  # left vectors are cheaper: v = m^T u / σ
        vectors = m.mT @ vectors / squares.clamp_min(1e-300).sqrt()
    left = squares.clamp_min(0).cumsum(0)  # what is left out with each, from the least on
    return vectors[:, left > _LEFT_OUT**2 * left[-1]]


def _squares(m: Tensor) -> tuple[Tensor, Tensor]:
    """The squared singular values in ascending order, and the singular vectors of the shorter side."""
    gram = m @ m.mT if len(m) < m.shape[1] else m.mT @ m
    values, vectors = torch.linalg.eigh(gram)
    return values, vectors
