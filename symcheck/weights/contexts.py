"""Over which atoms an atom's group acts independently: one element for every index (a head, a group, an expert)."""

from __future__ import annotations

from collections.abc import Hashable, Iterator

from symcheck.weights.axes import MISFIT
from symcheck.weights.beside import Beside
from symcheck.weights.occurrences import Place, Places
from symcheck.weights.relations import Monomial, Normalise, Part, Relation, Reshape, Softmax

Seen = frozenset[Hashable]


def contexts(places: Places, beside: Beside) -> dict[int, frozenset[int]]:
    """For every atom those that stand beside it wherever it stands and that every relation carries along with it."""
    over: dict[int, set[int]] = {}
    for i, axes in enumerate(places.leaves):
        if places.net.values[i].data is not None:
            continue
        present = {atom for axis in axes for atom in axis if places.atoms[atom].pinned != MISFIT}
        for a, axis in enumerate(axes):
            for j, atom in enumerate(axis):
                candidates = over.get(atom, present - {atom}) & present
                over[atom] = {other for other in candidates if beside((i, a, j), other)}
    for atom, others in over.items():
        for relation in places.relations.get(atom, []):
            others -= {other for other in others if not _together(places, beside, relation, atom, other)}
    return {atom: frozenset(others) for atom, others in over.items()}


class Over:
    """The element of an atom with one copy for every index of `others`, as `degrees` asks for it."""

    def __init__(self, places: Places, beside: Beside, others: frozenset[int]):
        self.places, self.beside, self.others = places, beside, others

    def holds(self, place: Place) -> bool:
        """Whether all the others stand beside the place."""
        return all(self.beside(place, other) for other in self.others)

    def passes(self, relation: Relation, atom: int) -> bool:
        """Whether a relation keeps every index of the atom, where it has one of the others, with that one."""
        return all(_together(self.places, self.beside, relation, atom, other, some=True) for other in self.others)


def _together(
    places: Places, beside: Beside, relation: Relation, atom: int, other: int, some: bool = False
) -> bool:
    """Whether a relation keeps every index of `atom` with its index of `other`; `some`: where it has one."""
    if isinstance(relation, Monomial):
        empty: set[Seen | None] = {frozenset()} if some else set()
        return all(len(seen - empty) <= 1 for seen in _labelled(places, beside, relation, atom, other))
    if isinstance(relation, Normalise | Softmax):
        along = relation.axes if isinstance(relation, Normalise) else (relation.axis,)
        spots = [p for p in places.atom(relation.value, atom) if p[1] not in along]
        return not any(q[1] in along for p in spots for q in beside(p, other))
    if isinstance(relation, Part):
        cut = places.lost(relation, other)
        if any(q in cut for p in places.lost(relation, atom) for q in beside(p, other)):
            return False
    moved = _carried(places, relation, other)
    mine = _carried(places, relation, atom)
    if moved is None or mine is None:
        return False
    pairs = [(beside(p, other), beside(t, other)) for p, t in mine.items()]
    return all({moved[q] for q in left if q in moved} == right for left, right in pairs if not some or (left and right))


def _labelled(
    places: Places, beside: Beside, relation: Monomial, atom: int, other: int
) -> Iterator[set[Seen | None]]:
    """For every label and place of the atom along it: the labels and places of the other, as each value sees them."""
    rows = [(relation.out, relation.labels), *((value, labels) for value, labels, _ in relation.operands)]
    rows = [(value, labels) for value, labels in rows if value.data is None and places.of(value)]
    for label in places.labels(relation, atom):
        found: list[list[Seen | None]] = []
        for value, labels in rows:
            for axis, one in enumerate(labels):
                if one == label:
                    spots = places.on(value, axis, atom)
                    found.append([frozenset(_seen(places, beside(p, other), labels)) for p in spots])
        longest = max((len(seen) for seen in found), default=0)
        for j in range(longest):
            yield {seen[j] if j < len(seen) else None for seen in found}


def _seen(places: Places, spots: frozenset[Place], labels: tuple[Hashable, ...]) -> Iterator[Hashable]:
    """Places as a relation sees them: by label, and by number among the atom's places along it."""
    for i, axis, leaf in spots:
        leaves = places.leaves[i][axis]
        yield labels[axis], leaves[:leaf].count(leaves[leaf])


def _carried(places: Places, relation: Reshape | Part, atom: int) -> dict[Place, Place] | None:
    """Where a relation carries the places of an atom; None where that is not known."""
    found: dict[Place, Place] = {}
    for left, right in places.carried(relation, atom):
        if len(left) != len(right):
            return None
        found.update(zip(left, right, strict=True))
    return found
