"""The subgroups of a finite group given by its elements: multiplication table, closure, conjugates, names.

Elements are numbers 0..n-1 of one list, 0 the identity; a subgroup is the sorted tuple of its numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.structures import by_orders

Members = tuple[int, ...]
MANY = 600  # conjugacy classes of subgroups beyond which they are not listed
_NEAR = 1e-5  # how far rounding may move a product of listed elements


@dataclass(frozen=True)
class Table:
    """A multiplication table: `product[a, b]` is the number of ab."""

    product: np.ndarray

    @property
    def order(self) -> int:
        """How many elements there are."""
        return len(self.product)

    @cached_property
    def inverse(self) -> np.ndarray:
        """(n,) the number of a⁻¹."""
        return np.asarray((self.product == 0).argmax(1))

    @cached_property
    def conjugate(self) -> np.ndarray:
        """(n, n): row g holds the number of g h g⁻¹ for every h."""
        rows = np.arange(self.order)
        return np.asarray(self.product[self.product, self.inverse[rows][:, None]])

    @cached_property
    def orders(self) -> np.ndarray:
        """(n,) the order of each element."""
        found, power = np.zeros(self.order, dtype=int), np.arange(self.order)
        for k in range(1, self.order + 1):
            found[(power == 0) & (found == 0)] = k
            power = self.product[power, np.arange(self.order)]
        return found

    @cached_property
    def classes(self) -> tuple[Members, ...]:
        """The conjugacy classes of elements, that of the identity first."""
        rows = {tuple(np.unique(self.conjugate[:, h]).tolist()) for h in range(self.order)}
        return tuple(sorted(rows, key=lambda row: (row[0] != 0, self.orders[row[0]], len(row), row)))

    def generated(self, by: Iterable[int]) -> Members:
        """The smallest subgroup that holds the elements `by`."""
        steps = np.array(sorted({*by} | {0}))
        members = steps
        while True:
            wider = np.unique(self.product[np.ix_(members, steps)])
            if len(wider) == len(members):
                return tuple(members.tolist())
            members = wider

    def generators(self, members: Members) -> Members:
        """A small generating set of a subgroup, elements of high order first."""
        chosen: list[int] = []
        reached: Members = (0,)
        for h in sorted(members, key=lambda h: (-self.orders[h], h)):
            if h not in set(reached):
                chosen.append(h)
                reached = self.generated(chosen)
            if len(reached) == len(members):
                break
        return tuple(chosen)

    def conjugates(self, members: Members) -> list[Members]:
        """All g H g⁻¹, each once."""
        rows = np.unique(np.sort(self.conjugate[:, list(members)], axis=1), axis=0)
        return [tuple(row) for row in rows.tolist()]

    def subgroups(self, most: int = MANY) -> list[list[Members]] | None:
        """All subgroups by conjugacy class, small ones first; None where there are more than `most` classes.

        Every subgroup is its predecessor with one more cyclic group of prime-power order (cyclic extension).
        """
        steps = [h for h in range(1, self.order) if _prime_power(int(self.orders[h]))]
        cyclic = {self.generated([h]): h for h in steps}
        found: dict[Members, int] = {(0,): 0}
        classes: list[list[Members]] = [[(0,)]]
        queue = 0
        while queue < len(classes):
            base = classes[queue][0]
            inside = set(base)
            for h in cyclic.values():
                if h in inside:
                    continue
                wider = self.generated([*self.generators(base), h])
                if wider not in found:
                    orbit = self.conjugates(wider)
                    found.update(dict.fromkeys(orbit, len(classes)))
                    classes.append(orbit)
            queue += 1
            if len(classes) > most:
                return None
        return sorted(classes, key=lambda orbit: (len(orbit[0]), orbit[0]))

    def largest_in(self, allowed: Iterable[int]) -> list[Members]:
        """The maximal subgroups all of whose elements are `allowed`."""
        inside = {*allowed} | {0}
        whole = self.generated(inside)
        if len(whole) == len(inside):
            return [whole]
        found = {self.generated([h]) for h in inside}
        found = {one for one in found if inside.issuperset(one)}
        queue = list(found)
        while queue and len(found) < MANY:
            base = queue.pop()
            for h in inside.difference(base):
                wider = self.generated([*base, h])
                if wider not in found and inside.issuperset(wider):
                    found.add(wider)
                    queue.append(wider)
        return [one for one in found if not any(set(one) < set(other) for other in found)]


def table_of(compose: Callable[[Tensor, Tensor], Tensor], g: Tensor) -> Table | None:
    """The multiplication table of the listed elements g, identity first; None where they are not closed."""
    n = len(g)
    flat = g.reshape(n, -1).double()
    rows = []
    for a in range(n):
        products = compose(g[a : a + 1].expand(n, *g.shape[1:]).clone(), g).reshape(n, -1).double()
        near = torch.cdist(products, flat).min(1)
        if not bool((near.values <= _NEAR).all()):
            return None
        rows.append(near.indices.numpy())
    return Table(np.stack(rows))


def elements_of(group: Group) -> Tensor:
    """All elements of a finite group, identity first; ClaimError where they are not listed."""
    listed = group.elements()
    if listed is None:
        raise ClaimError(
            f"{group.name} has too many elements to list them",
            where=f"the group {group.name}",
            hint="its subgroups are searched only for groups whose elements can be listed",
        )
    return listed


def structure(table: Table, members: Members) -> str:
    """What an abstract group of this table is called: `C4`, `D3`, `C2 x C4`, `A4`, `S4`, `A5`, else `order 24`."""
    orders = table.orders[list(members)].tolist()
    product = table.product[np.ix_(members, members)]
    abelian = bool((product == product.T).all())
    if names := by_orders(orders, abelian):
        return " x ".join(names[::-1] if abelian else names)
    if len(members) == 1:
        return "C1"
    split = _beside(table, members)
    return f"order {len(members)}" if split is None else f"{structure(table, split)} x C2"


def _beside(table: Table, members: Members) -> Members | None:
    """A subgroup of index two that misses a central involution, so that both make a direct product; None: none does."""
    product = table.product[np.ix_(members, members)]
    central = [h for h, row, column in zip(members, product, product.T, strict=True) if bool((row == column).all())]
    flips = [h for h in central if table.orders[h] == 2]
    # subgroups of index two hold all squares, and over those the group is a vector space on two numbers
    base = table.generated(int(table.product[h, h]) for h in members)
    rank = (len(members) // len(base)).bit_length() - 1
    cosets = sorted({min(int(table.product[h, b]) for b in base) for h in members})
    for chosen in itertools.combinations(cosets, rank - 1) if flips and rank and rank < 5 else ():
        half = table.generated([*base, *chosen])
        if 2 * len(half) == len(members) and any(h not in half for h in flips):
            return half
    return None


def _prime_power(n: int) -> bool:
    p = next((p for p in range(2, n + 1) if n % p == 0), 0)
    while p and n % p == 0:
        n //= p
    return n == 1
