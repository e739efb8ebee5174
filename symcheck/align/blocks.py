"""Blocks: the parts of a tensor in which every atom of its pattern is a dimension of its own.

A sum of segments is one block for each segment, what takes turns one block for each turn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.patterns import Axis, Interleave, Leaf, Product, Sum, print_axes
from symcheck.weights.sizes import split
from symcheck.weights.spec import Spec


@dataclass(frozen=True)
class Cut:
    """One step from a tensor to a block: split a dimension, keep a segment of it, or every n-th index."""

    dim: int
    sizes: tuple[int, ...]
    kind: type[Axis]
    number: int = 0

    def __call__(self, view: Tensor) -> Tensor:
        """The view after the step."""
        if self.kind is Product:
            return torch.unflatten(view, self.dim, self.sizes)
        if self.kind is Sum:
            return view.narrow(self.dim, sum(self.sizes[: self.number]), self.sizes[self.number])
        turns = torch.unflatten(view, self.dim, (self.sizes[self.number], len(self.sizes)))
        return turns.select(self.dim + 1, self.number)


@dataclass(frozen=True)
class Block:
    """Part of a tensor. `atoms` names the atom of every dimension, or nothing where it is fixed; `marks` tells which
    occurrence of the atom in the tensor's pattern it is, in reading order."""

    tensor: str
    shape: tuple[int, ...]
    atoms: tuple[str, ...]
    marks: tuple[int, ...]
    cuts: tuple[Cut, ...]

    def view(self, tensor: Tensor) -> Tensor:
        """The block of the tensor, which it shares memory with."""
        for cut in self.cuts:
            tensor = cut(tensor)
        return tensor


@dataclass(frozen=True)
class _Open:
    shape: tuple[int, ...]
    nodes: tuple[Axis, ...]
    at: tuple[tuple[int, tuple[int, ...]], ...]  # of every dimension the axis, and the way down in its pattern
    cuts: tuple[Cut, ...] = ()


def blocks_of(spec: Spec, name: str, shape: tuple[int, ...], sizes: Mapping[str, int]) -> list[Block]:
    """The blocks of a tensor of this shape; they cover it and do not overlap.

    Raises LoadError when the sizes of the atoms do not fit the shape.
    """
    axes = spec.axes[name]
    order = {(w.axis, w.path): j for found in spec.places.values() for j, w in enumerate(found.get(name, ()))}
    start = _Open(shape, axes, tuple((i, ()) for i in range(len(axes))))
    return [
        Block(
            name, opened.shape, tuple(node.name if isinstance(node, Leaf) else "" for node in opened.nodes),
            tuple(order.get(at, 0) for at in opened.at), opened.cuts,
        )
        for opened in _opened(start, name, sizes)
    ]  # fmt: skip


def _opened(start: _Open, name: str, sizes: Mapping[str, int]) -> Iterator[_Open]:
    """Every way to go down until all dimensions are atoms or fixed."""
    dim = next((i for i, node in enumerate(start.nodes) if isinstance(node, Product | Sum | Interleave)), None)
    if dim is None:
        yield start
        return
    node = start.nodes[dim]
    parts = split(node, start.shape[dim], sizes)
    if parts is None or None in parts:
        raise LoadError(
            f"the tensor '{name}' has {start.shape[dim]} entries where the pattern says '{node}'",
            where=f"pattern '{print_axes(start.nodes)}'",
            hint="mend the pattern in [axes], or state the sizes of its atoms",
        )
    known = tuple(part for part in parts if part is not None)
    if isinstance(node, Product):
        ways = tuple((start.at[dim][0], (*start.at[dim][1], k)) for k in range(len(known)))
        yield from _opened(_replaced(start, dim, known, node.factors, ways, Cut(dim, known, Product)), name, sizes)
        return
    terms = node.terms if isinstance(node, Sum | Interleave) else ()
    for k, term in enumerate(terms):
        at = ((start.at[dim][0], (*start.at[dim][1], k)),)
        cut = Cut(dim, known, type(node), k)
        yield from _opened(_replaced(start, dim, (known[k],), (term,), at, cut), name, sizes)


def _replaced(
    start: _Open,
    dim: int,
    shape: tuple[int, ...],
    nodes: tuple[Axis, ...],
    at: tuple[tuple[int, tuple[int, ...]], ...],
    cut: Cut,
) -> _Open:
    """One dimension replaced by others."""
    return replace(
        start,
        shape=(*start.shape[:dim], *shape, *start.shape[dim + 1 :]),
        nodes=(*start.nodes[:dim], *nodes, *start.nodes[dim + 1 :]),
        at=(*start.at[:dim], *at, *start.at[dim + 1 :]),
        cuts=(*start.cuts, cut),
    )


