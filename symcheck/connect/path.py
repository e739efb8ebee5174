"""Paths between two states: Bézier curves θ_t = Σ_k binomial(d, k) (1 − t)^(d−k) t^k P_k from A = P_0 to B = P_d."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.errors import ConfigError

State = Mapping[str, Tensor]


def grid(points: int) -> tuple[float, ...]:
    """`points` values from 0 to 1 in equal steps, and 1/2 where it is not among them."""
    if points < 3:
        raise ConfigError(
            f"{points} points are no path", where="--points", hint="give at least 3: both ends and the midpoint"
        )
    return tuple(sorted({i / (points - 1) for i in range(points)} | {0.5}))


@dataclass(frozen=True)
class Path:
    """A Bézier curve through the space of states; two control points are the segment, three a parabola.

    Every floating tensor moves, buffers too; whole numbers stay those of the first point. `kind` is how the middle
    was found.
    """

    kind: str
    points: tuple[State, ...]

    def weights(self, t: float) -> tuple[float, ...]:
        """How much of each control point there is at t; they sum to 1."""
        degree = len(self.points) - 1
        return tuple(math.comb(degree, k) * (1 - t) ** (degree - k) * t**k for k in range(degree + 1))

    def at(self, t: float) -> dict[str, Tensor]:
        """The state at t; at the ends exactly that of the end."""
        weights = self.weights(t)
        return {name: mixed([point[name] for point in self.points], weights) for name in self.points[0]}

    def place(self, t: float, slots: State) -> None:
        """Write the state at t into tensors of the same names, in their dtype and on their device."""
        weights = self.weights(t)
        with torch.no_grad():
            for name, slot in slots.items():
                slot.copy_(mixed([point[name] for point in self.points], weights, out=slot))

    def to(self, device: torch.device) -> Path:
        """The same path on a device; control points that are one object stay one."""
        return Path(self.kind, tuple({n: x.to(device) for n, x in point.items()} for point in self.points))


def mixed(tensors: list[Tensor], weights: tuple[float, ...], *, out: Tensor | None = None) -> Tensor:
    """Σ w_k x_k, in float32 at least and in `out` where that is; of whole numbers the first."""
    first = tensors[0]
    if not (first.is_floating_point() or first.is_complex()):
        return first
    if 1.0 in weights:
        return tensors[weights.index(1.0)]
    working = torch.promote_types(first.dtype, torch.float32)
    room = out if out is not None and out.dtype == working else None
    total = torch.mul(first.to(working), weights[0], out=room)
    for x, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(x.to(working), alpha=weight)
    return total


def linear(a: State, b: State) -> Path:
    """θ_t = (1 − t) A + t B."""
    return Path("linear", (a, b))


def quadratic(a: State, b: State, parameters: Collection[str]) -> Path:
    """The parabola whose middle has the norm that the ends have: no tensor shrinks halfway, and nothing is trained.

    The control point is C = c (A + B)/2 for each parameter, with c = 2 (‖A‖ + ‖B‖) / ‖A + B‖ − 1, so that
    ‖θ_½‖ = (‖A‖ + ‖B‖)/2; buffers, and parameters with A = −B, have c = 1. Two independent tensors lose 30 % of their
    norm at the midpoint of the segment.
    """
    return Path("quadratic", (a, _kept_norm(a, b, parameters), b))


def _kept_norm(a: State, b: State, parameters: Collection[str]) -> dict[str, Tensor]:
    control = {}
    for name, x in a.items():
        half = mixed([x, b[name]], (0.5, 0.5))
        norms = [float(y.double().norm()) for y in (x, b[name], half)] if name in parameters else [0.0, 0.0, 0.0]
        moves = half.is_floating_point() and norms[2] > 1e-6 * (norms[0] + norms[1])
        control[name] = half * ((norms[0] + norms[1]) / norms[2] - 1) if moves else half
    return control
