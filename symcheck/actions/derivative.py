"""Derivatives of actions: dρ(X)x = d/dt ρ(exp(tX))x at 0, for the one-parameter subgroups of the group.

By forward mode through `represent` and `act`, to rounding; images have a smooth derivative instead, and what cannot be
differentiated is taken by finite differences of fourth order. The method is part of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.actions.base import Bound, Part, Rep
from symcheck.actions.image import Image
from symcheck.actions.smooth import Curve, image_method, image_velocity
from symcheck.actions.tangents import clock, level, tangent
from symcheck.errors import ClaimError, SymcheckError
from symcheck.groups.base import Flow, Group
from symcheck.groups.products import Product
from symcheck.groups.shifts import Shifts

EXACT = "forward mode"
FINITE = "finite differences of fourth order"
_STEP = 1e-3
_AGREE = 1e-6


@dataclass(frozen=True)
class Velocity:
    """dρ(X)x, rows (n, *S) in double precision, and how it was found; "" where nothing moves.

    `doubt` is what the pixels of an image leave open, None where the derivative is exact.
    """

    value: Tensor
    method: str
    doubt: Tensor | None = None


@dataclass(frozen=True)
class Step:
    """The smallest moves of a lattice along one axis, there and back: elements (1, *E) of the whole group."""

    name: str
    there: Tensor
    back: Tensor


def generator(bound: Bound, flow: Flow, x: Tensor) -> Tensor:
    """dρ(X)x = d/dt ρ(exp(tX))x at t = 0 for rows (n, *S): float64, zero where nothing moves. Raises ClaimError."""
    return velocity(bound, flow, x).value


def velocity(bound: Bound, flow: Flow, x: Tensor) -> Velocity:
    """dρ(X)x with the method: the sum over the parts, since all others stand still at t = 0."""
    wide = x.to(torch.complex128) if x.is_complex() else x.double() if x.is_floating_point() else x
    total, methods, doubts = torch.zeros_like(wide), [], []
    for part in bound.parts:
        one = _velocity(part, _curve(bound, part, flow), wide)
        if one is not None:
            total = total + one.value
            methods.append(one.method)
            doubts += [] if one.doubt is None else [one.doubt]
    return Velocity(total, "; ".join(dict.fromkeys(methods)), torch.stack(doubts).sum(0) if doubts else None)


def lattice_steps(group: Group) -> tuple[Step, ...]:
    """One step along every axis of the grid shifts among the factors of a group; () where there are none."""
    found = []
    for i, factor in enumerate(group.factors()):
        for axis, size in enumerate(factor.steps if isinstance(factor, Shifts) else ()):
            there = factor.identity(1)
            there[0, axis] += size
            if size and bool((factor.compose(there, factor.identity(1)) != factor.identity(1)).any()):
                whole = _beside(group, i, there)
                found.append(Step(f"shift by {size} along axis {axis + 1}", whole, group.inverse(whole)))
    return tuple(found)


def _beside(group: Group, i: int, part: Tensor) -> Tensor:
    factors = group.factors()
    if len(factors) == 1:
        return part
    if not isinstance(group, Product):
        raise ClaimError(
            f"{group.name} turns its own shifts, which have no steps of their own",
            where="the derivative of its action",
            hint="claim the shifts alone: Shift",
        )
    return group.pack([part if k == i else factor.identity(1) for k, factor in enumerate(factors)])


def _curve(bound: Bound, part: Part, flow: Flow) -> Curve:
    """The part of exp(tX) in the factor that moves, (n,) to (n, *E)."""

    def curve(t: Tensor) -> Tensor:
        g = flow.at(t)
        return g if part.index < 0 else bound.group.split(g)[part.index]

    return curve


def _velocity(part: Part, curve: Curve, x: Tensor) -> Velocity | None:
    if not _moves(curve):
        return None
    if isinstance(part.action, Image):
        value, doubt = image_velocity(part.action, part.group, curve, x)
        return Velocity(value, image_method(part.group, x.shape), doubt)
    if not (x.is_floating_point() or x.is_complex()):
        raise ClaimError(
            f"integers ({str(x.dtype).removeprefix('torch.')}) have no derivative under {part.group.name}",
            where=f"action '{part.action}'",
            hint="convert them to float, or declare them scalar if they do not move",
        )
    try:
        moved = _by_forward_mode(part, curve, x)
    except SymcheckError:
        raise
    except (RuntimeError, TypeError):  # an operation of a user's action without a derivative
        return Velocity(_by_differences(part, curve, x), FINITE)
    if part.action.whole and not _agree(moved[:1], _by_differences(part, curve, x[:1])):
        return Velocity(_by_differences(part, curve, x), FINITE)  # a user's action that loses the derivative on its way
    return Velocity(moved, EXACT)


def _moves(curve: Curve) -> bool:
    """Whether the flow moves a part's factor at all."""
    g = curve(torch.tensor([0.0, 0.37], dtype=torch.float64))
    return not torch.equal(g[0], g[1])


def _by_forward_mode(part: Part, curve: Curve, x: Tensor) -> Tensor:
    with level():
        rep = part.action.represent(part.group, curve(clock()))
        return tangent(part.action.act(part.group, _rows(rep, x), x))


def _by_differences(part: Part, curve: Curve, x: Tensor) -> Tensor:
    """(8 (ρ(h) - ρ(-h)) - (ρ(2h) - ρ(-2h))) x / 12h."""
    t = torch.tensor([1.0, -1.0, 2.0, -2.0], dtype=torch.float64) * _STEP
    reps = part.action.represent(part.group, curve(t))
    a, b, c, d = (part.action.act(part.group, _rows(tuple(r[i : i + 1] for r in reps), x), x) for i in range(4))
    return (8 * (a - b) - (c - d)) / (12 * _STEP)


def _rows(rep: Rep, x: Tensor) -> Rep:
    """One element for all rows, on their device."""
    return tuple(t.to(x.device).expand(len(x), *t.shape[1:]) for t in rep)


def _agree(y: Tensor, z: Tensor) -> bool:
    return bool(((y - z).abs().max() <= _AGREE * (1 + z.abs().max())).all()) if y.numel() else True
