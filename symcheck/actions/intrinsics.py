"""Camera matrices that belong to an image, and move as its pixels do."""

from __future__ import annotations

import re

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.grid import observed
from symcheck.actions.linear import apply_matrix
from symcheck.actions.planar import check_planar, matrices, translations
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant
from symcheck.groups.shifts import CircularShifts

_ROUNDING = 1e-9


class Intrinsics(Action):
    """g·K = [[L, t], [0, 1]] K [[Q, 0], [0, 1]]⁻¹ for a map u ↦ L u + t of the pixels, where L = s Q, Q orthogonal.

    The camera's axes turn with its image, so that focal lengths stay positive: a mirror sends c_x to W − 1 − c_x, a
    quarter turn exchanges f_x and f_y, a shift by n columns adds n to c_x, and a magnification by s multiplies both.
    Shapes: samples (.., 3, 3), or (.., 4) with f_x, f_y, c_x, c_y, of an image of H × W pixels, centres at integers.
    """

    uses = frozenset({"linear", "shift", "translation", "factor"})
    rowwise = True
    affine = True

    def __init__(self, height: int, width: int) -> None:
        self.sizes = (height, width)
        self.name = f"intrinsics({height}x{width})"

    def represent(self, group: Group, g: Tensor) -> Rep:
        """L and Q of pixel columns and rows, (n, 2, 2), and t, (n, 2), float64."""
        flip = torch.diag(torch.tensor([1.0, -1.0], dtype=torch.float64))  # y is up, rows count down
        if "shift" in group.faces:
            still = torch.eye(2, dtype=torch.float64).expand(len(g), 2, 2)
            grid = observed(group, self.sizes, 0)
            steps = group.face("shift", g) * torch.tensor(self.sizes, dtype=torch.float64) / torch.tensor(grid)
            return still, still, steps.flip(1)
        matrix = flip @ matrices(group, g) @ flip
        turned = matrix / determinant(matrix).abs().sqrt()[:, None, None]
        centre = (torch.tensor(self.sizes[::-1], dtype=torch.float64) - 1) / 2
        return matrix, turned, centre - matrix @ centre + translations(group, g) @ flip

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Two small products, then the shift."""
        matrix, turned, shift = rep
        if x.shape[-1] == 4:
            there = shift.reshape(len(x), *[1] * (x.dim() - 2), 2)
            focal, centre = apply_matrix(matrix.abs(), x[..., :2]), apply_matrix(matrix, x[..., 2:])
            return torch.cat([focal, centre + there], dim=-1)
        between = [1] * (x.dim() - 3)
        whole = torch.nn.functional.pad(torch.cat([matrix, shift[..., None]], dim=2), (0, 0, 0, 1))
        whole[:, 2, 2] = 1
        back = torch.nn.functional.pad(turned.mT, (0, 1, 0, 1))
        back[:, 2, 2] = 1
        return whole.reshape(len(x), *between, 3, 3) @ x @ back.reshape(len(x), *between, 3, 3)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the sample is a camera matrix, and every element turns, mirrors, magnifies or shifts."""
        if tuple(shape[-2:]) != (3, 3) and tuple(shape[-1:]) != (4,):
            raise ClaimError(
                f"'{self.name}' needs (3, 3) or (4,) at the end, but the sample has the shape {tuple(shape)}",
                where=what,
                hint="give the camera matrix K, or its f_x, f_y, c_x, c_y",
            )
        if isinstance(group, CircularShifts):
            raise ClaimError(
                f"{group.name} wraps images around, and a principal point does not",
                where=what,
                hint="shift real content: image(crop=8) for the image",
            )
        if "shift" in group.faces:
            axes = group.face("shift", group.identity(1)).shape[1]
            if axes != 2:
                raise ClaimError(
                    f"{group.name} shifts {axes} grid axes, but '{self.name}' has rows and columns",
                    where=what,
                    hint="declare the image as image",
                )
            return
        check_planar(group, self.name, self.sizes, what)
        matrix = matrices(group, group.sample(16, Draws(0, "intrinsics")))
        form = matrix @ matrix.mT
        square = bool(((form - form[:, :1, :1] * torch.eye(2)).abs() < _ROUNDING * form[:, :1, :1]).all())
        if not square or (shape[-1] == 4 and not bool(((matrix.abs() > _ROUNDING).sum(2) == 1).all())):
            raise ClaimError(
                f"'{self.name}' has no form for what {group.name} makes of pixels that are not square",
                where=what,
                hint="use turns and mirrors (C4, D4), or the matrix K (3, 3) for other angles",
            )


@actions.register("intrinsics")
def intrinsics(size: str) -> Intrinsics:
    """`intrinsics(480x640)`: a camera with 480 rows and 640 columns."""
    found = re.fullmatch(r"(\d+)x(\d+)", size)
    if not found:
        raise ClaimError(
            f"'{size}' is no size of an image",
            where=f"intrinsics({size})",
            hint="write rows and columns, e.g. intrinsics(480x640)",
        )
    return Intrinsics(int(found[1]), int(found[2]))
