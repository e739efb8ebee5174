"""What it takes to test a whole group: generating elements and one-parameter subgroups."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Flow, Group
from symcheck.groups.draws import Draws
from symcheck.groups.finite import Sign
from symcheck.groups.generated import Generated
from symcheck.groups.permutations import Permutations
from symcheck.groups.products import Product

_DRAWN = 6
_TRIED = 64


@dataclass(frozen=True)
class Generating:
    """Elements (k, *E) and flows that together generate the group; `words` says how they were found."""

    elements: Tensor
    flows: tuple[Flow, ...]
    words: str


def generating(group: Group) -> Generating:
    """Generators of a finite group; flows and drawn elements, one or more for each component, of another one.

    Drawn elements generate a dense subgroup with probability one; of many draws those near the identity are kept
    where the group stretches or translates, so that constraints stay well conditioned. Raises ClaimError: a relation.
    """
    if group.related:
        raise ClaimError(
            f"{group.name} is a relation, not a group, and has no representations",
            where=f"generators of {group.name}",
            hint="measure it with an audit",
        )
    if isinstance(group, Product):
        return _of_factors(group)
    found = generators(group)
    if found is not None:
        return Generating(found, (), f"{len(found)} generators")
    flows = group.flows()
    drawn = _drawn(group)
    return Generating(drawn, flows, f"{len(flows)} flows and {len(drawn)} drawn elements")


def generators(group: Group) -> Tensor | None:
    """Elements (k, *E) that generate a finite group; None where they are not known."""
    if isinstance(group, Permutations) and group.degree is not None:
        return _cycles(group.degree, group.even)
    if isinstance(group, Generated):
        return torch.tensor(group.rows)
    if isinstance(group, Sign):
        return 1.0 - 2.0 * torch.eye(group.n, dtype=torch.float64)
    listed = group.elements() if group.order is not None else None
    return None if listed is None else _independent(group, listed)


def _cycles(n: int, even: bool) -> Tensor:
    """A transposition and the n-cycle; the 3-cycles (0 1 i) for even permutations."""
    if n < (3 if even else 2):
        return torch.arange(n)[None]
    rows = []
    for i in range(2, n) if even else (1,):
        row = torch.arange(n)
        cycle = torch.tensor([0, 1, i] if even else [0, 1])
        row[cycle] = cycle.roll(-1)
        rows.append(row)
    return torch.stack(rows if even else [*rows, torch.arange(n).roll(-1)])


def _independent(group: Group, listed: Tensor) -> Tensor:
    """Elements that each enlarge the subgroup of those before, which at least doubles every time."""
    place = {_key(row): i for i, row in enumerate(listed)}
    reached = {place[_key(group.identity(1)[0])]}
    chosen: list[int] = []
    for i in range(len(listed)):
        if i in reached:
            continue
        chosen.append(i)
        frontier = torch.tensor(sorted(reached))
        while len(frontier):
            rows = listed[frontier]
            products = torch.cat([group.compose(rows, listed[[c]].expand_as(rows)) for c in chosen])
            fresh = {place[_key(row)] for row in products} - reached
            reached |= fresh
            frontier = torch.tensor(sorted(fresh), dtype=torch.int64)
        if len(reached) == len(listed):
            break
    return listed[chosen] if chosen else listed[:1]


def _key(row: Tensor) -> tuple[float, ...]:
    return tuple(round(v, 6) + 0.0 for v in row.double().flatten().tolist())


def _drawn(group: Group) -> Tensor:
    """Some elements, mirrors among them where the group has any."""
    drawn = group.sample(_TRIED, Draws(0, "generating"))
    proper = group.proper(drawn)
    if group.order is not None:  # finite, yet too large to list: many draws, lest they lie in a subgroup
        return drawn
    if not group.compact:  # the least stretched or moved ones
        away = (drawn - group.identity(_TRIED)).double().reshape(_TRIED, -1).norm(dim=1)
        drawn, proper = drawn[away.argsort()], proper[away.argsort()]
    if bool(proper.all()):
        return drawn[:_DRAWN]
    return torch.cat([drawn[proper][: _DRAWN - 2], drawn[~proper][:2]])


def _of_factors(group: Product) -> Generating:
    parts = [generating(factor) for factor in group.factors()]
    rows = []
    for i, part in enumerate(parts):
        units = [factor.identity(len(part.elements)) for factor in group.factors()]
        units[i] = part.elements
        rows.append(group.pack(units))
    return Generating(torch.cat(rows), group.flows(), "; ".join(part.words for part in parts))
