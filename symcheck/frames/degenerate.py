"""Point clouds where no frame can be right, made on purpose: random inputs never are."""

from __future__ import annotations

import itertools
import math

import torch
from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.groups.rotations import haar_rotation

DEGENERATE = 1e-5  # eigen-gaps below this are none: that is the rounding of coordinates in float32


def eigen_gap(values: Tensor) -> Tensor:
    """min(λᵢ − λᵢ₊₁)/λ₁ of eigenvalues (B, d), in any order, (B,); 1 in one dimension."""
    falling = values.sort(-1, descending=True).values
    if values.shape[-1] == 1:
        return torch.ones_like(falling[:, 0])
    return (falling[:, :-1] - falling[:, 1:]).amin(-1) / falling[:, 0].clamp(min=1e-300)


def families(points: Tensor, seed: int = 0) -> dict[str, Tensor]:
    """Clouds (B, N, d) of the size and place of the given ones, by the name of their degeneracy, in random poses.

    collinear: on a line. planar: in a plane (d = 3). symmetric top: a regular polygon with the rest on its axis.
    tetrahedral: orbits of the tetrahedral group, like methane, whose covariance is a multiple of 1; in the plane a
    regular polygon. Those that so few points cannot form are left out.
    """
    x = points.double()
    count, many, d = x.shape
    rng = Draws(seed, "degenerate")
    centre = x.mean(1, keepdim=True)
    size = (x - centre).square().sum(-1).mean(1).sqrt()[:, None, None]
    turns, found = haar_rotation(count, d, rng), {}
    if many >= 2:
        found["collinear"] = (x - centre)[..., :1] * turns[:, None, 0]
    if d == 3 and many >= 4:
        found["planar"] = (x - centre) @ turns * torch.tensor([1.0, 1.0, 0.0]) @ turns.mT
    shapes = {"symmetric top": _top(many), "tetrahedral": _orbits(many)} if d == 3 else {"polygon": _ring(many)}
    for name, shape in shapes.items():
        if shape is not None and shape.shape[1] == d:
            unit = shape - shape.mean(0)
            found[name] = unit / unit.square().sum(-1).mean().sqrt() * size @ turns.mT
    return {name: y + centre for name, y in found.items()}


def _ring(many: int) -> Tensor | None:
    """A regular polygon in the plane."""
    if many < 3:
        return None
    angle = torch.arange(many, dtype=torch.float64) * (2 * math.pi / many)
    return torch.stack([angle.cos(), angle.sin()], -1)


def _top(many: int) -> Tensor | None:
    """A triangle and points on its axis."""
    ring = _ring(min(many, 3))
    if ring is None:
        return None
    axis = torch.arange(1, many - 2, dtype=torch.float64)
    above = torch.stack([0 * axis, 0 * axis, 0.7 * axis], -1)
    return torch.cat([torch.nn.functional.pad(ring, (0, 1)), above])


def _orbits(many: int) -> Tensor | None:
    """Shells of 1, 4, 6 and 12 points that the 12 rotations of the tetrahedron permute, each with its own radius."""
    best = next(
        (
            (centre, fours, sixes, twelves)
            for twelves, sixes, fours, centre in itertools.product(range(many), range(many), range(many), range(2))
            if centre + 4 * fours + 6 * sixes + 12 * twelves == many and fours + sixes + twelves
        ),
        None,
    ) if many < 64 else None  # fmt: skip
    if best is None:
        return None
    corner = torch.tensor([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    face = torch.cat([torch.eye(3, dtype=torch.float64), -torch.eye(3, dtype=torch.float64)])
    generic = torch.tensor([0.3, 0.8, 1.4], dtype=torch.float64)
    ring = torch.cat([(generic * c).roll(k, -1)[None] for c in corner for k in range(3)])
    shells = [corner] * best[1] + [face] * best[2] + [ring] * best[3]
    grown = [shell * (1 + 0.37 * i) for i, shell in enumerate(shells)]
    return torch.cat([torch.zeros(best[0], 3, dtype=torch.float64), *grown])
