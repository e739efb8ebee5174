"""How often each irrep occurs in a representation, from its traces: characters of finite and of rotation groups."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from symcheck.discover.discrete_result import Multiplicity
from symcheck.groups.base import Group
from symcheck.groups.characters import characters
from symcheck.groups.finite import Cyclic
from symcheck.groups.matrices import determinant
from symcheck.groups.subgroups import table_of

LISTED = 200  # the largest finite group whose character table is computed
_DEGREE = 8


def multiplicities(group: Group, g: Tensor, traces: Tensor, rank: int) -> tuple[Multiplicity, ...]:
    """m of every irrep up to the rank, from tr ρ(g) of the elements g; () for groups whose irreps are not known here.

    Finite groups, all of whose elements must be given in the order of `elements()`: m = |G|⁻¹ Σ χ̄(g) tr ρ(g).
    SO(2), O(2), SO(3), O(3): least squares of the traces on the characters at sampled elements.
    """
    listed = group.elements()
    if listed is not None and len(listed) == len(g) <= LISTED:
        return _finite(group, listed, traces)
    if "linear" not in group.faces or not group.compact:
        return ()
    matrix = group.face("linear", g).to(torch.float64)
    size = matrix.shape[-1]
    if not group.name.startswith(("SO(", "O(")) or size not in (2, 3):
        return ()
    names, dimensions, columns = (_planar if size == 2 else _spatial)(matrix, rank, group.has_improper)
    if columns.shape[1] > len(g):
        return ()
    found = torch.linalg.lstsq(columns, traces[:, None].double()).solution[:, 0].tolist()
    return tuple(Multiplicity(*one, round(one[2])) for one in zip(names, dimensions, found, strict=True))


def written(found: tuple[Multiplicity, ...]) -> str:
    """`2x0e+1x1o`: the irreps that occur."""
    return "+".join(f"{m.count}x{m.irrep}" for m in found if m.count)


def integrality(found: tuple[Multiplicity, ...]) -> float | None:
    """The largest distance of a multiplicity from a non-negative integer."""
    return max((abs(m.value - max(m.count, 0)) for m in found), default=None)


def _finite(group: Group, elements: Tensor, traces: Tensor) -> tuple[Multiplicity, ...]:
    values = traces.double().numpy()
    if isinstance(group, Cyclic):
        turn = np.exp(2j * math.pi * np.outer(np.arange(group.n), elements.numpy()) / group.n)
        names, rows = [f"k{k}" for k in range(group.n)], turn
    else:
        table = table_of(group.compose, elements)
        if table is None:
            return ()
        rows = characters(table)
        sizes = [round(float(row[0].real)) for row in rows]
        names = ["trivial" if i == 0 else f"{size}d#{sizes[:i].count(size)}" for i, size in enumerate(sizes)]
    found = (rows.conj() @ values / len(elements)).real
    dimensions = [round(float(row[0].real)) for row in rows]
    triples = zip(names, dimensions, found.tolist(), strict=True)
    return tuple(Multiplicity(name, size, m, round(m)) for name, size, m in triples)


def _planar(matrix: Tensor, rank: int, mirrors: bool) -> tuple[list[str], list[int], Tensor]:
    """k0, for O(2) also k0' (odd under mirrors), and 2 cos kθ, 0 on mirrors."""
    angle = torch.atan2(matrix[:, 1, 0], matrix[:, 0, 0])
    sign = determinant(matrix).sign()
    turn = (sign > 0).double()
    most = max(1, rank // 2)
    columns = [torch.ones_like(angle), *([sign] if mirrors else [])]
    columns += [2 * turn * (k * angle).cos() for k in range(1, most + 1)]
    names = ["k0", *(["k0'"] if mirrors else []), *(f"k{k}" for k in range(1, most + 1))]
    return names, [1 if name.startswith("k0") else 2 for name in names], torch.stack(columns, 1)


def _spatial(matrix: Tensor, rank: int, mirrors: bool) -> tuple[list[str], list[int], Tensor]:
    """χ_l(θ) = Σ_m cos mθ of every degree, for O(3) with both parities."""
    sign = determinant(matrix).sign()
    trace = sign * matrix.diagonal(dim1=1, dim2=2).sum(1)
    angle = ((trace - 1) / 2).clamp(-1, 1).acos()
    names: list[str] = []
    columns: list[Tensor] = []
    degrees = range(min(_DEGREE, (rank - 1) // 2) + 1)
    for degree in degrees:
        character = 1 + 2 * sum((m * angle).cos() for m in range(1, degree + 1)) + torch.zeros_like(angle)
        for parity in ("e", "o") if mirrors else ("",):
            names.append(f"{degree}{parity}")
            columns.append(character * (sign if parity == "o" else 1))
    return names, [2 * int(name.rstrip("eo")) + 1 for name in names], torch.stack(columns, 1)
