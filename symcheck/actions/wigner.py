"""Real spherical harmonics and Wigner matrices of any degree, in e3nn's convention, batched and in float64.

The convention: degree 1 is (x, y, z), so y is the polar axis; m runs from -l to l; no Condon-Shortley sign.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


def spherical_harmonics(degree: int, u: Tensor) -> Tensor:
    """Y_l(u) for unit vectors u, (..., 3) -> (..., 2l+1), with ∫ Y Y^T du = 4π I and so |Y_l(u)|² = 2l + 1.

    Forward recurrence in l of the fully normalised Legendre polynomials, divided by sin^m of the polar angle
    so that the poles need no care.
    """
    x, y, z = u.unbind(-1)
    legendre = torch.ones_like(y)
    cosine, sine = torch.ones_like(y), torch.zeros_like(y)  # sin(θ)^m cos(mφ) and sin(θ)^m sin(mφ)
    columns: dict[int, Tensor] = {}
    for m in range(degree + 1):
        column = _raise_degree(degree, m, legendre, y)
        columns[m] = column * cosine
        if m:
            columns[-m] = column * sine
        cosine, sine = cosine * z - sine * x, sine * z + cosine * x
        legendre = legendre * math.sqrt(3 if m == 0 else (2 * m + 3) / (2 * m + 2))
    return torch.stack([columns[m] for m in range(-degree, degree + 1)], dim=-1)


def wigner(degree: int, rotation: Tensor) -> Tensor:
    """D_l(R) with Y_l(R u) = D_l(R) Y_l(u), (n, 3, 3) proper rotations -> (n, 2l+1, 2l+1).

    D_l(R) = (1/4π) ∫ Y_l(R u) Y_l(u)^T du by a quadrature that is exact for this degree, so that nothing is
    solved and the group laws hold to rounding.
    """
    nodes, weighted = _quadrature(degree)
    moved = spherical_harmonics(degree, nodes @ rotation.mT)
    return moved.mT @ weighted


def _raise_degree(degree: int, m: int, start: Tensor, t: Tensor) -> Tensor:
    """P_lm(t) / sin^m from P_mm / sin^m by the recurrence in l."""
    before, now = torch.zeros_like(start), start
    for l in range(m + 1, degree + 1):  # noqa: E741
        a = math.sqrt((2 * l - 1) * (2 * l + 1) / ((l - m) * (l + m)))
        b = math.sqrt((2 * l + 1) * (l + m - 1) * (l - m - 1) / ((l - m) * (l + m) * (2 * l - 3)))
        before, now = now, a * t * now - b * before
    return now


@lru_cache(maxsize=16)
def _quadrature(degree: int) -> tuple[Tensor, Tensor]:
    """Unit vectors (N, 3) and their w Y_l (N, 2l+1), exact for products of two harmonics of this degree.

    Gauss-Legendre along the polar axis y times equal angles around it.
    """
    heights, weights = np.polynomial.legendre.leggauss(degree + 1)
    angles = 2 * math.pi * np.arange(2 * degree + 1) / (2 * degree + 1)
    ring = np.sqrt(1 - heights**2)[:, None]
    nodes = np.stack(
        np.broadcast_arrays(ring * np.sin(angles), heights[:, None], ring * np.cos(angles)), axis=-1
    ).reshape(-1, 3)
    share = np.repeat(weights / 2 / len(angles), len(angles))
    points = torch.from_numpy(nodes)
    return points, torch.from_numpy(share)[:, None] * spherical_harmonics(degree, points)
