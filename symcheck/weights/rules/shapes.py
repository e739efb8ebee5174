"""Operators that move numbers without changing them: views, permutations, slices, concatenations, repetitions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch

from symcheck.weights.network import Network
from symcheck.weights.relations import Value
from symcheck.weights.rules.pointwise import number
from symcheck.weights.rules.table import rule


@rule("view", "_unsafe_view", "reshape", "view_copy")
def view(net: Network, x: Value, shape: Sequence[int]) -> Value:
    """A row-major reshape, one size inferred."""
    sizes = [int(n) for n in shape]
    if -1 in sizes:
        sizes[sizes.index(-1)] = prod(x.shape) // max(1, -prod(sizes))
    return net.view(x, sizes)


@rule("flatten")
def flatten(net: Network, x: Value, start: int = 0, end: int = -1) -> Value:
    """Several axes into one."""
    rank = len(x.axes)
    start, end = start % rank, end % rank
    return net.view(x, [*x.shape[:start], prod(x.shape[start : end + 1]), *x.shape[end + 1 :]])


@rule("unflatten")
def unflatten(net: Network, x: Value, axis: int, sizes: Sequence[int]) -> Value:
    """One axis into several."""
    axis %= len(x.axes)
    known = [int(n) for n in sizes]
    if -1 in known:
        known[known.index(-1)] = x.shape[axis] // max(1, -prod(known))
    return net.view(x, [*x.shape[:axis], *known, *x.shape[axis + 1 :]])


@rule("unsqueeze")
def unsqueeze(net: Network, x: Value, axis: int) -> Value:
    """A new axis of size 1."""
    axis %= len(x.axes) + 1
    return net.view(x, [*x.shape[:axis], 1, *x.shape[axis:]])


@rule("squeeze")
def squeeze(net: Network, x: Value, axes: int | Sequence[int] | None = None) -> Value:
    """Axes of size 1 dropped."""
    every = range(len(x.axes)) if axes is None else [axes] if isinstance(axes, int) else axes
    gone = {a % len(x.axes) for a in every if x.shape[a] == 1}
    net.pin(x, "a single index of it is used", sorted(gone))
    return net.view(x, [n for i, n in enumerate(x.shape) if i not in gone])


@rule("permute")
def permute(net: Network, x: Value, order: Sequence[int]) -> Value:
    """The axes in another order."""
    return net.permute(x, [i % len(x.axes) for i in order])


@rule("transpose", "swapaxes")
def transpose(net: Network, x: Value, first: int, second: int) -> Value:
    """Two axes exchanged."""
    order = list(range(len(x.axes)))
    order[first], order[second] = order[second], order[first]
    return net.permute(x, order)


@rule("t", "numpy_T", "mT", "adjoint")
def last_two(net: Network, x: Value) -> Value:
    """The last two axes exchanged."""
    return transpose(net, x, -2, -1) if len(x.axes) > 1 else net.same(x)


@rule("movedim")
def movedim(net: Network, x: Value, source: int | Sequence[int], target: int | Sequence[int]) -> Value:
    """Axes moved to other places."""
    rank = len(x.axes)
    sources = [a % rank for a in ([source] if isinstance(source, int) else source)]
    targets = [a % rank for a in ([target] if isinstance(target, int) else target)]
    order = [i for i in range(rank) if i not in sources]
    for place, axis in sorted(zip(targets, sources, strict=True)):
        order.insert(place, axis)
    return net.permute(x, order)


@rule("expand", "broadcast_to")
def expand(net: Network, x: Value, shape: Sequence[int], **_: Any) -> Value:
    """Repeated along axes of size 1: nothing differs along them."""
    return net.expand(x, [int(n) for n in shape])


@rule("expand_as")
def expand_as(net: Network, x: Value, other: Value) -> Value:
    """Repeated to the shape of another tensor."""
    return net.expand(x, other.shape)


@rule("repeat", "tile")
def repeat(net: Network, x: Value, times: Sequence[int]) -> Value:
    """x (a) -> (times a): a new slow factor along which nothing differs."""
    fresh = len(times) - len(x.axes)
    shape = [*([1] * fresh), *x.shape]
    wide = net.view(x, [n for size in shape for n in (1, size)])
    wide = net.expand(wide, [n for size, k in zip(shape, times, strict=True) for n in (k, size)])
    return net.view(wide, [size * k for size, k in zip(shape, times, strict=True)])


@rule("repeat_interleave")
def repeat_interleave(net: Network, x: Value, times: Any, axis: int | None = None, **_: Any) -> Value:
    """x (a) -> (a times): a new fast factor along which nothing differs."""
    if isinstance(times, Value) or axis is None:
        raise ValueError("repeats that differ")
    axis %= len(x.axes)
    wide = net.view(x, [*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]])
    wide = net.expand(wide, [*x.shape[: axis + 1], int(times), *x.shape[axis + 1 :]])
    return net.view(wide, [*x.shape[:axis], x.shape[axis] * int(times), *x.shape[axis + 1 :]])


@rule("slice", "slice_copy")
def slices(net: Network, x: Value, axis: int = 0, start: Any = None, stop: Any = None, step: int = 1) -> Value:
    """x[start:stop:step]; a step that divides the size reads one index of a factor."""
    axis %= len(x.axes)
    size = x.shape[axis]
    start, stop, _ = slice(start, stop).indices(size)
    if stop <= start:
        return net.given(torch.zeros([*x.shape[:axis], 0, *x.shape[axis + 1 :]]), True)
    if step == 1:
        return net.narrow(x, axis, start, stop)
    if size % step or stop < size or start >= step:
        raise ValueError("a slice with a step that does not divide the axis")
    wide = net.view(x, [*x.shape[:axis], size // step, step, *x.shape[axis + 1 :]])
    return net.narrow(wide, axis + 1, start, start + 1, keep=False)


@rule("narrow")
def narrow(net: Network, x: Value, axis: int, start: int, length: int) -> Value:
    """x[start:start + length]."""
    return net.narrow(x, axis, start % x.shape[axis], start % x.shape[axis] + length)


@rule("select")
def select(net: Network, x: Value, axis: int, index: int) -> Value:
    """One index of an axis."""
    index %= x.shape[axis]
    return net.narrow(x, axis, index, index + 1, keep=False)


@rule("unbind")
def unbind(net: Network, x: Value, axis: int = 0) -> list[Value]:
    """All indices of an axis, apart."""
    return [net.narrow(x, axis, i, i + 1, keep=False) for i in range(x.shape[axis])]


@rule("split", "split_with_sizes", "split_copy")
def split(net: Network, x: Value, sizes: int | Sequence[int], axis: int = 0) -> list[Value]:
    """Segments of an axis."""
    size = x.shape[axis]
    if isinstance(sizes, int):
        sizes = [min(sizes, size - i) for i in range(0, size, sizes)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [net.narrow(x, axis, a, a + n) for a, n in zip(starts, sizes, strict=True)]


@rule("chunk")
def chunk(net: Network, x: Value, chunks: int, axis: int = 0) -> list[Value]:
    """Segments of equal size."""
    return split(net, x, -(-x.shape[axis] // chunks), axis)


@rule("cat", "concat", "concatenate")
def cat(net: Network, values: Sequence[Value], axis: int = 0) -> Value:
    """Concatenated along an axis."""
    return net.cat([v for v in values if prod(v.shape)], axis)


@rule("stack")
def stack(net: Network, values: Sequence[Value], axis: int = 0) -> Value:
    """Concatenated along a new axis."""
    axis %= len(values[0].axes) + 1
    return net.cat([unsqueeze(net, v, axis) for v in values], axis)


@rule("select_scatter")
def select_scatter(net: Network, x: Value, source: Value, axis: int, index: int) -> Value:
    """x with one index of an axis replaced."""
    return slice_scatter(net, x, unsqueeze(net, source, axis % len(x.axes)), axis, index % x.shape[axis])


@rule("slice_scatter")
def slice_scatter(
    net: Network, x: Value, source: Value, axis: int = 0, start: Any = None, stop: Any = None, step: int = 1
) -> Value:
    """x with a segment of an axis replaced."""
    if step != 1:
        raise ValueError("a scatter with a step")
    begin = slice(start, stop).indices(x.shape[axis])[0]
    end = begin + source.shape[axis]
    before = [net.narrow(x, axis, 0, begin)] if begin else []
    after = [net.narrow(x, axis, end, x.shape[axis])] if end < x.shape[axis] else []
    return net.cat([*before, source, *after], axis)


@rule("copy")
def copy(net: Network, x: Value, source: Value, *_: Any) -> Value:
    """The second tensor in the shape of the first."""
    return net.expand(source, x.shape)


@rule("fill")
def fill(net: Network, x: Value, value: Any) -> Value:
    """One number everywhere."""
    constant = number(value)
    if constant is None:
        raise ValueError("filled with what is no constant")
    return net.given(torch.full(x.shape, constant), True)


@rule("getitem")
def getitem(net: Network, values: Sequence[Any], index: int) -> Any:
    """One of several outputs."""
    return values[index]
