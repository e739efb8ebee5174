"""Frames as data: sets of poses, moved by left multiplication and compared as sets."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import check_dimension, embed, linear_dimension, orthogonal_face
from symcheck.errors import DataError
from symcheck.groups.base import Group


@final
class FrameSet(Action):
    """g·{(R_i, t_i)} = {(R R_i, R t_i + t)}: rotations (F, d, d), or poses [R | t] (F, d, d + 1), in any order.

    The difference of two is their Hausdorff distance; that of two poses is √(angle² + ‖t − t'‖²), angles in radians,
    shifts in the unit of the points.
    """

    name = "frame"
    uses = frozenset({"linear", "translation"})
    curved = True

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing axes must be d × d, or d × (d + 1) for poses with a shift."""
        if len(shape) != 3 or shape[2] - shape[1] not in (0, 1):
            raise DataError(
                f"'frame' needs the axes (elements, d, d) or (elements, d, d + 1), but a sample has shape {shape}",
                where=what,
                hint="give matrices, or matrices with the shift as their last column; one element is a set of one",
            )
        check_dimension(group, linear_dimension(group), shape[1], what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n, d, d) matrices and (n, d) shifts."""
        matrix = orthogonal_face(group, g, linear_dimension(group), self.name)
        moves = "translation" in group.faces
        shift = group.face("translation", g).double() if moves else torch.zeros_like(matrix[..., 0])
        return (matrix, shift)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product; the shift moves the last column where there is one."""
        d = x.shape[-2]
        moved = embed(rep[0], d).to(x.dtype)[:, None] @ x
        if x.shape[-1] == d:
            return moved
        shift = torch.nn.functional.pad(rep[1], (0, d - rep[1].shape[-1])).to(x.dtype)
        return torch.cat([moved[..., :d], moved[..., d:] + shift[:, None, :, None]], -1)

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """The Hausdorff distances of the sets y and z, (n, 1)."""
        apart = distance(y[:, :, None], z[:, None])
        there, back = apart.amin(2).amax(1), apart.amin(1).amax(1)
        return torch.maximum(there, back)[:, None]


def distance(y: Tensor, z: Tensor) -> Tensor:
    """The distances of poses (..., d, d) or (..., d, d + 1), broadcast: √(angle² + ‖t − t'‖²).

    The angle is 2 asin(‖R − R'‖/2√2) for d ≤ 3, of which π is the largest, also between a rotation and a mirror;
    ‖R − R'‖/√2 for larger d.
    """
    d = y.shape[-2]
    chord: Tensor = torch.linalg.matrix_norm(y[..., :d] - z[..., :d])
    angle: Tensor = 2 * (chord / 8**0.5).clamp(max=1.0).asin() if d <= 3 else chord / 2**0.5
    if y.shape[-1] == d:
        return angle
    shift = torch.linalg.vector_norm(y[..., d] - z[..., d], dim=-1)
    return torch.hypot(angle, shift)


@actions.register("frame")
def frame() -> FrameSet:
    """g·{(R_i, t_i)} = {(R R_i, R t_i + t)}: a set of poses, compared as a set."""
    return FrameSet()
