"""Candidates for finite symmetries from the shapes of the inputs: none is believed before the audit has seen it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from torch import Tensor

from symcheck.discover.jacobian_graph import MOST, permutations
from symcheck.errors import ModelError
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.runner import Runner

Row = tuple[int, ...]
Shape = tuple[int, ...]
_FEW = 3  # inputs of one width of which every combination is flipped
_PAIRS = 12  # axes longer than this get no flips of two
_SIGNS = 16  # axes longer than this get no flips one by one unless they are the only axis
_MOST_SIGNS, _CHANNELS, _GRID = 64, 8, 3


@dataclass(frozen=True)
class Family:
    """Signed permutations of one axis of one input; `rows` are candidates (see groups.generated) with their origins.

    `also` are the actions of other inputs whose slots move along: atoms have positions and kinds.
    """

    input: str
    axis: int
    shape: Shape
    rows: Mapping[Row, str]
    also: Mapping[str, str] = field(default_factory=dict)

    @property
    def degree(self) -> int:
        """How many slots the axis has."""
        return self.shape[self.axis]

    def signed(self, rows: list[Row]) -> bool:
        """Whether some of these rows flip signs of slots."""
        return any(q < 0 for row in rows for q in row[:-1])

    def action(self, rows: list[Row], shape: Shape, axis: int) -> str:
        """How such rows move one axis of a tensor of this shape, as claims write it."""
        if self.signed(rows):
            return f"axes({' '.join('h' if i == axis else '.' for i in range(len(shape)))})"
        return f"nodes(axis={axis})" if axis else "nodes"


def families(evaluator: Evaluator, runner: Runner) -> list[Family]:
    """The axes of every input that signed permutations may move; `runner` decides what the graph of answers shows."""
    found, tensors = [], evaluator.samples.tensors
    for name, x in tensors.items():
        shape = tuple(x.shape[1:])
        for axis in _axes(shape):
            slots = not is_image(x) or len(shape) == 2 or axis == 0  # (N, d) may as well be a set or a sequence
            rows = dict(_by_shape(x, shape, axis, slots))
            if not slots:
                continue
            along = _alongside(tensors, name) if axis == 0 else {}
            for also in ({}, along) if along else ({},):
                moved = {row: origin for row, origin in rows.items() if not also or min(row) >= 0}
                for p in _graph(evaluator, runner, name, axis, also):
                    moved.setdefault((*p, shape[axis]), "graph of answers")
                found += [Family(name, axis, shape, moved, also)] if moved else []
    return [*found, *_jointly(found)]


def _jointly(alone: list[Family]) -> Iterator[Family]:
    """Flips of the last axis of several inputs of one width at once: of every few, of many only all together."""
    alike: dict[int, list[Family]] = {}
    for family in alone:
        flips = {row: origin for row, origin in family.rows.items() if family.signed([row])}
        if flips and not family.also and family.axis == len(family.shape) - 1:
            alike.setdefault(family.degree, []).append(replace(family, rows=flips))
    for same in alike.values():
        sizes = range(2, len(same) + 1) if len(same) <= _FEW else (len(same),)
        for first, *others in itertools.chain.from_iterable(itertools.combinations(same, n) for n in sizes):
            rows = {row: origin for row, origin in first.rows.items() if all(row in other.rows for other in others)}
            also = {one.input: one.action([*rows], one.shape, one.axis) for one in others}
            if rows:
                yield replace(first, rows=rows, also=also)


def _graph(evaluator: Evaluator, runner: Runner, name: str, axis: int, also: Mapping[str, str]) -> list[Row]:
    """Automorphisms of the graph of answers; as the subject is where it cannot be run at the precision of `runner`."""
    x = evaluator.samples.tensors[name]
    if not (x.is_floating_point() and 1 < x.shape[axis + 1] <= MOST):
        return []
    try:
        return permutations(evaluator, runner, name, axis, tuple(also))
    except ModelError:
        return permutations(evaluator, evaluator.runner, name, axis, tuple(also))


def _alongside(tensors: Mapping[str, Tensor], lead: str) -> dict[str, str]:
    """Other inputs with as many slots on their first axis as the lead, which comes before all of them."""
    names = list(tensors)
    count = tensors[lead].shape[1]
    others = [n for n, x in tensors.items() if n != lead and x.dim() > 1 and x.shape[1] == count > 1]
    if any(names.index(n) < names.index(lead) for n in others):
        return {}
    return {n: "pairs" if tensors[n].dim() > 2 and tensors[n].shape[2] == count else "nodes" for n in others}


def is_image(x: Tensor) -> bool:
    """Whether the last two axes are taken for a picture: floats, both longer than three cells."""
    return x.is_floating_point() and x.dim() >= 3 and min(x.shape[-2:]) > _GRID


def planar(evaluator: Evaluator) -> list[tuple[str, str]]:
    """(group, input) of turns, mirrors and shifts of pictures, larger groups first."""
    found = []
    for name, x in evaluator.samples.tensors.items():
        if is_image(x):
            square = x.shape[-1] == x.shape[-2]
            shifts = [f"Shift({step})" for step in (1, 2, 4, 8) if step < min(x.shape[-2:])]
            found += [(g, name) for g in (*(("D4", "C4") if square else ()), "D2", "C2", "D1", *shifts)]
    return found


def exchanges(evaluator: Evaluator) -> list[tuple[str, ...]]:
    """Inputs of one shape and kind, whose places may be exchanged."""
    alike: dict[tuple[Shape, str], list[str]] = {}
    for name, x in evaluator.samples.tensors.items():
        alike.setdefault((tuple(x.shape[1:]), str(x.dtype)), []).append(name)
    return [tuple(names) for names in alike.values() if len(names) > 1]


def _axes(shape: Shape) -> Iterator[int]:
    if len(shape) == 1 and shape[0] > 0:
        yield 0
    elif len(shape) == 2:
        yield from (0, 1)
    elif len(shape) == 3 and 1 < shape[0] <= _CHANNELS:
        yield 0


def _by_shape(x: Tensor, shape: Shape, axis: int, slots: bool) -> Iterator[tuple[Row, str]]:
    """Reversal, one step, two neighbours exchanged, halves exchanged; flips of every slot and of all."""
    n = shape[axis]
    one = [*range(n)]
    if n > 1 and slots:
        yield (*one[::-1], n), "reversal"
        yield (*one[1:], 0, n), "shift by one"
        yield (1, 0, *one[2:], n), "exchange of two"
        if n % 2 == 0:
            yield (*one[n // 2 :], *one[: n // 2], n), "halves exchanged"
    last = axis == len(shape) - 1
    if x.is_floating_point() and slots and last and (n <= _SIGNS or (len(shape) == 1 and n <= _MOST_SIGNS)):
        alive = x.reshape(-1, n).any(0).tolist()  # what is zero throughout has no sign
        some = [i for i in one if alive[i]]
        yield (*(~i if alive[i] else i for i in one), n), "sign of all"
        for i in some if len(some) > 1 else ():
            yield (*one[:i], ~i, *one[i + 1 :], n), "flip of one"
        for i, j in itertools.combinations(some, 2) if 2 < n <= _PAIRS else ():
            yield (*(~k if k in (i, j) else k for k in one), n), "flip of two"
