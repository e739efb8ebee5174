"""The subgroups of any factor of a claim's group that are worth measuring: which search suits which group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.claim import BoundClaim
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.lie import Euclidean, Orthogonal
from symcheck.groups.noncompact import Lorentz
from symcheck.groups.permutations import Permutations
from symcheck.groups.products import Product
from symcheck.groups.semidirect import Semidirect
from symcheck.groups.shifts import Shifts
from symcheck.locate.subgroups.candidates import Holds, Subgroup, everything, listed_subgroups
from symcheck.locate.subgroups.landscape import Landscape
from symcheck.locate.subgroups.orientation import Sought
from symcheck.locate.subgroups.plane import plane_subgroups
from symcheck.locate.subgroups.slots import permutation_subgroups, shift_subgroups
from symcheck.locate.subgroups.space import space_subgroups

LISTED = 128
_NEAR = 1e-6
Found = tuple[list[Subgroup], list[str]]


@dataclass(frozen=True)
class Wanted:
    """How many elements are drawn, whether data lie on a square grid, and orders of turns to be tried beside others."""

    count: int
    lattice: bool = False
    orders: tuple[int, ...] = ()


@dataclass(frozen=True)
class Factor:
    """One direct factor, and how its elements stand in the whole group."""

    group: Group
    embed: Callable[[Tensor], Tensor]
    inside: Holds  # which elements of the whole group lie in it
    part: Callable[[Tensor], Tensor]
    alone: bool  # whether it is the whole group

    def lifted(self, one: Subgroup) -> Subgroup:
        """A subgroup of the factor as one of the whole group."""
        return one if self.alone else one.carried(self.embed, self.part, self.inside)


@dataclass(frozen=True)
class Turns:
    """The orthogonal matrices (n, d, d) inside a group: all of it, those about the origin, or those of space."""

    dimension: int
    mirrors: bool
    embed: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]
    inside: Holds


def turns_in(group: Group) -> Turns | None:
    """The turns of SO(n), O(n), SE(n), E(n) and SO(1,n); None for other groups."""
    if isinstance(group, Orthogonal):
        return Turns(group.dimension, group.has_improper, _same, _same, everything)
    if not isinstance(group, Euclidean | Lorentz):
        return None
    first = int(isinstance(group, Lorentz))  # time comes before space
    d = group.space if isinstance(group, Lorentz) else group.dimension
    block, one = slice(first, first + d), group.identity(1)

    def embed(r: Tensor) -> Tensor:
        g = one.repeat(len(r), 1, 1)
        g[:, block, block] = r
        return g

    def inside(g: Tensor) -> Tensor:
        return (embed(g[:, block, block]) - g).abs().amax((1, 2)) < _NEAR

    return Turns(d, group.has_improper, embed, lambda g: g[:, block, block], inside)


def factors_of(bound: BoundClaim) -> list[Factor]:
    """The factors of the group of a claim; a small finite product is taken as one."""
    group = bound.group
    listed = group.order is not None and group.order <= LISTED
    if not isinstance(group, Product | Semidirect) or listed:
        return [Factor(group, _same, everything, _same, True)]
    return [_factor(group, i) for i in range(len(group.factors()))]


def _factor(group: Product | Semidirect, i: int) -> Factor:
    factors = group.factors()

    def embed(part: Tensor) -> Tensor:
        return group.pack([part if k == i else other.identity(len(part)) for k, other in enumerate(factors)])

    def inside(g: Tensor) -> Tensor:
        flags = torch.ones(len(g), dtype=torch.bool)
        for k, (other, part) in enumerate(zip(factors, group.split(g), strict=True)):
            gap = (part - other.identity(len(g))).reshape(len(g), -1).abs().double()
            flags &= (gap < _NEAR).all(1) if k != i else True
        return flags

    return Factor(factors[i], embed, inside, lambda g: group.split(g)[i], False)


def subgroups_of(
    factor: Factor, landscape: Landscape, names: Sequence[str], limit: float, wanted: Wanted
) -> Found:
    """Candidates in one factor: subgroups on which the outputs `names` have no error above `limit`."""
    group, embed, count = factor.group, factor.embed, wanted.count
    sought = Sought(landscape, names, embed, limit)
    notes: list[str] = []
    if isinstance(group, Shifts):
        found = shift_subgroups(group, count)
    elif isinstance(group, Permutations) and (group.order or 0) > LISTED:
        found, notes = permutation_subgroups(sought, group, count)
    elif group.order is not None and group.order <= LISTED and group.elements() is not None:
        found = listed_subgroups(group, sought)
    else:
        found, notes = _continuous(group, sought, wanted)
    return [factor.lifted(one) for one in found if len(one.g)], notes


def _continuous(group: Group, sought: Sought, wanted: Wanted) -> Found:
    count = wanted.count
    if isinstance(group, Orthogonal):
        found, notes = _orthogonal(sought, group.dimension, group.has_improper, wanted)
        return (found, notes) if found or group.dimension < 4 else (_along_flows(group, count), notes)
    turns = turns_in(group)
    if turns is None:
        return _along_flows(group, count), []
    narrow = Sought(sought.landscape, sought.names, lambda r: sought.embed(turns.embed(r)), sought.limit)
    found, notes = _orthogonal(narrow, turns.dimension, turns.mirrors, wanted)
    whole = _all_turns(turns.dimension, turns.mirrors, count) if turns.dimension > 1 else []
    lifted = [one.carried(turns.embed, turns.back, turns.inside) for one in [*whole, *found]]
    return _rigid(group, count) + lifted, [*notes, *_about_origin(group)]


def _orthogonal(sought: Sought, d: int, mirrors: bool, wanted: Wanted) -> Found:
    if d == 2:
        return plane_subgroups(sought, mirrors, wanted.lattice, wanted.count, wanted.orders), []
    if d == 3:
        return space_subgroups(sought, mirrors, wanted.count)
    if d > 3 and mirrors:
        return _all_turns(d, False, wanted.count), []
    return [], []


def _all_turns(d: int, mirrors: bool, count: int) -> list[Subgroup]:
    group = Orthogonal(d, mirrors)
    g = group.sample(2 * count if mirrors else count, Draws(0, "turns"))
    return [Subgroup(group.name, g, lambda r: torch.ones(len(r), dtype=torch.bool) if mirrors else group.proper(r))]


def _rigid(group: Group, count: int) -> list[Subgroup]:
    """SE(n) inside E(n), and translations, along one axis too; the boosts of the Lorentz group."""
    found = _along_flows(group, count, ("translation", "boost"))
    if not isinstance(group, Euclidean):
        return found
    d = group.dimension
    drawn = group.sample(2 * count, Draws(0, "rigid"))
    moved = group.identity(count)
    moved[:, :d, d] = drawn[:count, :d, d]

    def still(g: Tensor) -> Tensor:
        return (g[:, :d, :d] - torch.eye(d, dtype=g.dtype)).abs().amax((1, 2)) < _NEAR

    found = [Subgroup(f"T({d})", moved, still), *(found if d > 1 else [])]
    if group.has_improper:
        found.append(Subgroup(f"SE({d})", drawn[group.proper(drawn)], group.proper))
    return found


def _about_origin(group: Group) -> list[str]:
    return ["turns were tried about the origin alone"] if isinstance(group, Euclidean) else []


def _along_flows(group: Group, count: int, words: tuple[str, ...] = ("",)) -> list[Subgroup]:
    """The one-parameter subgroups that the group names; each is a subgroup of its own, in standard orientation."""
    found = []
    for flow in group.flows():
        reach = flow.period or 2.0
        t = Draws(0, flow.name).uniform(count, low=-reach / 2, high=reach / 2)
        if flow.name.startswith(words):
            found.append(Subgroup(flow.name, flow.at(t), _nothing, None, "standard orientation"))
    return found


def _same(g: Tensor) -> Tensor:
    return g


def _nothing(g: Tensor) -> Tensor:
    return torch.zeros(len(g), dtype=torch.bool)
