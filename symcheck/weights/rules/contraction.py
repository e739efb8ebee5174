"""Contractions: linear maps, matrix products, einsum, convolutions, and sums, means and maxima over axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Value
from symcheck.weights.rules.pointwise import add
from symcheck.weights.rules.table import rule


@rule("linear")
def linear(net: Network, x: Value, weight: Value, bias: Value | None = None) -> Value:
    """y[…, o] = Σ_i x[…, i] W[o, i] + b[o]."""
    batch = tuple(range(len(x.axes) - 1))
    sizes: dict[Label, int] = {**dict(enumerate(x.shape[:-1])), "o": weight.shape[0]}
    out = net.monomial((*batch, "o"), [(x, (*batch, "i"), 1), (weight, ("o", "i"), 1)], sizes)
    return out if bias is None else net.add([out, bias])


@rule("bilinear")
def bilinear(net: Network, x: Value, y: Value, weight: Value, bias: Value | None = None) -> Value:
    """z[…, o] = Σ_ij x[…, i] W[o, i, j] y[…, j] + b[o]."""
    batch = tuple(range(len(x.axes) - 1))
    rows = [(x, (*batch, "i"), 1), (weight, ("o", "i", "j"), 1), (y, (*batch, "j"), 1)]
    out = net.monomial((*batch, "o"), rows, {**dict(enumerate(x.shape)), "o": weight.shape[0]})
    return out if bias is None else net.add([out, bias])


@rule("matmul", "mm", "bmm", "mv", "dot", "vdot", "inner")
def matmul(net: Network, x: Value, y: Value) -> Value:
    """The last axis of x against the last but one of y; leading axes broadcast."""
    rank = max(len(x.axes), len(y.axes), 2)
    lead = tuple(range(-rank, -2))
    left: tuple[Label, ...] = (*lead[rank - len(x.axes) :], "i", "k") if len(x.axes) > 1 else ("k",)
    right: tuple[Label, ...] = (*lead[rank - len(y.axes) :], "k", "j") if len(y.axes) > 1 else ("k",)
    kept = [label for label in (*lead, "i", "j") if label in left or label in right]
    sizes: dict[Label, int] = {}
    for labels, value in ((left, x), (right, y)):
        for label, n in zip(labels, value.shape, strict=True):
            sizes[label] = max(n, sizes.get(label, 1))
    return net.monomial(kept, [(x, left, 1), (y, right, 1)], sizes)


@rule("addmm")
def addmm(net: Network, bias: Value, x: Value, y: Value, **_: Any) -> Value:
    """bias + x y."""
    return net.add([matmul(net, x, y), bias])


@rule("baddbmm")
def baddbmm(net: Network, bias: Value, x: Value, y: Value, *, beta: Any = 1, alpha: Any = 1) -> Value:
    """beta·bias + alpha·x y."""
    product = matmul(net, x, y)
    return product if beta == 0 else add(net, product, bias)


@rule("outer", "ger")
def outer(net: Network, x: Value, y: Value) -> Value:
    """x yᵀ."""
    return net.monomial(("i", "j"), [(x, ("i",), 1), (y, ("j",), 1)], {"i": x.shape[0], "j": y.shape[0]})


@rule("tensordot")
def tensordot(net: Network, x: Value, y: Value, over: Sequence[int], with_: Sequence[int], *_: Any) -> Value:
    """Axes of x summed against axes of y, pair by pair."""
    pairs = [(a % len(x.axes), b % len(y.axes)) for a, b in zip(over, with_, strict=True)]
    left: list[Label] = [("x", i) for i in range(len(x.axes))]
    right: list[Label] = [("y", i) for i in range(len(y.axes))]
    for a, b in pairs:
        right[b] = left[a]
    summed = {left[a] for a, _ in pairs}
    kept = [label for label in (*left, *right) if label not in summed]
    sizes = dict(zip((*left, *right), (*x.shape, *y.shape), strict=True))
    return net.monomial(kept, [(x, left, 1), (y, right, 1)], sizes)


@rule("einsum")
def einsum(net: Network, equation: str, operands: Sequence[Value], **__: Any) -> Value:
    """The einsum of torch, ellipsis included."""
    left, _, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    dots = max(len(v.axes) - len(t.replace("...", "")) for t, v in zip(terms, operands, strict=True))
    if "->" not in equation:
        letters = sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1)
        right = ("..." if "..." in left else "") + "".join(letters)
    rows = []
    sizes: dict[Label, int] = {}
    for term, value in zip(terms, operands, strict=True):
        mine = _letters(term, len(value.axes) - len(term.replace("...", "")) if "..." in term else 0)
        if len(set(mine)) < len(mine):
            raise ValueError("a diagonal in an einsum")
        rows.append((value, mine, 1))
        for label, n in zip(mine, value.shape, strict=True):
            sizes[label] = max(n, sizes.get(label, 1))
    return net.monomial(_letters(right, dots), rows, sizes)


def _letters(term: str, dots: int) -> tuple[Label, ...]:
    head, found, tail = term.partition("...")
    return (*head, *(range(-dots, 0) if found else ()), *tail)


@rule("conv1d", "conv2d", "conv3d")
def convolution(
    net: Network, x: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Value:  # fmt: skip
    """y[(g o)] = Σ_c W[(g o), c] * x[(g c)]; positions are mixed along the spatial axes."""
    return _convolve(net, x, weight, bias, groups, transposed=False)


@rule("convolution")
def general_convolution(
    net: Network, x: Value, weight: Value, bias: Value | None, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Value:  # fmt: skip
    """The general form, transposed too."""
    return _convolve(net, x, weight, bias, groups, transposed)


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def transposed_convolution(
    net: Network, x: Value, weight: Value, bias: Value | None = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Value:  # fmt: skip
    """y[(g o)] = Σ_c W[(g c), o] * x[(g c)]."""
    return _convolve(net, x, weight, bias, groups, transposed=True)


def _convolve(net: Network, x: Value, weight: Value, bias: Value | None, groups: int, transposed: bool) -> Value:
    space = len(weight.axes) - 2
    batched = len(x.axes) == space + 2
    if not batched:
        x = net.view(x, [1, *x.shape])
    net.pin(x, "positions are mixed along it", range(2, space + 2))
    net.pin(weight, "a kernel's positions", range(2, space + 2))
    x = net.view(x, [x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]])
    weight = net.view(weight, [groups, weight.shape[0] // groups, *weight.shape[1:]])
    spots = tuple(("x", i) for i in range(space))
    taps = tuple(("w", i) for i in range(space))
    kernel = ("g", "c", "o", *taps) if transposed else ("g", "o", "c", *taps)
    sizes: dict[Label, int] = {"b": x.shape[0], "g": groups, "o": weight.shape[2 if transposed else 1]}
    sizes |= {("y", i): int(net.shape[i - space]) for i in range(space)}
    kept = ("b", "g", "o", *(("y", i) for i in range(space)))
    out = net.monomial(kept, [(x, ("b", "g", "c", *spots), 1), (weight, kernel, 1)], sizes, factor=None)
    net.pin(out, "positions are mixed along it", range(3, space + 3))
    out = net.view(out, [x.shape[0], groups * sizes["o"], *out.shape[3:]])
    if bias is not None:
        out = net.add([out, net.view(bias, [bias.shape[0], *([1] * space)])])
    return out if batched else net.view(out, out.shape[1:])


@rule("sum", "mean")
def total(net: Network, x: Value, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """A sum or a mean over axes."""
    return net.reduce(x, reduced(x, axes), keepdim, mean=net.operator == "mean")


@rule("amax", "amin")
def extreme(net: Network, x: Value, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """The largest over axes: positive scales pass."""
    return net.reduce(net.pointwise(x, "linear", "zero"), reduced(x, axes), keepdim)


@rule("logsumexp", "prod", "any", "all", "count_nonzero")
def symmetric(net: Network, x: Value, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """A symmetric function over axes that lets no scale pass."""
    return net.reduce(net.pointwise(x, "zero", "zero"), reduced(x, axes), keepdim)


@rule("max", "min")
def extreme_with_index(net: Network, x: Value, axis: Any = None, keepdim: bool = False) -> Any:
    """The largest of all, or along an axis with its index (which then is pinned)."""
    if isinstance(axis, Value):
        return net.add([x, axis], parity="zero", linear=False)
    if axis is None:
        return net.reduce(net.pointwise(x, "linear", "zero"), range(len(x.axes)), False)
    if net.reads > 1:
        net.pin(x, "the index of the largest is used", [axis])
    index = net.reduce(net.pointwise(x, "zero", "zero"), [axis], keepdim) if net.reads > 1 else None
    return [net.reduce(net.pointwise(x, "linear", "zero"), [axis], keepdim), index]


def reduced(x: Value, axes: Any) -> Sequence[int]:
    """The axes that a reduction names; all of them when it names none."""
    if axes is None or (isinstance(axes, list | tuple) and not axes):
        return range(len(x.axes))
    return [axes] if isinstance(axes, int) else list(axes)
