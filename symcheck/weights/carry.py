"""How a flow passes through one relation: `None` means that the symmetry is lost, an empty list that it is absorbed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import replace
from fractions import Fraction

from symcheck.weights.flows import CONSTANT, VARIES, Axes, Expression, Factor, Flow, Letters, regroup, scaled
from symcheck.weights.network import Network
from symcheck.weights.relations import Monomial, Normalise, Part, Relation, Reshape, Softmax, Value
from symcheck.weights.rules.pointwise import number

Held = Mapping[Hashable, tuple[Factor, ...]]  # the factors of an axis, by its label
Windows = Mapping[Hashable, tuple[int, int]]


class Carrier:
    """Passes flows on; knows which values are softmax weights and which are parameters seen through views."""

    def __init__(self, net: Network):
        self.order = {id(value): i for i, value in enumerate(net.values)}
        self.shapes = {value.name: value.shape for value in net.values if value.parameter}
        self.named: dict[int, str] = {id(value): value.name for value in net.values if value.parameter}
        self.powers: dict[int, Fraction] = {}  # of which power of it they are, where not the first
        self.stochastic: dict[int, int] = {}
        self.letters = Letters()
        terms = Counter(id(relation.out) for relation in net.relations if isinstance(relation, Monomial))
        for relation in net.relations:
            if not isinstance(relation, Monomial) or terms[id(relation.out)] == 1:  # no sum of several
                self._read(relation)

    def _read(self, relation: Relation) -> None:
        """Parameters seen through views, and softmax weights with the axis along which they sum to one."""
        if isinstance(relation, Softmax):
            if not relation.log:
                self.stochastic[id(relation.out)] = relation.axis
        elif isinstance(relation, Reshape):
            if id(relation.value) in self.named:
                self._call(relation.out, relation.value, Fraction(1))
            axis = self.stochastic.get(id(relation.value))
            old, new = relation.value.shape, relation.out.shape
            if axis is not None and old[axis:] == new[len(new) - len(old) + axis :]:
                self.stochastic[id(relation.out)] = len(new) - len(old) + axis
        elif isinstance(relation, Monomial):
            (value, labels, power), *more = relation.operands
            alone = not more and relation.factor == 1 and relation.degree == "linear" and not relation.small
            if alone and id(value) in self.named and labels == relation.labels:
                self._call(relation.out, value, power)
            plain = relation.linear and relation.factor == 1 and power == 1 and relation.degree == "linear"
            axis = self.stochastic.get(id(value))
            if plain and not more and axis is not None and labels[axis] in relation.labels:
                self.stochastic[id(relation.out)] = relation.labels.index(labels[axis])

    def _call(self, out: Value, value: Value, power: Fraction) -> None:
        self.named[id(out)] = self.named[id(value)]
        self.powers[id(out)] = power * self.powers.get(id(value), Fraction(1))

    def through(self, relation: Relation, value: Value, flow: Flow) -> list[Flow] | None:
        """The flow of the relation's output when `value`, which it reads, flows."""
        if isinstance(relation, Reshape):
            out = regroup(flow, relation.out.shape, self.letters)
            return None if out is None else [out]
        if isinstance(relation, Part):
            return self._part(relation, value, flow)
        if isinstance(relation, Normalise):
            gone = relation.centred and all(flow.constant(a) for a in relation.axes)
            return [] if gone else None
        if isinstance(relation, Softmax):
            return [] if flow.constant(relation.axis) else None
        return self._monomial(relation, value, flow)

    def output(self, relation: Relation) -> Value:
        """The value that a relation makes."""
        if isinstance(relation, Part):
            later = self.order[id(relation.part)] > self.order[id(relation.whole)]
            return relation.part if later else relation.whole
        return relation.out

    def _part(self, relation: Part, value: Value, flow: Flow) -> list[Flow] | None:
        axis, size = relation.axis, (relation.part.shape[relation.axis] if relation.keep else 1)
        if value is relation.part:
            if flow.window(axis) is not None:
                return None
            total = relation.whole.shape[axis]
            return [replace(flow, support=(*flow.support, (axis, (relation.start, total))))]
        window = flow.window(axis)
        others = tuple((a, w) for a, w in flow.support if a != axis)
        if window is not None:
            start, length = window[0], _length(flow.axes[axis])
            if start + length <= relation.start or relation.start + size <= start:
                return []
            if start < relation.start or relation.start + size < start + length:
                return None
            inner = (start - relation.start, size)
            whole = inner == (0, length)
            flow = replace(flow, support=others if whole else (*others, (axis, inner)))
        elif size < _length(flow.axes[axis]):
            kinds = {kind for kind, _ in flow.axes[axis]}
            if not kinds <= {CONSTANT, VARIES}:
                return None
            kind = VARIES if VARIES in kinds else CONSTANT
            flow = replace(flow, axes=(*flow.axes[:axis], ((kind, size),), *flow.axes[axis + 1 :]))
        if relation.keep:
            return [flow]
        axes = (*flow.axes[:axis], *flow.axes[axis + 1 :])
        return [replace(flow, axes=axes, support=tuple((a - (a > axis), w) for a, w in flow.support))]

    def _monomial(self, relation: Monomial, value: Value, flow: Flow) -> list[Flow] | None:
        rows = [row for row in relation.operands if row[0] is value]
        linear = relation.linear and not relation.small and relation.degree == "linear" and relation.parity == "linear"
        if not linear or len(rows) != 1 or rows[0][2] != 1 or id(relation.out) not in self.order:
            return None if not rows or rows[0][2] != 0 else []
        labels = rows[0][1]
        others = [row for row in relation.operands if row[0] is not value and row[2] != 0 and not _scalar(row)]
        mine = dict(zip(labels, flow.axes, strict=True))
        windows = {label: w for i, label in enumerate(labels) if (w := flow.window(i)) is not None}
        if any(label in row[1] and label in relation.labels for row in others for label in windows):
            return None
        if windows.keys() - set(relation.labels) and (len(others) != 1 or id(others[0][0]) not in self.named):
            return None
        beside = [row for row in relation.operands if row[0] is not value]
        if len(others) > 1 or any(_scalar(row) and row[0].data is None and row[2] for row in beside):
            return self._vague(relation, flow, mine, [row[1] for row in beside], windows)
        masks = [row[1] for row in beside if row[2] == 0]
        if relation.factor is None and masks:
            return self._vague(relation, flow, mine, masks, windows)
        if not others:
            return self._alone(relation, flow, mine, windows)
        other, other_labels, power = others[0]
        if id(other) in self.named and abs(power) == 1 and relation.factor is not None and flow.expression is not None:
            power *= self.powers.get(id(other), Fraction(1))
            return self._contract(relation, flow, mine, (self.named[id(other)], power, other_labels, other), windows)
        axis = self.stochastic.get(id(other))
        gone = [label for label in mine if label not in relation.labels]
        if axis is not None and gone == [other_labels[axis]] and all(k == CONSTANT for k, _ in mine[gone[0]]):
            return [self._out(relation, flow, mine, windows)]
        return self._vague(relation, flow, mine, [other_labels], windows)

    def _out(
        self, relation: Monomial, flow: Flow, axes: Held, windows: Windows
    ) -> Flow:
        shape = relation.out.shape
        support = tuple((i, windows[label]) for i, label in enumerate(relation.labels) if label in windows)
        new = CONSTANT if relation.factor is not None else VARIES  # a kernel makes positions out of others
        made: Axes = tuple(axes.get(label) or ((new, n),) for label, n in zip(relation.labels, shape, strict=True))
        return Flow(made, flow.expression, support)

    def _alone(
        self, relation: Monomial, flow: Flow, mine: Held, windows: Windows
    ) -> list[Flow] | None:
        factor = relation.factor
        for label in mine.keys() - set(relation.labels):
            constant = all(kind == CONSTANT for kind, _ in mine[label])
            if relation.picks:
                if not constant:
                    rest = {k: v for k, v in mine.items() if k != label}
                    rows = [labels for _, labels, power in relation.operands if power == 0]
                    return self._vague(relation, flow, rest, rows, windows)
            elif constant and factor is not None:
                factor *= _length(mine[label])
        made = scaled(self._out(relation, flow, mine, windows), factor)
        return None if made is None else [made]

    def _vague(
        self, relation: Monomial, flow: Flow, mine: Held,
        touched: list[tuple[Hashable, ...]], windows: Windows,
    ) -> list[Flow] | None:  # fmt: skip
        """What is left when activations multiply the flow: where it was constant and they have no axis."""
        varied = {label for labels in touched for label in labels}
        axes: dict[Hashable, tuple[Factor, ...]] = {}
        for label, n in zip(relation.labels, relation.out.shape, strict=True):
            known = label in mine and label not in varied
            axes[label] = tuple((VARIES if k else CONSTANT, m) for k, m in mine[label]) if known else ((VARIES, n),)
            if label not in mine and label not in varied and relation.factor is not None:
                axes[label] = ((CONSTANT, n),)
        made = self._out(relation, replace(flow, expression=None), axes, windows).vague()
        return None if made is None else [made]

    def _contract(
        self, relation: Monomial, flow: Flow, mine: Held,
        other: tuple[str, Fraction, tuple[Hashable, ...], Value], windows: Windows,
    ) -> list[Flow] | None:  # fmt: skip
        """Times a parameter: it joins the expression."""
        name, power, labels, value = other
        expression = flow.expression
        if expression is None or relation.factor is None:
            return None
        factor, axes, operand, index = relation.factor, dict(mine), [], []
        for label, n in zip(labels, value.shape, strict=True):
            factors = axes.get(label, ((CONSTANT, n),))
            start = windows[label][0] if label in windows else 0
            index.append(f"{start}:{start + _length(factors)}" if label in windows else ":")
            factors = tuple((self.letters.fresh(), m) if k == CONSTANT and m > 1 else (k, m) for k, m in factors)
            axes[label] = factors
            operand.append(factors)
        for label in mine.keys() - set(relation.labels) - set(labels):
            if all(kind == CONSTANT for kind, _ in mine[label]):
                factor *= _length(mine[label])
        sliced = any(part != ":" for part in index)
        flat = tuple(operand) if sliced else self._flat(name, tuple(operand), value)
        if flat is None or (sliced and self.shapes[name] != value.shape):
            return None
        name = f"{name}[{', '.join(index)}]" if sliced else name
        windows = {label: w for label, w in windows.items() if label in relation.labels}
        made = Expression(expression.factor * factor, expression.element, (*expression.operands, (name, power, flat)))
        return [self._out(relation, replace(flow, expression=made), axes, windows)]

    def _flat(self, name: str, operand: Axes, value: Value) -> Axes | None:
        """The axes of a parameter itself, when it is seen through a view."""
        shape = self.shapes.get(name)
        if shape is None or shape == value.shape:
            return operand
        before = Flow(operand, None)
        back = regroup(before, shape, self.letters)
        return back.axes if back is not None and back.letters() == before.letters() else None


def _scalar(row: tuple[Value, tuple[Hashable, ...], object]) -> bool:
    """Whether an operand is one number, a constant's (already in the factor) or one of size 1."""
    value = row[0]
    return (value.data is not None and number(value) is not None) or all(n == 1 for n in value.shape)


def _length(axis: tuple[Factor, ...]) -> int:
    total = 1
    for _, n in axis:
        total *= n
    return total
