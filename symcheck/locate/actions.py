"""How the group acts inside a network: the candidates for one hidden tensor, each a reading of its axes.

The batch axis of a hidden tensor is the one as long as the batch, or a multiple of it (windows, heads). A reading
brings the tensor to rows (n, *S), lets the action of one factor of the group move them, and brings them back.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.actions.base import Action, Bound, Rep, gather, move
from symcheck.actions.plain import make_actions
from symcheck.claim import BoundClaim
from symcheck.errors import ClaimError, SymcheckError
from symcheck.grammar import Slot, parse_claim
from symcheck.groups.base import Group
from symcheck.locate.between import Between
from symcheck.locate.view import View

_MOST = 96  # candidates of one tensor
POWERS = ("-2", "-1", "0.5", "2", "3")


@dataclass(frozen=True)
class Part:
    """The action of one factor of the group (-1: of the whole group) on one reading of the axes."""

    text: str
    bound: Bound
    view: View
    factor: int = -1

    def __call__(self, reps: tuple[Rep, ...], x: Tensor) -> Tensor:
        """g·x for rows (n, *S), one element per row."""
        return self.view.through(x, lambda y: self.bound.act(reps, y))


@dataclass(frozen=True)
class Hidden:
    """A candidate: one part for each factor that moves the tensor; none of them where it is invariant.

    `axis` is the batch axis, `fold` how many rows of it belong to one pair.
    """

    parts: tuple[Part, ...]
    axis: int = 0
    fold: int = 1
    source: str = "found"  # declared, found, inherited, near, assumed, fitted
    maps: Tensor | None = None  # (K, C, C): a fitted map of the channels for each element, along the axis `channel`
    channel: int = -1

    @property
    def text(self) -> str:
        """The action in words: `image`, `vector on axis 1`, `invariant`."""
        fitted = [] if self.maps is None else [f"a map of {self.maps.shape[-1]} channels"]
        return " * ".join([*(part.text for part in self.parts), *fitted]) or "invariant"

    @property
    def places(self) -> bool:
        """Whether whole entries change places (pixels, nodes, steps), and no components turn."""
        kinds = {part.text.partition(" ")[0].partition("(")[0] for part in self.parts}
        return bool(kinds) and kinds <= {"image", "shift", "sequence", "nodes", "set", "pairs", "labels"}

    def __call__(self, group: Group, g: Tensor, index: Tensor, x: Tensor) -> Tensor:
        """g·x: row i of the batch (the rows of pair i, where it is folded) is moved by element g[index[i]]."""
        if self.maps is not None:
            plain = replace(self, maps=None)(group, g, index, x).movedim(self.channel, -1)
            maps = self.maps.to(plain)[index]
            return torch.einsum("p...c,pdc->p...d", plain, maps).movedim(-1, self.channel)
        if not self.parts:
            return x
        rows, pieces = x.movedim(self.axis, 0), (*group.split(g), g)
        whole = rows.reshape(len(index), -1, *rows.shape[1:]) if self.fold > 1 else rows
        reps = [move(part.bound.represent(pieces[part.factor]), x.device, _wide(x)) for part in self.parts]
        dense = any(t.is_floating_point() for one in reps for rep in one for t in rep)
        if dense and not (x.is_floating_point() or x.is_complex()):
            raise ClaimError(f"'{self.text}' turns components, and '{x.dtype}' has none", hint="use image or nodes")
        y = whole.to(_wide(x)) if dense and x.is_floating_point() else whole
        for part, rep in zip(self.parts, reps, strict=True):
            y = part(gather(rep, index), y)
        return y.reshape(rows.shape).movedim(0, self.axis).to(x.dtype)


def batch_axis(shape: Sequence[int], pairs: int) -> tuple[int, int] | None:
    """The batch axis of a hidden tensor and how many of its rows belong to one pair; None where there is none."""
    if shape and shape[0] and shape[0] % pairs == 0 and pairs not in shape[1:]:
        return 0, shape[0] // pairs
    return next(((axis, 1) for axis, size in enumerate(shape) if size == pairs), None)


def candidates(
    bound: BoundClaim, shape: Sequence[int], pairs: int, texts: Collection[str], said: Sequence[str] = ()
) -> Iterator[Hidden]:
    """The readings of a hidden tensor of this shape, the likely ones first.

    `texts` are those of what it is made of, `said` what modules declare of themselves.
    """
    place = batch_axis(shape, pairs)
    if place is None:
        return
    axis, fold = place
    sample = tuple(size for i, size in enumerate(shape) if i != axis)
    sample = (fold, *sample) if fold > 1 else sample
    pieces = {piece for text in texts for piece in text.split(" * ")}
    options = [
        [None, *_parts(bound, place, sample, fold > 1, said, pieces)] for place, _ in enumerate(bound.group.factors())
    ]

    def rank(parts: tuple[Part | None, ...]) -> tuple[int, int]:
        """Inherited ones first, then the invariant, then by how they are listed."""
        named = [part.text for part in parts if part is not None]
        return (0 if named and all(text in pieces for text in named) else 1 if not named else 2, 0)

    combined = itertools.islice(itertools.product(*options), 8 * _MOST)
    seen: set[str] = set()
    for parts in sorted(combined, key=rank)[:_MOST]:
        hidden = Hidden(tuple(part for part in parts if part is not None), axis, fold)
        if hidden.text not in seen:
            seen.add(hidden.text)
            yield hidden


def declared(bound: BoundClaim, text: str, shape: Sequence[int], pairs: int) -> Hidden | None:
    """The action that the user declares for a tensor of this shape; None where it does not fit."""
    place = batch_axis(shape, pairs)
    if place is None:
        return None
    axis, fold = place
    sample = tuple(size for i, size in enumerate(shape) if i != axis)
    whole = _bound(text, bound.group, (fold, *sample) if fold > 1 else sample)
    return None if whole is None else Hidden((Part(text, whole, View()),), axis, fold, "declared")


def _parts(
    bound: BoundClaim, place: int, sample: tuple[int, ...], folded: bool, said: Sequence[str], pieces: Collection[str]
) -> Iterator[Part]:
    """Every reading under one factor of the group."""
    group = bound.group.factors()[place]
    declared = [text for text in (*pieces, *said) if " on " not in text and text.startswith("irreps(")]
    for text, view in itertools.chain(
        ((named(text, group), View()) for text in (*_said(bound), *declared)),
        _linear(group, sample),
        _slots(group, sample),
        _grids(group, sample, folded),
    ):
        shape = view.shape(sample)
        part = None if shape is None else _bound(text.partition(" on ")[0], group, shape)
        if part is not None and part.parts:
            yield Part(text, part, view, place)


def _said(bound: BoundClaim) -> list[str]:
    """The actions that the claim names."""
    tree = bound.claim.tree
    return [str(term) for slot in (*tree.inputs, *tree.outputs) for term in slot.terms]


def named(text: str, group: Group) -> str:
    """An action in words: points are vectors where nothing translates."""
    return text if "translation" in group.faces else re.sub(r"\bpoints\b", "vector", text)


def irreps_of(module: nn.Module | None) -> dict[str, None]:
    """What e3nn modules say of what they read and return, in order."""
    found: dict[str, None] = {}
    for part in module.modules() if module is not None else ():
        for name in ("irreps_out", "irreps_in", "irreps_in1", "irreps_in2"):
            said = str(getattr(part, name, "") or "").replace(" ", "")
            if re.fullmatch(r"\d+x\d+[eo](\+\d+x\d+[eo])*", said):
                found[f"irreps({said})"] = None
                found |= {f"irreps(1x{one.partition('x')[2]})": None for one in said.split("+")}  # on their own axis
    return found


def _linear(group: Group, sample: tuple[int, ...]) -> Iterator[tuple[str, View]]:
    """Vectors along any axis of the group's dimension, or in blocks along one; tensors along two."""
    if "factor" in group.faces:
        yield from (("vector", View()), *((f"homogeneous({power})", View()) for power in POWERS))
    if "linear" not in group.faces:
        return
    d = int(group.face("linear", group.identity(1)).shape[-1])
    kinds = ("vector", "pseudovector") if group.has_improper else ("vector",)
    places = [axis for axis, size in enumerate(sample) if size == d]
    for axis in reversed(places):
        name = "" if axis == len(sample) - 1 else f" on axis {axis + 1}"
        yield from ((kind + name, _last(sample, axis)) for kind in kinds)
        if "translation" in group.faces:
            yield "points" + name, _last(sample, axis)
    for first, second in itertools.combinations(places, 2):
        rest = [axis for axis in range(len(sample)) if axis not in (first, second)]
        name = "" if rest == [*range(len(sample) - 2)] else f" on axes {first + 1} and {second + 1}"
        yield "tensor(ij)" + name, View(sample, (*rest, first, second))
    if group.has_improper:
        yield "pseudoscalar", View()
    for axis, size in enumerate(sample):
        if size > d and size % d == 0 and axis == len(sample) - 1:
            head, tail = sample[:axis], sample[axis + 1 :]
            n = len(head)
            blocks = (*head, size // d, d, *tail)
            yield f"vector on blocks of {d}", View(blocks, tuple(range(len(blocks))))
            strided = (*head, d, size // d, *tail)
            order = tuple(i for i in range(len(strided)) if i != n)
            yield f"vector on {d} blocks", View(strided, (*order, n))


def _slots(group: Group, sample: tuple[int, ...]) -> Iterator[tuple[str, View]]:
    """Nodes along any axis as long as the permutations, pairs along two; the group itself along one of its order."""
    if "permutation" in group.faces:
        degree = int(group.face("permutation", group.identity(1)).shape[-1])
        places = [axis for axis, size in enumerate(sample) if size == degree]
        for first, second in itertools.combinations(places, 2):
            rest = [axis for axis in range(len(sample)) if axis not in (first, second)]
            name = "" if (first, second) == (0, 1) else f" on axes {first + 1} and {second + 1}"
            yield "pairs" + name, View(sample, (first, second, *rest))
        for axis in places:
            rest = [other for other in range(len(sample)) if other != axis]
            yield "nodes" + ("" if axis == 0 else f" on axis {axis + 1}"), View(sample, (axis, *rest))
    if "regular" in group.faces and group.order is not None:
        for axis, size in enumerate(sample):
            if size == group.order:
                yield "regular" + ("" if axis == len(sample) - 1 else f" on axis {axis + 1}"), _last(sample, axis)


def _grids(group: Group, sample: tuple[int, ...], folded: bool) -> Iterator[tuple[str, View]]:
    """Images with channels first or last, tokens of a square grid with or without a class token, windows."""
    if not {"linear", "shift", "translation"} & group.faces:
        return
    n = len(sample)
    if n >= 2:
        yield "image", View()
        if group.order is not None and n >= 3 and sample[0] % group.order == 0 and "regular" in group.faces:
            yield "image(fiber=regular)", View()
    if n >= 3:
        yield "image on axes 1 and 2", View(sample, (*range(2, n), 0, 1))
    side = math.isqrt(sample[0]) if sample else 0
    for axis, apart in itertools.product(range(min(n - 1, 2)), (0, 1)):  # tokens first, or after the heads
        root = math.isqrt(max(sample[axis] - apart, 0))
        if root > 1 and root * root == sample[axis] - apart:
            first = (*sample[:axis], root, root, *sample[axis + 1 :])
            rest = (i for i in range(len(first)) if i not in (axis, axis + 1))
            name = f"image on {root} x {root} tokens" + (", the first apart" if apart else "")
            name += f" of axis {axis + 1}" if axis else ""
            yield name, View(first, (*rest, axis, axis + 1), (), apart, axis)
    inner = math.isqrt(sample[1]) if n >= 3 else 0
    if folded and n >= 3 and side > 1 and side * side == sample[0] and inner * inner == sample[1]:
        first = (side, side, inner, inner, *sample[2:])
        order = (*range(4, len(first)), 0, 2, 1, 3)
        yield f"image on {side} x {side} windows", View(first, order, (*sample[2:], side * inner, side * inner))
    if "shift" in group.faces:
        for axis in range(n):
            yield "shift" + ("" if axis == n - 1 else f" on axis {axis + 1}"), _last(sample, axis)
        yield Between.name, View()
    if _turns_in_half(group):
        for axis in range(n):
            yield f"sequence on axis {axis + 1}", View(sample, (axis, *(i for i in range(n) if i != axis)))


def _turns_in_half(group: Group) -> bool:
    return group.order == 2 and "linear" in group.faces


def _last(sample: tuple[int, ...], axis: int) -> View:
    if axis == len(sample) - 1:
        return View()
    return View(sample, (*(i for i in range(len(sample)) if i != axis), axis))


def _bound(text: str, group: Group, shape: tuple[int, ...]) -> Bound | None:
    """The actions of a text, bound to the group and checked against the shape; None where they do not fit."""
    try:
        bound = Bound((Between(),) if text == Between.name else _actions(text), group)
        for part in bound.parts:
            part.action.check(part.group, shape, text)
    except SymcheckError:
        return None
    return bound


def _actions(text: str) -> tuple[Action, ...]:
    slot: Slot = parse_claim(f"C2: {text} -> invariant").inputs[0]
    return make_actions(slot)


def _wide(x: Tensor) -> Any:
    return x.dtype if not x.is_floating_point() and not x.is_complex() else torch.promote_types(x.dtype, torch.float64)
