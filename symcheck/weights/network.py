"""A traced network as tensors, their axes, and the relations between them: what the rules of operators write down.

Every operator is said in a few primitives (`monomial`, `pointwise`, `add`, `view`, `narrow`, `cat`, `normalise`, …).
Each unifies axes at once and records a relation; the solvers of scales, signs and linear groups read the relations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import count
from math import prod
from typing import Any

import torch
from torch import Tensor

from symcheck.weights.axes import Axis, pin, total
from symcheck.weights.relations import Label, Monomial, Normalise, Part, Relation, Reshape, Softmax, Value
from symcheck.weights.unify import Algebra


@dataclass
class Network:
    """The values and relations of one traced graph."""

    algebra: Algebra = field(default_factory=Algebra)
    values: list[Value] = field(default_factory=list)
    relations: list[Relation] = field(default_factory=list)
    unknown: dict[str, list[str]] = field(default_factory=dict)
    offsets: dict[str, float] = field(default_factory=dict)
    where: str = ""
    operator: str = ""  # the operator at hand ...
    shape: tuple[int, ...] = ()  # ... the shape of its (first) output
    reads: int = 1  # ... how many of its outputs, from the first on, include all that are read
    batch_first: bool = False  # ... its layout, for a recurrent one
    summed: bool = False  # ... whether every reader of it is a sum or a mean
    _fresh: count[int] = field(default_factory=count)

    # -- values

    def value(self, axes: Sequence[Axis], **fields: Any) -> Value:
        """A new value with these axes."""
        made = Value(list(axes), where=self.where, **fields)
        self.values.append(made)
        self.algebra.tensors.append(made.axes)
        return made

    def given(self, tensor: Tensor, constant: bool, name: str = "") -> Value:
        """A value without weights: an axis along which it varies is pinned, one along which it repeats is free."""
        value = self.value([Axis(n) for n in tensor.shape], name=name, data=tensor, constant=constant)
        for i, axis in enumerate(value.axes):
            if axis.size > 1 and not _repeats(tensor, i):
                pin(axis, "a constant differs along it" if constant else "an input has it")
        return value

    def pin(self, value: Value, reason: str, axes: Sequence[int] | None = None) -> None:
        """Nothing may act on these axes of the value (all by default)."""
        for i in range(len(value.axes)) if axes is None else axes:
            pin(value.axes[i], reason)

    def freeze(self, value: Value) -> None:
        """No scale and no sign may act on the value."""
        labels = tuple(range(len(value.axes)))
        out = Value([Axis(1) for _ in labels])
        self.relations.append(Monomial(out, (), ((value, labels, Fraction(1)),), "zero", "zero", linear=False))

    # -- primitives

    def monomial(
        self,
        out_labels: Sequence[Label],
        operands: Sequence[tuple[Value, Sequence[Label], Fraction | int]],
        sizes: dict[Label, int] | None = None,
        **how: Any,
    ) -> Value:
        """out[out_labels] = Σ Π operand ** power: equal labels are one axis; `sizes` are of labels that are new.

        A product with a factor that is 0 is the constant 0.
        """
        if how.get("linear", True) and any(value.zero and power > 0 for value, _, power in operands):
            held: dict[Label, int] = {}
            for value, labels, _ in operands:
                held |= {label: max(n, held.get(label, 1)) for label, n in zip(labels, value.shape, strict=True)}
            return self.given(torch.zeros([held.get(label) or (sizes or {})[label] for label in out_labels]), True)
        return self._product(out_labels, operands, sizes, **how)

    def _product(
        self,
        out_labels: Sequence[Label],
        operands: Sequence[tuple[Value, Sequence[Label], Fraction | int]],
        sizes: dict[Label, int] | None = None,
        **how: Any,
    ) -> Value:
        axes: dict[Label, Axis] = {}
        rows = []
        for value, labels, power in operands:
            mine = [self._label(value, i, label) for i, label in enumerate(labels)]
            rows.append((value, tuple(mine), Fraction(power)))
            for axis, label in zip(value.axes, mine, strict=True):
                if label in axes:
                    self.algebra.unify(axes[label], axis)
                axes.setdefault(label, axis)
        out = self.value([axes.get(label) or Axis((sizes or {}).get(label, 1)) for label in out_labels])
        self.relations.append(Monomial(out, tuple(out_labels), tuple(rows), **how))
        return out

    def _label(self, value: Value, axis: int, label: Label) -> Label:
        """A label of its own for an axis of size 1 and for an axis along which a constant repeats."""
        repeats = value.data is not None and not value.axes[axis].pinned and not value.axes[axis].kind
        return ("own", next(self._fresh)) if value.axes[axis].size == 1 or repeats else label

    def pointwise(self, value: Value, degree: str, parity: str, power: Fraction | int = 1, **how: Any) -> Value:
        """An activation, index by index."""
        labels = tuple(range(len(value.axes)))
        how |= {"degree": degree, "parity": parity, "linear": False}
        return self.monomial(labels, [(value, labels, power)], self.sizes(value), **how)

    def same(self, value: Value, factor: float | None = 1.0) -> Value:
        """The value again, times a number."""
        labels = tuple(range(len(value.axes)))
        return self.monomial(labels, [(value, labels, 1)], self.sizes(value), factor=factor)

    @staticmethod
    def sizes(value: Value) -> dict[Label, int]:
        """The size of every axis by its position, for axes whose label gets lost by repetition."""
        return {i: axis.size for i, axis in enumerate(value.axes)}

    def multiply(self, factors: Sequence[tuple[Value, Fraction | int]], **how: Any) -> Value:
        """The elementwise product of powers, broadcast from the right."""
        return self.monomial(*self._broadcast(factors), **how)

    @staticmethod
    def _broadcast(
        factors: Sequence[tuple[Value, Fraction | int]],
    ) -> tuple[Sequence[Label], list[tuple[Value, Sequence[Label], Fraction | int]], dict[Label, int]]:
        rank = max(len(v.axes) for v, _ in factors)
        labels = tuple(range(-rank, 0))
        sizes: dict[Label, int] = {i: max(v.shape[i] for v, _ in factors if -i <= len(v.axes)) for i in labels}
        before = [(v.source or v, p) for v, p in factors]
        return labels, [(v, labels[rank - len(v.axes) :], p) for v, p in before], sizes

    def add(self, terms: Sequence[Value], factors: Sequence[float] = (), **how: Any) -> Value:
        """A sum (with a number before each term), broadcast from the right: every term moves as the sum does."""
        out = self._product(*self._broadcast([(v, 1) for v in terms]), **how)
        relation = self.relations.pop()
        if not isinstance(relation, Monomial):
            raise TypeError("a product is a monomial")
        for i, (value, labels, power) in enumerate(relation.operands):
            if value.zero:
                continue
            one: dict[str, Any] = {"factor": factors[i]} | how if factors else dict(how)
            self.relations.append(Monomial(out, relation.labels, ((value, labels, power),), **one))
        return out

    def reduce(
        self, value: Value, axes: Sequence[int], keep: bool, parity: str = "linear", mean: bool = False
    ) -> Value:
        """A symmetric sum (or maximum: parity zero) over axes; of squares, the scalar product with itself."""
        labels = tuple(range(len(value.axes)))
        gone = {a % len(value.axes) for a in axes}
        kept: list[Label] = [("one", i) if i in gone else i for i in labels if keep or i not in gone]
        factors = [(value.square, labels, 1)] * 2 if value.square is not None else [(value, labels, 1)]
        many = prod(value.shape[i] for i in gone) if mean else 1
        return self.monomial(kept, factors, self.sizes(value), parity=parity, factor=1 / max(many, 1))

    def view(self, value: Value, shape: Sequence[int]) -> Value:
        """A row-major reshape."""
        out = self.value(self.algebra.factor_groups(value.axes, list(shape)))
        self.relations.append(Reshape(out, value))
        return out

    def permute(self, value: Value, order: Sequence[int]) -> Value:
        """The axes in another order."""
        labels = tuple(range(len(value.axes)))
        return self.monomial([labels[i] for i in order], [(value, labels, 1)], self.sizes(value))

    def expand(self, value: Value, shape: Sequence[int]) -> Value:
        """Repeat along axes of size 1 (and new ones in front)."""
        fresh = len(shape) - len(value.axes)
        labels: list[Label] = []
        for i, size in enumerate(shape):
            old = value.shape[i - fresh] if i >= fresh else 1
            labels.append(("new", i) if size not in (-1, old) or i < fresh else i - fresh)
        sizes = self.sizes(value) | {("new", i): size for i, size in enumerate(shape)}
        mine = [i if i in labels else ("gone", i) for i in range(len(value.axes))]
        out = self.monomial(labels, [(value, mine, 1)], sizes)
        out.source = value.source or value
        return out

    def narrow(self, value: Value, axis: int, start: int, stop: int, keep: bool = True) -> Value:
        """value[..., start:stop, ...]; `keep=False` drops the axis (of one index)."""
        axis %= len(value.axes)
        whole = value.axes[axis]
        if (start, stop) == (0, whole.size) and keep:
            return value
        index = self._index(value, axis, start) if stop - start == 1 else None
        piece = whole
        if start > 0:
            _, piece = self.algebra.split(piece, start)
        if stop < whole.size:
            piece, _ = self.algebra.split(piece, stop - start)
        if not keep:
            pin(piece, "a single index of it is used")
        axes = [self._member(a, whole, index) for a in value.axes]
        axes[axis : axis + 1] = [piece] if keep else []
        out = self.value(axes)
        self.relations.append(Part(value, out, axis, start, keep))
        return out

    def _index(self, value: Value, axis: int, start: int) -> int | None:
        """The index that a family is read at, when the other axes may differ from one index to the next."""
        whole = value.axes[axis].root()
        units = self.algebra.explode(whole, [a for i, a in enumerate(value.axes) if i != axis])
        return start if units else None

    @staticmethod
    def _member(axis: Axis, over: Axis, index: int | None) -> Axis:
        if index is None:
            return axis
        node, target = axis.root(), over.root()

        def pick(item: Axis) -> Axis:
            item = item.root()
            if item.kind == "family" and item.over is not None and item.over.root() is target:
                return item.parts[index]
            return total(item.kind, [pick(p) for p in item.parts]) if item.kind in ("sum", "product") else item

        return pick(node)

    def cat(self, values: Sequence[Value], axis: int) -> Value:
        """Concatenated along an axis."""
        axis %= len(values[0].axes)
        axes = list(values[0].axes)
        for value in values[1:]:
            for i, (a, b) in enumerate(zip(axes, value.axes, strict=True)):
                if i != axis:
                    self.algebra.unify(a, b)
        axes[axis] = total("sum", [v.axes[axis] for v in values])
        out = self.value(axes)
        start = 0
        for value in values:
            if not value.zero:
                self.relations.append(Part(out, value, axis, start))
            start += value.shape[axis]
        return out

    def normalise(self, value: Value, axes: Sequence[int], centred: bool, eps: float) -> Value:
        """Divide by the root mean square over axes, after removing the mean if `centred`."""
        out = self.value(value.axes)
        self.relations.append(Normalise(out, value, tuple(a % len(value.axes) for a in axes), centred, eps))
        return out

    def softmax(self, value: Value, axis: int, log: bool = False) -> Value:
        """Softmax along an axis, or its logarithm."""
        out = self.value(value.axes)
        self.relations.append(Softmax(out, value, axis % len(value.axes), log))
        return out


def _repeats(tensor: Tensor, axis: int) -> bool:
    first = tensor.narrow(axis, 0, 1)
    return bool(torch.all((tensor == first) | ((tensor != tensor) & (first != first))))
