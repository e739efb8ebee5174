"""Embeddings, gathers and scatters; indices that the network chooses (top-k over experts) carry their axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcheck.weights.axes import Axis
from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Value
from symcheck.weights.rules.table import rule

READ = "rows of it are picked by number"


@rule("embedding")
def embedding(net: Network, weight: Value, index: Value, *_: Any, **__: Any) -> Value:
    """weight[index]: rows picked by the input."""
    return index_select_by(net, weight, 0, index)


@rule("embedding_bag")
def embedding_bag(net: Network, weight: Value, index: Value, offsets: Value, *more: Any, **named: Any) -> list[Value]:
    """Rows picked by the input, and summed, averaged or maximised over each bag."""
    mode = named.get("mode", more[1] if len(more) > 1 else 0)
    weights = named.get("per_sample_weights", more[3] if len(more) > 3 else None)
    if weights is not None:
        raise ValueError("weights of samples")
    rows = index_select_by(net, weight, 0, index)
    rows = net.pointwise(rows, "linear", "zero") if mode == 2 else rows
    sizes: dict[Label, int] = {"bag": net.shape[0], "d": weight.shape[1]}
    net.pin(rows, "samples of a bag", [0])
    out = net.monomial(("bag", "d"), [(rows, ("sample", "d"), 1)], sizes, factor=None)
    net.pin(out, "bags", [0])
    return [out, out, out, out]


def index_select_by(net: Network, x: Value, axis: int, index: Value) -> Value:
    """x with one axis replaced by the axes of an index tensor."""
    axis %= len(x.axes)
    if index.indexes is not None:
        net.algebra.unify(x.axes[axis], index.indexes)
    elif index.data is None:
        raise ValueError("an index that depends on the weights")
    else:
        net.pin(x, READ, [axis])
    labels: list[Label] = list(range(len(x.axes)))
    new: list[Label] = [("index", i) for i in range(len(index.axes))]
    sizes = net.sizes(x) | {("index", i): n for i, n in enumerate(index.shape)}
    kept = [*labels[:axis], *new, *labels[axis + 1 :]]
    return net.monomial(kept, [(x, labels, 1), (index, new, 0)], sizes, picks=True)


@rule("index_select")
def index_select(net: Network, x: Value, axis: int, index: Value) -> Value:
    """x[..., index, ...]."""
    return index_select_by(net, x, axis, index)


@rule("index", "_unsafe_index")
def index(net: Network, x: Value, indices: Sequence[Value | None]) -> Value:
    """x[i, j, ...] with index tensors that broadcast; a boolean mask has no fixed size and is refused."""
    used = [(axis, v) for axis, v in enumerate(indices) if v is not None]
    if any(v.data is not None and v.data.dtype.is_floating_point for _, v in used):
        raise ValueError("a mask as an index")
    axes = [axis for axis, _ in used]
    for axis, value in used:
        if value.indexes is not None:
            net.algebra.unify(x.axes[axis], value.indexes)
        elif value.data is None:
            raise ValueError("an index that depends on the weights")
        else:
            net.pin(x, READ, [axis])
    rank = max(len(v.axes) for _, v in used)
    new: list[Label] = [("index", i) for i in range(-rank, 0)]
    sizes: dict[Label, int] = dict(net.sizes(x))
    rows = [(v, new[rank - len(v.axes) :], 0) for _, v in used]
    for value, labels, _ in rows:
        for label, n in zip(labels, value.shape, strict=True):
            sizes[label] = max(n, sizes.get(label, 1))
    together = axes == list(range(axes[0], axes[-1] + 1))
    place = axes[0] if together else 0
    rest = [i for i in range(len(x.axes)) if i not in axes]
    kept = [*[i for i in rest if i < place], *new, *[i for i in rest if i >= place]]
    return net.monomial(kept, [(x, list(range(len(x.axes))), 1), *rows], sizes, picks=True)


@rule("gather")
def gather(net: Network, x: Value, axis: int, index: Value, **_: Any) -> Value:
    """out[…, k, …] = x[…, index[…, k, …], …]."""
    axis %= len(x.axes)
    if index.indexes is not None:
        net.algebra.unify(x.axes[axis], index.indexes)
    elif index.data is None:
        raise ValueError("an index that depends on the weights")
    else:
        net.pin(x, READ, [axis])
    labels: list[Label] = list(range(len(x.axes)))
    new: list[Label] = [("index", i) if i == axis else i for i in labels]
    for i, (have, want) in enumerate(zip(x.shape, index.shape, strict=True)):
        if i != axis and have != want:
            raise ValueError("a gather that cuts another axis")
    sizes = net.sizes(x) | {("index", axis): index.shape[axis]}
    return net.monomial(new, [(x, labels, 1), (index, new, 0)], sizes, picks=True)


@rule("scatter", "scatter_add", "index_add", "index_copy", "scatter_reduce", "index_put")
def scatter(net: Network, x: Value, axis: Any, index: Any, source: Any, *more: Any, **named: Any) -> Value:
    """Rows of a source added into (or written over) x at the rows of an index."""
    if net.operator == "index_put":
        return _index_put(net, x, axis, index)
    how = named.get("reduce", more[0] if more else "sum")
    if how not in ("sum", "add", "mean"):
        raise ValueError(f"a scatter by {how}")
    axis %= len(x.axes)
    if index.indexes is not None:
        net.algebra.unify(x.axes[axis], index.indexes)
    elif index.data is None:
        raise ValueError("an index that depends on the weights")
    else:
        net.pin(x, READ, [axis])
    labels = list(range(len(x.axes)))
    mine: list[Label] = [("index", i) if i == axis else i for i in labels]
    chosen = (index, mine if len(index.axes) == len(mine) else [("index", axis)], 0)
    adds = net.operator in ("scatter_add", "index_add") and "reduce" not in named
    kept = x if adds else _overwritten(net, x, axis, chosen)
    if not isinstance(source, Value):
        net.freeze(kept)
        return kept
    moved = net.monomial(labels, [(source, mine, 1), chosen], net.sizes(x), factor=None)
    net.algebra.unify(moved.axes[axis], x.axes[axis])
    return net.add([kept, moved])


def _overwritten(net: Network, x: Value, axis: int, *chosen: tuple[Value, Sequence[Label], int]) -> Value:
    """x where nothing is written over it: not everywhere along the axis."""
    labels = list(range(len(x.axes)))
    places = net.value([x.axes[axis]])
    return net.monomial(labels, [(x, labels, 1), (places, [axis], 0), *chosen], net.sizes(x), factor=None)


def _index_put(net: Network, x: Value, indices: Sequence[Value | None], source: Value) -> Value:
    used = [axis for axis, v in enumerate(indices) if v is not None]
    if used != [0] or indices[0] is None or indices[0].data is None or len(source.axes) != len(x.axes):
        raise ValueError("an assignment at several axes")
    net.pin(x, READ, [0])
    net.pin(source, READ, [0])
    labels: list[Label] = list(range(len(x.axes)))
    moved = net.monomial(labels, [(source, [("index", 0), *labels[1:]], 1)], net.sizes(x), factor=None)
    return net.add([_overwritten(net, x, 0), moved])


@rule("topk", "sort")
def topk(net: Network, x: Value, *arguments: Any, **named: Any) -> list[Value]:
    """The largest along an axis, in order, with their indices: those carry the axis."""
    if net.operator == "topk":
        axis = arguments[1] if len(arguments) > 1 else named.get("dim", -1)
    else:
        axis = next((a for a in arguments if isinstance(a, int) and not isinstance(a, bool)), named.get("dim", -1))
    axis %= len(x.axes)
    net.freeze(x)
    labels: list[Label] = list(range(len(x.axes)))
    kept: list[Label] = [("rank", i) if i == axis else i for i in labels]
    sizes = net.sizes(x) | {("rank", axis): net.shape[axis]}
    values = net.monomial(kept, [(x, labels, 1)], sizes, factor=None)
    net.pin(values, "the order of the largest", [axis])
    return [values, net.value(list(values.axes), indexes=x.axes[axis])]


@rule("argmax", "argmin")
def argmax(net: Network, x: Value, axis: Any = None, keepdim: bool = False) -> Value:
    """The index of the largest, which carries the axis."""
    if axis is None:
        raise ValueError("an index over all axes")
    net.freeze(x)
    out = net.reduce(x, [axis], keepdim)
    out.indexes = x.axes[axis]
    return out


@rule("one_hot")
def one_hot(net: Network, index: Value, classes: int = -1) -> Value:
    """A new last axis: the one that is indexed."""
    if index.indexes is None:
        raise ValueError("an index that depends on the weights")
    axes: list[Axis] = [*index.axes, index.indexes]
    out = net.value(axes)
    net.freeze(out)
    return out
