"""How often each irrep occurs in a representation, from its traces: characters of finite and of rotation groups."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from symcheck.discover.discrete_result import Multiplicity
from symcheck.groups.base import Group
from symcheck.groups.finite import Cyclic
from symcheck.groups.matrices import determinant

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


def character_table(group: Group, elements: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(classes (n,), characters (irreps, n) complex), the trivial one first, by Burnside's method.

    A random combination of the class sums has the central characters ω as eigenvectors; χ(1) = √(|G| / Σ_k |ω_k|²/c_k),
    where c_k is the size of class k (Burnside 1911; Dixon 1967 in exact arithmetic).
    """
    table = _products(group, elements)
    classes = _classes(table)
    count = int(classes.max()) + 1
    sizes = np.bincount(classes)
    first = np.array([int(np.flatnonzero(classes == k)[0]) for k in range(count)])
    back = np.argmax(table == 0, axis=1)  # element 0 is the identity
    constants = np.zeros((count, count, count))
    for k in range(count):  # z = x y with z fixed: y = x⁻¹ z
        pair = classes * count + classes[table[back, first[k]]]
        constants[:, :, k] = np.bincount(pair, minlength=count * count).reshape(count, count)
    weights = np.random.default_rng(0).standard_normal(count)
    _, vectors = np.linalg.eig(np.einsum("i,ijk->jk", weights, constants))
    omega = vectors / vectors[classes[0]]
    squares = (np.abs(omega) ** 2 / sizes[:, None]).sum(0)
    dimensions = np.sqrt(len(elements) / squares)
    characters = (omega * dimensions / sizes[:, None]).T[:, classes]
    order = sorted(range(count), key=lambda i: (round(dimensions[i]), -round(float(characters[i].real.sum()), 6),
                                                tuple(np.round(-characters[i].real, 6))))  # fmt: skip
    return classes, characters[order]


def _finite(group: Group, elements: Tensor, traces: Tensor) -> tuple[Multiplicity, ...]:
    values = traces.double().numpy()
    if isinstance(group, Cyclic):
        turn = np.exp(2j * math.pi * np.outer(np.arange(group.n), elements.numpy()) / group.n)
        names, characters = [f"k{k}" for k in range(group.n)], turn
    else:
        _, characters = character_table(group, elements)
        sizes = [round(float(row[0].real)) for row in characters]
        names = ["trivial" if i == 0 else f"{size}d#{sizes[:i].count(size)}" for i, size in enumerate(sizes)]
    found = (characters.conj() @ values / len(elements)).real
    dimensions = [round(float(row[0].real)) for row in characters]
    triples = zip(names, dimensions, found.tolist(), strict=True)
    return tuple(Multiplicity(name, size, m, round(m)) for name, size, m in triples)


def _products(group: Group, elements: Tensor) -> np.ndarray:
    """(n, n): the number of element i times element j."""
    n = len(elements)
    product = group.compose(elements.repeat_interleave(n, 0), elements.repeat(n, *[1] * (elements.dim() - 1)))
    keys = {_key(e): i for i, e in enumerate(elements)}
    return np.array([keys[_key(e)] for e in product]).reshape(n, n)


def _key(element: Tensor) -> tuple[float, ...]:
    return tuple((element.double().flatten() * 1e6).round().add(0.0).tolist())


def _classes(table: np.ndarray) -> np.ndarray:
    """The conjugacy class of every element, (n,)."""
    n = len(table)
    back = np.argmax(table == 0, axis=1)
    classes = np.full(n, -1)
    for i in range(n):
        if classes[i] < 0:
            classes[[table[table[h, i], back[h]] for h in range(n)]] = classes.max() + 1
    return classes


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
