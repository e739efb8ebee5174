"""Over which atoms an atom's group acts independently: one element for every index (a head, a group, an expert)."""

from __future__ import annotations

from symcheck.weights.network import Monomial, Normalise, Softmax
from symcheck.weights.occurrences import Places


def contexts(places: Places) -> dict[int, frozenset[int]]:
    """For every atom the atoms that stand beside it wherever it stands, and that no operator mixes while it stays."""
    over: dict[int, set[int]] = {}
    for value, axes in zip(places.net.values, places.leaves, strict=True):
        if value.data is not None:
            continue
        present = {atom for axis in axes for atom in axis}
        for atom in present:
            over[atom] = over[atom] & present if atom in over else set(present)
    for relation in places.net.relations:
        mixed, kept = set[int](), set[int]()
        if isinstance(relation, Monomial):
            out = set(relation.labels)
            for value, labels, _ in relation.operands:
                for axis, label in zip(places.of(value), labels, strict=False):
                    (kept if label in out else mixed).update(axis)
        elif isinstance(relation, Normalise | Softmax):
            along = relation.axes if isinstance(relation, Normalise) else (relation.axis,)
            for i, axis in enumerate(places.of(relation.value)):
                (mixed if i in along else kept).update(axis)
        for atom in kept & over.keys():
            over[atom] -= mixed - {atom}
    repeated = _repeated(places)
    return {atom: frozenset(found - {atom} - repeated) for atom, found in over.items()}


def _repeated(places: Places) -> set[int]:
    """Atoms that stand more than once in some parameter: no single index of theirs belongs to another atom's place."""
    found = set()
    for value, axes in zip(places.net.values, places.leaves, strict=True):
        if value.parameter:
            atoms = [atom for axis in axes for atom in axis]
            found |= {atom for atom in set(atoms) if atoms.count(atom) > 1}
    return found
