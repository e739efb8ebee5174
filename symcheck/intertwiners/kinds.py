"""What is known of pointwise functions: linear, positively homogeneous, odd, or none of these."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import torch
from torch import Tensor, nn

Pointwise = Callable[[Tensor], Tensor]


class Kind(StrEnum):
    """σ(x) = ax; σ(sx) = sσ(x) for s > 0; σ(-x) = -σ(x); anything else."""

    LINEAR = "linear"
    HOMOGENEOUS = "positively homogeneous"
    ODD = "odd"
    GENERIC = "generic"


MODULES: dict[str, Kind] = {
    "Identity": Kind.LINEAR,
    **dict.fromkeys(("ReLU", "LeakyReLU", "PReLU", "RReLU"), Kind.HOMOGENEOUS),
    **dict.fromkeys(("Tanh", "Softsign", "Tanhshrink", "Hardtanh", "Softshrink", "Hardshrink"), Kind.ODD),
    **dict.fromkeys(("GELU", "SiLU", "Sigmoid", "ELU", "CELU", "SELU", "Softplus", "Mish", "ReLU6"), Kind.GENERIC),
    **dict.fromkeys(("Hardswish", "Hardsigmoid", "LogSigmoid", "Threshold"), Kind.GENERIC),
}
"""Classes of torch.nn with their default arguments."""

FUNCTIONS: dict[str, Kind] = {
    **dict.fromkeys(("neg",), Kind.LINEAR),
    **dict.fromkeys(("relu", "leaky_relu", "rrelu", "abs"), Kind.HOMOGENEOUS),
    **dict.fromkeys(("tanh", "softsign", "tanhshrink", "hardtanh", "softshrink", "hardshrink"), Kind.ODD),
    **dict.fromkeys(("erf", "sin", "sinh", "asinh", "atan", "sign"), Kind.ODD),
    **dict.fromkeys(("gelu", "silu", "sigmoid", "elu", "celu", "selu", "softplus", "mish", "relu6"), Kind.GENERIC),
    **dict.fromkeys(("hardswish", "hardsigmoid", "logsigmoid", "exp", "cos", "square", "expm1"), Kind.GENERIC),
}
"""Names in torch.nn.functional or torch, with their default arguments."""

_SCALES = (0.3, 2.0, 7.0)
_NEAR = 1e-9


def kind_of(what: nn.Module | str) -> Kind | None:
    """The kind of a module of torch.nn or of a function by name; None for what is not known to be pointwise.

    Arguments count: a Hardtanh from 0 to 1 is not odd, a slope of 1 makes a LeakyReLU linear.
    """
    if isinstance(what, str):
        name = what.rpartition(".")[2]
        return FUNCTIONS.get(name.removesuffix("_"), MODULES.get(name))
    ours = type(what).__module__.startswith("torch.nn.modules")
    kind = MODULES.get(type(what).__name__) if ours else None
    if kind is None or kind is Kind.LINEAR or (isinstance(what, nn.RReLU) and what.training):
        return kind
    if isinstance(what, nn.PReLU) and what.num_parameters > 1:
        return kind  # one homogeneous function a channel; the lint compares the slopes
    return measured_kind(what)


def measured_kind(function: Pointwise) -> Kind:
    """The narrowest kind that holds at 400 points on both sides of zero, in float64."""
    x = torch.linspace(0.013, 9.1, 200, dtype=torch.float64)
    x = torch.cat([x, -x])
    with torch.no_grad():
        function = _in_float64(function)
        y = function(x)
        odd = _same(function(-x), -y)
        homogeneous = all(_same(function(s * x), s * y) for s in _SCALES)
    if odd and homogeneous:
        return Kind.LINEAR
    return Kind.HOMOGENEOUS if homogeneous else Kind.ODD if odd else Kind.GENERIC


def _in_float64(function: Pointwise) -> Pointwise:
    if not isinstance(function, nn.Module):
        return function
    values = {name: p.detach().cpu().double() for name, p in function.named_parameters()}
    return lambda x: torch.func.functional_call(function, values, (x,))


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a - b).abs() <= _NEAR * (1.0 + b.abs())).all())
