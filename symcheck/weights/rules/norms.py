"""Normalisations: layer, RMS, group, batch and instance norm, softmax."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Value
from symcheck.weights.rules.contraction import reduced
from symcheck.weights.rules.table import rule

HALF = Fraction(1, 2)
EPS = 1.1920929e-07  # what rms_norm adds when asked for nothing (float32)


def affine(net: Network, x: Value, weight: Value | None, bias: Value | None) -> Value:
    """x · weight + bias, broadcast."""
    x = x if weight is None else net.multiply([(x, 1), (weight, 1)])
    return x if bias is None else net.add([x, bias])


@rule("layer_norm")
def layer_norm(
    net: Network, x: Value, shape: Sequence[int], weight: Value | None = None, bias: Value | None = None,
    eps: float = 1e-5, *_: Any,
) -> Value:  # fmt: skip
    """(x − mean) / √(var + eps) · weight + bias over the last axes."""
    return affine(net, net.normalise(x, range(-len(shape), 0), True, eps), weight, bias)


@rule("native_layer_norm")
def native_layer_norm(net: Network, *arguments: Any) -> list[Value]:
    """The same with its statistics, which nothing may use."""
    return [layer_norm(net, *arguments)] * 3


@rule("rms_norm", "_fused_rms_norm")
def rms_norm(net: Network, x: Value, shape: Sequence[int], weight: Value | None = None, eps: Any = None) -> Value:
    """x / √(mean x² + eps) · weight over the last axes."""
    return affine(net, net.normalise(x, range(-len(shape), 0), False, EPS if eps is None else eps), weight, None)


@rule("group_norm")
def group_norm(
    net: Network,
    x: Value,
    groups: int,
    weight: Value | None = None,
    bias: Value | None = None,
    eps: float = 1e-5,
    *_: Any,
) -> Value:
    """Normalised over each group of channels (axis 1) with all positions; the gain has an axis for the channels."""
    wide = net.view(x, [x.shape[0], groups, x.shape[1] // groups, *x.shape[2:]])
    out = net.view(net.normalise(wide, range(2, len(wide.axes)), True, eps), x.shape)
    return affine(net, out, channels(net, weight, x), channels(net, bias, x))


def channels(net: Network, vector: Value | None, x: Value) -> Value | None:
    """A vector over axis 1 of x, shaped to broadcast against it."""
    return None if vector is None else net.view(vector, [vector.shape[0], *([1] * (len(x.axes) - 2))])


@rule("batch_norm", "_native_batch_norm_legit_no_training", "native_batch_norm", "cudnn_batch_norm")
def batch_norm(
    net: Network, x: Value, weight: Value | None, bias: Value | None, mean: Value, var: Value, *more: Any
) -> Any:
    """(x − mean) / √(var + eps) · weight + bias along axis 1, with the running statistics."""
    eps = next((float(v) for v in reversed(more) if isinstance(v, float)), 1e-5)
    net.offsets.setdefault(var.name, eps)
    centred = net.add([x, _need(channels(net, mean, x))], [1.0, -1.0])
    scaled = net.multiply([(centred, 1), (_need(channels(net, net.pointwise(var, "linear", "zero", -HALF), x)), 1)])
    out = affine(net, scaled, channels(net, weight, x), channels(net, bias, x))
    return out if net.operator == "batch_norm" else [out, out, out]


def _need(value: Value | None) -> Value:
    if value is None:
        raise ValueError("a batch norm without running statistics")
    return value


@rule("instance_norm")
def instance_norm(
    net: Network, x: Value, weight: Value | None = None, bias: Value | None = None, mean: Any = None, var: Any = None,
    use_input: bool = True, momentum: float = 0.1, eps: float = 1e-5, *_: Any,
) -> Value:  # fmt: skip
    """Every channel normalised over its positions."""
    if not use_input:
        raise ValueError("instance norm with running statistics")
    out = net.normalise(x, range(2, len(x.axes)), True, eps)
    return affine(net, out, channels(net, weight, x), channels(net, bias, x))


@rule("softmax", "_softmax", "_safe_softmax", "log_softmax", "_log_softmax")
def softmax(net: Network, x: Value, axis: int, *_: Any, **__: Any) -> Value:
    """Softmax along an axis."""
    return net.softmax(x, axis, "log" in net.operator)


@rule("glu")
def glu(net: Network, x: Value, axis: int = -1) -> Value:
    """a σ(b) with (a + b) the two halves of an axis."""
    half = x.shape[axis] // 2
    a, b = net.narrow(x, axis, 0, half), net.narrow(x, axis, half, 2 * half)
    return net.multiply([(a, 1), (net.pointwise(b, "zero", "zero"), 1)])


@rule("linalg_vector_norm", "norm")
def vector_norm(net: Network, x: Value, p: Any = 2, axes: Any = None, keepdim: bool = False, **_: Any) -> Value:
    """(Σ |x|^p)^(1/p) over axes; for p = 2 the scalar product with itself."""
    p = 2 if p is None or p == "fro" else p
    if p == 2:
        return net.pointwise(_squares(net, x, axes, keepdim), "linear", "zero", HALF)
    if abs(p) == float("inf"):
        return net.reduce(net.pointwise(x, "linear", "even"), reduced(x, axes), keepdim, parity="zero")
    if p <= 0:
        raise ValueError(f"a norm of order {p}")
    power = Fraction(p).limit_denominator(64)
    powers = net.reduce(net.pointwise(x, "linear", "even", power), reduced(x, axes), keepdim)
    return net.pointwise(powers, "linear", "zero", 1 / power)


def _squares(net: Network, x: Value, axes: Any, keepdim: bool) -> Value:
    """Σ x² over axes."""
    return net.reduce(net.value(x.axes, square=x), reduced(x, axes), keepdim)


@rule("var", "std")
def variance(net: Network, x: Value, axes: Any = None, *flags: Any, keepdim: bool = False, **_: Any) -> Value:
    """Σ (x − mean x)² over axes, divided by their size or by one less; its root."""
    keepdim = bool(flags[1]) if len(flags) > 1 else keepdim
    axes = reduced(x, None if isinstance(axes, bool) else axes)
    centred = net.add([x, net.reduce(x, axes, True, mean=True)], [1.0, -1.0])
    out = net.same(_squares(net, centred, axes, keepdim), None)
    return out if net.operator == "var" else net.pointwise(out, "linear", "zero", HALF)


@rule("cosine_similarity")
def cosine(net: Network, x: Value, y: Value, axis: int = 1, eps: float = 1e-8) -> Value:
    """⟨x, y⟩ / (|x| |y|) along an axis; eps counts for vectors that are shorter."""
    rank = max(len(x.axes), len(y.axes))
    axis %= rank
    labels = tuple(range(rank))
    rows = [(v, labels[rank - len(v.axes) :]) for v in (x, y)]
    sizes: dict[Label, int] = {i: max(v.shape[i - rank] for v, _ in rows if i >= rank - len(v.axes)) for i in labels}
    kept = [i for i in labels if i != axis]
    products = net.monomial(kept, [(v, mine, 1) for v, mine in rows], sizes)
    lengths = [net.pointwise(_squares(net, v, [axis - rank], False), "linear", "zero", HALF) for v in (x, y)]
    return net.multiply([(products, 1), *((length, -1) for length in lengths)], small=eps > 0)


@rule("_weight_norm", "_weight_norm_interface")
def weight_norm(net: Network, v: Value, g: Value, axis: int = 0) -> Any:
    """g v / |v|, a length for every index of one axis."""
    others = [i for i in range(len(v.axes)) if i != axis % len(v.axes)]
    length = vector_norm(net, v, 2, others, True)
    out = net.multiply([(v, 1), (g, 1), (length, -1)])
    return [out, length] if net.operator.endswith("interface") else out
