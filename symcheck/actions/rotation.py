"""Rotations as data (poses, orientations): moved by left multiplication or conjugation, compared by angle."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import apply_matrix, check_spatial, check_trailing, orthogonal_face
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.matrices import determinant
from symcheck.registry import suggest

_SHAPES: dict[str, tuple[int, ...]] = {"matrix": (3, 3), "quaternion": (4,), "6d": (6,)}


@final
class Rotation(Action):
    """g·Q = R Q (or R Q R^T with `conjugate`); the difference of two is the angle arccos((tr Q1^T Q2 - 1)/2).

    Trailing axes: (3, 3) for `matrix`, (w, x, y, z) for `quaternion`, the first two columns (a1, a2) for `6d`
    (Zhou et al. 2019, arXiv:1812.07035; orthonormalised before they are compared or conjugated).
    Mirrors act by their proper part det(R) R, so that rotations stay rotations. Quaternions act up to their
    sign, which the difference does not see.
    """

    uses = frozenset({"linear"})
    rowwise = True
    curved = True

    def __init__(self, form: str = "matrix", *, conjugate: bool = False) -> None:
        self.form, self.conjugate = form, conjugate
        words = [form] * (form != "matrix") + ["conjugate"] * conjugate
        self.name = f"rotation({','.join(words)})" if words else "rotation"

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing axes must fit the form, and the group must be spatial or planar."""
        check_trailing(shape, _SHAPES[self.form], self.name, what)
        check_spatial(group, 3, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n, 3, 3) proper rotations, or (n, 4, 4) matrices on quaternions."""
        linear = orthogonal_face(group, g, 3, self.name)
        proper = determinant(linear).sign()[:, None, None] * linear
        if self.form != "quaternion":
            return (proper,)
        left = left_multiplication(quaternion(proper))
        return (_vector_part(proper) if self.conjugate else left,)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product (two when conjugating)."""
        if self.form == "quaternion":
            return apply_matrix(rep[0], x)
        if self.form == "6d" and not self.conjugate:
            return apply_matrix(rep[0], x.reshape(*x.shape[:-1], 2, 3)).flatten(-2)
        columns = orthonormal(x) if self.form == "6d" else x
        turned = apply_matrix(rep[0], columns.mT).mT
        if self.conjugate:
            turned = apply_matrix(rep[0], turned)
        return turned[..., :2].mT.flatten(-2) if self.form == "6d" else turned

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """The angles between y and z in radians, in [0, π], with a trailing axis of one."""
        if self.form == "quaternion":
            return quaternion_angle(y, z)
        if self.form == "6d":
            y, z = orthonormal(y), orthonormal(z)
        return rotation_angle(y, z)


def rotation_angle(y: Tensor, z: Tensor) -> Tensor:
    """The angle of y^T z, (..., 1), by atan2(|sin|, cos), which keeps its accuracy near 0 and π."""
    m = y.mT @ z
    axis = torch.stack(
        (m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]), dim=-1
    )
    cosine = m.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    return torch.atan2(torch.linalg.vector_norm(axis, dim=-1), cosine)[..., None]


def quaternion_angle(y: Tensor, z: Tensor) -> Tensor:
    """2 atan2(|vector part|, |w|) of y* z, (..., 1); q and -q are the same rotation."""
    w = (y * z).sum(-1)
    a, b = y[..., 1:], z[..., 1:]
    vector = y[..., :1] * b - z[..., :1] * a - torch.linalg.cross(a, b, dim=-1)
    return 2 * torch.atan2(torch.linalg.vector_norm(vector, dim=-1), w.abs())[..., None]


def orthonormal(x: Tensor) -> Tensor:
    """The rotation (..., 3, 3) with first columns N(a1) and N(a2 - (b1·a2) b1), from (a1, a2), (..., 6)."""
    first = torch.nn.functional.normalize(x[..., :3], dim=-1)
    second = x[..., 3:] - (first * x[..., 3:]).sum(-1, keepdim=True) * first
    second = torch.nn.functional.normalize(second, dim=-1)
    return torch.stack((first, second, torch.linalg.cross(first, second, dim=-1)), dim=-1)


def quaternion(r: Tensor) -> Tensor:
    """A unit quaternion (n, 4), w first, of each rotation matrix (n, 3, 3); its sign is arbitrary."""
    x, y, z = r.diagonal(dim1=-2, dim2=-1).unbind(-1)
    a, b, c = r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]
    d, e, f = r[:, 0, 1] + r[:, 1, 0], r[:, 0, 2] + r[:, 2, 0], r[:, 1, 2] + r[:, 2, 1]
    w2, x2, y2, z2 = 1 + x + y + z, 1 + x - y - z, 1 - x + y - z, 1 - x - y + z
    rows = ((w2, a, b, c), (a, x2, d, e), (b, d, y2, f), (c, e, f, z2))
    outer = torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)  # 4 q q^T
    largest = outer.diagonal(dim1=-2, dim2=-1).argmax(dim=-1)
    return torch.nn.functional.normalize(outer[torch.arange(len(r)), largest], dim=-1)


def left_multiplication(q: Tensor) -> Tensor:
    """The matrices (n, 4, 4) of p -> q p."""
    w, x, y, z = q.unbind(-1)
    rows = ((w, -x, -y, -z), (x, w, -z, y), (y, z, w, -x), (z, -y, x, w))
    return torch.stack([torch.stack(row, dim=-1) for row in rows], dim=-2)


def _vector_part(r: Tensor) -> Tensor:
    """The matrices (n, 4, 4) of q -> p q p*, for the rotations r of p: w stays and (x, y, z) turns."""
    whole = torch.nn.functional.pad(r, (1, 0, 1, 0))
    whole[:, 0, 0] = 1
    return whole


@actions.register("rotation")
def rotation(*words: str) -> Rotation:
    """g·Q = R Q; the words are `quaternion` or `6d` for the form, and `conjugate` for R Q R^T."""
    known = [*_SHAPES, "conjugate"]
    forms = [word for word in words if word in _SHAPES]
    unknown = [word for word in words if word not in known]
    if unknown or len(forms) > 1 or len(set(words)) < len(words):
        raise ClaimError(
            f"'{unknown[0]}' is no form of a rotation" if unknown else "a rotation has one form",
            where=f"rotation({', '.join(words)})",
            hint=suggest(unknown[0], known) if unknown else "write e.g. rotation(quaternion) or rotation(6d)",
        )
    return Rotation(*forms, conjugate="conjugate" in words)
