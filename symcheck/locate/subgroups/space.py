"""Subgroups of the rotations of space: about one axis, or a point group, wherever its axes lie."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant
from symcheck.groups.point_groups import closure, named_groups, order_of, polished, schoenflies, unlike
from symcheck.groups.rotations import about_axes, haar_rotation, vector
from symcheck.groups.subgroups import table_of
from symcheck.locate.subgroups.candidates import Holds, Subgroup, among
from symcheck.locate.subgroups.orientation import HIGHEST, PRIMES, Sought, axes, turns_about

ANY = 1.0  # radians: no multiple of it is a full turn, so that its powers fill the circle
_NEAR = 1e-6
_EYE = torch.eye(3, dtype=torch.float64)


def space_subgroups(sought: Sought, mirrors: bool, count: int) -> tuple[list[Subgroup], list[str]]:
    """Candidates in SO(3), or O(3) with `mirrors`, and what is to be said of the search."""
    every = haar_rotation(count, 3, Draws(0, "space"))
    proper = Subgroup("SO(3)", every, lambda g: determinant(g) > 0)
    found = [proper] if mirrors else []
    if bool(sought.holding(every).all()):
        single = {"Ci": -_EYE, "Cs": _mirror(_EYE[2])} if mirrors else {}
        return found + [Subgroup(n, g[None], among(torch.stack([_EYE, g])), 2) for n, g in single.items()], []
    free = axes(sought, ANY)
    if len(free):
        return found + about(free[0], mirrors, count), []
    elements = _point_group(sought, mirrors)
    orders = ", ".join(map(str, PRIMES))
    notes = [f"axes were searched over the whole sphere, for turns of order {orders}"]
    if elements is None:
        notes.append("the elements with a small error generate more than 240: only standard orientations were tried")
    return found + _in_frame(_EYE[None] if elements is None else elements, mirrors), notes


def about(u: Tensor, mirrors: bool, count: int) -> list[Subgroup]:
    """The groups that hold all turns about the axis u: C∞ = SO(2), D∞, and with mirrors C∞v, C∞h, D∞h."""
    turn = about_axes(u[None], Draws(0, "axis").uniform(count, high=2 * math.pi))
    v = _across(u)
    half, level, upright = (about_axes(v[None], math.pi)[0], _mirror(u), _mirror(v))
    where = f"about {vector(u)}"

    def kept(g: Tensor, sign: Tensor | float) -> Tensor:
        return (g @ u - torch.as_tensor(sign, dtype=torch.float64).reshape(-1, 1) * u).abs().amax(1) < _NEAR

    def made(name: str, rests: Sequence[Tensor], contains: Holds) -> Subgroup:
        return Subgroup(name, torch.cat([turn @ rest for rest in rests]), contains, None, where)

    def either(g: Tensor) -> Tensor:
        return kept(g, 1.0) | kept(g, -1.0)

    found = [
        made("SO(2)", [_EYE], lambda g: (determinant(g) > 0) & kept(g, 1.0)),
        made("D∞", [_EYE, half], lambda g: (determinant(g) > 0) & either(g)),
    ]
    if not mirrors:
        return found
    return [
        *found,
        made("C∞v", [_EYE, upright], lambda g: kept(g, 1.0)),
        made("C∞h", [_EYE, level], lambda g: kept(g, determinant(g).sign())),
        made("D∞h", [_EYE, half, level, upright], either),
    ]


def _point_group(sought: Sought, mirrors: bool) -> Tensor | None:
    """The finite group that the elements with a small error generate, identity first; None: it is too large."""
    generators, lines = [_EYE[None]], torch.zeros(0, 3, dtype=torch.float64)
    for p in PRIMES:
        lines = torch.cat([lines, axes(sought, 2 * math.pi / p)])
    for u in lines:
        steps = torch.stack([turns_about(u, n)[1] for n in range(2, HIGHEST + 1)])
        generators.append(steps[sought.holding(steps)])
    if mirrors:
        normal = axes(sought, math.pi, -1.0)
        generators.append(-about_axes(normal, math.pi))
        more = [-_EYE, *(-turns_about(u, n)[1] for u in lines for n in (4, 8, 16))]
        generators.append(torch.stack(more)[sought.holding(torch.stack(more))])
    found = torch.cat(generators)
    group = closure(unlike(found, found[:0]))
    return None if group is None else polished(group)


def _in_frame(elements: Tensor, mirrors: bool) -> list[Subgroup]:
    """The 32 crystallographic point groups in the frame of a group, that group, and its subgroups by class."""
    name, frame = schoenflies(elements), _frame(elements)
    where = "standard orientation" if torch.equal(frame, _EYE) else f"main axis {vector(frame[:, 2])}"
    if name in ("T", "Th", "Td", "O", "Oh", "I", "Ih") and where != "standard orientation":
        where = f"two-fold axes {', '.join(vector(frame[:, k]) for k in (2, 0))}"
    if len(elements) == 1:
        where = "standard orientation, since no element of the group holds"
    found: dict[tuple[int, ...], Subgroup] = {}
    pool = torch.zeros(0, 3, 3, dtype=torch.float64)

    def add(title: str, g: Tensor, place: str, conjugates: int = 1) -> None:
        nonlocal pool
        pool = torch.cat([pool, unlike(g, pool)])
        near = torch.cdist(g.flatten(1), pool.flatten(1)).argmin(1)
        own = pool[near]  # the same rounding wherever an element is listed
        moving = own[(own - _EYE).abs().amax((1, 2)) > _NEAR]
        if len(moving):
            key = tuple(sorted(near.tolist()))
            found.setdefault(key, Subgroup(title, moving, among(own), len(own), place, conjugates))

    add(name, elements, where)
    table = table_of(lambda a, b: a @ b, elements)
    for orbit in (table.subgroups() or []) if table is not None else []:
        own = elements[list(orbit[0])]
        add(schoenflies(own), own, f"{_lies(own)}" if len(orbit) > 1 else where, len(orbit))
    for title, standard in named_groups().items():
        g = frame @ standard @ frame.T
        improper = bool((determinant(g) < 0).any())
        if (mirrors or not improper) and (title not in ("I", "Ih") or len(elements) % 5 == 0):
            add(title, torch.where((g - g.round()).abs() < 1e-14, g.round() + 0.0, g), where)
    return list(found.values())


def _lies(g: Tensor) -> str:
    """The main axis of a point group in words."""
    lines = _lines(g)
    return f"main axis {vector(lines[0][1])}" if lines else ""


def _lines(g: Tensor) -> list[tuple[int, Tensor]]:
    """The axes of the turns in a group, and the normals of its mirrors, with the orders of the turns; high ones first.

    A turn and the inversion together count as a turn; a mirror comes last, as order 1.
    """
    found: list[tuple[int, Tensor]] = []
    for one in g:
        improper = bool(determinant(one[None])[0] < 0)
        proper = -one if improper else one
        order = order_of(proper)
        if order < 2:
            continue
        _, vectors = torch.linalg.eigh(proper + proper.T)
        u = vectors[:, -1]
        u = u if float(u[u.abs().argmax()]) > 0 else -u
        u = torch.where((u - u.round()).abs() < 1e-12, u.round() + 0.0, u)
        found.append((1 if improper and order == 2 else order, u))
    prefer = torch.tensor([0.01, 0.0, 0.1], dtype=torch.float64)
    return sorted(found, key=lambda line: (-line[0], -float(line[1].abs() @ prefer)))


def _frame(g: Tensor) -> Tensor:
    """A rotation whose third column is the main axis of a point group, its first another axis where there is one."""
    lines = _lines(g)
    name = schoenflies(g)
    if name[0] in "TOI":
        even = 4 if name[0] == "O" else 2
        lines = [line for line in lines if line[0] == even]
    if not lines:
        return _EYE
    z = lines[0][1]
    across = [line[1] for line in lines if abs(float(line[1] @ z)) < _NEAR]
    x = across[0] if across else _across(z)
    x = x - (x @ z) * z
    x = x / x.norm()
    frame = torch.stack([x, torch.linalg.cross(z, x), z], 1)
    return torch.where((frame - frame.round()).abs() < 1e-12, frame.round() + 0.0, frame)


def _mirror(normal: Tensor) -> Tensor:
    return _EYE - 2.0 * torch.outer(normal, normal)


def _across(u: Tensor) -> Tensor:
    """A unit vector at right angles to u."""
    least = _EYE[int((u.abs() + torch.tensor([0.0, 0.01, 0.02], dtype=torch.float64)).argmin())]
    v = least - (least @ u) * u
    return torch.nn.functional.normalize(v, dim=0)
