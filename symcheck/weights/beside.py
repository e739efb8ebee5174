"""Which places of two atoms stand on the same entries of a value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from symcheck.weights.axes import Axis
from symcheck.weights.occurrences import Place, Places, numbered

Spots = tuple[int, ...]  # numbers of the leaves of an axis


class Beside:
    """For a place of one atom the places of another on the same entries: on its own axis, or else on one other axis."""

    def __init__(self, places: Places):
        self.places = places
        self._found: dict[tuple[Place, int], frozenset[Place]] = {}

    def __call__(self, place: Place, atom: int) -> frozenset[Place]:
        """The places of `atom` beside `place`; none unless every entry there has exactly one of them."""
        key = place, atom
        if key not in self._found:
            self._found[key] = self._find(place, atom)
        return self._found[key]

    def _find(self, place: Place, atom: int) -> frozenset[Place]:
        i, mine, leaf = place
        held, axes = self.places.leaves[i], self.places.net.values[i].axes
        if not any(atom in axis for axis in held):
            return frozenset()
        members = dict(_members(axes[mine], leaf))
        found = {mine: _around(axes[mine], leaf, atom, members)}
        if found[mine] == ():
            found = {k: _cover(axis, atom, members) for k, axis in enumerate(axes) if k != mine and atom in held[k]}
        if len(found) != 1:
            return frozenset()
        axis, spots = found.popitem()
        return frozenset((i, axis, spot) for spot in spots or ())


def _members(axis: Axis, leaf: int) -> Iterator[tuple[int, int]]:
    """The families above a leaf: the identity of the axis that each stands over, and the index of the member."""
    node = axis.root()
    for k, (part, begin, end) in enumerate(numbered(node)):
        if begin <= leaf < end:
            if node.kind == "family" and node.over is not None:
                yield id(node.over.root()), k
            yield from _members(part, leaf - begin)


def _around(axis: Axis, leaf: int, atom: int, members: Mapping[int, int]) -> Spots | None:
    """The leaves of the atom on the entries of one leaf of the same axis; None where they are no single one each."""
    node = axis.root()
    if not node.kind:
        return ()
    found: list[Spots | None] = []
    for part, begin, end in numbered(node):
        if begin <= leaf < end:
            found.append(_moved(_around(part, leaf - begin, atom, members), begin))
        elif node.kind == "product":
            found.append(_moved(_cover(part, atom, members), begin))
    return _only(found)


def _cover(axis: Axis, atom: int, members: Mapping[int, int]) -> Spots | None:
    """The leaves of the atom that cover an axis; () where it has none, None where they are no single one each."""
    node = axis.root()
    if not node.kind:
        return (0,) if id(node) == atom else ()
    chosen = members.get(id(node.over.root())) if node.kind == "family" and node.over is not None else None
    found = [
        _moved(_cover(part, atom, members), begin)
        for k, (part, begin, _) in enumerate(numbered(node))
        if chosen is None or k == chosen
    ]
    if node.kind == "product":
        return _only(found)
    if all(spots == () for spots in found):
        return ()
    if any(not spots for spots in found):
        return None
    return tuple(spot for spots in found for spot in spots or ())


def _moved(spots: Spots | None, begin: int) -> Spots | None:
    return None if spots is None else tuple(spot + begin for spot in spots)


def _only(factors: Sequence[Spots | None]) -> Spots | None:
    """What stands on the entries of a product: at most one factor may have the atom."""
    some = [spots for spots in factors if spots != ()]
    if not some:
        return ()
    return some[0] if len(some) == 1 else None
