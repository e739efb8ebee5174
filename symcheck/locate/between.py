"""Shifts on a grid that a stride has made smaller, also by parts of a cell."""

from __future__ import annotations

import math
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.shifts import Shifts


@final
class Between(Action):
    """The shift by s · size / size of the input, also between the cells: DFT times exp(-2πi k s / N), real part.

    Where a stride leaves a grid on which a shift is no whole number of cells, no action is exact; this one is smooth.
    """

    name = "shift between the cells"
    uses = frozenset({"shift"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The shifts as fractions of the grid, (n, axes)."""
        grid = group.grid if isinstance(group, Shifts) and group.grid else (1,)
        return (group.face("shift", g).double() / torch.tensor(grid, dtype=torch.float64),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One transform and back."""
        places = range(x.dim() - rep[0].shape[1], x.dim())
        y = torch.fft.fftn(x, dim=[*places])
        for steps, axis in zip(rep[0].unbind(1), places, strict=True):
            size = x.shape[axis]
            phase = -2 * math.pi * steps[:, None] * torch.fft.fftfreq(size, 1 / size, device=x.device)
            turned = torch.polar(torch.ones_like(phase), phase)
            y = y * turned.view(len(x), *(-1 if other == axis else 1 for other in range(1, x.dim())))
        y = torch.fft.ifftn(y, dim=[*places])
        return y if x.is_complex() else torch.real(y)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless there are as many grid axes, none as long as the input's."""
        grid = group.grid if isinstance(group, Shifts) else None
        if grid is None or len(shape) < len(grid) or any(a >= b for a, b in zip(shape[::-1], grid[::-1], strict=False)):
            raise ClaimError(
                f"'{self.name}' is for grids smaller than the input's",
                where=what,
                hint="a grid of the input's size is shifted by whole cells: sequence, image",
            )
