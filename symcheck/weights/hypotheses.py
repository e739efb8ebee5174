"""What may be shifted: all of a parameter, a segment of it, alike along one axis, or against a centred norm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from symcheck.weights.centred import nulls
from symcheck.weights.flows import CONSTANT, Expression, Flow
from symcheck.weights.relations import Value

if TYPE_CHECKING:
    from symcheck.weights.shifts import Graph

Hypothesis = tuple[str, dict[int, list[Flow]], tuple[tuple[Value, Flow], ...]]


def hypotheses(graph: Graph, parameters: Sequence[Value]) -> Iterator[Hypothesis]:
    """What is shifted: a name, the flows at the start, and changes of parameters that start no flow themselves."""
    letters = graph.carrier.letters
    for value in parameters:
        if not graph.readers.get(id(value)):
            continue
        rank = len(value.axes)
        for constant in [[], *([i] for i in range(rank) if value.shape[i] > 1 and rank < 5)]:
            axes = letters.axes(value.shape, constant)
            yield value.name, {id(value): [Flow(axes, _plain(axes))]}, ()
        for start, size in segments(value) if rank == 1 else ():
            part = letters.axes([size])
            yield value.name, {id(value): [Flow(part, _plain(part), ((0, (start, value.shape[0])),))]}, ()
    for value in parameters:
        yield from nulls(graph, value, segments(value))


def _plain(axes: tuple[tuple[tuple[str, int], ...], ...]) -> Expression:
    return Expression(1.0, tuple(a for a in axes if any(k != CONSTANT for k, _ in a)))


def segments(value: Value) -> list[tuple[int, int]]:
    """The segments of the first axis of a parameter: (start, size)."""
    node = value.axes[0].root() if value.axes else None
    if node is None or node.kind != "sum":
        return []
    sizes = [part.size for part in node.parts]
    return [(sum(sizes[:i]), n) for i, n in enumerate(sizes)]


def extent(hypothesis: Hypothesis) -> tuple[tuple[str, bool], str]:
    """What is shifted and how (against a norm or not), and whether all of it is, a segment, or a direction."""
    name, sources, changes = hypothesis
    flows = [flow for _, flow in changes] or [flow for each in sources.values() for flow in each]
    if any(flow.support for flow in flows):
        return (name, bool(changes)), "segment"
    even = any(kind == CONSTANT and n > 1 for flow in flows for axis in flow.axes for kind, n in axis)
    return (name, bool(changes)), "direction" if even and not changes else "whole"
