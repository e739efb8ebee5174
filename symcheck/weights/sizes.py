"""The sizes of atoms: stated by spaces, or inferred where a pattern meets a shape. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symcheck.errors import ConfigError, LoadError
from symcheck.patterns import Axis, Fixed, Interleave, Leaf, Product, Sum, print_axes

if TYPE_CHECKING:
    from symcheck.weights.spec import Space, Spec


@dataclass(frozen=True)
class Occurrence:
    """Where an atom stands in a pattern: the axis, the children chosen on the way down, and its prime."""

    axis: int
    path: tuple[int, ...]
    dual: bool = False


def children(axis: Axis) -> tuple[Axis, ...]:
    """The factors of a product, the terms of a sum or of what takes turns."""
    if isinstance(axis, Product):
        return axis.factors
    return axis.terms if isinstance(axis, Sum | Interleave) else ()


def leaves(axis: Axis, path: tuple[int, ...] = ()) -> Iterator[tuple[Leaf, tuple[int, ...]]]:
    """Every atom of an axis in reading order, with the way down to it."""
    if isinstance(axis, Leaf):
        yield axis, path
    for i, child in enumerate(children(axis)):
        yield from leaves(child, (*path, i))


def occurrences(axes: tuple[Axis, ...]) -> dict[str, tuple[Occurrence, ...]]:
    """Where each atom of a pattern stands, in reading order."""
    found: dict[str, tuple[Occurrence, ...]] = {}
    for i, axis in enumerate(axes):
        for leaf, path in leaves(axis):
            found[leaf.name] = (*found.get(leaf.name, ()), Occurrence(i, path, leaf.dual))
    return found


def extent(axis: Axis, sizes: Mapping[str, int]) -> int | None:
    """The size of an axis, or None where it does not follow from the sizes of the atoms."""
    if isinstance(axis, Leaf):
        return sizes.get(axis.name)
    if isinstance(axis, Fixed):
        return axis.size
    parts = [extent(child, sizes) for child in children(axis)]
    known = [part for part in parts if part is not None]
    if isinstance(axis, Interleave):
        return known[0] * len(parts) if known else None
    if len(known) < len(parts):
        return None
    return math.prod(known) if isinstance(axis, Product) else sum(known)


def split(axis: Axis, total: int, sizes: Mapping[str, int]) -> tuple[int | None, ...] | None:
    """The sizes of the children of an axis with `total` entries, at most one inferred; None when they do not fit."""
    parts = [extent(child, sizes) for child in children(axis)]
    known = [part for part in parts if part is not None]
    if isinstance(axis, Interleave):
        each, rest = divmod(total, len(parts))
        return None if rest or {*known} - {each} else (each,) * len(parts)
    if len(parts) - len(known) > 1:
        return tuple(parts)
    if len(known) == len(parts):
        whole = math.prod(known) if isinstance(axis, Product) else sum(known)
        return tuple(known) if whole == total else None
    if isinstance(axis, Product):
        rest, over = divmod(total, math.prod(known))
    else:
        rest, over = total - sum(known), 0
    if over or rest < 1:
        return None
    return tuple(rest if part is None else part for part in parts)


def learn(axis: Axis, total: int, sizes: dict[str, int]) -> bool:
    """Whether an axis can have `total` entries; the sizes of atoms that follow are added to `sizes`."""
    if isinstance(axis, Leaf):
        return sizes.setdefault(axis.name, total) == total
    if isinstance(axis, Fixed):
        return axis.size in (None, total)
    parts = split(axis, total, sizes)
    if parts is None:
        return False
    pairs = zip(children(axis), parts, strict=True)
    return all(learn(child, part, sizes) for child, part in pairs if part is not None)


def misfits(
    axes: Mapping[str, tuple[Axis, ...]], shapes: Mapping[str, tuple[int, ...]], sizes: dict[str, int]
) -> list[str]:
    """What does not fit between patterns and shapes, a sentence each; `sizes` gains what can be inferred."""
    known = -1
    found: list[str] = []
    while known < len(sizes):
        known = len(sizes)
        found = [text for name in axes if name in shapes for text in _misfit(name, axes[name], shapes[name], sizes)]
    return found


def _misfit(name: str, axes: tuple[Axis, ...], shape: tuple[int, ...], sizes: dict[str, int]) -> Iterator[str]:
    what = f"'{name}' of shape {tuple(shape)} is no '{print_axes(axes)}'"
    if len(shape) != len(axes):
        yield f"{what}: {len(shape)} axes, not {len(axes)}"
        return
    for i, (axis, total) in enumerate(zip(axes, shape, strict=True)):
        if not learn(axis, total, sizes):
            named = dict.fromkeys(leaf.name for leaf, _ in leaves(axis))
            stated = ", ".join(f"{atom} = {sizes[atom]}" for atom in named if atom in sizes)
            yield f"{what}: axis {i} has {total} entries" + (f", with {stated}" if stated else "")


def fitted(spec: Spec, shapes: Mapping[str, tuple[int, ...]], where: str) -> dict[str, int]:
    """The sizes of all atoms for tensors of these shapes; LoadError lists the tensors that do not fit."""
    sizes = dict(spec.sizes)
    if problems := misfits(spec.axes, shapes, sizes):
        more = f" (and {len(problems) - 8} more)" if len(problems) > 8 else ""
        raise LoadError(
            "the tensors do not fit the spec: " + "; ".join(problems[:8]) + more,
            where=where,
            hint="give the checkpoint for which the spec was made, or derive the spec anew",
        )
    return sizes


def stated_sizes(spec: Spec) -> dict[str, int]:
    """The sizes that the spec states itself; ConfigError when two parts of it disagree."""
    sizes = dict(spec.atoms)
    for space in spec.spaces.values():
        for atom, size in _stated(space):
            if sizes.setdefault(atom, size) != size:
                raise ConfigError(
                    f"the atom '{atom}' has the sizes {sizes[atom]} and {size}",
                    where=f"space '{space.name}'",
                    hint="one atom has one size; give another name to the other one",
                )
    if problems := misfits(spec.axes, spec.shapes, sizes):
        raise ConfigError(
            "the spec contradicts itself: " + "; ".join(problems[:8]),
            where="[axes] and [shapes]",
            hint="mend the pattern, the shape or the size of the atom",
        )
    return sizes


def _stated(space: Space) -> Iterator[tuple[str, int]]:
    if space.on is not None:
        yield space.on, space.size
    if space.leaves:
        yield space.leaves, space.size + 1
