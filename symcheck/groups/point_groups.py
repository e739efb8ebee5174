"""Point groups of space: Schoenflies names of listed matrices, and the named groups in a frame of three axes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor

from symcheck.groups.matrices import determinant
from symcheck.groups.polyhedral import icosahedral, octahedral, tetrahedral
from symcheck.groups.rotations import about_axis, nearest_rotation

X, Z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
FULL = 6.283185307179586
_NEAR = 1e-6
LARGEST = 240
CUBIC: Mapping[int, tuple[str, str]] = {12: ("T", "Th"), 24: ("O", "Oh"), 60: ("I", "Ih")}


def schoenflies(g: Tensor) -> str:
    """The Schoenflies name of a closed list of orthogonal matrices (n, 3, 3): `C4v`, `D3d`, `Oh`, `Cs`."""
    proper = g[determinant(g) > 0]
    improper = -g[determinant(g) < 0]
    name = _rotations(proper)
    if not len(improper):
        return name
    n = len(proper) if name.startswith("C") else len(proper) // 2
    if name in ("T", "O", "I"):
        return f"{name}h" if _holds(improper, torch.eye(3, dtype=g.dtype)) else "Td"
    if _holds(improper, torch.eye(3, dtype=g.dtype)):
        if name.startswith("C"):
            return "Ci" if n == 1 else f"C{n}h" if n % 2 == 0 else f"S{2 * n}"
        return f"D{n}h" if n % 2 == 0 else f"D{n}d"
    around = _rotations(torch.cat([proper, improper]))
    if name.startswith("D"):
        return f"D{n}h" if n % 2 == 1 else f"D{n}d"
    if around == f"D{n}" or (n == 2 and around == "D2"):
        return f"C{n}v"
    return "Cs" if n == 1 else f"C{n}h" if n % 2 == 1 else f"S{2 * n}"


def _rotations(g: Tensor) -> str:
    """`C4`, `D3`, `T`, `O` or `I` of a closed list of rotations."""
    n = len(g)
    orders = Counter(order_of(one) for one in g)
    top = max(orders)
    if top == n:
        return f"C{n}"
    if n in CUBIC and orders[3] == {12: 8, 24: 8, 60: 20}[n] and top == {12: 3, 24: 4, 60: 5}[n]:
        return CUBIC[n][0]
    return f"D{n // 2}"


def order_of(r: Tensor) -> int:
    """The order of one orthogonal matrix (d, d), 0 where it is above 240."""
    power = r
    eye = torch.eye(len(r), dtype=r.dtype)
    for k in range(1, LARGEST + 1):
        if bool((power - eye).abs().max() < _NEAR):
            return k
        power = power @ r
    return 0


def closure(g: Tensor, most: int = LARGEST) -> Tensor | None:
    """All products of the matrices g, (n, d, d), identity first; None where there are more than `most`."""
    found = torch.eye(g.shape[-1], dtype=g.dtype)[None]
    fresh = found
    while len(fresh):
        products = (fresh[:, None] @ g[None]).reshape(-1, *g.shape[1:])
        fresh = unlike(products, found)
        found = torch.cat([found, fresh])
        if len(found) > most:
            return None
    return found


def polished(g: Tensor, rounds: int = 6) -> Tensor:
    """The exact group next to matrices (n, d, d) that are closed but for small errors, in the same order.

    h_k becomes the orthogonal matrix nearest to the mean over i of (h_k h_i) h_i⁻¹, the product taken from the list:
    every round squares the errors.
    """
    n, d = len(g), g.shape[-1]
    products = (g[:, None] @ g[None]).reshape(-1, d * d)
    near = torch.cdist(products, g.flatten(1)).argmin(1).reshape(n, n)
    for _ in range(rounds):
        g = nearest_rotation((g[near] @ g.mT[None]).mean(1))
    return torch.where((g - g.round()).abs() < 1e-14, g.round() + 0.0, g)


def unlike(g: Tensor, known: Tensor) -> Tensor:
    """Those of g that stand neither in `known` nor earlier in g."""
    everything = torch.cat([known, g]).flatten(1)
    apart = torch.cdist(g.flatten(1), everything, compute_mode="donot_use_mm_for_euclid_dist") < 1e-4
    earlier = torch.arange(len(everything))[None] < len(known) + torch.arange(len(g))[:, None]
    return g[~(apart & earlier).any(1)]


def places(g: Tensor, known: Tensor) -> list[int]:
    """Where each of g stands in `known`, -1 where it does not."""
    near = torch.cdist(g.flatten(1), known.flatten(1), compute_mode="donot_use_mm_for_euclid_dist").min(1)
    return torch.where(near.values < 1e-4, near.indices, -1).tolist()


@lru_cache(maxsize=1)
def named_groups() -> Mapping[str, Tensor]:
    """The 32 crystallographic point groups, and I and Ih, main axis z, second axis x: name to elements."""
    turn = {n: _about(Z, n) for n in (1, 2, 3, 4, 6)}
    across, minus = _about(X, 2), -torch.eye(3, dtype=torch.float64)[None]
    level, upright = -_about(Z, 2), -_about(X, 2)  # mirrors that turn z, and x, around
    found: dict[str, Tensor] = {"C1": torch.eye(3, dtype=torch.float64)[None], "Ci": _made(minus), "Cs": _made(level)}
    for n in (2, 3, 4, 6):
        found[f"C{n}"] = _made(turn[n])
        found[f"D{n}"] = _made(turn[n], across)
        found[f"C{n}v"] = _made(turn[n], upright)
        found[f"C{n}h"] = _made(turn[n], level)
        found[f"D{n}h"] = _made(turn[n], across, level)
    found["S4"], found["S6"] = _made(-turn[4]), _made(-turn[3])
    found["D2d"], found["D3d"] = _made(-turn[4], across), _made(turn[3], across, minus)
    found["T"], found["O"], found["I"] = tetrahedral(), octahedral(), icosahedral()
    diagonal = -about_axis((1.0, 1.0, 0.0), torch.tensor([FULL / 2], dtype=torch.float64))
    found["Td"] = _made(tetrahedral(), diagonal)
    for name in ("T", "O", "I"):
        found[f"{name}h"] = torch.cat([found[name], -found[name]])
    return found


def _about(axis: tuple[float, float, float], n: int) -> Tensor:
    return about_axis(axis, torch.tensor([FULL / n], dtype=torch.float64))


def _made(*generators: Tensor) -> Tensor:
    found = closure(torch.cat(generators))
    return torch.eye(3, dtype=torch.float64)[None] if found is None else found


def _holds(g: Tensor, one: Tensor) -> bool:
    return bool(((g - one).abs().amax((1, 2)) < _NEAR).any()) if len(g) else False
