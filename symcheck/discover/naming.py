"""Names of Lie algebras: known ones in the coordinates of the data, and simple ones by dimension and Killing form."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from symcheck.discover.algebra import Structure
from symcheck.discover.forms import parse_form, preserving


@dataclass(frozen=True)
class Known:
    """A named algebra in standard coordinates: generators (k, d + 1, d + 1) on (x, 1), each with its name."""

    name: str
    names: tuple[str, ...]
    matrices: Tensor


def known(width: int, affine: bool) -> list[Known]:
    """The algebras that a found one is compared with, smallest first."""
    d = width
    turns, boosts, last = _turns(d), _lorentz(d, 0), _lorentz(d, d - 1)
    scaling = Known("scalings", ("scaling",), _lift(torch.eye(d, dtype=torch.float64)[None]))
    every = [scaling]
    if d > 1:
        every += [turns, _sum(f"so({d}) + scalings", turns, scaling)]
        every += [_units(f"sl({d})", d, traceless=True), _units(f"gl({d})", d)]
        every += [boosts] + ([last] if d > 2 else [])
    if d % 2 == 0 and d > 2:
        every.append(_plain(f"sp({d})", preserving(parse_form("symplectic", d))))
    if d == 3:
        every += [Known(f"so(2) about {'xyz'[k]}", turns.names[k : k + 1], turns.matrices[k : k + 1]) for k in range(3)]
    if affine:
        shifts = _shifts(d)
        every.append(shifts)
        every.append(_sum(f"aff({d})", _units("", d), shifts))
        if d > 1:
            every += [_sum(f"e({d})", turns, shifts), _sum(f"sim({d})", turns, scaling, shifts)]
            every += [_sum(f"iso(1,{d - 1})", boosts, shifts)]
            every.append(_sum(f"saff({d})", _units("", d, traceless=True), shifts))
    return sorted(every, key=lambda one: len(one.matrices))


def simple_name(dimension: int, positive: int, negative: int, width: int) -> str:
    """The real simple algebra of this dimension and Killing signature; of isomorphic ones that on R^width."""
    found = [name for name, size, numbers in _simple(12) if numbers == (dimension, positive, negative) and size]
    fitting = [n for n, size, numbers in _simple(12) if numbers == (dimension, positive, negative) and size == width]
    return (fitting or found or [f"simple({dimension})"])[0]


def abstract_name(algebra: Structure, width: int, translations: int) -> str:
    """A name from invariants alone: the simple parts, then what the radical is."""
    ideals = algebra.levi.simple_ideals()
    parts = [simple_name(*ideal, width) for ideal in ideals]
    rest = algebra.dimension - sum(size for size, _, _ in ideals)
    if not parts:
        return _solvable(algebra, translations)
    word = " + ".join(parts)
    if not rest:
        return word
    if algebra.centre == rest:
        return f"{word} + R" + (f"^{rest}" if rest > 1 else "")
    if translations == rest:
        return f"{word} with {rest} translations"
    return f"{word} with a radical of dimension {rest}"


def one_parameter(matrix: Tensor, tolerance: float) -> str:
    """What one generator, (d + 1, d + 1), does: rotation, scaling, translation, boost, shear or a mixture."""
    a = matrix[:-1, :-1]
    if not a.abs().max() > tolerance * matrix.abs().max():
        return "translation"
    values = torch.linalg.eigvals(a)
    size = float(values.abs().max())
    if not size > tolerance**0.5 * float(a.abs().max()):
        return "shear"
    if float(values.real.abs().max()) <= 10 * tolerance * size:
        return "so(2)"
    if bool(((a - a.trace() / len(a) * torch.eye(len(a), dtype=a.dtype)).abs() <= tolerance * size).all()):
        return "scalings"
    imaginary = float(values.imag.abs().max()) > 10 * tolerance * size
    return "spiral" if imaginary else "so(1,1)" if abs(float(a.trace())) <= tolerance * size else "R (stretching)"


def _solvable(algebra: Structure, translations: int) -> str:
    n = algebra.dimension
    if algebra.centre == n:
        return f"t({n})" if translations == n else f"R^{n} (abelian)" if n > 1 else "R"
    word = f"solvable({n})"
    return f"{word} with {translations} translations" if translations else word


def _simple(most: int) -> list[tuple[str, int, tuple[int, int, int]]]:
    """(name, size of the defining matrices, (dimension, positive, negative)) of real simple algebras."""
    rows = []
    for n in range(3, most + 1):
        for p in range(n // 2 + 1):
            q = n - p
            if n != 4 or p == 1:  # so(4) and so(2,2) are not simple
                noncompact, compact = p * q, p * (p - 1) // 2 + q * (q - 1) // 2
                rows.append((f"so({p},{q})" if p else f"so({n})", n, (n * (n - 1) // 2, noncompact, compact)))
    for n in range(2, most + 1):
        rows.append((f"sl({n})", n, (n * n - 1, n * (n + 1) // 2 - 1, n * (n - 1) // 2)))
    for n in range(2, most // 2 + 1):
        rows.append((f"sp({2 * n})", 2 * n, (n * (2 * n + 1), n * (n + 1), n * n)))
    for n in range(3, most // 2 + 1):
        for p in range(n // 2 + 1):
            q = n - p
            rows.append((f"su({p},{q})" if p else f"su({n})", 2 * n, (n * n - 1, 2 * p * q, p * p + q * q - 1)))
    return sorted(rows, key=lambda row: row[0].startswith("so(1,2)"))  # on other spaces it is called sl(2)


def _lift(linear: Tensor) -> Tensor:
    return torch.nn.functional.pad(linear, (0, 1, 0, 1))


def _axis(i: int, d: int) -> str:
    return "xyz"[i] if d <= 3 else f"x{i}"


def _turns(d: int) -> Known:
    planes = [(1, 2), (2, 0), (0, 1)] if d == 3 else list(combinations(range(d), 2))
    matrices = torch.zeros((len(planes), d, d), dtype=torch.float64)
    for k, (i, j) in enumerate(planes):
        matrices[k, i, j], matrices[k, j, i] = -1.0, 1.0
    names = [f"rotation about {'xyz'[k]}" for k in range(3)] if d == 3 else [
        f"rotation {_axis(i, d)} to {_axis(j, d)}" for i, j in planes]  # fmt: skip
    return Known(f"so({d})", tuple(names), _lift(matrices))


def _lorentz(d: int, time: int) -> Known:
    """so(1, d − 1) with time as the given component."""
    names, matrices = [], []
    for i, j in combinations(range(d), 2):
        unit = torch.zeros((d, d), dtype=torch.float64)
        unit[i, j], unit[j, i] = (1.0, 1.0) if time in (i, j) else (-1.0, 1.0)
        word = f"boost along x{j if i == time else i}" if time in (i, j) else f"rotation x{i} to x{j}"
        names.append(word)
        matrices.append(unit)
    empty = torch.zeros((0, d, d), dtype=torch.float64)
    name = f"so(1,{d - 1})" if time == 0 else f"so({d - 1},1)"
    return Known(name, tuple(names), _lift(torch.stack(matrices) if matrices else empty))


def _units(name: str, d: int, *, traceless: bool = False) -> Known:
    units = torch.eye(d * d, dtype=torch.float64).reshape(-1, d, d)
    names = [f"{_axis(j, d)} into {_axis(i, d)}" for i in range(d) for j in range(d)]
    if traceless:
        corner = units[-1]
        units = torch.stack([u - u.trace() * corner for u in units[:-1]])
        names = names[:-1]
    return Known(name, tuple(names), _lift(units))


def _shifts(d: int) -> Known:
    matrices = torch.zeros((d, d + 1, d + 1), dtype=torch.float64)
    matrices[torch.arange(d), torch.arange(d), d] = 1.0
    return Known(f"t({d})", tuple(f"translation along {_axis(i, d)}" for i in range(d)), matrices)


def _plain(name: str, linear: Tensor) -> Known:
    return Known(name, tuple(f"{name} {i + 1}" for i in range(len(linear))), _lift(linear))


def _sum(name: str, *parts: Known) -> Known:
    return Known(name, tuple(word for part in parts for word in part.names), torch.cat([p.matrices for p in parts]))
