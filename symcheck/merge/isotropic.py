"""Merged updates of linear maps from singular vectors: one size for every direction, or all tasks' features at once."""

from __future__ import annotations

import torch
from torch import Tensor

_NEGLIGIBLE = 1e-10  # singular values below this share of the largest are what rounding has left of zeros


def isotropic(updates: Tensor) -> Tensor:
    """σ̄ U V^T with UΣV^T = Σ_t Δ_t and σ̄ = mean σ_i: every direction alike.

    Shapes: (T, d_out, d_in) -> (d_out, d_in). Source: Iso-C of Marczak et al. 2025, arXiv:2502.04959.
    """
    u, s, v = torch.linalg.svd(updates.sum(0), full_matrices=False)
    merged: Tensor = s.mean() * (u @ v)
    return merged


def isotropic_with_tasks(updates: Tensor, common: float) -> Tensor:
    """σ̄ U* V*^T: the strongest directions of Σ_t Δ_t, and of every task the strongest in what those leave of it.

    r = min(d_out, d_in); k ≈ `common` · r directions U_k are common, s = (r − k) / T are each task's, from the SVD of
    Δ_t − U_k U_k^T Δ_t. U* and V* are the nearest matrices with orthonormal columns to all of them side by side, σ̄
    the mean of their singular values.
    Shapes: (T, d_out, d_in) -> (d_out, d_in). Source: Iso-CTS of Marczak et al. 2025, arXiv:2502.04959.
    """
    tasks, rank = len(updates), min(updates.shape[1:])
    own = min(round((rank - int(rank * common)) / tasks), rank // tasks)
    k = rank - tasks * own
    u, s, v = torch.linalg.svd(updates.sum(0), full_matrices=False)
    left = updates - u[:, :k] @ (u[:, :k].mT @ updates)
    each_u, each_s, each_v = torch.linalg.svd(left, full_matrices=False)
    sizes = torch.cat([s[:k], each_s[:, :own].flatten()])
    us = torch.cat([u[:, :k], *each_u[:, :, :own]], 1)
    vs = torch.cat([v[:k], *each_v[:, :own]], 0)
    return sizes.mean() * (_orthonormal(us) @ _orthonormal(vs.mT).mT)


def superposed(updates: Tensor, features: int | None = None) -> Tensor:
    """M = Y V^+ with V = [v_tk], Y = [σ_tk u_tk]: the least M for which every task's leading features stay.

    M v_tk = σ_tk u_tk exactly where the v_tk are independent. By default the largest K is kept with Σ_t min(K, rank
    Δ_t) ≤ d_in / 2: directions that fill the whole space are nearly dependent, and M grows tenfold and more.
    Shapes: (T, d_out, d_in) -> (d_out, d_in). Source: Qiu et al. 2025, arXiv:2502.10698.
    """
    u, s, v = torch.linalg.svd(updates, full_matrices=False)
    ranks = (s > _NEGLIGIBLE * s[:, :1]).sum(1)
    most = features if features is not None else _room(ranks, updates.shape[2] // 2)
    kept = [min(most, int(rank)) for rank in ranks]
    ys = torch.cat([u[t, :, :k] * s[t, :k] for t, k in enumerate(kept)], 1)
    vs = torch.cat([v[t, :k] for t, k in enumerate(kept)], 0).mT
    merged: Tensor = ys @ torch.linalg.pinv(vs, rtol=_NEGLIGIBLE)
    return merged


def _room(ranks: Tensor, room: int) -> int:
    """The largest K ≥ 1 with Σ_t min(K, rank_t) ≤ room."""
    k = max(int(ranks.max()), 1)
    while k > 1 and int(ranks.clamp(max=k).sum()) > room:
        k -= 1
    return k


def _orthonormal(columns: Tensor) -> Tensor:
    """The nearest matrix with orthonormal columns: U V^T of the SVD."""
    u, _, v = torch.linalg.svd(columns, full_matrices=False)
    nearest: Tensor = u @ v
    return nearest
