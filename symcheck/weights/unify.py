"""Unification of axes: `unify(a, b)` says that two axes carry the same action.

Two structured axes are cut to their common refinement; what has none is pinned.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod

from symcheck.weights.axes import MISFIT, Axis, nodes, pin, tie, total

EXPLODE = 64  # the largest axis that is taken apart index by index


class Misfit(Exception):
    """Two axes have no common refinement."""


class Algebra:
    """Unification with the list of all tensors' axes, which says what always stands beside what.

    Without `families` an axis has the same parts at every index of another.
    """

    def __init__(self, *, families: bool = True) -> None:
        self.tensors: list[list[Axis]] = []
        self.families = families

    def private(self, axis: Axis, over: Axis) -> bool:
        """Whether `axis` occurs only in tensors where `over` occurs too."""
        if not self.families:
            return False
        own = {id(leaf) for leaf in axis.leaves()}
        marks = {id(leaf) for leaf in over.leaves()} | {id(over.root())}
        for tensor in self.tensors:
            found = {id(leaf) for item in tensor for leaf in item.leaves()}
            held = found | {id(node) for item in tensor for node in nodes(item)}
            if own & found and not marks & held:
                return False
        return True

    def explode(self, axis: Axis, beside: Iterable[Axis]) -> list[Axis]:
        """Take a small free axis apart into its indices; atoms that stand only beside it become families over it."""
        axis = axis.root()
        if axis.kind == "sum" and all(p.size == 1 for p in axis.parts):
            return axis.parts
        if axis.kind or axis.pinned or not 1 < axis.size <= EXPLODE:
            return []
        leaves = {id(leaf): leaf for item in beside for leaf in item.leaves()}
        free = [leaf for leaf in leaves.values() if leaf is not axis and not leaf.pinned and self.private(leaf, axis)]
        axis.bind("sum", [Axis(1) for _ in range(axis.size)])
        pin(axis, "each index is used on its own")
        for leaf in free:
            leaf.bind("family", [Axis(leaf.size) for _ in range(axis.size)], over=axis)
        return axis.parts

    def split(self, axis: Axis, at: int) -> tuple[Axis, Axis]:
        """Cut an axis into its first `at` indices and the rest."""
        axis = axis.root()
        if axis.kind == "family":
            pieces = [self.split(member, at) for member in axis.parts]
            first = Axis(at, "family", [p[0] for p in pieces], axis.over)
            second = Axis(axis.size - at, "family", [p[1] for p in pieces], axis.over)
            axis.kind, axis.parts, axis.over = "sum", [first, second], None
            return first, second
        if not axis.kind:
            axis.bind("sum", [Axis(at), Axis(axis.size - at)])
        elif axis.kind == "product":
            self._split_product(axis, at)
        elif axis.kind == "turns":
            self._split_turns(axis, at)
        return self._cut_sum(axis, at)

    def _cut_sum(self, axis: Axis, at: int) -> tuple[Axis, Axis]:
        axis = axis.root()
        seen = 0
        for i, part in enumerate(axis.parts):
            if seen + part.size > at:
                if seen == at:
                    return total("sum", axis.parts[:i]), total("sum", axis.parts[i:])
                first, second = self.split(part, at - seen)
                return total("sum", [*axis.parts[:i], first]), total("sum", [second, *axis.parts[i + 1 :]])
            seen += part.size
        raise Misfit

    def _split_product(self, axis: Axis, at: int) -> None:
        first, rest = axis.parts[0], axis.parts[1:]
        width = prod(p.size for p in rest)
        if at % width:
            _break(axis, at)
            return
        if width > 1 and self.explode(first, rest):
            axis._flatten()
        if axis.kind == "product":
            head, tail = self.split(first, at // width)
            axis.kind, axis.parts = "sum", [total("product", [head, *rest]), total("product", [tail, *rest])]

    def _split_turns(self, axis: Axis, at: int) -> None:
        count, over = len(axis.parts), axis.over
        if at % count:
            _break(axis, at)
            return
        pairs = [self.split(part, at // count) for part in axis.parts]
        first = Axis(at, "turns", [pair[0] for pair in pairs], over)
        second = Axis(axis.size - at, "turns", [pair[1] for pair in pairs], over)
        axis.kind, axis.parts, axis.over = "sum", [first, second], None

    def unify(self, a: Axis, b: Axis) -> None:
        """Say that two axes carry one action; where they have no common refinement both are pinned."""
        a, b = a.root(), b.root()
        try:
            self._unify(a, b)
        except Misfit:
            pin(a, MISFIT)
            pin(b, MISFIT)

    def _unify(self, a: Axis, b: Axis) -> None:
        a, b = a.root(), b.root()
        if a is b:
            return
        if a.size != b.size:
            raise Misfit
        if not a.kind or not b.kind:
            free, other = (a, b) if not a.kind else (b, a)
            while other.kind == "family" and any(node is free for node in nodes(other)):
                tie(other)  # a family over an index that is the same for all of them
                free, other = free.root(), other.root()
            free._become(other)
            return
        if "family" in (a.kind, b.kind):
            self._unify_families(a, b)
        elif "turns" in (a.kind, b.kind):
            self._unify_turns(*((a, b) if a.kind == "turns" else (b, a)))
        elif a.kind == b.kind == "sum":
            self._unify_sums(a, b)
        elif a.kind == b.kind == "product":
            self._unify_products(list(a.parts), list(b.parts))
        else:
            self._distribute(*((a, b) if a.kind == "product" else (b, a)))
        a, b = a.root(), b.root()
        if a is not b:
            a._become(b)

    def _unify_families(self, a: Axis, b: Axis) -> None:
        if a.kind == b.kind and a.over and b.over and a.over.root() is b.over.root():
            for left, right in zip(a.parts, b.parts, strict=True):
                self._unify(left, right)
            return
        family, other = (a, b) if a.kind == "family" else (b, a)
        for member in list(family.parts):
            self._unify(member, other)

    def _unify_turns(self, turns: Axis, other: Axis) -> None:
        count = len(turns.parts)
        if other.kind == "turns":
            if len(other.parts) != count or turns.over is None or other.over is None:
                raise Misfit
            self._unify(turns.over, other.over)
            for mine, theirs in zip(turns.parts, other.parts, strict=True):
                self._unify(mine, theirs)
            return
        if other.kind == "sum":
            self.split(turns, other.parts[0].size)
            self._unify_sums(turns, other)
            return
        quotient, last = self._factor(other.parts[-1], count)
        rest = [*other.parts[:-1], quotient]
        self.explode(last, rest)
        other = total("product", [*rest, last]).root()
        if other.kind == "turns":
            self._unify_turns(turns, other)
            return
        pin(last, "each index is used on its own")
        for part in turns.parts:
            self._unify(part, total("product", rest))

    def _unify_sums(self, a: Axis, b: Axis) -> None:
        left, right = list(a.parts), list(b.parts)
        while left and right:
            x, y = left.pop(0), right.pop(0)
            if x.size < y.size:
                y, more = self.split(y, x.size)
                right.insert(0, more)
            elif y.size < x.size:
                x, more = self.split(x, y.size)
                left.insert(0, more)
            self._unify(x, y)

    def _unify_products(self, left: list[Axis], right: list[Axis]) -> None:
        while left and right:
            x, y = left.pop().root(), right.pop().root()
            if x.size == y.size:
                self._unify(x, y)
                continue
            if x.size > y.size:
                left, right, x, y = right, left, y, x
            tail = self._tail(left, x, y.size) if y.kind in ("sum", "turns") else 0
            if tail:
                whole = total("product", [*left[len(left) - tail :], x])
                del left[len(left) - tail :]
                self._unify(y, whole)
                continue
            quotient, last = self._factor(y, x.size)
            self._unify(last, x)
            right.append(quotient)

    @staticmethod
    def _tail(factors: list[Axis], last: Axis, size: int) -> int:
        """How many of the last factors make `size` together with `last`; 0 when none do."""
        width = last.size
        for count, factor in enumerate(reversed(factors), start=1):
            width *= factor.size
            if width >= size:
                return count if width == size else 0
        return 0

    def _factor(self, axis: Axis, width: int) -> tuple[Axis, Axis]:
        """Write an axis as quotient × `width`."""
        axis = axis.root()
        if axis.size % width:
            raise Misfit
        if axis.size == width:
            return Axis(1), axis
        if axis.kind == "product":
            quotient, last = self._factor(axis.parts[-1], width)
            return total("product", [*axis.parts[:-1], quotient]), last
        if axis.kind == "sum":
            pieces = [self._factor(part, width) for part in axis.parts]
            for _, last in pieces[1:]:
                self._unify(pieces[0][1], last)
            return total("sum", [q for q, _ in pieces]), pieces[0][1]
        if axis.kind == "family":
            tie(axis)
            return self._factor(axis, width)
        if axis.kind == "turns":
            for part in axis.parts[1:]:
                self._unify(axis.parts[0], part)
            return self._factor(axis, width)
        parts = [Axis(axis.size // width), Axis(width)]
        axis.bind("product", parts)
        return parts[0], parts[1]

    def _distribute(self, product: Axis, sums: Axis) -> None:
        """(f1 + f2) × rest = f1 × rest + f2 × rest."""
        first, rest = product.parts[0], product.parts[1:]
        width = prod(p.size for p in rest)
        if any(part.size % width for part in sums.parts):
            raise Misfit
        if all(part.size == width for part in sums.parts) and self.explode(first, rest):
            product._flatten()
            if product.kind == "sum":
                self._unify_sums(product, sums)
                return
        pieces: list[Axis] = []
        remaining = first
        for part in sums.parts[:-1]:
            piece, remaining = self.split(remaining, part.size // width)
            pieces.append(piece)
        for piece, part in zip([*pieces, remaining], list(sums.parts), strict=True):
            self._unify(total("product", [piece, *rest]), part)

    def factor_groups(self, old: Sequence[Axis], new: Sequence[int]) -> list[Axis]:
        """The axes of a row-major reshape of `old` to the sizes `new`."""
        result: list[Axis] = []
        left, right = list(old), list(new)
        while left or right:
            group, sizes = ([left.pop(0)] if left else []), ([right.pop(0)] if right else [])
            have, want = prod(a.size for a in group), prod(sizes)
            while have != want or (not group and left) or (not sizes and right):
                if (have < want or not group) and left:
                    group.append(left.pop(0))
                    have = prod(a.size for a in group)
                elif right:
                    sizes.append(right.pop(0))
                    want = prod(sizes)
                else:
                    break
            if len(group) == 1 and len(sizes) == 1:
                result.append(group[0])
                continue
            axes = [Axis(size) for size in sizes]
            whole = total("product", group) if group else Axis(1)
            self.unify(total("product", axes) if axes else Axis(1), whole)
            result.extend(axes)
        return result


def _break(axis: Axis, at: int) -> None:
    """Two segments on which nothing acts, since the boundary falls inside a factor."""
    pin(axis, "a boundary falls inside a product")
    axis.kind, axis.parts, axis.over = "sum", [Axis(at), Axis(axis.size - at)], None
    pin(axis, "a boundary falls inside a product")
