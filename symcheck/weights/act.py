"""An element of a spec acts on tensors: θ ↦ g·θ, space after space, each tensor on its own.

The spaces act in the order of `spec.KINDS`, within a kind the deeper `over` first, then as the spec lists them; those
that move whole tensors come last.
A permutation p sends slot i to slot p(i). Terms and gains read the tensors as they are just before their space.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import final

import torch
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights.additive import term_value
from symcheck.weights.checks import acted_tensors, stacked, targets
from symcheck.weights.element import check_element
from symcheck.weights.element import inverse as inverted
from symcheck.weights.operate import contragredient, move, multiply, powered, rotations, transform, tree_slots
from symcheck.weights.sizes import Occurrence, fitted
from symcheck.weights.spec import KINDS, MATRICES, Space, Spec
from symcheck.weights.terms import parse_reference
from symcheck.weights.views import Pattern

_SMALL = 2**20  # entries; smaller values that terms and gains read are kept
_MOVING = ("permutation", "tree")


@dataclass(frozen=True)
class Step:
    """One space and its part of an element, ready to act: slots, factors, matrices, or what its terms add.

    `other` holds the contragredient of matrices, and the signs that a tree's nodes have where they arrive; `comes`
    the tensors that take the place of others, whole.
    """

    space: Space
    part: Tensor
    other: Tensor
    adds: bool = False
    comes: Mapping[str, str] = field(default_factory=dict)


def apply(
    spec: Spec, element: Mapping[str, Tensor], state: Mapping[str, Tensor], *, inverse: bool = False
) -> dict[str, Tensor]:
    """The state dict g·θ, or g^-1·θ, in the dtypes of θ.

    What nothing acts on is passed on as it is, whether the spec names it or not; all else is new. A matrix
    multiplies float32 in float64; float16, bfloat16 and narrower act in float32 and are rounded once, at the end.
    Raises LoadError listing the tensors of the spec that are missing or do not fit their pattern.
    """
    sizes = check_fit(spec, {name: tuple(x.shape) for name, x in state.items()}, "the state dict")
    sources = {spec.ties.get(name, name): name for name in state} | {name: name for name in state if name in spec.axes}
    actor = Actor(spec, element, sizes, lambda key: state[sources[key]], inverse=inverse)
    moved = dict(state)
    for key, name in sources.items():
        if actor.changes(key):
            moved[name] = actor.result(key)
    for name in state.keys() & spec.ties.keys() - set(sources.values()):
        key = spec.ties[name]
        one = state[name].data_ptr() == state[sources[key]].data_ptr()
        if actor.changes(key):
            moved[name] = moved[sources[key]] if one else actor.result(key, state[name])
    return moved


def check_fit(spec: Spec, shapes: Mapping[str, tuple[int, ...]], where: str) -> dict[str, int]:
    """The sizes of the atoms for tensors of these shapes; LoadError lists what is missing or does not fit."""
    named = {spec.ties.get(name, name) for name in shapes}
    if missing := [name for name in spec.axes if name not in named]:
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        raise LoadError(
            f"the spec names {len(missing)} tensors that are missing: {', '.join(missing[:8])}{more}",
            where=where,
            hint="give the checkpoint for which the spec was made, or derive the spec anew",
        )
    for name, shape in shapes.items():
        key = spec.ties.get(name, name)
        if key in spec.shapes and spec.shapes[key] != tuple(shape):
            raise LoadError(
                f"'{name}' has the shape {tuple(shape)}; the spec is for {spec.shapes[key]}",
                where=where,
                hint="give the checkpoint for which the spec was made, or derive the spec anew",
            )
    return fitted(spec, {spec.ties.get(name, name): shape for name, shape in shapes.items()}, where)


@final
class Actor:
    """Gives the tensors of g·θ one at a time; `fetch` reads a tensor of θ by its canonical name.

    With `owned`, what `fetch` gives may be overwritten. Nothing large is kept between two tensors.
    """

    def __init__(
        self,
        spec: Spec,
        element: Mapping[str, Tensor],
        sizes: Mapping[str, int],
        fetch: Callable[[str], Tensor],
        *,
        inverse: bool = False,
        owned: bool = False,
    ) -> None:
        check_element(spec, element, sizes)
        self.spec, self.sizes, self.fetch, self.owned = spec, sizes, fetch, owned
        steps = [step for space in in_order(spec, element) for step in _steps(space, element[space.name], inverse)]
        self.steps = tuple(steps[::-1] if inverse else steps)
        self._touching: dict[str, list[int]] = {}
        for i, step in enumerate(self.steps):
            for name in targets(step.space) if step.adds else acted_tensors(spec, step.space):
                self._touching.setdefault(name, []).append(i)
        self._kept: dict[tuple[str, int], Tensor] = {}

    def changes(self, name: str) -> bool:
        """Whether a space of the element acts on the tensor."""
        return name in self._touching

    def result(self, name: str, tensor: Tensor | None = None) -> Tensor:
        """The tensor `name` of g·θ; `tensor` stands in for that of θ, where a tied one differs."""
        tensor = self.fetch(name) if tensor is None else tensor
        return self._after(name, len(self.steps), tensor).to(tensor.dtype)

    def _after(self, name: str, stop: int, tensor: Tensor) -> Tensor:
        """The tensor after the steps before `stop`, in the dtype in which it is held."""
        steps = [i for i in self._touching.get(name, ()) if i < stop]
        if not steps:
            return tensor
        if whole := [i for i in steps if name in self.steps[i].comes]:
            other = self.steps[whole[-1]].comes[name]
            tensor = self._after(other, whole[-1], tensor if other == name else self.fetch(other))
            steps = [i for i in steps if i > whole[-1]]
            if not steps:
                return tensor if self.owned else tensor.clone()
        held = self._held(name, tensor, {self.steps[i].space.kind for i in steps})
        exact = held.dtype == torch.float64 or tensor.dtype.itemsize >= 4
        view = held.view(torch.uint8) if held.dtype.itemsize == 1 and held.is_floating_point() else held
        for i in steps:
            self._act(i, name, view, torch.float64 if exact else torch.float32)
        return held

    def _held(self, name: str, tensor: Tensor, kinds: set[str]) -> Tensor:
        """A contiguous tensor to act on: a copy, unless it is ours, in float32 at least if it is computed with."""
        dtype = tensor.dtype
        if kinds != {"permutation"}:
            if not dtype.is_floating_point:
                raise LoadError(
                    f"'{name}' holds {dtype}, on which {', '.join(sorted(kinds))} cannot act",
                    where=f"tensor '{name}'",
                    hint="act with permutations only, or give the checkpoint before quantisation",
                )
            dtype = torch.promote_types(dtype, torch.float32) if dtype.itemsize > 1 else torch.float32
        if self.owned and dtype == tensor.dtype and tensor.is_contiguous():
            return tensor
        return tensor.to(dtype, memory_format=torch.contiguous_format, copy=True)

    def _act(self, i: int, name: str, tensor: Tensor, working: torch.dtype) -> None:
        """Let step i act on the tensor, in place."""
        step = self.steps[i]
        space, part = step.space, step.part
        if step.adds:
            self._add(i, name, tensor, working)
            return
        pattern = Pattern(name, self.spec.axes[name], self.sizes)
        nodes = part[..., : space.size] if space.kind == "tree" else part
        places = (None,) if space.on is None else self.spec.places[space.on].get(name, ())
        for j, where in enumerate(places):
            exponent = exponent_of(space, name, j, where)
            for view in pattern.views(tensor, where, space.over):
                if space.kind in _MOVING:
                    move(view, nodes)
                if space.kind == "tree" and exponent % 2:
                    multiply(view, step.other)
                elif space.kind in MATRICES and exponent:
                    transform(view, self._matrices(i, name, j, exponent), working)
                elif space.kind in ("scale", "sign") and exponent:
                    multiply(view, powered(part, exponent), self.spec.offsets.get(name, 0.0))
        for where in self.spec.places.get(space.leaves, {}).get(name, ()):
            for view in pattern.views(tensor, where, space.over):
                move(view, part[..., space.size :] - space.size)

    def _add(self, i: int, name: str, tensor: Tensor, working: torch.dtype) -> None:
        """Add the terms of step i to the tensor, in place; all of them read the tensors as before the step."""
        step = self.steps[i]
        for term in step.space.terms:
            target = parse_reference(term.to)
            if target.name == name:
                place = tensor[target.index]
                value = term_value(term, step.part, lambda other: self._whole(other, i), place.shape, working)
                place.add_(value.to(place.dtype))

    def _matrices(self, i: int, name: str, j: int, exponent: Fraction) -> Tensor:
        """A, or A^-T for the exponent −1, in the basis scaled by the gains: T A T^-1, with the gains of now."""
        step = self.steps[i]
        gains = step.space.gains.get(name, ())
        if not gains or not gains[j]:
            return step.part if exponent > 0 else step.other
        shape = step.part.shape[:-1]
        basis = torch.ones(shape, dtype=torch.float64)
        for gain, power in gains[j].items():
            values = powered(self._whole(gain, i).to("cpu", torch.float64), power)
            basis = basis * (values if values.numel() == shape[-1] else values.reshape(shape))
        if not basis.isfinite().all() or not basis.all():
            raise LoadError(
                f"the space '{step.space.name}' divides by {', '.join(gains[j])}, which has entries that are 0",
                where=f"gains of '{name}'",
                hint="leave the space out: --spaces, --kinds",
            )
        if exponent < 0:
            return step.other * basis[..., None, :] / basis[..., :, None]
        return step.part * basis[..., :, None] / basis[..., None, :]

    def _whole(self, name: str, stop: int) -> Tensor:
        """What terms and gains call a tensor: the tensor plus its offset, as the network reads it."""
        value, offset = self._read(name, stop), self.spec.offsets.get(name, 0.0)
        return value + offset if offset else value

    def _read(self, name: str, stop: int) -> Tensor:
        """The tensor as it is before step `stop`, for terms and gains."""
        key = name, sum(i < stop for i in self._touching.get(name, ()))
        if key not in self._kept:
            value = self._after(name, stop, self.fetch(name))
            if value.numel() > _SMALL:
                return value
            self._kept[key] = value
        return self._kept[key]


def exponent_of(space: Space, name: str, j: int, where: Occurrence | None) -> Fraction:
    """The exponent of occurrence j of the atom: as listed, 0 where others are, or else by the prime."""
    if space.exponents is not None:
        return space.exponents[name][j] if name in space.exponents else Fraction(0)
    return Fraction(-1 if where is not None and where.dual else 1)


def in_order(spec: Spec, element: Mapping[str, Tensor]) -> list[Space]:
    """The spaces of the element in the order in which they act."""
    spaces = [space for name, space in spec.spaces.items() if name in element]
    return sorted(spaces, key=lambda space: (KINDS.index(space.kind), -len(space.over), bool(space.stacks)))


def _steps(space: Space, part: Tensor, inverse: bool) -> list[Step]:
    """One step, or two for a sign with terms, which adds before it multiplies."""
    if space.kind == "sign" and space.terms:
        turned = (1 - part.to("cpu", torch.float64)) / 2
        return [_added(space, turned, inverse), *_steps(replace(space, terms=()), part, inverse)]
    if space.kind == "shift":
        return [_added(space, part, inverse)]
    part = inverted(space, part) if inverse else part
    if space.kind == "permutation":
        sources = part.argsort(-1).tolist() if space.stacks else []
        comes = {name: stack.replace("*", str(sources[i])) for name, (stack, i) in stacked(space).items()}
        return [Step(space, part, part, comes=comes)]
    if space.kind == "tree":
        slots = tree_slots(part)
        signs = torch.ones(part.shape, dtype=torch.float64)
        return [Step(space, slots, signs.scatter_(-1, slots[..., : space.size], 1 - 2 * part.to(signs.dtype)))]
    part = part.to("cpu", torch.float64)
    if space.kind == "rotation":
        part = rotations(part)
    return [Step(space, part, contragredient(part) if space.kind == "general" else part)]


def _added(space: Space, part: Tensor, inverse: bool) -> Step:
    part = part.to("cpu", torch.float64)
    return Step(space, -part if inverse else part, part, adds=True)
