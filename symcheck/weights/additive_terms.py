"""From flows at parameters to a shift space: references, equations and the shape of its element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import TYPE_CHECKING

from symcheck.weights.flows import CONSTANT, Axes, Factor, Flow, substitute
from symcheck.weights.relations import Value
from symcheck.weights.spec import Space, Term

if TYPE_CHECKING:
    from symcheck.weights.carry import Carrier


def space_of(
    name: str,
    sources: Mapping[int, Sequence[Flow]],
    changes: Sequence[tuple[Value, Flow]],
    values: Mapping[int, Value],
    carrier: Carrier,
) -> Space | None:
    """The space in which every source that is a parameter, and every change, is one term; None if there is none."""
    rows = [*changes, *((values[v], flow) for v, flows in sources.items() if values[v].parameter for flow in flows)]
    cut = _common(rows, carrier)
    if cut is None:
        return None
    terms = [term_of(value, flow) for value, flow in cut]
    expression = cut[0][1].expression
    if expression is None or any(term is None for term in terms):
        return None
    shape = tuple(n for axis in expression.element for _, n in axis if n > 1)
    return Space(
        name, "shift", max(1, prod(shape)), terms=tuple(t for t in terms if t is not None), shape=shape or (1,)
    )


def _common(rows: Sequence[tuple[Value, Flow]], carrier: Carrier) -> list[tuple[Value, Flow]] | None:
    """All flows with the axes of the element cut alike."""
    flows = [flow for _, flow in rows]
    if any(flow.expression is None for flow in flows):
        return None
    ranks = {len(flow.expression.element) for flow in flows if flow.expression}
    if len(ranks) != 1:
        return None
    for axis in range(ranks.pop()):
        k = 0
        while True:
            sizes = {e.element[axis][k][1] for f in flows if (e := f.expression) and k < len(e.element[axis])}
            if not sizes:
                break
            least = min(sizes)
            if any(n % least for n in sizes):
                return None
            for i, flow in enumerate(flows):
                factors = flow.expression.element[axis] if flow.expression else ()
                if k < len(factors) and factors[k][1] != least:
                    old, n = factors[k]
                    fresh = carrier.letters.fresh
                    flows[i] = substitute(flow, old, [(fresh(), least), (fresh(), n // least)])
            k += 1
    return [(value, flow) for (value, _), flow in zip(rows, flows, strict=True)]


def _joined(flow: Flow) -> Flow:
    """Letters that stand side by side wherever they stand, as one; each letter of the element stays by itself."""
    expression = flow.expression
    if expression is None:
        return flow
    own = {kind for axis in expression.element for kind, _ in axis}
    while True:
        tensors = [flow.axes, *(axes for _, _, axes in expression.operands)]
        rows = [[k for k, n in axis if n > 1] for axes in tensors for axis in axes]
        pairs = {pair for row in rows for pair in pairwise(row) if not {CONSTANT, *own} & {*pair}}
        pair = next((p for p in sorted(pairs) if all(_together(row, p) for row in rows)), None)
        if pair is None:
            return flow

        def joined(axes: Axes, pair: tuple[str, str] = pair) -> Axes:
            return tuple(_merge(axis, pair) for axis in axes)

        operands = tuple((name, power, joined(axes)) for name, power, axes in expression.operands)
        expression = replace(expression, operands=operands)
        flow = replace(flow, axes=joined(flow.axes), expression=expression)


def _together(row: Sequence[str], pair: tuple[str, str]) -> bool:
    count = sum(1 for each in pairwise(row) if each == pair)
    return row.count(pair[0]) == row.count(pair[1]) == count


def _merge(axis: Sequence[Factor], pair: tuple[str, str]) -> tuple[Factor, ...]:
    made: list[Factor] = []
    for kind, n in (f for f in axis if f[1] > 1 or len(axis) == 1):
        if kind == pair[1] and made and made[-1][0] == pair[0]:
            made[-1] = (pair[0], made[-1][1] * n)
        else:
            made.append((kind, n))
    return tuple(made)


def term_of(value: Value, flow: Flow, *, grouped: bool = False) -> Term | None:
    """The change of a parameter as a term; `grouped`: an axis of the element that was cut is one axis, a product."""
    flow = _joined(flow)
    expression = flow.expression
    if expression is None:
        return None
    names: dict[str, str] = {}

    def letter(kind: str) -> str:
        return names.setdefault(kind, _letter(len(names)))

    def text(axis: Sequence[Factor]) -> str:
        kinds = [(k, n) for k, n in axis if n > 1]
        parts = [letter(k) if k != CONSTANT else letter(f"only {i} {id(axis)}") for i, (k, _) in enumerate(kinds)]
        return (parts[0] if len(parts) == 1 else f"({' '.join(parts)})") if parts else "1"

    element = [letter(k) for axis in expression.element for k, n in axis if n > 1]
    inputs = [" ".join(map(text, expression.element) if grouped else element) or "1"]
    inputs += [" ".join(text(axis) for axis in axes) for _, _, axes in expression.operands]
    right = " ".join(text(axis) for axis in flow.axes)
    operands = tuple(name if power == 1 else f"{name}^{power}" for name, power, _ in expression.operands)
    to = value.name
    if flow.support:
        windows = dict(flow.support)
        index = []
        for i, axis in enumerate(flow.axes):
            length = prod(n for _, n in axis)
            index.append(f"{windows[i][0]}:{windows[i][0] + length}" if i in windows else ":")
        to = f"{to}[{', '.join(index)}]"
    return Term(to, f"{', '.join(inputs)} -> {right}", operands, expression.factor)


def _letter(index: int) -> str:
    letters = "abcdefghijklmnopqrstuvwxyz"
    return letters[index % 26] + (str(index // 26) if index >= 26 else "")
