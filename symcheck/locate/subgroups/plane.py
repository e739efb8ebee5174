"""Subgroups of the rotations of a plane: C_n, and D_n whose mirror line has to be found."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant
from symcheck.groups.rotations import in_plane
from symcheck.locate.subgroups.candidates import Subgroup
from symcheck.locate.subgroups.orientation import HIGHEST, Sought, mirror_angle

SHOWN = (2, 3, 4, 6, 8)  # turns that are listed whether they hold or not
FULL = 2 * math.pi
_NEAR = 1e-6


def plane_subgroups(sought: Sought, mirrors: bool, lattice: bool, count: int, orders: Iterable[int]) -> list[Subgroup]:
    """Candidates in SO(2), or O(2) with `mirrors`: `orders` of turns are tried beside all those up to 24.

    `lattice`: only quarter turns and the four mirrors of a square move the data without resampling.
    """
    tried = [2, 4] if lattice else sorted({*range(2, HIGHEST + 1), *orders})
    steps = sought.holding(in_plane(FULL / torch.tensor(tried, dtype=torch.float64)))
    holding = [n for n, holds in zip(tried, steps.tolist(), strict=True) if holds]
    top = math.lcm(*holding) if holding else 1
    wanted = {n for n in SHOWN if n in tried} | {*holding}
    if not lattice:
        wanted |= {top, 2 * top, 3 * top} if top <= HIGHEST else set()
    turns = [cyclic(n) for n in sorted(wanted - {1})]
    if not mirrors:
        return turns
    random = Draws(0, "plane").uniform(count, high=FULL)
    found = [Subgroup("SO(2)", in_plane(random), lambda g: determinant(g) > 0), *turns]
    angle = _lattice_mirror(sought) if lattice else mirror_angle(sought, lambda t: reflections(t[:, 0]), FULL)
    at = 0.0 if angle is None else angle
    return found + [dihedral(n, at, angle is not None) for n in sorted({1} | wanted)]


def reflections(angle: Tensor) -> Tensor:
    """R(φ) diag(1, −1), the mirror in the line at φ/2, (n, 2, 2)."""
    return in_plane(angle) * torch.tensor([1.0, -1.0], dtype=torch.float64)


def cyclic(n: int) -> Subgroup:
    """C_n of the plane."""
    g = in_plane(torch.arange(1, n, dtype=torch.float64) * (FULL / n))
    return Subgroup(f"C{n}", g, lambda m: (determinant(m) > 0) & _multiple(_angle(m), n), n)


def dihedral(n: int, at: float, found: bool) -> Subgroup:
    """D_n of the plane with the mirror R(at) diag(1, −1)."""
    angles = torch.arange(n, dtype=torch.float64) * (FULL / n)
    g = torch.cat([in_plane(angles[1:]), reflections(angles + at)])

    def contains(m: Tensor) -> Tensor:
        return _multiple(_angle(m) - torch.where(determinant(m) > 0, 0.0, at), n)

    where = f"mirror line at {math.degrees(at / 2):.4g} deg" + ("" if found else ", where no mirror holds")
    return Subgroup(f"D{n}", g, contains, 2 * n, where, 1)


def _angle(m: Tensor) -> Tensor:
    return torch.atan2(m[:, 1, 0], m[:, 0, 0])


def _multiple(angle: Tensor, n: int) -> Tensor:
    steps = angle * (n / FULL)
    return (steps - steps.round()).abs() < _NEAR * n


def _lattice_mirror(sought: Sought) -> float | None:
    angles = torch.arange(4, dtype=torch.float64) * (FULL / 4)
    holding = sought.holding(reflections(angles))
    return float(angles[holding][0]) if bool(holding.any()) else None

