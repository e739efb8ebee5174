"""Rotations in any dimension: Haar sampling, small turns, one axis and angle, and words for a matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from symcheck.groups.base import per_row
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant


def haar_orthogonal(n: int, d: int, rng: Draws) -> Tensor:
    """Haar-distributed elements of O(d), (n, d, d): Q sign(diag R) of a Gaussian QR (Mezzadri 2007)."""
    q, r = torch.linalg.qr(rng.normal(n, d, d))
    # without the signs the law follows the QR routine's convention and is not Haar
    signs = 1.0 - 2.0 * (r.diagonal(dim1=-2, dim2=-1) < 0).double()
    return torch.mul(q, signs[:, None, :])


def haar_rotation(n: int, d: int, rng: Draws) -> Tensor:
    """Haar-distributed elements of SO(d), (n, d, d): O(d) with one column flipped where det = -1."""
    q = haar_orthogonal(n, d, rng)
    flip = torch.ones(n, 1, d, dtype=torch.float64)
    flip[:, 0, 0] = determinant(q).sign()
    return q * flip


def turn(n: int, d: int, size: float | Tensor, rng: Draws) -> Tensor:
    """Random rotations by a geodesic distance of about `size` radians: (I - A)^-1 (I + A), A skew, (n, d, d).

    The Cayley transform is orthogonal to rounding at every size; 2 atan(|A|) is its angle.
    """
    if d == 1:
        return torch.ones(n, 1, 1, dtype=torch.float64)
    x = rng.normal(n, d, d)
    half = (x - x.mT) * (per_row(size, 2) / (2.0 * math.sqrt(d * (d - 1))))
    eye = torch.eye(d, dtype=torch.float64)
    rotation: Tensor = torch.linalg.solve(eye - half, eye + half)
    return rotation


def nearest_rotation(g: Tensor) -> Tensor:
    """The orthogonal factor U V^T of g = U Σ V^T, (n, d, d); a rotation when det g > 0."""
    u, _, vh = torch.linalg.svd(g)
    return torch.matmul(u, vh)


def in_plane(angle: Tensor) -> Tensor:
    """R(θ), (n, 2, 2) float64, free of rounding at quarter turns."""
    # cos(π/2) is 6e-17 in floating point, yet a quarter turn of a grid has to be recognised as one
    quarters = angle / (math.pi / 2)
    quarter = (quarters - quarters.round()).abs() < 1e-14
    c, s = (torch.where(quarter, v.round() + 0.0, v) for v in (angle.cos(), angle.sin()))
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


def about_axis(axis: tuple[float, float, float], angle: Tensor) -> Tensor:
    """Rotation by `angle` (n,) about `axis`, of any length, (n, 3, 3)."""
    unit = torch.tensor([[v / math.hypot(*axis) for v in axis]], dtype=torch.float64)
    return about_axes(unit, angle)


def about_axes(axis: Tensor, angle: Tensor | float) -> Tensor:
    """Rotations by `angle`, one or (n,), about unit vectors (n, 3): I + sin θ K + (1 - cos θ) K² (Rodrigues)."""
    x, y, z = axis.unbind(1)
    o = torch.zeros_like(x)
    k = torch.stack([o, -z, y, z, o, -x, -y, x, o], 1).reshape(-1, 3, 3)
    angle = torch.as_tensor(angle, dtype=torch.float64).reshape(-1, 1, 1)
    return torch.eye(3, dtype=torch.float64) + angle.sin() * k + (1.0 - angle.cos()) * (k @ k)


def describe(matrix: Tensor) -> str:
    """Words for one orthogonal matrix (d, d): `rotation 73.2 deg about (0.27, 0.53, 0.80)`."""
    d = len(matrix)
    improper = bool(determinant(matrix) < 0)
    if d == 3:
        return _inverted(-matrix) if improper else _about(matrix)
    if d == 1:
        return "reflection" if improper else "identity"
    mirror = torch.ones(d, dtype=torch.float64)
    mirror[-1] = -1.0 if improper else 1.0
    return ("reflection + " if improper else "") + _angles(matrix * mirror)


def vector(v: Tensor) -> str:
    """`(0.27, -0.53, 0.80)`."""
    return "(" + ", ".join(f"{round(x, 2) + 0.0:.2f}" for x in v.tolist()) + ")"


def _about(r: Tensor) -> str:
    """A rotation of space by its angle in [0, 180] degrees and its axis."""
    twist = torch.stack([r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]])
    angle = math.degrees(math.atan2(float(twist.norm()), float(r.trace()) - 1.0))
    if angle < 1e-6:
        return "identity"
    if angle > 179.0:  # the twist vanishes at half turns, where R + I = 2 u u^T
        even = r + r.T + (1.0 - r.trace()) * torch.eye(3, dtype=r.dtype)
        twist = even[:, int(even.diagonal().argmax())] * _sense(even, twist)
    return f"rotation {angle:.1f} deg about {vector(twist / twist.norm())}"


def _sense(even: Tensor, twist: Tensor) -> float:
    return -1.0 if float(even[:, int(even.diagonal().argmax())] @ twist) < 0 else 1.0


def _inverted(r: Tensor) -> str:
    words = _about(r)
    if words == "identity":
        return "inversion"
    axis = words.removeprefix("rotation 180.0 deg about ")
    return f"inversion + {words}" if axis == words else f"reflection along {axis}"


def _angles(r: Tensor) -> str:
    """A rotation outside space: signed in the plane, else its angles in the invariant planes."""
    if len(r) == 2:
        return f"rotation {math.degrees(math.atan2(float(r[1, 0]), float(r[0, 0]))):.1f} deg"
    angles = torch.linalg.eigvals(r).angle().abs().sort(descending=True).values[: len(r) // 2 * 2 : 2]
    return "rotation by " + ", ".join(f"{math.degrees(a):.1f}" for a in angles.tolist()) + " deg"
