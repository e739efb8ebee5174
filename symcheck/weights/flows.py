"""A flow: by how much a value moves when a parameter is shifted, as an einsum over the shift and other parameters.

Every axis of the value is a product of factors: a letter (the flow varies along it as the letter says), `` (it is
constant along it) or `?` (it varies in a way that depends on the data). A flow without an expression is one whose
numbers depend on the data; all that is known of it is along which axes it is constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from math import isclose, prod

CONSTANT, VARIES = "", "?"
Factor = tuple[str, int]  # a letter, CONSTANT or VARIES; and its size
Axes = tuple[tuple[Factor, ...], ...]


@dataclass(frozen=True)
class Expression:
    """factor · Σ element · Π operand ** power; every axis of the element and the operands is a product of letters."""

    factor: float
    element: Axes
    operands: tuple[tuple[str, Fraction, Axes], ...] = ()  # tensor, power, its axes


@dataclass(frozen=True)
class Flow:
    """What moves a value; `support` says on which indices of an axis: (start, size of the axis)."""

    axes: Axes
    expression: Expression | None
    support: tuple[tuple[int, tuple[int, int]], ...] = ()

    def window(self, axis: int) -> tuple[int, int] | None:
        """Where on the axis the flow is, None for everywhere."""
        return dict(self.support).get(axis)

    def constant(self, axis: int) -> bool:
        """Whether the flow is the same at every index of the axis."""
        return self.window(axis) is None and all(kind == CONSTANT for kind, _ in self.axes[axis])

    def vague(self) -> Flow | None:
        """Without its expression; None when it is constant along nothing."""
        axes = tuple(tuple((VARIES if k else CONSTANT, n) for k, n in axis) for axis in self.axes)
        known = any(kind == CONSTANT and n > 1 for axis in axes for kind, n in axis)
        return Flow(axes, None, self.support) if known else None

    def letters(self) -> set[str]:
        """The letters along the value's axes."""
        return {kind for axis in self.axes for kind, _ in axis if kind not in (CONSTANT, VARIES)}


class Letters:
    """Fresh letters: i1, i2, …"""

    def __init__(self) -> None:
        self._count = count(1)

    def fresh(self) -> str:
        """A letter that nothing has yet."""
        return f"i{next(self._count)}"

    def axes(self, shape: Sequence[int], constant: Sequence[int] = ()) -> Axes:
        """One letter an axis, but for those along which the flow is constant."""
        return tuple(((CONSTANT if i in constant or n == 1 else self.fresh(), n),) for i, n in enumerate(shape))


def substitute(flow: Flow, old: str, new: Sequence[Factor]) -> Flow:
    """The flow with a letter written as a product of letters."""

    def axis(factors: Sequence[Factor]) -> tuple[Factor, ...]:
        return tuple(f for kind, n in factors for f in (new if kind == old else ((kind, n),)))

    expression = flow.expression
    if expression is not None:
        operands = tuple((name, power, tuple(map(axis, axes))) for name, power, axes in expression.operands)
        expression = Expression(expression.factor, tuple(map(axis, expression.element)), operands)
    return replace(flow, axes=tuple(map(axis, flow.axes)), expression=expression)


def scaled(flow: Flow, factor: float | None) -> Flow | None:
    """The flow times a number; without its expression where the number is not known."""
    if flow.expression is None:
        return flow
    if factor is None:
        return flow.vague()
    return replace(flow, expression=replace(flow.expression, factor=flow.expression.factor * factor))


def regroup(flow: Flow, shape: Sequence[int], letters: Letters) -> Flow | None:
    """The flow of a row-major reshape; None when a window or a letter is cut where it cannot be."""
    out: list[tuple[Factor, ...]] = []
    support: list[tuple[int, tuple[int, int]]] = []
    sizes = [(flow.window(i) or (0, prod(n for _, n in a)))[1] for i, a in enumerate(flow.axes)]
    i = j = 0
    while i < len(sizes) or j < len(shape):
        first, have, want, start = i, 1, 1, j
        if i < len(sizes):
            have, i = sizes[i], i + 1
        if j < len(shape):
            want, j = shape[j], j + 1
        while have != want:
            if have < want and i < len(sizes):
                have, i = have * sizes[i], i + 1
            elif j < len(shape):
                want, j = want * shape[j], j + 1
            else:
                return None
        done = _group(flow, range(first, i), shape[start:j], letters)
        if done is None:
            return None
        flow, axes, window = done
        if window is not None:
            support.append((start, window))
        out.extend(axes)
    return replace(flow, axes=tuple(out), support=tuple(support))


def _group(
    flow: Flow, old: Sequence[int], new: Sequence[int], letters: Letters
) -> tuple[Flow, list[tuple[Factor, ...]], tuple[int, int] | None] | None:
    """One group of axes that become one group of axes."""
    windows = [flow.window(i) for i in old]
    window = windows[0] if windows else None
    if any(w is not None for w in windows[1:]):
        return None
    sizes = list(new)
    if window is not None:
        rest = prod(prod(n for _, n in flow.axes[i]) for i in list(old)[1:])
        have = prod(n for _, n in flow.axes[old[0]])
        start, total = window[0] * rest, window[1] * rest
        inner = prod(sizes[1:])
        if start % inner or (have * rest) % inner:
            return None
        sizes[0] = have * rest // inner
        window = (start // inner, total // inner)
    factors = [f for i in old for f in flow.axes[i]]
    result: list[tuple[Factor, ...]] = []
    for size in sizes:
        mine: list[Factor] = []
        need = size
        while need > 1:
            if not factors:
                return None
            kind, n = factors.pop(0)
            if n <= need:
                if need % n:
                    return None
                mine.append((kind, n))
                need //= n
                continue
            if n % need:
                return None
            parts = [(kind, need), (kind, n // need)]
            if kind not in (CONSTANT, VARIES):
                parts = [(letters.fresh(), need), (letters.fresh(), n // need)]
                flow = substitute(flow, kind, parts)
            mine.append(parts[0])
            factors.insert(0, parts[1])
            need = 1
        result.append(tuple(f for f in mine if f[1] > 1))
    return flow, [axis or ((CONSTANT, 1),) for axis in result], window


def matched(flow: Flow, like: Flow, letters: Letters) -> tuple[Flow, Flow] | None:
    """Both flows with the factors of every axis cut alike; None when they cannot be."""
    if len(flow.axes) != len(like.axes) or dict(flow.support) != dict(like.support):
        return None
    for i in range(len(flow.axes)):
        k = 0
        while k < min(len(flow.axes[i]), len(like.axes[i])):
            n, m = flow.axes[i][k][1], like.axes[i][k][1]
            if n == m:
                k += 1
            elif n > m and n % m == 0:
                flow = _cut(flow, i, k, m, letters)
            elif m > n and m % n == 0:
                like = _cut(like, i, k, n, letters)
            else:
                return None
        if len(flow.axes[i]) != len(like.axes[i]):
            return None
    return flow, like


def _cut(flow: Flow, axis: int, k: int, size: int, letters: Letters) -> Flow:
    kind, n = flow.axes[axis][k]
    if kind not in (CONSTANT, VARIES):
        return substitute(flow, kind, [(letters.fresh(), size), (letters.fresh(), n // size)])
    factors = list(flow.axes[axis])
    factors[k : k + 1] = [(kind, size), (kind, n // size)]
    return replace(flow, axes=(*flow.axes[:axis], tuple(factors), *flow.axes[axis + 1 :]))


def key(flow: Flow) -> object:
    """Equal for flows that differ by the names of their letters and their factor only."""
    names: dict[str, int] = {}

    def name(factors: Sequence[Factor]) -> tuple[object, ...]:
        row: list[tuple[object, int]] = []
        for kind, n in factors:
            plain = kind in (CONSTANT, VARIES)
            if plain and row and row[-1][0] == kind:
                row[-1] = (kind, row[-1][1] * n)
            elif n > 1:
                row.append((kind if plain else names.setdefault(kind, len(names)), n))
        return tuple(row)

    axes = tuple(map(name, flow.axes))
    if flow.expression is None:
        return axes, flow.support
    element = tuple(map(name, flow.expression.element))
    return axes, element, tuple((t, p, tuple(map(name, a))) for t, p, a in flow.expression.operands), flow.support


def combined(flows: Sequence[Flow], letters: Letters) -> list[Flow]:
    """A sum of flows: those that cancel are gone, equal ones are one."""
    found: list[Flow] = []
    for flow in flows:
        for i, old in enumerate(found):
            total = _total(old, flow, letters)
            if total is not None:
                found[i : i + 1] = [total] if total.expression is None or total.expression.factor else []
                break
        else:
            found.append(flow)
    return found


def _total(old: Flow, flow: Flow, letters: Letters) -> Flow | None:
    """The sum of two flows that are multiples of each other (factor 0 when they cancel), else None."""
    if old.expression is None or flow.expression is None:
        return flow if key(old) == key(flow) else None
    both = matched(old, flow, letters)
    if both is None or key(both[0]) != key(both[1]) or both[0].expression is None or both[1].expression is None:
        return None
    a, b = both[0].expression.factor, both[1].expression.factor
    total = 0.0 if abs(a + b) <= 1e-12 * max(abs(a), abs(b)) else a + b
    return replace(both[0], expression=replace(both[0].expression, factor=total))


def alike(flow: Flow, other: Flow | None) -> bool:
    """Equal up to the rounding of the factor."""
    if other is None or flow.expression is None or other.expression is None:
        return False
    close = isclose(flow.expression.factor, other.expression.factor, rel_tol=1e-12)
    return close and replace(flow, expression=replace(flow.expression, factor=other.expression.factor)) == other
