"""Linear equations over the rationals or GF(2), and their null spaces as sparse integral vectors."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from symcheck.weights.occurrences import Place

Row = dict[Hashable, Fraction]
Solution = dict[Place, Fraction]


@dataclass(frozen=True)
class Field:
    """Rationals (scales) or GF(2) (signs); `relaxed` forgets the epsilons of normalisers.

    `offset`: signs pass functions that are odd about another point, and functions with a phase in any way.
    """

    signs: bool = False
    relaxed: bool = False
    offset: bool = False

    def reduce(self, value: Fraction) -> Fraction:
        """The number in the field."""
        return Fraction(value.numerator % 2) if self.signs else value


class System:
    """Linear equations with coefficients in a field; equalities are merged before any elimination."""

    def __init__(self, field: Field):
        self.field = field
        self.parent: dict[Hashable, Hashable] = {}
        self.rows: list[Row] = []
        self.zeros: list[Hashable] = []

    def find(self, place: Hashable) -> Hashable:
        """The representative of a place."""
        root = place
        while (above := self.parent.get(root, root)) != root:
            root = above
        while (above := self.parent.get(place, place)) != root:
            self.parent[place], place = root, above
        return root

    def same(self, a: Hashable, b: Hashable) -> None:
        """Two exponents are equal."""
        a, b = self.find(a), self.find(b)
        if a != b:
            self.parent[a] = b

    def zero(self, place: Hashable) -> None:
        """An exponent is zero."""
        self.zeros.append(place)

    def equation(self, row: Row) -> None:
        """Σ coefficient · exponent = 0; coefficients with a denominator let no sign pass."""
        if self.field.signs and any(c.denominator != 1 for c in row.values()):
            for place in row:
                self.zero(place)
            return
        row = {p: c for p, c in ((p, self.field.reduce(c)) for p, c in row.items()) if c}
        if len(row) == 1:
            self.zero(next(iter(row)))
        elif len(row) == 2 and (self.field.signs or sum(row.values()) == 0):
            self.same(*row)
        elif row:
            self.rows.append(row)

    def solutions(self, parameters: set[Place]) -> list[Solution]:
        """The null space, one sparse integral vector after another, as seen by the parameters."""
        zeros = {self.find(p) for p in self.zeros}
        rows = []
        for row in self.rows:
            merged: Row = {}
            for place, c in row.items():
                root = self.find(place)
                if root not in zeros:
                    merged[root] = self.field.reduce(merged.get(root, Fraction(0)) + c)
            rows.append({p: c for p, c in merged.items() if c})
        owners: dict[Hashable, list[Place]] = {}
        for place in sorted(parameters):
            if (root := self.find(place)) not in zeros:
                owners.setdefault(root, []).append(place)
        found = []
        for vector in null_space(rows, list(owners), self.field.reduce):
            solution = {place: c for root, c in vector.items() for place in owners.get(root, [])}
            if solution:
                found.append(solution)
        return found


def null_space(rows: Iterable[Row], wanted: list[Hashable], reduce: Callable[[Fraction], Fraction]) -> list[Row]:
    """A basis of the solutions of `rows`, as integral vectors; unknowns in `wanted` stay free where they can.

    Every unknown that is in no row is free. Solutions that are zero on `wanted` are dropped.
    """
    pivots: dict[Hashable, Row] = {}
    rank = {place: i for i, place in enumerate(wanted)}
    for row in rows:
        row = dict(row)
        while True:
            hit = next((p for p in row if p in pivots), None)
            if hit is None:
                break
            factor = row.pop(hit)
            for p, c in pivots[hit].items():
                value = reduce(row.get(p, Fraction(0)) + factor * c)
                if value:
                    row[p] = value
                else:
                    row.pop(p, None)
        if not row:
            continue
        pivot = max(row, key=lambda p: (p not in rank, rank.get(p, 0)))
        scale = row.pop(pivot)
        solved = {p: reduce(-c / scale) for p, c in row.items()}
        for other, expression in pivots.items():
            if pivot in expression:
                factor = expression.pop(pivot)
                for p, c in solved.items():
                    value = reduce(expression.get(p, Fraction(0)) + factor * c)
                    if value:
                        expression[p] = value
                    else:
                        expression.pop(p, None)
                pivots[other] = expression
        pivots[pivot] = solved
    free = dict.fromkeys([*(p for p in wanted if p not in pivots), *(q for e in pivots.values() for q in e)])
    basis = []
    for unknown in free:
        vector = {unknown: Fraction(1)} | {p: e[unknown] for p, e in pivots.items() if unknown in e}
        if any(p in rank for p in vector):
            basis.append(integral(vector))
    return basis


def integral(vector: Row) -> Row:
    """The smallest integral multiple, its first entry positive."""
    scale = lcm(*(c.denominator for c in vector.values()))
    whole = {p: c * scale for p, c in vector.items()}
    shrink = gcd(*(int(c) for c in whole.values()))
    return {p: c / shrink for p, c in whole.items()}
