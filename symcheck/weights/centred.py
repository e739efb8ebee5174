"""What a layer reads from a centred norm: adding u (1/γ)ᵀ to its weight moves its output by the constant u Σ β/γ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

from symcheck.weights.flows import CONSTANT, Expression, Flow
from symcheck.weights.relations import Label, Monomial, Normalise, Part, Reshape, Value

if TYPE_CHECKING:
    from symcheck.weights.hypotheses import Hypothesis
    from symcheck.weights.shifts import Graph

Centred = tuple[int, str, str]  # the axis along which x/γ sums to Σ β/γ; the names of γ and β


def centred_values(graph: Graph) -> dict[int, Centred]:
    """The values that are a centred norm's output times a gain plus a bias."""
    found: dict[int, Centred] = {}
    named = graph.carrier.named
    for relation in graph.net.relations:
        if isinstance(relation, Normalise) and relation.centred and len(relation.axes) == 1:
            found[id(relation.out)] = (relation.axes[0], "", "")
        elif isinstance(relation, Reshape) and id(relation.value) in found:
            axis, gain, bias = found[id(relation.value)]
            old, new = relation.value.shape, relation.out.shape
            if old[axis:] == new[len(new) - len(old) + axis :] and axis >= len(old) - len(new):
                found[id(relation.out)] = (len(new) - len(old) + axis, gain, bias)
        elif isinstance(relation, Part) and id(relation.whole) in found:
            axis, gain, bias = found[id(relation.whole)]
            if axis != relation.axis and graph.carrier.output(relation) is relation.part:
                found[id(relation.part)] = (axis - (not relation.keep and relation.axis < axis), gain, bias)
        elif isinstance(relation, Monomial) and relation.linear and relation.factor is not None:
            _through(relation, found, named, graph)
    return found


def _through(relation: Monomial, found: dict[int, Centred], named: dict[int, str], graph: Graph) -> None:
    held = [row for row in relation.operands if id(row[0]) in found and row[2] == 1]
    if len(held) != 1 or relation.degree != "linear":
        return
    value, labels, _ = held[0]
    axis, gain, bias = found[id(value)]
    if labels[axis] not in relation.labels:
        return
    place = relation.labels.index(labels[axis])
    others = [row for row in relation.operands if row[0] is not value and row[2] != 0]
    terms = [m for m in graph.makers.get(id(relation.out), []) if m is not relation]
    gone = [n for label, n in zip(labels, value.shape, strict=True) if label not in relation.labels]
    averaged = (relation.factor or 0) * (1 if relation.picks else prod(gone))
    if not others and not terms and abs(averaged - 1) < 1e-12:
        found[id(relation.out)] = (place, gain, bias)
    elif relation.factor != 1:
        return
    elif len(others) == 1 and not terms and not gain and not bias:
        name = _vector(others[0], labels[axis], named)
        if name and others[0][2] == 1:
            found[id(relation.out)] = (place, name, "")
    elif not others and len(terms) == 1 and not bias and isinstance(terms[0], Monomial):
        row = terms[0].operands[0]
        name = _vector(row, relation.labels[place], named)
        if name and len(terms[0].operands) == 1 and terms[0].factor == 1:
            found[id(relation.out)] = (place, gain, name)


def _vector(row: tuple[Value, tuple[Label, ...], Any], label: Label, named: dict[int, str]) -> str:
    """The name of a parameter that varies along one label only."""
    value, labels, _ = row
    wide = [mine for mine, n in zip(labels, value.shape, strict=True) if n > 1]
    return named.get(id(value), "") if wide == [label] else ""


def nulls(graph: Graph, weight: Value, segments: Sequence[tuple[int, int]]) -> Iterator[Hypothesis]:
    """The hypotheses that add u (1/γ)ᵀ to a weight wherever it is read: all of it, or a segment of its first axis."""
    centred = graph.centred
    readers = graph.readers.get(id(weight), [])
    uses = []
    for relation in readers:
        if not isinstance(relation, Monomial) or not relation.linear or relation.factor is None:
            return
        if len(relation.operands) != 2:
            return
        rows = {id(row[0]): row for row in relation.operands}
        other = next((row for row in relation.operands if row[0] is not weight), None)
        if other is None or id(other[0]) not in centred or id(weight) not in rows:
            return
        axis, gain, bias = centred[id(other[0])]
        label = other[1][axis]
        mine = rows[id(weight)][1]
        if label not in mine or label in relation.labels or len(set(mine) & set(other[1])) != 1:
            return
        uses.append((relation, mine.index(label), gain, bias, mine))
    if not uses or len({(axis, gain, bias) for _, axis, gain, bias, _ in uses}) != 1:
        return
    for part in [None, *segments]:
        if part is None or uses[0][1] != 0:
            yield _hypothesis(graph, weight, uses, part)


def _hypothesis(graph: Graph, weight: Value, uses: list[Any], part: tuple[int, int] | None) -> Hypothesis:
    letters = graph.carrier.letters
    _, axis, gain, bias, _ = uses[0]
    shape = list(weight.shape)
    if part is not None:
        shape[0] = part[1]
    own = letters.axes(shape)
    element = tuple(a for i, a in enumerate(own) if i != axis and a[0][0] != CONSTANT)
    width = own[axis]
    operands = ((gain, Fraction(-1), (width,)),) if gain else ()
    support = () if part is None else ((0, (part[0], weight.shape[0])),)
    if gain:
        change = Flow(own, Expression(1.0, element, operands), support)
    else:
        flat = tuple(((CONSTANT, shape[i]),) if i == axis else a for i, a in enumerate(own))
        change = Flow(flat, Expression(1.0, element), support)
    sources: dict[int, list[Flow]] = {}
    for relation, _, _, _, labels in uses if bias else ():
        axes = []
        windows = []
        for i, (label, n) in enumerate(zip(relation.labels, relation.out.shape, strict=True)):
            axes.append(own[labels.index(label)] if label in labels else ((CONSTANT, n),))
            if part is not None and label == labels[0]:
                windows.append((i, (part[0], weight.shape[0])))
        beta = ((bias, Fraction(1), (width,)), *operands)
        flow = Flow(tuple(axes), Expression(relation.factor, element, beta), tuple(windows))
        sources.setdefault(id(relation.out), []).append(flow)
    return weight.name, sources, ((weight, change),)
