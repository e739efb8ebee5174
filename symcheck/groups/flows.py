"""One-parameter subgroups in closed form: turns, hyperbolic turns, stretches and translations, t -> exp(tX).

Every generator X here has X³ = ±X, X² = X or X² = 0, so that exp needs no series: exact, and differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import torch
from torch import Tensor

from symcheck.groups.base import Flow

FULL_TURN = 2.0 * math.pi


def rotations(d: int) -> tuple[Flow, ...]:
    """The d(d-1)/2 turns of R^d, matrices (n, d, d); in space about x, y and z, else in planes of two axes."""
    if d == 3:
        return tuple(
            Flow(f"rotation about {'xyz'[k]}", turning(d, (k + 1) % 3, (k + 2) % 3), FULL_TURN) for k in range(3)
        )
    words = [plane(i, j, d) for i, j in combinations(range(d), 2)]
    return tuple(
        Flow("rotation" if d == 2 else f"rotation in the plane {word}", turning(d, i, j), FULL_TURN)
        for word, (i, j) in zip(words, combinations(range(d), 2), strict=True)
    )


def shifts(d: int) -> tuple[Flow, ...]:
    """The d translations of R^d, vectors (n, d)."""
    return tuple(Flow(f"translation along {axis(i, d)}", _along(d, i)) for i in range(d))


def stretches(d: int) -> tuple[Flow, ...]:
    """The d(d+1)/2 symmetric generators of GL(d): e^t along an axis, and hyperbolic turns of two axes."""
    single = [Flow(f"stretch along {axis(i, d)}", _stretching(d, i)) for i in range(d)]
    mixed = [Flow(f"stretch in the plane {plane(i, j, d)}", boosting(d, i, j)) for i, j in combinations(range(d), 2)]
    return (*single, *mixed)


def turning(d: int, i: int, j: int) -> Callable[[Tensor], Tensor]:
    """t -> I + sin t K + (1 - cos t) K², which turns axis i towards axis j: (n,) to (n, d, d)."""
    k = _unit(d, j, i) - _unit(d, i, j)
    return lambda t: _eye(d) + _wide(t.sin()) * k + _wide(1.0 - t.cos()) * (k @ k)


def boosting(d: int, i: int, j: int) -> Callable[[Tensor], Tensor]:
    """t -> I + sinh t K + (cosh t - 1) K², the hyperbolic turn of axes i and j: (n,) to (n, d, d)."""
    k = _unit(d, j, i) + _unit(d, i, j)
    return lambda t: _eye(d) + _wide(t.sinh()) * k + _wide(t.cosh() - 1.0) * (k @ k)


def through(flow: Flow, into: Callable[[Tensor], Tensor], name: str = "") -> Flow:
    """The flow with its elements carried by a homomorphism `into` another group, and its new name."""
    at = flow.at
    return replace(flow, name=name or flow.name, at=lambda t: into(at(t)))


def axis(i: int, d: int) -> str:
    """x, y and z up to space, else 1, 2, ..., d."""
    return "xyz"[i] if d <= 3 else str(i + 1)


def plane(i: int, j: int, d: int) -> str:
    """Two axes in one word: xy, or 1-2."""
    return f"{axis(i, d)}{'' if d <= 3 else '-'}{axis(j, d)}"


def _along(d: int, i: int) -> Callable[[Tensor], Tensor]:
    return lambda t: t[:, None] * _eye(d)[i]


def _stretching(d: int, i: int) -> Callable[[Tensor], Tensor]:
    return lambda t: _eye(d) + _wide(t.expm1()) * _unit(d, i, i)


def _unit(d: int, i: int, j: int) -> Tensor:
    return torch.outer(_eye(d)[i], _eye(d)[j])


def _eye(d: int) -> Tensor:
    return torch.eye(d, dtype=torch.float64)


def _wide(t: Tensor) -> Tensor:
    return t[:, None, None]
