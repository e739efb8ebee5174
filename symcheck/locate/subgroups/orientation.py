"""Where a subgroup lies: elements of a family, axes of turns and mirrors, that leave no error, found and refined.

A family maps parameters to elements; its zeros are found by Gauss-Newton on the defects themselves, which vanish
there, so that an axis is known to machine precision and the rounding floors can judge what it generates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from symcheck.groups.rotations import about_axes
from symcheck.locate.subgroups.landscape import Landscape

Embed = Callable[[Tensor], Tensor]
Family = Callable[[Tensor], Tensor]  # parameters (n, p) to elements (n, *E)
PRIMES = (2, 3, 5, 7, 11, 13)
HIGHEST = 24  # the largest order of a turn that is tried about an axis
AXES, LEADERS, ROUNDS = 320, 16, 14
_LARGEST_STEP = 0.15  # radians
_SAME = 1e-4


@dataclass(frozen=True)
class Sought:
    """Where to look: the landscape, the outputs that count, how matrices become elements, and what error is small."""

    landscape: Landscape
    names: Collection[str]
    embed: Embed
    limit: float

    def errors(self, matrices: Tensor) -> np.ndarray:
        """The errors of matrices (K, d, d)."""
        return self.landscape.together(self.embed(matrices), self.names)

    def coarse(self) -> Sought:
        """The same with half the samples, for looking around."""
        rows = self.landscape.rows
        return replace(self, landscape=replace(self.landscape, rows=rows[: max(1, len(rows) // 2)]))

    def holding(self, matrices: Tensor) -> Tensor:
        """(K,) bool: where the error is small."""
        return torch.from_numpy(self.errors(matrices) <= self.limit) if len(matrices) else torch.zeros(0).bool()


def refine(sought: Sought, family: Family, start: Tensor) -> tuple[Tensor, np.ndarray]:
    """Parameters (n, p) at the nearest zeros of the defect, by damped Gauss-Newton, and the errors there."""
    landscape, n, p = sought.landscape, *start.shape
    step = landscape.epsilon ** (1 / 2.5)  # forward differences: too small drowns in rounding, too large is crooked

    def look(theta: Tensor) -> tuple[Tensor, Tensor]:
        near = [theta, *(theta + step * unit for unit in torch.eye(p, dtype=torch.float64))]
        found = landscape.defects(sought.embed(torch.cat([family(one) for one in near])))
        rows = torch.cat([found[name].flatten(1) for name in sought.names], 1).nan_to_num(nan=1e6)
        here, *others = rows.chunk(p + 1)
        return here, torch.stack([(other - here) / step for other in others], 2)

    best, damping = start.clone(), torch.full((n,), 1e-3, dtype=torch.float64)
    here, slope = look(best)
    for _ in range(ROUNDS):
        normal = slope.mT @ slope
        size = normal.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-300)
        normal = normal + (damping * size)[:, None, None] * torch.eye(p, dtype=torch.float64)
        move = -torch.linalg.solve(normal, (slope.mT @ here[:, :, None])[:, :, 0])
        move = move * (_LARGEST_STEP / move.norm(dim=1).clamp(min=_LARGEST_STEP))[:, None]
        there, steeper = look(best + move)
        better = there.norm(dim=1) < here.norm(dim=1)
        best = torch.where(better[:, None], best + move, best)
        here, slope = torch.where(better[:, None], there, here), torch.where(better[:, None, None], steeper, slope)
        damping = torch.where(better, damping * 0.03, damping * 10)
        if float(move.abs().max()) < landscape.epsilon:
            break
    count = len(landscape.rows)
    return best, (here.norm(dim=1) / math.sqrt(count)).numpy()


def axes(sought: Sought, angle: float, sign: float = 1.0) -> Tensor:
    """The axes (k, 3) about which `sign` times the turn by `angle` leaves no error, each once up to its direction."""
    grid = _half_sphere(AXES)
    errors = sought.coarse().errors(sign * about_axes(grid, angle))
    near = (grid @ grid.T).abs().topk(7, dim=1).indices.numpy()
    lowest = np.flatnonzero(errors <= errors[near].min(1))
    lowest = lowest[errors[lowest].argsort()][:LEADERS]
    base = grid[lowest]
    first = torch.linalg.cross(base, _least(base))
    first = first / first.norm(dim=1, keepdim=True)
    second = torch.linalg.cross(base, first)

    def towards(theta: Tensor) -> Tensor:
        moved = base + theta[:, :1] * first + theta[:, 1:] * second
        return torch.nn.functional.normalize(moved, dim=1)

    def family(theta: Tensor) -> Tensor:
        return sign * about_axes(towards(theta), angle)

    theta, left = refine(sought, family, torch.zeros(len(base), 2, dtype=torch.float64))
    found = towards(theta)[torch.from_numpy(left <= sought.limit)]
    return _apart(_snapped(sought, found, angle, sign))


def mirror_angle(sought: Sought, matrices: Family, period: float) -> float | None:
    """The angle in [0, period) of a one-parameter family of elements at which the error vanishes; None: nowhere."""
    grid = torch.arange(180, dtype=torch.float64)[:, None] * (period / 180)
    errors = sought.errors(matrices(grid))
    lowest = np.flatnonzero((errors <= np.roll(errors, 1)) & (errors <= np.roll(errors, -1)))
    lowest = lowest[errors[lowest].argsort()][:LEADERS]
    theta, left = refine(sought, matrices, grid[lowest])
    for exact in torch.arange(24, dtype=torch.float64) * (period / 24):
        if float((theta - exact).abs().min()) < _SAME and sought.errors(matrices(exact[None, None]))[0] <= sought.limit:
            return float(exact)
    best = int(left.argmin())
    return float(theta[best, 0]) % period if left[best] <= sought.limit else None


def turns_about(axis: Tensor, n: int) -> Tensor:
    """The n turns by multiples of 2π/n about one unit vector (3,), identity first."""
    return about_axes(axis[None], torch.arange(n, dtype=torch.float64) * (2 * math.pi / n))


def _half_sphere(n: int) -> Tensor:
    """n points spread evenly over half of the sphere (a Fibonacci spiral, turned so that no axis stands on it)."""
    i = torch.arange(n, dtype=torch.float64) + 0.5
    z, angle = i / n, i * math.pi * (3 - math.sqrt(5))
    ring = (1 - z * z).sqrt()
    spiral = torch.stack([ring * angle.cos(), ring * angle.sin(), z], 1)
    return spiral @ about_axes(torch.tensor([[0.36, 0.48, 0.8]], dtype=torch.float64), 0.7)[0]


def _least(u: Tensor) -> Tensor:
    """A coordinate axis far from each u."""
    return torch.nn.functional.one_hot(u.abs().argmin(1), 3).double()


def _snapped(sought: Sought, found: Tensor, angle: float, sign: float) -> Tensor:
    """Axes next to coordinate axes, or diagonals of faces or of the cube, are taken to be those, where these hold."""
    steps = torch.cartesian_prod(*[torch.tensor([-1.0, 0.0, 1.0]).double()] * 3)
    steps = steps[steps.norm(dim=1) > 0]
    standard = steps / steps.norm(dim=1, keepdim=True)
    near = (found @ standard.T).max(1)
    exact = standard[near.indices]
    fine = (near.values > 1 - _SAME**2) & sought.holding(sign * about_axes(exact, angle))
    return torch.where(fine[:, None], exact, found)


def _apart(u: Tensor) -> Tensor:
    kept: list[Tensor] = []
    for one in u:
        if all(float(torch.linalg.cross(one, other).norm()) > _SAME for other in kept):
            kept.append(one)
    return torch.stack(kept) if kept else u[:0]
