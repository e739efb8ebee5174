"""Axes: an atom, an ordered sum of axes, a row-major product of axes, or axes of one size that take turns.

An axis of a family is another atom at every index of the axis that it stands over (the heads of q, k and v in one
fused tensor). Axes take turns over the axis that counts them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

MISFIT = "two uses cut it differently"


class Axis:
    """A node of the union-find: free (an atom), or bound to a sum, a product, turns or a family of other axes."""

    __slots__ = ("_parent", "kept", "kind", "over", "parts", "pinned", "size")

    def __init__(self, size: int, kind: str = "", parts: Sequence[Axis] = (), over: Axis | None = None):
        self.size, self.kind, self.parts, self.over = size, kind, list(parts), over
        self.pinned = ""
        self.kept = size > 1  # whether it counts as an atom
        self._parent: Axis | None = None

    def root(self) -> Axis:
        """The representative, with nested sums and products flattened and single parts replaced by themselves."""
        node = self
        while node._parent is not None:
            node = node._parent
        if node is not self:
            self._parent = node
        if node.kind in ("sum", "product", "turns"):
            node._flatten()
            if len(node.parts) == 1:
                node._become(node.parts[0])
                return node.root()
        return node

    def _flatten(self) -> None:
        if self.kind == "turns":
            _settle_turns(self)
            return
        flat: list[Axis] = []
        for part in (p.root() for p in self.parts):
            if part.kind == self.kind:
                flat.extend(p.root() for p in part.parts)
            elif part.kept or part.size != (1 if self.kind == "product" else 0):
                flat.append(part)
        self.parts = flat or [Axis(self.size)]
        if self.kind == "product":
            _unfold_families(self)

    def _become(self, other: Axis) -> None:
        other = other.root()
        if other is self:
            return
        self._parent = other
        if self.pinned:
            pin(other, self.pinned)

    def bind(self, kind: str, parts: Sequence[Axis], over: Axis | None = None) -> None:
        """Give a free axis its structure; a pinned axis pins its parts."""
        self.kind, self.parts, self.over = kind, list(parts), over
        if self.pinned:
            for part in self.parts:
                pin(part, self.pinned)

    def leaves(self) -> list[Axis]:
        """The atoms in reading order, those of a family all at once, without axes of size 1."""
        node = self.root()
        if not node.kind:
            return [node] if node.kept else []
        return [leaf for part in node.parts for leaf in part.leaves()]


def total(kind: str, parts: Sequence[Axis]) -> Axis:
    """A new axis that is the sum or the product of `parts`."""
    size = sum(p.size for p in parts) if kind == "sum" else prod(p.size for p in parts)
    return Axis(size, kind, parts)


def pin(axis: Axis, reason: str) -> None:
    """Nothing may act on any atom of this axis; the first reason stands, unless its places cannot be told at all."""
    axis = axis.root()
    if not axis.kind and (not axis.pinned or reason == MISFIT):
        axis.pinned = reason
    for part in axis.parts:
        pin(part, reason)


def _unfold_families(node: Axis) -> None:
    """In a product, `c h` with h a family over c is the sum over c of its members; in `h c` the members take turns."""
    for position, factor in enumerate(node.parts):
        if factor.kind != "family" or factor.over is None:
            continue
        over = factor.over.root()
        where = next((i for i, f in enumerate(node.parts) if f is over), None)
        if where is None:
            continue
        if where > position:
            _take_turns(node, position, where)
            return None if len(node.parts) == 1 else _unfold_families(node)
        rest = node.parts[where + 1 :]
        terms = [total("product", [f.parts[i] if _over(f, over) else f for f in rest]) for i in range(over.size)]
        node.parts = [*node.parts[:where], total("sum", terms)]
        if where == 0:
            node.kind, node.parts = "sum", terms
            node._flatten()
        return None
    return None


def _take_turns(node: Axis, first: int, where: int) -> None:
    """In a product, `h … c` with h a family over c: its members, and those of what stands between, take turns."""
    over = node.parts[where]
    if any(_over(factor, over) for factor in node.parts[where + 1 :]):
        tie(node.parts[first])
        node._flatten()
        return
    between = node.parts[first:where]
    terms = [total("product", [f.parts[i] if _over(f, over) else f for f in between]) for i in range(over.size)]
    turns = Axis(over.size * terms[0].size, "turns", terms, over)
    node.parts = [*node.parts[:first], turns.root(), *node.parts[where + 1 :]]


def _over(axis: Axis, over: Axis) -> bool:
    return axis.kind == "family" and axis.over is not None and axis.over.root() is over


def _settle_turns(node: Axis) -> None:
    """Single indices that take turns are a sum; one axis that takes turns with itself is a product."""
    node.parts = [part.root() for part in node.parts]
    if all(part.size == 1 for part in node.parts):
        node.kind, node.over = "sum", None
    elif node.over is not None and all(part is node.parts[0] for part in node.parts):
        node.kind, node.parts, node.over = "product", [node.parts[0], node.over.root()], None
        node._flatten()


def tie(family: Axis) -> None:
    """Give up a family: one member for every index."""
    from symcheck.weights.unify import Algebra

    family = family.root()
    if family.kind != "family":
        return
    members = family.parts
    family.kind, family.parts, family.over = "", [], None
    for member in members[1:]:
        Algebra(families=False).unify(members[0], member)
    family._become(members[0])


def nodes(axis: Axis) -> list[Axis]:
    """The axis and everything that it is made of."""
    node = axis.root()
    return [node, *(inner for part in node.parts for inner in nodes(part))]
