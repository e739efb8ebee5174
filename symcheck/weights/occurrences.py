"""Where every atom stands in every value of a solved network, and how relations carry one place to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from symcheck.weights.axes import Axis
from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Monomial, Normalise, Part, Relation, Reshape, Softmax, Value

Place = tuple[int, int, int]  # value, axis, leaf of the axis
Pair = tuple[Place, Place]


class Places:
    """The leaves of all values, read once after unification has ended."""

    def __init__(self, net: Network):
        self.net = net
        self.index = {id(value): i for i, value in enumerate(net.values)}
        self.leaves: list[list[list[int]]] = [[[id(leaf) for leaf in a.leaves()] for a in v.axes] for v in net.values]
        self.atoms: dict[int, Axis] = {id(leaf): leaf for v in net.values for a in v.axes for leaf in a.leaves()}
        self.turned: dict[int, list[Pair]] = {}
        self.relations: dict[int | None, list[Relation]] = {None: list(net.relations)}
        for relation in net.relations:
            touched = {atom for value in values(relation) for axis in self.of(value) for atom in axis}
            for atom in touched:
                self.relations.setdefault(atom, []).append(relation)

    def of(self, value: Value) -> list[list[int]]:
        """The atoms of every axis of a value, in reading order."""
        i = self.index.get(id(value))
        return self.leaves[i] if i is not None else []

    def atom(self, value: Value, atom: int) -> list[Place]:
        """The places of an atom in a value, in reading order."""
        i = self.index.get(id(value))
        if i is None:
            return []
        return [(i, a, j) for a, axis in enumerate(self.leaves[i]) for j, leaf in enumerate(axis) if leaf == atom]

    def on(self, value: Value, axis: int, atom: int, begin: int = 0, end: int | None = None) -> list[Place]:
        """The places of an atom on one axis, between two of its leaves."""
        i = self.index[id(value)]
        leaves = self.leaves[i][axis]
        return [(i, axis, j) for j in range(begin, len(leaves) if end is None else end) if leaves[j] == atom]

    def label(self, relation: Monomial, label: Label, atom: int) -> list[tuple[list[Place], Fraction | None, Value]]:
        """Who has a label: places of the atom, with the power of an operand, None for the output."""
        found: list[tuple[list[Place], Fraction | None, Value]] = []
        for axis, mine in enumerate(relation.labels):
            if mine == label and id(relation.out) in self.index:
                found.append((self.on(relation.out, axis, atom), None, relation.out))
        for value, labels, power in relation.operands:
            for axis, mine in enumerate(labels):
                if mine == label:
                    found.append((self.on(value, axis, atom), power, value))
        return found

    def labels(self, relation: Monomial, atom: int) -> list[Label]:
        """The labels whose axes hold the atom."""
        found: dict[Label, None] = {}
        rows = [(relation.out, relation.labels)] + [(v, labels) for v, labels, _ in relation.operands]
        for value, labels in rows:
            for axis, label in zip(self.of(value), labels, strict=False):
                if atom in axis:
                    found[label] = None
        return list(found)

    def carried(self, relation: Reshape | Part | Normalise, atom: int) -> Iterator[tuple[list[Place], list[Place]]]:
        """Groups of places that a relation carries one to one, in order; where their numbers differ it carries none."""
        if isinstance(relation, Reshape):
            left, right = self.atom(relation.value, atom), self.atom(relation.out, atom)
            told = self._ordered(relation.value, left) and self._ordered(relation.out, right)
            yield left, right if told else []
        elif isinstance(relation, Normalise):
            for axis in range(len(relation.value.axes)):
                yield self.on(relation.value, axis, atom), self.on(relation.out, axis, atom)
        else:
            yield from self._parts(relation, atom)

    def _parts(self, relation: Part, atom: int) -> Iterator[tuple[list[Place], list[Place]]]:
        whole, part = relation.whole, relation.part
        for axis in range(len(whole.axes)):
            if axis == relation.axis:
                if relation.keep:
                    span = _span(whole.axes[axis], relation.start, relation.start + part.shape[axis])
                    right = self.on(part, axis, atom)
                    if span is not None or right:
                        yield self.on(whole, axis, atom, *(span or (0, None))), right
                continue
            other = axis if relation.keep or axis < relation.axis else axis - 1
            left, right = self.on(whole, axis, atom), self.on(part, other, atom)
            if not relation.keep or part.shape[relation.axis] == 1:
                kept = set(_at(whole.axes[axis], whole.axes[relation.axis].root(), relation.start))
                left = [place for place in left if place[2] in kept]
            yield left, right

    def turn(self, vectors: Sequence[Pair]) -> None:
        """Note which vectors of a plane are made of which others: what stands behind the plane goes with them."""
        for made, source in vectors:
            pair = [(i, axis, leaf + 1) for i, axis, leaf in (made, source)]
            held = [self.leaves[i][axis][leaf : leaf + 1] for i, axis, leaf in pair]
            if held[0] and held[0] == held[1] and self.atoms[held[0][0]].size == 1:
                self.turned.setdefault(held[0][0], []).append((pair[0], pair[1]))

    def lost(self, relation: Part, atom: int) -> list[Place]:
        """Places of the whole that a part cuts through: it has some indices of a rotary plane and not the others."""
        whole, part, axis = relation.whole, relation.part, relation.axis
        stop = relation.start + (part.shape[axis] if relation.keep else 1)
        kept = relation.keep and (
            _span(whole.axes[axis], relation.start, stop) is not None or self.on(part, axis, atom)
        )
        return [] if kept else self.on(whole, axis, atom)

    @staticmethod
    def _ordered(value: Value, spots: list[Place]) -> bool:
        """Whether a reshape keeps the places in order; families on two axes take turns with one another."""
        spread = {axis for _, axis, _ in spots}
        return len(spread) < 2 or not any(_has_family(value.axes[axis]) for axis in spread)


def values(relation: Relation) -> list[Value]:
    """The values that a relation speaks of."""
    if isinstance(relation, Monomial):
        return [relation.out, *(value for value, _, _ in relation.operands)]
    if isinstance(relation, Part):
        return [relation.whole, relation.part]
    if isinstance(relation, Reshape | Normalise | Softmax):
        return [relation.out, relation.value]
    raise TypeError(f"{type(relation).__name__} is no relation")


def numbered(node: Axis) -> Iterator[tuple[Axis, int, int]]:
    """The parts of a node, each with the numbers of its first leaf and of the first after it."""
    begin = 0
    for part in node.parts:
        end = begin + len(part.leaves())
        yield part, begin, end
        begin = end


def _at(axis: Axis, over: Axis, index: int) -> Iterator[int]:
    """The numbers of the leaves of an axis at one index of another: of a family over that one a single member."""
    node = axis.root()
    if not node.kind:
        yield from range(len(node.leaves()))
    family = node.kind == "family" and node.over is not None and node.over.root() is over
    for k, (part, begin, _) in enumerate(numbered(node)):
        if not family or k == index:
            yield from (begin + leaf for leaf in _at(part, over, index))


def _has_family(axis: Axis) -> bool:
    node = axis.root()
    return node.kind in ("family", "turns") or any(_has_family(part) for part in node.parts)


def _span(axis: Axis, start: int, stop: int) -> tuple[int, int] | None:
    """Which leaves of an axis lie between two indices; None when a leaf is cut."""
    node = axis.root()
    parts: Sequence[Axis] = [p.root() for p in node.parts] if node.kind == "sum" else [node]
    seen = count = 0
    begin: int | None = None
    for part in parts:
        if seen == start:
            begin = count
        if seen == stop:
            break
        seen += part.size
        count += len(part.leaves())
    return (begin, count) if begin is not None and seen == stop else None
