"""Weights of one network as inputs or outputs of another: an action along the named axes of a tensor.

`S(16): w1=axes(h .), b1=axes(h), w2=axes(. h), b2=trivial -> invariant` reorders the hidden units of the networks that
a metanetwork reads. The patterns are those of weight symmetry specs: `axes((c 9) .)`, `axes((q + q + v) d')`.

In a product every name has a factor of its own: the names of the whole claim in alphabetical order are the factors in
theirs, `S(16) x S(8): w1=axes(h .), w2=axes(k h), ...`; or every action numbers its names: `axes(k h, h=1, k=2)`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options, split_options
from symcheck.actions.grid import permute
from symcheck.actions.linear import apply_matrix
from symcheck.errors import ClaimError
from symcheck.grammar import Term
from symcheck.groups.base import Extents, Group
from symcheck.patterns import Axis, Fixed, Interleave, Leaf, Product, Sum, parse_axes, print_axes

_FACES = ("permutation", "linear")  # the first that a factor has is how it acts


@final
class Axes(Action):
    """y = x moved along every axis that has a name: y[.., p(i), ..] = x[.., i, ..] under permutations, y = M x under
    matrices M, and M^-T x where the name is primed.

    Shapes: one item of the pattern for each axis of a sample.
    """

    uses = frozenset(_FACES)
    whole = True

    def __init__(self, axes: tuple[Axis, ...], numbers: Mapping[str, int], shared: Iterable[str] = ()) -> None:
        """`numbers` are the factors of the names, counted from 1, where they are given; `shared` the claim's names."""
        self.axes, self.numbers = axes, dict(numbers)
        self.names = tuple(dict.fromkeys(leaf.name for axis in axes for leaf in _leaves(axis)))
        self.shared = tuple(sorted({*self.names, *shared}))
        given = "".join(f",{name}={number}" for name, number in numbers.items())
        self.name = f"axes({print_axes(axes)}{given})"

    def among(self, names: Iterable[str]) -> Action:
        """The same action in a claim with these names."""
        return Axes(self.axes, self.numbers, names)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """For every name the permutations (n, m) int64, or the matrices and their contragredients (n, 2, m, m)."""
        parts, factors = group.split(g), group.factors()
        return tuple(_numbers(factors[i], parts[i]) for i in self._factors(group, self.name).values())

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather or one product for every name."""
        moves = dict(zip(self.names, rep, strict=True))
        sizes = {name: part.shape[-1] for name, part in moves.items()}
        for dim in reversed(range(len(self.axes))):
            x = _moved(self.axes[dim], x, dim + 1, moves, sizes)
        return x

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The degree of a group that moves a single name: what the shape leaves for it."""
        if len(self.shared) != 1 or self.numbers or len(shape) != len(self.axes):
            return Extents()
        name = self.shared[0]
        for axis, size in zip(self.axes, shape, strict=True):
            found = [m for m in range(1, size + 1) if _fits(axis, size, {name: m})]
            if any(_leaves(axis)) and len(found) == 1:
                return Extents(degree=found[0])
        return Extents()

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless every name has a factor of the group, and the sizes of the factors fit the shape."""
        factors, numbers = group.factors(), self._factors(group, what)
        units = {name: _numbers(factors[i], factors[i].identity(1)) for name, i in numbers.items()}
        sizes = {name: part.shape[-1] for name, part in units.items()}
        fits = len(shape) == len(self.axes)
        if not fits or not all(_fits(a, n, sizes) for a, n in zip(self.axes, shape, strict=True)):
            told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
            raise ClaimError(
                f"'{self.name}' does not fit a tensor of shape {tuple(shape)}: {told}",
                where=what,
                hint="write one item an axis, without the sample axis: axes(h .), axes((h 9) .)",
            )

    def _factors(self, group: Group, what: str) -> dict[str, int]:
        """The factor of every name, counted from 0."""
        factors = group.factors()
        if not self.numbers and len(self.shared) != len(factors):
            raise ClaimError(
                f"the names {', '.join(self.shared)} cannot be matched with the factors of {group.name}",
                where=what,
                hint="one name for each factor, in alphabetical order; or give the numbers: axes(k h, h=1, k=2)",
            )
        numbers = {n: self.numbers[n] - 1 if self.numbers else self.shared.index(n) for n in self.names}
        for name, i in numbers.items():
            if not 0 <= i < len(factors) or not self.uses & factors[i].faces:
                wrong = factors[i].name if 0 <= i < len(factors) else f"factor {i + 1} of {group.name}"
                raise ClaimError(
                    f"'{name}' cannot be moved by {wrong}",
                    where=what,
                    hint="permutations, signs and matrices move axes: S(16), Sign(16), O(4), GL+(4)",
                )
        return numbers


def _numbers(factor: Group, g: Tensor) -> Tensor:
    if "permutation" in factor.faces:
        return factor.face("permutation", g)
    matrix = factor.face("linear", g).to(torch.float64)
    return torch.stack([matrix, torch.linalg.inv(matrix).mT], 1)


def _moved(axis: Axis, x: Tensor, dim: int, moves: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Tensor:
    """x moved along one axis, `dim`, of the batch."""
    if isinstance(axis, Leaf):
        part = moves[axis.name]
        if part.dim() == 2:
            return permute(x, part, dim)
        return apply_matrix(part[:, int(axis.dual)], x.movedim(dim, -1)).movedim(-1, dim)
    if isinstance(axis, Product):
        parts = _split(axis.factors, x.shape[dim], sizes, product=True)
        y = x.reshape(*x.shape[:dim], *parts, *x.shape[dim + 1 :])
        for i, factor in enumerate(axis.factors):
            y = _moved(factor, y, dim + i, moves, sizes)
        return y.reshape(x.shape)
    if isinstance(axis, Sum):
        pieces = torch.split_with_sizes(x, _split(axis.terms, x.shape[dim], sizes, product=False), dim)
        return torch.cat([_moved(t, p, dim, moves, sizes) for t, p in zip(axis.terms, pieces, strict=True)], dim)
    if isinstance(axis, Interleave):
        count = len(axis.terms)
        turns = x.reshape(*x.shape[:dim], x.shape[dim] // count, count, *x.shape[dim + 1 :]).unbind(dim + 1)
        done = [_moved(t, p, dim, moves, sizes) for t, p in zip(axis.terms, turns, strict=True)]
        return torch.stack(done, dim + 1).reshape(x.shape)
    return x


def _split(parts: Sequence[Axis], total: int, sizes: Mapping[str, int], *, product: bool) -> list[int]:
    """The sizes of the factors or segments of an axis; the one of unknown size takes what is left."""
    found = [_size(part, sizes) for part in parts]
    known = [size for size in found if size is not None]
    rest = total // max(math.prod(known), 1) if product else total - sum(known)
    return [rest if size is None else size for size in found]


def _fits(axis: Axis, total: int, sizes: Mapping[str, int]) -> bool:
    """Whether an axis of `total` entries can be built in this way."""
    parts = _parts(axis)
    if not parts:
        return _size(axis, sizes) in (None, total)
    if isinstance(axis, Interleave):
        return total % len(parts) == 0 and all(_fits(part, total // len(parts), sizes) for part in parts)
    found = _split(parts, total, sizes, product=isinstance(axis, Product))
    whole = math.prod(found) if isinstance(axis, Product) else sum(found)
    return min(found) > 0 and whole == total and all(_fits(p, n, sizes) for p, n in zip(parts, found, strict=True))


def _size(axis: Axis, sizes: Mapping[str, int]) -> int | None:
    if isinstance(axis, Leaf):
        return sizes[axis.name]
    if isinstance(axis, Fixed):
        return axis.size
    found = [_size(part, sizes) for part in _parts(axis)]
    known = [size for size in found if size is not None]
    if isinstance(axis, Interleave):
        return len(found) * known[0] if known else None
    if len(known) < len(found):
        return None
    return math.prod(known) if isinstance(axis, Product) else sum(known)


def _parts(axis: Axis) -> tuple[Axis, ...]:
    """The factors of a product, the terms of a sum or of what takes turns."""
    if isinstance(axis, Product):
        return axis.factors
    return axis.terms if isinstance(axis, Sum | Interleave) else ()


def _leaves(axis: Axis) -> list[Leaf]:
    return [axis] if isinstance(axis, Leaf) else [leaf for part in _parts(axis) for leaf in _leaves(part)]


@actions.register("axes")
def _axes(pattern: str, *options: str) -> Action:
    plain, numbers = split_options(options)
    no_options("axes", plain)
    axes = parse_axes(pattern)
    names = {leaf.name for axis in axes for leaf in _leaves(axis)}
    whole = all(value.isdigit() and int(value) for value in numbers.values())
    if not names or not whole or (numbers and numbers.keys() != names):
        raise ClaimError(
            "'axes' needs the name of an axis that moves, and a number for every name or for none",
            where=str(Term("axes", (pattern, *options))),
            hint="axes(h .), axes(k h, h=1, k=2); what does not move is 'trivial'",
        )
    return Axes(axes, {name: int(value) for name, value in numbers.items()})
