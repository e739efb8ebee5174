"""Subgroups to be measured: their elements, and which other elements they hold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.groups.base import Group
from symcheck.groups.permutations import odd
from symcheck.groups.point_groups import schoenflies
from symcheck.groups.subgroups import Members, Table, elements_of, structure, table_of
from symcheck.locate.subgroups.orientation import Sought

Holds = Callable[[Tensor], Tensor]
_NEAR = 1e-6
_SHOWN = 3  # generators that a subgroup is described by


@dataclass(frozen=True)
class Subgroup:
    """A subgroup of one factor: elements (K, *E) without the identity, all of them where `order` is known.

    `contains` says of any elements whether they belong to it; `where` how it lies in the group; `conjugates` how many
    subgroups of its kind there are.
    """

    name: str
    g: Tensor
    contains: Holds
    order: int | None = None
    where: str = ""
    conjugates: int = 1

    def carried(self, into: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], inside: Holds) -> Subgroup:
        """The same in a larger group: `into` embeds elements, `back` undoes it where `inside` says that it can."""
        contains = self.contains

        def holds(g: Tensor) -> Tensor:
            fits = inside(g)
            fits[fits.clone()] = contains(back(g[fits]))
            return fits

        return replace(self, g=into(self.g), contains=holds)


def everything(g: Tensor) -> Tensor:
    """Every element belongs."""
    return torch.ones(len(g), dtype=torch.bool)


def among(listed: Tensor) -> Holds:
    """Whether elements stand in a list."""
    flat = listed.reshape(len(listed), -1).double()

    def holds(g: Tensor) -> Tensor:
        rows = g.reshape(len(g), flat.shape[1]).double()
        return torch.cdist(rows, flat, compute_mode="donot_use_mm_for_euclid_dist").amin(1) < _NEAR

    return holds


def listed_subgroups(group: Group, sought: Sought) -> list[Subgroup]:
    """Every subgroup of a small finite group up to conjugacy, trivial and whole ones left out.

    Of each class the member is taken that holds best, and all maximal subgroups without a large error are there.
    """
    g = elements_of(group)
    table = table_of(group.compose, g)
    if table is None:
        return []
    holding = {0, *torch.nonzero(sought.holding(g)).flatten().tolist()}
    best = table.largest_in(holding)
    classes = table.subgroups()
    if classes is None:
        cyclic = {table.generated([h]) for h in range(1, table.order)}
        classes = [[one] for one in sorted(cyclic, key=len)[:60]]
    found: dict[Members, int] = {}
    for orbit in classes:
        chosen = max(orbit, key=lambda one: (holding.issuperset(one), sum(h in holding for h in one)))
        found[chosen] = len(orbit)
        found.update({one: len(orbit) for one in orbit if one in best})
    found |= {one: len(table.conjugates(one)) for one in best if one not in found}
    return [
        _listed(group, table, g, members, count)
        for members, count in found.items()
        if 1 < len(members) < table.order
    ]


def _listed(group: Group, table: Table, g: Tensor, members: Members, conjugates: int) -> Subgroup:
    own = g[list(members)]
    words = [group.label(g, h) for h in table.generators(members)[:_SHOWN]]
    short = [word.removeprefix(f"{group.name}: ") for word in words]
    where = "; ".join(short) if conjugates > 1 else ""
    return Subgroup(name_of(group, table, g, members), own[1:], among(own), len(members), where, conjugates)


def name_of(group: Group, table: Table, g: Tensor, members: Members) -> str:
    """What a subgroup is called: Schoenflies in space, C_n and D_n in the plane, S and A of slots, else abstractly."""
    own = g[list(members)]
    if "permutation" in group.faces and len(group.factors()) == 1:
        return permutations_name(group.face("permutation", own)) or structure(table, members)
    matrices = group.face("linear", own) if "linear" in group.faces else None
    if matrices is None or len(group.factors()) > 1:
        return structure(table, members)
    eye = torch.eye(matrices.shape[-1], dtype=matrices.dtype)
    if not bool(((matrices @ matrices.mT - eye).abs() < _NEAR).all()):
        return structure(table, members)
    if matrices.shape[-1] == 3:
        return schoenflies(matrices)
    mirrored = matrices.shape[-1] == 2 and bool((~group.proper(own)).any())
    if matrices.shape[-1] == 2 and group.has_improper:
        return f"D{len(members) // 2}" if mirrored else f"C{len(members)}"
    return structure(table, members)


def permutations_name(p: Tensor) -> str:
    """`S(3) on 0 1 4`, `A(5)`, `S(2) x S(3)` of a closed list of permutations (n, m); empty for other kinds."""
    moved = [i for i in range(p.shape[1]) if bool((p[:, i] != i).any())]
    orbits: list[list[int]] = []
    for i in moved:
        orbit = sorted(set(p[:, i].tolist()))
        if orbit not in orbits:
            orbits.append(orbit)
    order = 1
    for orbit in orbits:
        for k in range(2, len(orbit) + 1):
            order *= k
    if order == len(p) and orbits:
        return symmetric_name(orbits, p.shape[1], "S")
    if len(orbits) == 1 and order == 2 * len(p) and len(orbits[0]) > 3 and not bool(odd(p).any()):
        return symmetric_name(orbits, p.shape[1], "A")
    return ""


def symmetric_name(orbits: Sequence[Sequence[int]], degree: int, letter: str) -> str:
    """`S(3) x S(2) on 0 1 2 | 3 4`; the slots are left out where all of them are in one orbit."""
    name = " x ".join(f"{letter}({len(orbit)})" for orbit in orbits)
    if len(orbits) == 1 and len(orbits[0]) == degree:
        return name
    return f"{name} on " + " | ".join(" ".join(map(str, orbit)) for orbit in orbits)
