"""Labelled strided views: the parts of a tensor in which one atom is a dimension of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NoReturn

import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.patterns import Axis, Interleave, Leaf, Product, Sum, print_axes
from symcheck.weights.sizes import Occurrence, leaves, split

_TAKEN = Leaf("")  # a dimension that already has its place


@dataclass(frozen=True)
class _Opened:
    """A view with one pattern for each dimension, and the axis of the tensor from which the dimension comes."""

    view: Tensor
    nodes: tuple[Axis, ...]
    home: tuple[int, ...]


@dataclass(frozen=True)
class Pattern:
    """A tensor's name, its axes and the sizes of the atoms; `name` and `axes` are quoted in errors."""

    name: str
    axes: tuple[Axis, ...]
    sizes: Mapping[str, int]

    def views(self, tensor: Tensor, where: Occurrence | None, over: tuple[str, ...]) -> list[Tensor]:
        """Views of shape (*over, n, *rest) that cover the atom at `where`; without it, of shape (*over, *rest).

        An atom of `over` is looked for in the same axis first, then in the others; where it stands in several
        segments of a concatenation there is one view for each. Writing to a contiguous `tensor` goes through them.
        Raises LoadError when the sizes do not fit, or when an atom of `over` is missing or stands in two places.
        """
        start = _Opened(tensor, self.axes, tuple(range(len(self.axes))))
        dims: tuple[int, ...] = ()
        if where is not None:
            start, dim = self._open(start, where.axis, where.path)
            dims = (dim,)
        return [
            opened.view.movedim((*found[len(dims) :], *found[: len(dims)]), tuple(range(len(found))))
            for opened, found in self._place(start, dims, over, where)
        ]

    def _place(
        self, opened: _Opened, dims: tuple[int, ...], over: tuple[str, ...], where: Occurrence | None
    ) -> Iterator[tuple[_Opened, tuple[int, ...]]]:
        """Open the atoms of `over` one after the other; `dims` are the dimensions found so far."""
        if not over:
            yield opened, dims
            return
        ways = self._ways(opened, over[0], where)
        covered = 0
        for dim, path in ways:
            found, at = self._open(opened, dim, path)
            covered += found.view.numel()
            moved = tuple(d if d < dim else d + found.view.dim() - opened.view.dim() for d in dims)
            yield from self._place(found, (*moved, at), over[1:], where)
        if covered != opened.view.numel():
            self._fail(f"has a part without '{over[0]}', over which there is one copy each")

    def _ways(self, opened: _Opened, atom: str, where: Occurrence | None) -> list[tuple[int, tuple[int, ...]]]:
        """Where the atom stands, (dimension, path): in the same axis of the tensor, or else in one other."""
        ways = [
            (dim, path)
            for dim, node in enumerate(opened.nodes)
            for leaf, path in leaves(node)
            if leaf.name == atom
        ]
        near = [way for way in ways if where is not None and opened.home[way[0]] == where.axis]
        ways = near or ways
        if not ways:
            self._fail(f"lacks '{atom}', over which there is one copy each")
        if len({dim for dim, _ in ways}) > 1 or (len(ways) > 1 and _in_product(opened.nodes[ways[0][0]])):
            self._fail(f"has '{atom}' in two places, so that the copies cannot be told apart")
        return ways

    def _open(self, opened: _Opened, dim: int, path: tuple[int, ...]) -> tuple[_Opened, int]:
        """Go down `path` in one dimension: unflatten products, narrow to a segment of a sum, take every n-th index."""
        for step in path:
            view, node = opened.view, opened.nodes[dim]
            parts = split(node, view.shape[dim], self.sizes)
            if parts is None or None in parts:
                self._fail(f"has {view.shape[dim]} entries where the pattern says '{node}'")
            sizes = [part for part in parts if part is not None]
            if isinstance(node, Product):
                nodes = (*opened.nodes[:dim], *node.factors, *opened.nodes[dim + 1 :])
                home = (*opened.home[:dim], *(opened.home[dim],) * len(sizes), *opened.home[dim + 1 :])
                opened = _Opened(torch.unflatten(view, dim, sizes), nodes, home)
                dim += step
            elif isinstance(node, Sum):
                nodes = (*opened.nodes[:dim], node.terms[step], *opened.nodes[dim + 1 :])
                opened = _Opened(view.narrow(dim, sum(sizes[:step]), sizes[step]), nodes, opened.home)
            elif isinstance(node, Interleave):
                nodes = (*opened.nodes[:dim], node.terms[step], *opened.nodes[dim + 1 :])
                turns = torch.unflatten(view, dim, (sizes[step], len(sizes)))
                opened = _Opened(turns.select(dim + 1, step), nodes, opened.home)
        return replace(opened, nodes=(*opened.nodes[:dim], _TAKEN, *opened.nodes[dim + 1 :])), dim

    def _fail(self, problem: str) -> NoReturn:
        stated = ", ".join(f"{atom} = {size}" for atom, size in self.sizes.items() if atom in _atoms(self.axes))
        raise LoadError(
            f"the tensor '{self.name}' {problem}",
            where=f"pattern '{print_axes(self.axes)}'" + (f" with {stated}" if stated else ""),
            hint="mend the pattern in [axes]; a product lists its factors from the slowest to the fastest",
        )


def _in_product(node: Axis) -> bool:
    """Whether the atoms of the node stand beside one another in every entry, not one here and another there."""
    return not isinstance(node, Sum | Interleave)


def _atoms(axes: tuple[Axis, ...]) -> set[str]:
    return {leaf.name for axis in axes for leaf, _ in leaves(axis)}
