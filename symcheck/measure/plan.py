"""What to measure: which elements of the group, in which parts that are never averaged together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws

ENUMERATE = 128


@dataclass(frozen=True)
class Stratum:
    """Elements of one part of a group: proper or improper, exact on the lattice or resampled.

    `subgroup`: with the identity the part is closed, so that the variance over it makes sense.
    """

    name: str
    g: Tensor
    exhaustive: bool
    subgroup: bool
    resampled: bool
    law: str


def strata(bound: BoundClaim, outputs: Mapping[str, Bound], count: int, seed: int) -> list[Stratum]:
    """Draw up to `count` elements of every part; small finite groups are enumerated without the identity."""
    group = bound.group
    limit = max(count, ENUMERATE)
    listed = group.elements() if group.order is not None and group.order <= limit else None
    if listed is not None:
        return parts_of(bound, outputs, listed[1:], True, f"all {group.order} elements of {group.name}")
    key = str(bound.claim)
    everything = group.elements()
    if everything is not None:  # draw without replacement
        order = Draws(seed, key).permutations(1, len(everything))[0]
        return parts_of(
            bound, outputs, _first(group, everything[order[order > 0]], count), False, f"{group.name}: {group.law}"
        )
    found = parts_of(bound, outputs, _sampled(group, count, seed, key), False, f"{group.name}: {group.law}")
    lattice = _lattice(bound, group)
    if lattice is not None and any(s.resampled for s in found):
        law = f"{len(lattice)} elements of {group.name} that need no resampling"
        exact = parts_of(bound, outputs, lattice, True, law)
        kept = [replace(s, name=", ".join(filter(None, (s.name, "lattice")))) for s in exact if not s.resampled]
        found = kept + [s for s in found if s.resampled]
    return found


def _sampled(group: Group, count: int, seed: int, key: str) -> Tensor:
    """At least `count` elements of each orientation, none of them the identity."""
    drawn = count * (3 if group.has_improper else 1) + 12
    return _first(group, group.sample(drawn, Draws(seed, key)), count)


def _first(group: Group, g: Tensor, count: int) -> Tensor:
    """The first `count` elements of each orientation, the identity left out."""
    moved = (g != group.identity(len(g))).reshape(len(g), -1).any(1)
    proper = group.proper(g)
    keep = [torch.nonzero(moved & flag).flatten()[:count] for flag in (proper, ~proper)]
    return g[torch.cat(keep).sort().values]


def _lattice(bound: BoundClaim, group: Group) -> Tensor | None:
    """Elements that an action with resampling can apply exactly, identity left out."""
    if len(group.factors()) > 1:
        return None
    for part in chain.from_iterable(b.parts for b in bound.inputs.values()):
        lattice = part.action.lattice(part.group)
        if lattice is not None:
            return lattice
    return None


def parts_of(
    bound: BoundClaim, outputs: Mapping[str, Bound], g: Tensor, exhaustive: bool, law: str
) -> list[Stratum]:
    """The elements g by orientation, and by whether they need resampling; ClaimError where there are none."""
    if not len(g):
        raise ClaimError(
            f"'{bound.claim}': the group has no element but the identity",
            where=bound.group.name,
            hint="nothing would be tested; use a larger group or larger inputs",
        )
    proper = bound.group.proper(g)
    exact = torch.ones(len(g), dtype=torch.bool)
    for action in (*bound.inputs.values(), *outputs.values()):
        exact &= action.exact(g)
    found = []
    for is_exact in (True, False):
        for is_proper in (True, False):
            rows = torch.nonzero((proper == is_proper) & (exact == is_exact)).flatten()
            if not len(rows):
                continue
            words = [] if bool((proper == is_proper).all()) else ["proper" if is_proper else "improper"]
            words += [] if bool(exact.all()) else ["lattice" if is_exact else "resampled"]
            found.append(Stratum(", ".join(words), g[rows], exhaustive, is_proper and is_exact, not is_exact, law))
    return found
