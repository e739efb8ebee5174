"""Elementwise operators: activations by homogeneity and parity, and sums, products, powers, comparisons."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Value
from symcheck.weights.rules.table import rule

LINEAR = "clone alias contiguous detach _to_copy to type_as lift_fresh_copy dropout feature_dropout positive"
HOMOGENEOUS = "relu leaky_relu relu_ rrelu prelu_homogeneous"  # f(c x) = c f(x) for c > 0
ODD = (  # f(-x) = -f(x)
    "tanh erf special_erf sin asinh sinh atan tan atanh asin erfinv sign sgn round trunc frac hardshrink softshrink"
)
EVEN = "cos cosh sinc"
CENTRED = {"sigmoid": 1.0, "hardsigmoid": 1.0, "expit": 1.0, "ndtr": 1.0, "erfc": 2.0, "acos": math.pi}  # f(x) + f(-x)
PHASES = {"sin": math.pi, "cos": math.pi}  # f(x + phase) = -f(x)
PLAIN = (
    "gelu silu mish sigmoid softplus elu selu celu hardswish hardsigmoid relu6 logsigmoid exp log log1p expm1 "
    "exp2 log2 floor ceil threshold logit log_sigmoid acos acosh nan_to_num special_expit special_ndtr "
    "bitwise_not logical_not isnan isinf isfinite erfc special_erfc digamma lgamma"
)
COMPARE = (
    "eq ne lt le gt ge logical_and logical_or logical_xor bitwise_and bitwise_or bitwise_xor remainder fmod "
    "floor_divide"
)
SMALL = 1e-2  # the largest number that counts as an epsilon
HIDDEN = -1e4  # the largest number that counts as a mask's


def _linear(net: Network, x: Value, *_: Any, **named: Any) -> Value:
    dtype = named.get("dtype")
    rounds = dtype is not None and not dtype.is_floating_point and not dtype.is_complex
    return net.pointwise(x, "zero", "zero") if rounds else net.same(x)


def _homogeneous(net: Network, x: Value, *_: Any, **__: Any) -> Value:
    return net.pointwise(x, "linear", "zero")


def _odd(net: Network, x: Value, *_: Any, **__: Any) -> Value:
    return net.pointwise(x, "zero", "linear", phase=PHASES.get(net.operator, 0.0))


def _even(net: Network, x: Value, *_: Any, **__: Any) -> Value:
    return net.pointwise(x, "zero", "even", phase=PHASES.get(net.operator, 0.0))


def _plain(net: Network, x: Value, *_: Any, **__: Any) -> Value:
    return net.pointwise(x, "zero", "zero", centre=CENTRED.get(net.operator.removeprefix("special_"), 0.0))


for _names, _rule in ((LINEAR, _linear), (HOMOGENEOUS, _homogeneous), (ODD, _odd), (EVEN, _even), (PLAIN, _plain)):
    rule(*_names.split())(_rule)


@rule("neg")
def negative(net: Network, x: Value) -> Value:
    """−x."""
    return net.same(x, -1.0)


@rule("clamp", "clamp_min", "clamp_max", "hardtanh")
def clamp(net: Network, x: Value, *bounds: Any, **named: Any) -> Value:
    """Kept above, below or between numbers: odd between −c and c, homogeneous above or below 0."""
    given = dict(zip(("max",) if net.operator == "clamp_max" else ("min", "max"), bounds, strict=False)) | named
    if net.operator == "hardtanh":
        given = {"min": -1.0, "max": 1.0} | {key.removesuffix("_val"): value for key, value in given.items()}
    known = [v for v in given.values() if v is not None]
    if any(isinstance(v, Value) for v in known):
        raise ValueError("a bound that is a tensor")
    if len(known) == 1 and given.get("min") is not None and 0 < known[0] <= SMALL:
        return _epsilon(net, x)
    odd = len(known) == 2 and sum(known) == 0
    return net.pointwise(x, "linear" if known == [0] else "zero", "linear" if odd else "zero")


@rule("abs")
def absolute(net: Network, x: Value) -> Value:
    """|x|: homogeneous and even."""
    return net.pointwise(x, "linear", "even")


@rule(*COMPARE.split())
def compare(net: Network, x: Any, y: Any = None, **_: Any) -> Value:
    """Index by index; no scale and no sign passes."""
    terms = [v for v in (x, y) if isinstance(v, Value)]
    return net.multiply([(v, 1) for v in terms], degree="zero", parity="zero", linear=False)


@rule("prelu")
def prelu(net: Network, x: Value, weight: Value) -> Value:
    """The slope has an axis for the channels (axis 1); neither scale nor sign moves it."""
    if weight.shape == (1,) or len(x.axes) < 2:
        net.freeze(weight)
        return net.pointwise(x, "linear", "zero")
    net.algebra.unify(x.axes[1], weight.axes[0])
    net.freeze(weight)
    return net.pointwise(x, "linear", "zero")


def number(value: Any) -> float | None:
    """The number of a scalar or of a constant tensor that holds one number everywhere, else None."""
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Value) and value.constant and value.data is not None and value.data.numel():
        first = value.data.reshape(-1)[0]
        return float(first) if bool((value.data == first).all()) else None
    return None


@rule("add", "sub", "rsub")
def add(net: Network, x: Any, y: Any, *, alpha: Any = 1) -> Value:
    """A sum; a number other than zero lets no scale pass, unless it offsets a parameter (1 + w) or is an epsilon."""
    constants = [number(v) for v in (x, y)]
    values = [v for v in (x, y) if isinstance(v, Value)]
    constant = next((c for c, v in zip(constants, (x, y), strict=True) if c is not None), None)
    moving = [v for v in values if number(v) is None]
    if constant is None or len(moving) != 1:
        signs = {"sub": (1.0, -float(alpha)), "rsub": (-float(alpha), 1.0)}.get(net.operator, (1.0, float(alpha)))
        return net.add(values, [f for f, v in zip(signs, (x, y), strict=True) if isinstance(v, Value)])
    if constant == 0:
        return _shaped(net, moving[0], values)
    value = moving[0]
    if value.parameter and value.name and value.name not in net.offsets:
        net.offsets[value.name] = constant
        return _shaped(net, value, values)
    if 0 < abs(constant) <= SMALL and value.data is None:
        return _epsilon(net, value)
    return net.pointwise(_shaped(net, value, values), "zero", "zero")


def _epsilon(net: Network, value: Value) -> Value:
    labels = tuple(range(len(value.axes)))
    return net.monomial(labels, [(value, labels, 1)], net.sizes(value), parity="zero", linear=False, small=True)


def _shaped(net: Network, value: Value, values: list[Value]) -> Value:
    others = [v for v in values if v is not value]
    return net.multiply([(value, 1), *((v, 0) for v in others)]) if others else net.same(value)


@rule("mul")
def multiply(net: Network, x: Any, y: Any) -> Value:
    """A product: degrees and signs add."""
    values = [v for v in (x, y) if isinstance(v, Value)]
    if len(values) == 2 and values[0] is values[1]:
        return power(net, values[0], 2)
    return _scaled(net, [(v, 1) for v in values], 1.0 if len(values) == 2 else number(y if values[0] is x else x))


def _scaled(net: Network, factors: list[tuple[Value, int]], scalar: float | None) -> Value:
    """A product with a number in front; a constant tensor of one number counts into it."""
    for value, power_ in factors:
        constant = number(value) if value.data is not None else None
        if constant is not None and scalar is not None and (constant or power_ > 0):
            scalar *= constant**power_
    return net.multiply(factors, factor=scalar)


@rule("div", "true_divide")
def divide(net: Network, x: Any, y: Any, rounding_mode: Any = None) -> Value:
    """A quotient: degrees subtract."""
    if rounding_mode is not None:
        return compare(net, x, y)
    values = [(v, p) for v, p in ((x, 1), (y, -1)) if isinstance(v, Value)]
    scalar = number(y) if not isinstance(y, Value) else None
    return _scaled(net, values, 1 / scalar if scalar else (None if isinstance(x, Value) and scalar == 0 else 1.0))


@rule("reciprocal")
def reciprocal(net: Network, x: Value) -> Value:
    """1/x."""
    return net.pointwise(x, "linear", "linear", power=-1)


@rule("sqrt")
def square_root(net: Network, x: Value) -> Value:
    """√x: degree ½, no sign."""
    return net.pointwise(x, "linear", "zero", power=Fraction(1, 2))


@rule("rsqrt")
def inverse_root(net: Network, x: Value) -> Value:
    """1/√x: degree −½, no sign."""
    return net.pointwise(x, "linear", "zero", power=Fraction(-1, 2))


@rule("square")
def square(net: Network, x: Value) -> Value:
    """x²; a sum over an axis makes it a scalar product, which waits for the reduction."""
    return power(net, x, 2)


@rule("pow")
def power(net: Network, x: Any, exponent: Any) -> Value:
    """x^p: degree p, the sign of an integer p."""
    if not isinstance(x, Value) or isinstance(exponent, Value):
        return compare(net, x, exponent)
    p = Fraction(exponent).limit_denominator(64)
    parity = "zero" if p.denominator != 1 else ("even" if p % 2 == 0 else "linear")
    if p == 2 and net.summed:
        return net.value(x.axes, square=x)
    return net.pointwise(x, "linear", parity, power=p)


@rule("where")
def where(net: Network, condition: Value, x: Any = None, y: Any = None) -> Value:
    """A choice: both branches move alike; the condition not at all."""
    hidden = any(_hides(v) for v in (x, y))
    values = [v if hidden else _masked(net, v, condition, None) for v in (x, y) if isinstance(v, Value)]
    return _masked(net, net.add(values), condition, 1.0)


def _hides(value: Any) -> bool:
    """Whether it is so negative that a softmax makes 0 of it, whatever is added to it."""
    fill = number(value)
    return fill is not None and fill <= HIDDEN


@rule("masked_fill")
def masked_fill(net: Network, x: Value, mask: Value, fill: Any) -> Value:
    """A choice between x and a number; 0 and ±inf let positive scales pass, other numbers nothing."""
    value = number(fill)
    degree = "linear" if value and math.isinf(value) else "zero"
    out = net.same(x) if value == 0 else net.pointwise(x, degree, "zero")
    return _masked(net, out, mask, 1.0 if _hides(fill) else None)


def _masked(net: Network, out: Value, mask: Value, factor: float | None) -> Value:
    """Entries chosen by a mask; where it matters which, with no one number in front."""
    if mask.data is None:
        net.freeze(mask)
    rank = max(len(out.axes), len(mask.axes))
    labels = tuple(range(-rank, 0))
    sizes: dict[Label, int] = {i: max(v.shape[i] for v in (out, mask) if -i <= len(v.axes)) for i in labels}
    rows = [(v, labels[rank - len(v.axes) :], p) for v, p in ((out, 1), (mask, 0))]
    return net.monomial(labels, rows, sizes, factor=factor)


@rule("maximum", "minimum")
def extreme(net: Network, x: Value, y: Value) -> Value:
    """The larger of two: positive scales pass."""
    return net.add([x, y], parity="zero", linear=False)


@rule("lerp")
def lerp(net: Network, x: Value, y: Value, weight: Any) -> Value:
    """x + w (y − x) with w held fixed."""
    if isinstance(weight, Value):
        net.freeze(weight)
        return net.add([x, y, net.multiply([(x, 1), (weight, 0)])])
    return net.add([x, y])


@rule("addcmul")
def addcmul(net: Network, x: Value, y: Value, z: Value, *, value: Any = 1) -> Value:
    """x + y z."""
    return net.add([x, net.multiply([(y, 1), (z, 1)])])


@rule("_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range_for_size")
def nothing(net: Network, *_: Any, **__: Any) -> None:
    """Says something about a tensor and changes nothing."""
