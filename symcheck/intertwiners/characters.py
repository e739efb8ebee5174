"""dim Hom as a mean of characters, E_g χ_out(g) χ_in(g⁻¹): an oracle that knows nothing of projections.

Real matrices of a compact group have χ(g⁻¹) = χ(g). Finite groups are summed, SO(n) and O(n) integrated over their
maximal torus with Weyl's density, other groups drawn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import torch
from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.intertwiners.brauer import family_of
from symcheck.intertwiners.subspace import Axis

_FIRST, _LAST = 16, 256  # angles on one circle of the torus
_DRAWS = 4096
_WHOLE, _SURE = 1e-6, 0.1
_CHUNK = 2**22


def character_dimension(axes: Sequence[Axis]) -> int:
    """Σ or ∫ of the product of the characters of all axes, which is a whole number.

    Raises ClaimError for groups without a uniform law, DataError where the estimate is not near a whole number.
    """
    group = axes[0].space.group
    if not group.compact:
        raise ClaimError(
            f"{group.name} is not compact and has no mean of characters",
            where=f"dim Hom under {group.name}",
            hint="count with the null space of its generators",
        )
    listed = group.elements() if group.order is not None else None
    if listed is not None:
        return _whole(_mean(axes, listed, None), _WHOLE, group)
    family = family_of(group)
    if family is not None and family[0] in ("O", "SO") and family[1] <= 5:
        return _integrated(lambda count: _torus_mean(axes, family, count), group)
    drawn = group.sample(_DRAWS, Draws(0, "characters"))
    values = torch.cat([*_characters(axes, drawn)])
    error = float(values.std()) / math.sqrt(len(values))
    if not error <= _SURE:
        raise DataError(
            f"{_DRAWS} drawn elements tell the dimension only to ± {error:.2g}",
            where=f"dim Hom under {group.name}",
            hint="count with the null space of its generators",
        )
    return _whole(float(values.mean()), 4 * _SURE, group)


def power_dimension(family: str, n: int, m: int) -> int:
    """The invariants of m tensor factors of O(n), SO(n) or Sp(n): ∫ χ(g)^m by Weyl's formula."""
    pieces_of = _pieces(family, n)

    def value(count: int) -> float:
        total = 0.0
        for share, angles, weights, fixed in pieces_of(count):
            trace = 2.0 * angles.cos().sum(1) + fixed
            total += share * float((weights * trace**m).sum())
        return total

    return _integrated(value, None)


def torus(family: str, n: int, count: int) -> Iterator[tuple[float, Tensor, Tensor]]:
    """(share, elements (N, n, n), weights (N,)) of each component of O(n) or SO(n), which integrate class functions."""
    for share, angles, weights, fixed in _pieces(family, n)(count):
        whole = torch.zeros(len(angles), n, n, dtype=torch.float64)
        for i in range(angles.shape[1]):
            c, s = angles[:, i].cos(), angles[:, i].sin()
            whole[:, 2 * i, 2 * i] = whole[:, 2 * i + 1, 2 * i + 1] = c
            whole[:, 2 * i + 1, 2 * i], whole[:, 2 * i, 2 * i + 1] = s, -s
        rest = n - 2 * angles.shape[1]
        for i, sign in enumerate((fixed,) if rest == 1 else (1.0, -1.0)[:rest]):
            whole[:, 2 * angles.shape[1] + i, 2 * angles.shape[1] + i] = sign
        yield share, whole, weights


def _pieces(family: str, n: int) -> Callable[[int], Iterator[tuple[float, Tensor, Tensor, float]]]:
    """count -> the components: share, angles, weights, and the trace of what the angles do not turn."""
    rank = n // 2

    def pieces(count: int) -> Iterator[tuple[float, Tensor, Tensor, float]]:
        half = 0.5 if family == "O" else 1.0
        if family == "Sp":
            yield 1.0, *_weighted(rank, count, lambda t: t.sin().square()), 0.0
        elif n % 2:
            yield half, *_weighted(rank, count, lambda t: 1.0 - t.cos()), 1.0
            if family == "O":
                yield half, *_weighted(rank, count, lambda t: 1.0 + t.cos()), -1.0
        else:
            yield half, *_weighted(rank, count, torch.ones_like), 0.0
            if family == "O":
                yield half, *_weighted(rank - 1, count, lambda t: t.sin().square()), 0.0

    return pieces


def _weighted(rank: int, count: int, single: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """A grid on the torus with weights Π_i single(θ_i) Π_{i<j} (cos θ_i − cos θ_j)², normalised."""
    line = (torch.arange(count, dtype=torch.float64) + 0.5) * (2 * math.pi / count)
    grids = torch.meshgrid(*[line] * rank, indexing="ij") if rank else ()
    angles = torch.stack([g.flatten() for g in grids], 1) if rank else torch.zeros(1, 0, dtype=torch.float64)
    weights = torch.stack([single(column) for column in angles.T] or [torch.ones(1, dtype=torch.float64)]).prod(0)
    for i, j in combinations(range(rank), 2):
        weights = weights * (angles[:, i].cos() - angles[:, j].cos()).square()
    return angles, weights / weights.sum()


def _torus_mean(axes: Sequence[Axis], family: tuple[str, int], count: int) -> float:
    return sum(share * _mean(axes, g, weights) for share, g, weights in torus(*family, count))


def _mean(axes: Sequence[Axis], elements: Tensor, weights: Tensor | None) -> float:
    values = torch.cat([*_characters(axes, elements)])
    return float(values.mean() if weights is None else (weights * values).sum())


def _characters(axes: Sequence[Axis], elements: Tensor) -> Iterator[Tensor]:
    size = max(1, _CHUNK // max(axis.space.size**2 for axis in axes))
    for g in torch.split(elements, size):
        traces = [axis.space.matrices(g).diagonal(dim1=1, dim2=2).sum(1) for axis in axes]
        yield torch.stack(traces).prod(0)


def _integrated(value: Callable[[int], float], group: Group | None) -> int:
    """The limit of finer and finer grids, which is reached once the grid resolves the characters."""
    count, before = _FIRST, math.nan
    while count <= _LAST:
        now = value(count)
        if abs(now - before) <= _WHOLE * max(1.0, abs(now)):
            return _whole(now, _WHOLE * max(1.0, abs(now)), group)
        count, before = 2 * count, now
    raise DataError(
        "the characters need a finer grid than 256 angles",
        where="dim Hom by characters",
        hint="count with the null space of the generators",
    )


def _whole(value: float, near: float, group: Group | None) -> int:
    if not abs(value - round(value)) <= near:
        raise DataError(
            f"the mean of the characters is {value:.6g}, which is no whole number",
            where=f"dim Hom under {group.name if group else 'the group'}",
            hint="one of the representations is not a homomorphism",
        )
    return round(value)
