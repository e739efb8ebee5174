"""Scales and signs by linear algebra: how every tensor must scale along an atom for every value to scale consistently.

An unknown exponent stands at every place of an atom (or one for a whole tensor); each relation is a linear equation
between exponents, over the rationals for scales and over GF(2) for signs. The null space is every such symmetry.
"""

from __future__ import annotations

from collections.abc import Hashable
from fractions import Fraction
from typing import Protocol

from symcheck.weights.axes import MISFIT
from symcheck.weights.equations import Field, Row, Solution, System
from symcheck.weights.occurrences import Place, Places, values
from symcheck.weights.relations import Monomial, Normalise, Part, Relation, Reshape, Softmax, Value


class Inside(Protocol):
    """A finer element: another one for every index of other atoms."""

    def holds(self, place: Place) -> bool:
        """Whether those atoms stand beside the place."""

    def passes(self, relation: Relation, atom: int) -> bool:
        """Whether a relation carries the places of the atom along with the others that stand beside them."""


def degrees(places: Places, atom: int | None, field: Field, inside: Inside | None = None) -> list[Solution]:
    """A basis of the exponents with which parameters may scale along an atom (None: as whole tensors).

    Each solution has the exponent of every place of a parameter that is not zero; with `offset`, of every place.
    `inside` says which places may have one, and which relations keep them apart as they should: others leave them zero.
    """
    if atom is not None and places.atoms[atom].pinned == MISFIT:
        return []
    system = System(field)
    for relation in places.relations.get(atom, []):
        _Equations(places, atom, field, system).add(relation)
        if inside is not None and atom is not None and not inside.passes(relation, atom):
            for value in values(relation):
                for place in places.atom(value, atom):
                    system.zero(place)
    for made, source in places.turned.get(atom, []) if atom is not None else ():
        system.same(made, source)
    if inside is not None and atom is not None:
        for value in _touched(places, atom):
            for place in places.atom(value, atom):
                if not inside.holds(place):
                    system.zero(place)
    for value in places.net.values if atom is None else _touched(places, atom):
        if value.data is not None:
            for place in _all(places, value, atom):
                system.zero(place)
    parameters = {
        place for value in (places.net.values if atom is None else _touched(places, atom))
        if value.parameter or field.offset for place in _all(places, value, atom)
    }  # fmt: skip
    return system.solutions(parameters)


def _touched(places: Places, atom: int) -> list[Value]:
    found = {id(v): v for relation in places.relations.get(atom, []) for v in values(relation) if id(v) in places.index}
    found |= {id(v): v for v in places.net.values if v.parameter and places.atom(v, atom)}
    return list(found.values())


def _all(places: Places, value: Value, atom: int | None) -> list[Place]:
    if atom is None:
        return [(places.index[id(value)], -1, -1)] if id(value) in places.index else []
    return places.atom(value, atom)


class _Equations:
    """The equations of one relation along one atom."""

    def __init__(self, places: Places, atom: int | None, field: Field, system: System):
        self.places, self.atom, self.field, self.system = places, atom, field, system

    def add(self, relation: object) -> None:
        if isinstance(relation, Monomial):
            self._monomial(relation)
        elif isinstance(relation, Softmax):
            self._zero(relation.value, relation.out)
        elif isinstance(relation, Normalise):
            self._normalise(relation)
        elif isinstance(relation, Reshape | Part):
            self._carry(relation)

    def _zero(self, *items: Value) -> None:
        for value in items:
            for place in _all(self.places, value, self.atom):
                self.system.zero(place)

    def _monomial(self, relation: Monomial) -> None:
        mode = relation.parity if self.field.signs else relation.degree
        if relation.small and not (self.field.relaxed and not self.field.signs):
            mode = "zero" if not self.field.signs else mode
        if self.field.offset and relation.centre:
            mode = "linear"
        operands = [value for value, _, _ in relation.operands]
        if self.field.offset and relation.phase and self.atom is not None:
            return
        if mode == "zero":
            self._zero(relation.out, *operands)
        elif mode == "even":
            self._zero(relation.out)
        elif self.atom is None:
            row: Row = {}
            for value, _, power in relation.operands:
                for place in _all(self.places, value, None):
                    row[place] = row.get(place, Fraction(0)) + power
            for place in _all(self.places, relation.out, None):
                row[place] = row.get(place, Fraction(0)) - 1
            self.system.equation(row)
        else:
            for label in self.places.labels(relation, self.atom):
                self._label(relation, label, self.atom)

    def _label(self, relation: Monomial, label: Hashable, atom: int) -> None:
        held = self.places.label(relation, label, atom)
        lengths = {len(spots) for spots, _, _ in held}
        if len(lengths) > 1:
            for spots, _, _ in held:
                for place in spots:
                    self.system.zero(place)
            return
        for j in range(lengths.pop()):
            row: Row = {}
            for spots, power, _ in held:
                row[spots[j]] = row.get(spots[j], Fraction(0)) + (Fraction(-1) if power is None else power)
            self.system.equation(row)

    def _carry(self, relation: Reshape | Part) -> None:
        if self.atom is None:
            pair = (relation.value, relation.out) if isinstance(relation, Reshape) else (relation.whole, relation.part)
            left, right = (_all(self.places, v, None) for v in pair)
            self._equal(left, right)
            return
        for left, right in self.places.carried(relation, self.atom):
            self._equal(left, right)
        if isinstance(relation, Part) and self.atom not in self.places.turned:
            for place in self.places.lost(relation, self.atom):
                self.system.zero(place)

    def _equal(self, left: list[Place], right: list[Place]) -> None:
        """Place by place; as one where the numbers differ; an atom that one side lacks is at rest."""
        if len(left) == len(right):
            for a, b in zip(left, right, strict=True):
                self.system.same(a, b)
        elif left and right:
            every = [*left, *right]
            for place in every[1:]:
                self.system.same(every[0], place)
        else:
            for place in [*left, *right]:
                self.system.zero(place)

    def _normalise(self, relation: Normalise) -> None:
        free = self.field.relaxed or relation.eps == 0
        if self.atom is None:
            left, right = (_all(self.places, value, None) for value in (relation.value, relation.out))
            self._normal(left, right, False, free, relation)
            return
        for axis, (left, right) in enumerate(self.places.carried(relation, self.atom)):
            self._normal(left, right, axis in relation.axes, free, relation)

    def _normal(self, left: list[Place], right: list[Place], inside: bool, free: bool, relation: Normalise) -> None:
        if self.field.signs and not (inside and relation.centred):
            self._equal(left, right)
            return
        for place in right:
            self.system.zero(place)
        if inside or self.field.signs or not free:
            for place in left:
                self.system.zero(place)
