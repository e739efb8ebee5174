"""Is an atom of size 2 the plane of a rotary code? It is when every operator commutes with rotations of the plane.

A value that has the plane is a vector (x0, x1). A part of it that has lost the plane is a linear form in x0 and x1
with data for coefficients, and so is what sums and products with data make of it. Two forms put together again are a
vector M x, and rotations pass when M = a 1 + b J, with J the quarter turn.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import torch
from torch import Tensor

from symcheck.weights.axes import Axis
from symcheck.weights.occurrences import Place, Places, numbered, values
from symcheck.weights.relations import Monomial, Normalise, Part, Reshape, Value

Vector = tuple[Place, tuple[Hashable, ...]]  # where it comes from, and how its entries have been laid out since
Form = dict[Vector, tuple[Tensor, Tensor]]  # the coefficients of x0 and x1, broadcast against the value's axes
NEAR = 1e-6


class NoPlane(Exception):
    """Something does not commute with rotations."""


def rotation(places: Places, atom: int) -> list[tuple[Place, Place]] | None:
    """Which vectors are made of which others, if every relation commutes with the rotations of the plane `atom`."""
    plane = _Plane(places, atom)
    try:
        plane.check()
    except NoPlane:
        return None
    return [(place, vector[0]) for place, halves in plane.halves.items() for vector in halves[0]]


class _Plane:
    def __init__(self, places: Places, atom: int):
        self.places, self.atom = places, atom
        self.forms: dict[int, Form] = {}
        self.halves: dict[Place, dict[int, Form]] = {}
        self.vectors: dict[Place, Vector] = {}
        self.terms: dict[int, list[Monomial]] = {}

    def check(self) -> None:
        """Raise NoPlane at the first relation that does not commute."""
        for relation in self.places.net.relations:
            if isinstance(relation, Monomial):
                self.terms.setdefault(id(relation.out), []).append(relation)
        for relation in self.places.net.relations:
            if not any(id(v) in self.forms or self._spots(v) for v in values(relation)):
                continue
            if isinstance(relation, Monomial):
                self._monomial(relation)
            elif isinstance(relation, Part):
                self._part(relation)
            elif isinstance(relation, Reshape):
                self._reshape(relation)
            elif isinstance(relation, Normalise) and not relation.centred:
                _need(
                    not self._form(relation.value) and all(p[1] in relation.axes for p in self._spots(relation.value))
                )
            else:
                raise NoPlane
        for halves in self.halves.values():
            _need(halves.keys() == {0, 1} and halves[0].keys() == halves[1].keys())
            for vector, (a, b) in halves[0].items():
                c, d = halves[1][vector]
                _need(_same(a, d) and _same(b, -c))

    def _spots(self, value: Value) -> list[Place]:
        return self.places.atom(value, self.atom)

    def _form(self, value: Value) -> Form | None:
        return self.forms.get(id(value))

    def _monomial(self, relation: Monomial) -> None:
        moving = [(value, labels, power) for value, labels, power in relation.operands if value.data is None]
        _need(relation.linear and relation.degree == "linear" and all(power == 1 for _, _, power in moving))
        if any(self._form(value) is not None for value, _, _ in moving):
            self._combine(relation)
            return
        _need(id(relation.out) not in self.forms)
        rows = [(relation.out, relation.labels), *((value, labels) for value, labels, _ in moving)]
        for label in self.places.labels(relation, self.atom):
            held = [self._along(value, labels, label) for value, labels in rows]
            held = [spots for spots in held if spots]
            _need(len(held) == 2 and len(held[0]) == len(held[1]))
        for value, _, _ in relation.operands:
            if value.data is not None:
                for place in self._spots(value):
                    first, second = _pair(value.axes[place[1]], place[2])
                    _need(_same(value.data.index_select(place[1], first), value.data.index_select(place[1], second)))

    def _along(self, value: Value, labels: Sequence[Hashable], label: Hashable) -> list[Place]:
        return [p for axis, one in enumerate(labels) if one == label for p in self.places.on(value, axis, self.atom)]

    def _combine(self, relation: Monomial) -> None:
        """A form times data, added to what the sum already has; every term of the sum must be a form."""
        forms = [(value, labels) for value, labels, _ in relation.operands if self._form(value) is not None]
        data = [(value.data, labels, power) for value, labels, power in relation.operands if value.data is not None]
        _need(len(forms) == 1 and len(forms) + len(data) == len(relation.operands) and relation.factor is not None)
        _need(not self._spots(relation.out) and self._terms(relation.out))
        value, labels = forms[0]
        scale = torch.tensor(relation.factor or 0.0, dtype=torch.float64)
        for tensor, mine, power in data:
            scale = scale * _aligned(_real(tensor), mine, relation.labels) ** float(power)
        found = self.forms.setdefault(id(relation.out), {})
        wide = {label: axis for axis, (n, label) in enumerate(zip(value.shape, labels, strict=True)) if n > 1}
        order = tuple(wide.get(label) for label in relation.labels)
        stays = len(order) == len(labels) and all(axis in (None, i) for i, axis in enumerate(order))
        for vector, pair in self.forms[id(value)].items():
            first, second = (_aligned(c, labels, relation.labels) * scale for c in pair)
            vector = vector if stays else _laid(vector, ("order", order))
            old = found.get(vector, (torch.zeros(()), torch.zeros(())))
            found[vector] = old[0] + first, old[1] + second
        _need(all(n == 1 or label in relation.labels for n, label in zip(value.shape, labels, strict=True)))

    def _terms(self, out: Value) -> bool:
        """Whether all that is added up to a value is forms."""
        return all(any(id(v) in self.forms for v, _, _ in term.operands) for term in self.terms[id(out)])

    def _part(self, relation: Part) -> None:
        whole, part, axis = relation.whole, relation.part, relation.axis
        size = part.shape[axis] if relation.keep else 1
        cut = list(self.places.on(whole, axis, self.atom))
        if self._form(whole) is not None:
            _need(self._form(part) is None and not self._spots(part))
            cut_to = "part", axis, relation.start, size, relation.keep
            self.forms[id(part)] = {
                _laid(vector, cut_to): (_narrowed(a, relation, size), _narrowed(b, relation, size))
                for vector, (a, b) in self.forms[id(whole)].items()
            }
            return
        inside = [
            (p, k)
            for p in cut
            for k, half in enumerate(_pair(whole.axes[axis], p[2]))
            if _is(half, relation.start, size)
        ]
        if len(inside) == 1 and not self._spots(part):
            place, k = inside[0]
            self._half(relation, place, k)
            return
        _need(self._form(part) is None)
        for left, right in self.places.carried(relation, self.atom):
            _need(len(left) == len(right))
        lost = [p for p in cut if any(_meets(half, relation.start, size) for half in _pair(whole.axes[axis], p[2]))]
        _need(len(lost) == len(self.places.on(part, axis, self.atom) if relation.keep else []))

    def _half(self, relation: Part, place: Place, k: int) -> None:
        """x0 or x1 of a vector taken out, or a form put in."""
        index = self.places.index
        one = torch.ones(()).double()
        if index[id(relation.part)] > index[id(relation.whole)]:
            _need(self._form(relation.part) is None)
            vector = self.vectors.get(place, (place, ()))
            self.forms[id(relation.part)] = {vector: (one, one * 0) if k == 0 else (one * 0, one)}
            return
        form = self._form(relation.part)
        _need(form is not None)
        self.halves.setdefault(place, {})[k] = form or {}

    def _reshape(self, relation: Reshape) -> None:
        form = self._form(relation.value)
        if form is None:
            before, after = self._spots(relation.value), self._spots(relation.out)
            _need(len(before) == len(after) and id(relation.out) not in self.forms)
            for old, new in zip(before, after, strict=True):
                self.vectors[new] = _laid(self.vectors.get(old, (old, ())), ("view", relation.out.shape))
            return
        _need(not self._spots(relation.out))

        def shaped(coefficient: Tensor) -> Tensor:
            if coefficient.numel() == 1:
                return coefficient.reshape(())
            return coefficient.expand(relation.value.shape).reshape(relation.out.shape)

        step = "view", relation.out.shape
        self.forms[id(relation.out)] = {_laid(vector, step): (shaped(a), shaped(b)) for vector, (a, b) in form.items()}


def _laid(vector: Vector, step: tuple[Hashable, ...]) -> Vector:
    """The vector after one more step of laying out its entries; of several views only the last counts."""
    place, steps = vector
    if step[0] == "view" and steps and isinstance(steps[-1], tuple) and steps[-1][0] == "view":
        steps = steps[:-1]
    return place, (*steps, step)


def _need(condition: bool) -> None:
    if not condition:
        raise NoPlane


def _real(tensor: Tensor) -> Tensor:
    _need(not tensor.is_complex())
    return tensor.double()


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors of data are equal up to rounding."""
    a, b = torch.broadcast_tensors(_real(a), _real(b))  # type: ignore[no-untyped-call]
    return bool(torch.allclose(a, b, rtol=NEAR, atol=NEAR, equal_nan=True))


def _aligned(tensor: Tensor, labels: Sequence[Hashable], kept: Sequence[Hashable]) -> Tensor:
    """A tensor whose dimensions are labelled, broadcast against others; what is not kept must not vary."""
    if tensor.dim() == 0:
        return tensor
    for axis, label in enumerate(labels):
        if label not in kept:
            first = tensor.narrow(axis, 0, 1)
            _need(_same(tensor, first))
            tensor = first
    order = [labels.index(label) for label in kept if label in labels]
    lost = [axis for axis, label in enumerate(labels) if label not in kept]
    shape = [tensor.shape[labels.index(label)] if label in labels else 1 for label in kept]
    return tensor.permute([*order, *lost]).reshape(shape)


def _narrowed(coefficient: Tensor, relation: Part, size: int) -> Tensor:
    if coefficient.dim() == 0:
        return coefficient
    if coefficient.shape[relation.axis] > 1:
        coefficient = coefficient.narrow(relation.axis, relation.start, size)
    return coefficient if relation.keep else coefficient.select(relation.axis, 0)


def _pair(axis: Axis, leaf: int) -> tuple[Tensor, Tensor]:
    """The indices along an axis at which a leaf of size 2 has its first and its second index, in one order."""
    first, second = _indices(axis, leaf).unbind(0)
    return first, second


def _indices(axis: Axis, leaf: int) -> Tensor:
    """Shape (2, n), n the size of what stands beside the leaf."""
    node = axis.root()
    if not node.kind:
        return torch.arange(node.size).unsqueeze(-1)
    offset, found = 0, torch.zeros(2, 1, dtype=torch.int64)
    for k, (part, begin, end) in enumerate(numbered(node)):
        held = begin <= leaf < end
        if node.kind == "product":
            own = _indices(part, leaf - begin) if held else torch.arange(part.size).expand(2, -1)
            found = (found.unsqueeze(-1) * part.size + own.unsqueeze(1)).flatten(1)
        elif held:
            own = _indices(part, leaf - begin)
            return own * len(node.parts) + k if node.kind == "turns" else own + (offset if node.kind == "sum" else 0)
        offset += part.size
    return found


def _is(half: Tensor, start: int, size: int) -> bool:
    return half.tolist() == list(range(start, start + size))


def _meets(half: Tensor, start: int, size: int) -> bool:
    return bool(((half >= start) & (half < start + size)).any())
