"""How far a weight is from the equivariant ones: `s_G(W) = ||W − ΠW||_F / ||W||_F`, in the cheapest way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.intertwiners.brauer import brauer
from symcheck.intertwiners.constraints import Krylov, NullSpace
from symcheck.intertwiners.copies import Copies, units
from symcheck.intertwiners.mean import mean
from symcheck.intertwiners.orbits import orbits
from symcheck.intertwiners.representation import Representation
from symcheck.intertwiners.schur import schur
from symcheck.intertwiners.subspace import Axis, Subspace

Maker = Callable[[Sequence[Axis]], Subspace | None]

METHODS = ("orbits", "schur", "brauer", "mean", "null space", "krylov")
DENSE = 1200  # unknowns whose null space is found by an eigenvalue decomposition within a second or two
_USED = 1e-9


@dataclass(frozen=True, eq=False)
class Projection:
    """What `project` found: ΠW, the level s_G, and how many of the allowed directions W uses.

    `allowed` is dim Hom; `used` counts the basis maps (orbits, blocks, diagrams) that W really has, None where the
    method has no natural basis; `participation` is (Σc²)²/Σc⁴ of their coefficients c.
    """

    value: Tensor
    level: float
    allowed: int
    used: int | None
    participation: float | None
    method: str


def subspace(
    out: Representation,
    into: Representation | None = None,
    kernel: Representation | None = None,
    *,
    method: str = "auto",
) -> Subspace:
    """The maps with ρ_out(g) W ρ_in(g)⁻¹ = W; without `into` invariant vectors, with `kernel` convolution kernels.

    `auto` takes the first that applies of orbits (groups that move entries with signs), Schur blocks, Brauer
    diagrams, the mean over at most 1024 elements, the null space of the generators, and Krylov above 1200 unknowns;
    of channels that are copies of one representation, only one copy is looked at.
    Raises ClaimError: the representations are of different groups, or the method does not apply.
    """
    axes = [Axis(out), *(Axis(space, reads=True) for space in (into, kernel) if space is not None)]
    names = {axis.space.group.name for axis in axes}
    if len(names) > 1:
        raise ClaimError(
            f"the representations belong to different groups: {', '.join(sorted(names))}",
            where=" -> ".join(str(axis.space) for axis in reversed(axes)),
            hint="make both from one group",
        )
    found = _made(axes, method)
    if found is None:
        raise ClaimError(
            f"the method '{method}' does not apply to {out.group.name}",
            where=" -> ".join(str(axis.space) for axis in reversed(axes)),
            hint=f"use method='auto'; known: {', '.join(METHODS)}",
        )
    return found


def project(
    weight: Tensor,
    out: Representation,
    into: Representation | None = None,
    kernel: Representation | None = None,
    *,
    method: str = "auto",
) -> Projection:
    """ΠW and s_G of a bias (out,), a weight (out, in) or a kernel (out, in, *k); see `subspace`.

    Raises DataError where the weight does not fit, or holds NaN.
    """
    return projected(weight, subspace(out, into, kernel, method=method))


def projected(weight: Tensor, within: Subspace) -> Projection:
    """ΠW and s_G of one weight, in a subspace that is already known."""
    rows = within.rows(weight)
    if len(rows) != 1:
        raise DataError(
            f"a weight of shape {tuple(weight.shape)} is {len(rows)} weights of sizes {within.sizes}",
            where="project",
            hint="project one weight at a time",
        )
    value = within.project(rows)
    used, participation = _usage(within, rows)
    return Projection(
        value.reshape(weight.shape), level(rows, value), within.dimension, used, participation, within.method
    )


def level(weight: Tensor, value: Tensor) -> float:
    """||W − ΠW||_F / ||W||_F; 0 for a weight of zeros, which is equivariant."""
    size = float(weight.norm())
    return float((weight - value).norm()) / size if size else 0.0


def spanned(weights: Sequence[Tensor] | Tensor, within: Subspace) -> int:
    """How many allowed directions a family of weights uses together: the rank of their projections.

    Shapes: (channels, *sizes), or a sequence of weights. 1 of 15 is a finding.
    """
    rows = torch.cat([within.rows(w) for w in weights])
    values = torch.linalg.svdvals(within.project(rows).flatten(1))
    return int((values > _USED * float(rows.norm())).sum()) if len(values) else 0


def _made(axes: Sequence[Axis], method: str) -> Subspace | None:
    if method == "null space":
        return NullSpace(axes)
    if method == "krylov":
        return Krylov(axes)
    makers: dict[str, Maker] = {"orbits": orbits, "schur": schur, "brauer": brauer, "mean": mean}
    wanted = [makers[method]] if method in makers else [*makers.values()] if method == "auto" else []
    for maker in wanted:
        if maker is brauer and method == "auto" and (single := units(axes)) is not None:
            inner = _made(single, method)
            return None if inner is None else Copies(axes, inner)
        if (found := maker(axes)) is not None:
            return found
    if method != "auto":
        return None
    small = prod(axis.space.size for axis in axes) <= DENSE
    return NullSpace(axes) if small else Krylov(axes)


def _usage(within: Subspace, rows: Tensor) -> tuple[int | None, float | None]:
    coefficients = within.coefficients(rows) if within.natural else None
    if coefficients is None:
        return None, None
    squares = coefficients[0].square()
    used = int((squares.sqrt() > _USED * float(rows.norm())).sum())
    fourth = float(squares.square().sum())
    return used, float(squares.sum()) ** 2 / fourth if fourth else 0.0

