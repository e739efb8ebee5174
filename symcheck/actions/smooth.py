"""How an image moves infinitesimally: derivatives along its axes as matrices, since resampling has none of its own.

The slope of bicubic or linear interpolation at a pixel is one-sided or of the wrong size, so it is not differentiated:
on a torus the derivative is that of the trigonometric interpolation, on the plane that of the cubic spline.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from symcheck.actions.image import Image
from symcheck.actions.planar import matrices, only_translates, translations
from symcheck.actions.tangents import clock, level, tangent
from symcheck.errors import DataError
from symcheck.groups.base import Group

Curve = Callable[[Tensor], Tensor]


def spectral(size: int) -> Tensor:
    """d/da of the trigonometric interpolation on a circle of `size` cells, (size, size) float64.

    Exact below the Nyquist frequency, which an even size has and whose derivative is zero here.
    """
    step = torch.arange(size, dtype=torch.float64)
    gap = step[:, None] - step
    sign = 1.0 - 2.0 * (gap.abs() % 2)
    angle = math.pi * gap / size
    slope = 1.0 / (angle.sin() if size % 2 else angle.tan())
    return torch.where(gap == 0, 0.0, sign * slope * math.pi / size)


def cubic(size: int) -> Tensor:
    """d/da of the cubic spline through `size` cells, (size, size) float64; of third order at both ends.

    (s[a-1] + 4 s[a] + s[a+1]) / 6 = (x[a+1] - x[a-1]) / 2 inside, s[0] + 2 s[1] = (-5 x[0] + 4 x[1] + x[2]) / 2.
    """
    if size < 3:
        return torch.zeros(size, size, dtype=torch.float64)
    ones = torch.ones(size - 1, dtype=torch.float64)
    left = 4 * torch.eye(size, dtype=torch.float64) + ones.diag(1) + ones.diag(-1)
    right = 3 * (ones.diag(1) - ones.diag(-1))
    for row, toward in ((0, 1), (size - 1, -1)):
        left[row], right[row] = 0.0, 0.0
        cells = [row, row + toward, row + 2 * toward]
        left[row, cells] = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64)
        right[row, cells] = torch.tensor([-2.5, 2.0, 0.5], dtype=torch.float64) * toward
    slope: Tensor = torch.linalg.solve(left, right)
    return slope


def central(size: int) -> Tensor:
    """d/da by central differences of fourth order, and as in `cubic` at both ends, (size, size) float64."""
    found = cubic(size)
    for row in range(2, size - 2):
        found[row] = 0.0
        found[row, row - 2 : row + 3] = torch.tensor([1.0, -8.0, 0.0, 8.0, -1.0], dtype=torch.float64) / 12
    return found


def image_method(group: Group, shape: tuple[int, ...]) -> str:
    """How the image is differentiated, in words."""
    if not only_translates(group):
        return "cubic spline derivative"
    even = any(size % 2 == 0 for size in shape[-2:])
    return "spectral derivative" + (", the Nyquist frequency left out" if even else "")


def image_velocity(action: Image, group: Group, curve: Curve, x: Tensor) -> tuple[Tensor, Tensor | None]:
    """d/dt g(t)·x at 0 for g(0) = e: (A' p + b')·∇x + ρ'x, with x(A p + b) the moved image and ρ its fibre.

    Also, on the plane, how far another derivative of the same order is from it: what the pixels leave open.
    Shapes: x (n, .., H, W) floating; curve (1,) to (1, *E).
    """
    if not (x.is_floating_point() or x.is_complex()):
        raise DataError(
            f"an image of {x.dtype} has no derivative",
            where=f"action '{action}' under {group.name}",
            hint="give the image as floating point numbers",
        )
    with level():
        g = curve(clock())
        matrix = matrices(group, g)
        linear, offset = tangent(matrix)[0].to(x), tangent(translations(group, g))[0].to(x)
        turned = torch.zeros_like(x)
        if action.fiber is not None and not only_translates(group):
            rep = action.fiber.represent(group, g, matrix)
            rows = tuple(part.to(x).expand(len(x), *part.shape[1:]) for part in rep)
            turned = tangent(action.fiber.act(group, rows, x))
    height, width = x.shape[-2:]
    across = torch.arange(width, device=x.device).to(x) - (width - 1) / 2
    up = (height - 1) / 2 - torch.arange(height, device=x.device).to(x)[:, None]
    (a, b), (c, d) = linear  # the moved image is x(M⁻¹ (p - t))
    right, above = a * across + b * up + offset[0], c * across + d * up + offset[1]

    def carried_along(slope: Callable[[int], Tensor]) -> Tensor:
        up_or_down, along = slope(height).to(x) @ x, x @ slope(width).to(x).mT
        return torch.mul(above, up_or_down) - torch.mul(right, along)

    if only_translates(group):
        return turned + carried_along(spectral), None
    found = carried_along(cubic)
    return turned + found, found - carried_along(central)

