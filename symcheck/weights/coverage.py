"""How much of a network the spaces of a spec act on, and how large their groups are. No torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from symcheck.errors import ConfigError
from symcheck.patterns import Axis, Interleave, Product
from symcheck.weights.checks import acted_tensors, stacked
from symcheck.weights.sizes import Occurrence, children, extent, split
from symcheck.weights.terms import parse_reference

if TYPE_CHECKING:
    from symcheck.weights.spec import Space, Spec


@dataclass(frozen=True)
class Coverage:
    """Counts over a spec; tied tensors count once.

    `parameters` entries of all tensors, buffers included; `acted` those that some space may change;
    `log10_permutations` the decimal logarithm of the number of permutations; `signs` how many independent signs
    and flips there are; `continuous` the dimension of the continuous groups, and `approximate` that of the
    approximate ones among them, which `continuous` leaves out; `spaces` how many spaces there are of each kind.
    """

    parameters: int
    acted: int
    log10_permutations: float
    signs: int
    continuous: int
    approximate: int
    spaces: Mapping[str, int]

    @property
    def share(self) -> float:
        """The acted entries as a fraction of all."""
        return self.acted / self.parameters if self.parameters else 0.0


def coverage(spec: Spec) -> Coverage:
    """Count what the spaces act on; ConfigError names a tensor whose shape neither stands nor follows."""
    shapes = {name: _shape(spec, name) for name in spec.axes}
    permutations, signs, dimensions = 0.0, 0, {False: 0, True: 0}
    for space in spec.spaces.values():
        copies = math.prod(spec.sizes.get(atom, 1) for atom in space.over)
        if space.kind == "permutation":
            permutations += copies * math.lgamma(space.size + 1) / math.log(10)
        elif space.kind in ("sign", "tree"):
            signs += copies * space.size
        else:
            dimensions[space.approximate] += copies * dimension(space)
    return Coverage(
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        acted=acted_entries(spec, shapes, spec.spaces.values()),
        log10_permutations=permutations,
        signs=signs,
        continuous=dimensions[False],
        approximate=dimensions[True],
        spaces=dict(Counter(space.kind for space in spec.spaces.values())),
    )


def dimension(space: Space) -> int:
    """The dimension of one copy of a continuous group; 0 for a discrete one."""
    n = space.size - 1 if space.fixes else space.size
    by_kind = {"scale": n, "shift": n, "general": n * n, "orthogonal": n * (n - 1) // 2, "rotation": 1}
    return by_kind.get(space.kind, 0)


def acted_entries(spec: Spec, shapes: Mapping[str, tuple[int, ...]], spaces: Iterable[Space]) -> int:
    """How many entries of tensors of these shapes the spaces may change."""
    acting: dict[str, list[Space]] = {}
    for space in spaces:
        for name in acted_tensors(spec, space):
            acting.setdefault(name, []).append(space)
    return sum(_acted(spec, name, shapes[name], acting[name]) for name in shapes if name in acting)


def _acted(spec: Spec, name: str, shape: tuple[int, ...], spaces: list[Space]) -> int:
    """The entries of one tensor that lie in the ranges of an axis on which one of these spaces acts."""
    ranges: list[list[range]] = [[] for _ in shape]
    for space in spaces:
        if space.whole or name in stacked(space):
            return math.prod(shape)
        powers = (space.exponents or {}).get(name)
        along = spec.places.get(space.on or "", {}).get(name, ())
        moving = [o for j, o in enumerate(along) if space.kind == "tree" or powers is None or powers[j]]
        for where in (*moving, *spec.places.get(space.leaves, {}).get(name, ())):
            ranges[where.axis] += _entries(spec, name, shape, where)
        for target in (parse_reference(term.to) for term in space.terms):
            if target.name == name and not shape:
                return 1
            if target.name == name:
                first = target.index[0] if target.index else slice(None)
                part = first if isinstance(first, slice) else slice(None)
                ranges[0].append(range(shape[0])[part])
    untouched = (
        length - len(set[int]().union(*found)) for length, found in zip(shape, ranges, strict=True)
    )
    return math.prod(shape) - math.prod(untouched)


def _entries(spec: Spec, name: str, shape: tuple[int, ...], where: Occurrence) -> list[range]:
    """The indices of one axis at which an atom stands: a product touches all, a sum a segment."""
    return list(_descend(spec.axes[name][where.axis], where.path, range(shape[where.axis]), spec.sizes))


def _descend(axis: Axis, path: tuple[int, ...], inside: range, sizes: Mapping[str, int]) -> Iterator[range]:
    parts = split(axis, len(inside), sizes) if path else None
    if not path or parts is None or None in parts:
        yield inside
        return
    lengths = [part for part in parts if part is not None]
    child = children(axis)[path[0]]
    if isinstance(axis, Interleave):
        yield from _descend(child, path[1:], inside[path[0] :: len(parts)], sizes)
        return
    if not isinstance(axis, Product):
        start = sum(lengths[: path[0]])
        yield from _descend(child, path[1:], inside[start : start + lengths[path[0]]], sizes)
        return
    inner = math.prod(lengths[path[0] + 1 :])
    segments = list(_descend(child, path[1:], range(lengths[path[0]]), sizes))
    if segments == [range(lengths[path[0]])]:
        yield inside
        return
    block = inner * lengths[path[0]]
    for before in range(len(inside) // block):
        for segment in segments:
            yield inside[before * block + segment.start * inner : before * block + segment.stop * inner]


def _shape(spec: Spec, name: str) -> tuple[int, ...]:
    if name in spec.shapes:
        return spec.shapes[name]
    found = [extent(axis, spec.sizes) for axis in spec.axes[name]]
    known = tuple(size for size in found if size is not None)
    if len(known) < len(found):
        raise ConfigError(
            f"the shape of '{name}' is not known", where=f"[axes] '{name}'", hint="give the spec with its [shapes]"
        )
    return known
