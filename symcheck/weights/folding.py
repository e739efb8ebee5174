"""Spaces as rows of a table that stays readable: equal spaces of numbered layers are one row. No torch."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

from symcheck.weights.checks import acted_tensors
from symcheck.weights.spec import Space, Spec

_NUMBER = re.compile(r"(\d+|\*)")
_MANY = 40  # rows from which on sizes are folded too


@dataclass(frozen=True)
class Row:
    """Spaces that are alike: a name for all of them, and where they act, with `*` for the numbers that differ."""

    name: str
    spaces: tuple[Space, ...]
    where: tuple[str, ...]


def rows(spec: Spec, *, folded: bool = True) -> list[Row]:
    """The spaces of a spec, row by row, in their order.

    Spaces are alike when they have one kind, size and number of copies and act on tensors whose names differ in
    numbers only: `h.*.mlp.c_fc.{weight,bias}`; where there are very many, sizes and copies may differ.
    Not `folded`: one row a space.
    """
    if not folded:
        return [_row(spec, [space]) for space in spec.spaces.values()]
    kinds = {name: _likeness(spec, space) for name, space in spec.spaces.items()}
    if len({*kinds.values()}) > _MANY:
        kinds = {name: (kind, (), *rest) for name, (kind, _, *rest) in kinds.items()}
    groups: dict[tuple[object, ...], list[Space]] = {}
    for name, space in spec.spaces.items():
        groups.setdefault(kinds[name], []).append(space)
    return [_row(spec, spaces) for spaces in groups.values()]


def copies(spec: Spec, space: Space) -> int:
    """How many independent copies of its group a space has."""
    return math.prod(spec.sizes.get(atom, 1) for atom in space.over)


def abbreviated(tensors: Sequence[str]) -> tuple[str, ...]:
    """Names of tensors, those of numbered layers as one, those of one module in braces."""
    groups: dict[object, list[str]] = {}
    for name in tensors:
        layers = _layers(name)
        groups.setdefault((_template(layers), name[len(layers) :]), []).append(name)
    short = map(_starred, groups.values())
    modules: dict[str, list[str]] = {}
    for name in dict.fromkeys(short):
        module, _, own = name.rpartition(".")
        modules.setdefault(module, []).append(own)
    return tuple(_braced(module, own) for module, own in modules.items())


def _likeness(spec: Spec, space: Space) -> tuple[object, ...]:
    tensors = tuple(map(_template, acted_tensors(spec, space)))
    return space.kind, (space.size, copies(spec, space)), space.approximate, tensors


def _row(spec: Spec, spaces: list[Space]) -> Row:
    lists = [tuple(acted_tensors(spec, space)) for space in spaces]
    tensors = [_starred(names) for names in zip(*lists, strict=True)]
    return Row(_common([space.name for space in spaces]), tuple(spaces), abbreviated(tensors))


def _template(name: str) -> str:
    return _NUMBER.sub("*", name)


def _starred(names: Sequence[str]) -> str:
    """One name for names of one template: the numbers that all share stay, the others are `*`."""
    pieces = zip(*map(_NUMBER.split, names), strict=True)
    return "".join(same[0] if len(set(same)) == 1 else "*" for same in pieces)


def _layers(name: str) -> str:
    """The name without the module that holds the tensor itself: numbers in it are those of layers."""
    return name.rpartition(".")[0].rpartition(".")[0]


def _common(names: Sequence[str]) -> str:
    """`qkv_*_b` of qkv_0_b and qkv_1_b: what the names begin and end with."""
    if len(set(map(_template, names))) == 1:
        return _starred(names)
    start = _shared(names)
    end = _shared([name[len(start) :][::-1] for name in names])[::-1]
    return f"{start}*{end}"


def _shared(words: Sequence[str]) -> str:
    """What all words begin with."""
    return "".join(same[0] for same in takewhile(lambda same: len(set(same)) == 1, zip(*words, strict=False)))


def _braced(module: str, own: Sequence[str]) -> str:
    inside = own[0] if len(own) == 1 else f"{{{','.join(own)}}}"
    return f"{module}.{inside}" if module else inside
