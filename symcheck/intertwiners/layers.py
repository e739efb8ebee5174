"""One module of a network against the representations on its input and output features: rows of a certificate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from symcheck.actions.base import Bound
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.intertwiners import lint
from symcheck.intertwiners.convolutions import convolution
from symcheck.intertwiners.features import Features, Given, one_block, space, spaces
from symcheck.intertwiners.kinds import kind_of
from symcheck.intertwiners.projection import project
from symcheck.intertwiners.representation import Representation
from symcheck.intertwiners.result import Certified, LayerRow

ROUNDING = 1e-12  # what float64 arithmetic leaves of a projection
_ULPS = 4

_NORMS = (nn.LayerNorm, nn.RMSNorm)
_BATCH = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)
_DROPS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Layer:
    """A module by its path, the group, what is said of its features, and the tolerance that was asked for."""

    path: str
    module: nn.Module
    group: Group
    source: Given
    target: Given
    tolerance: float | None = None

    @property
    def kind(self) -> str:
        """The class of the module."""
        return type(self.module).__name__.removeprefix("Parametrized")

    def row(self, part: str, verdict: Certified, reason: str, level: float | None = None) -> LayerRow:
        """One row about a part of this layer (`weight`, `bias`, or the layer itself)."""
        path = ".".join(filter(None, (self.path, part)))
        return LayerRow(path, self.kind, told(self.source), told(self.target), verdict, reason, level)


def unknown(layer: Layer, reason: str) -> LayerRow:
    """The row of a layer that nothing is certified of."""
    return layer.row("", Certified.UNKNOWN, reason)


def rows(layer: Layer) -> tuple[LayerRow, ...]:
    """Everything that is known of one module; a module without a rule, or whose features do not fit, is unknown."""
    rule = _rule(layer.module)
    if rule is None:
        return (unknown(layer, f"there is no rule for {layer.kind}"),)
    bad = [name for name, p in layer.module.named_parameters() if not bool(p.detach().isfinite().all())]
    if bad:
        return tuple(layer.row(name, Certified.BROKEN, "it holds numbers that are not finite") for name in bad)
    try:
        return tuple(rule(layer))
    except (ClaimError, DataError) as error:
        return (unknown(layer, error.message),)


def known(module: nn.Module) -> bool:
    """Whether there is a rule for this module, so that its children are part of it."""
    return _rule(module) is not None


def irreps_of(module: nn.Module) -> tuple[str, str] | None:
    """The input and output irreps that a linear layer of e3nn states; None for other modules."""
    named = type(module).__name__ == "Linear" and type(module).__module__.startswith("e3nn.")
    return (str(module.irreps_in), str(module.irreps_out)) if named else None


def _rule(module: nn.Module) -> Callable[[Layer], Iterator[LayerRow]] | None:
    if irreps_of(module) is not None:
        return _irreps_linear
    table: tuple[tuple[tuple[type, ...], Callable[[Layer], Iterator[LayerRow]]], ...] = (
        ((nn.Linear,), _linear),
        (_CONVOLUTIONS, _convolution),
        (_BATCH, _batch_norm),
        (_INSTANCE, _instance_norm),
        (_NORMS, _layer_norm),
        (_DROPS, _dropout),
    )
    for types, rule in table:
        if isinstance(module, types):
            return rule
    return _activation if kind_of(module) is not None else None


def _linear(layer: Layer) -> Iterator[LayerRow]:
    module = cast(nn.Linear, layer.module)
    out, into = spaces(layer.group, [(layer.target, module.out_features), (layer.source, module.in_features)])
    yield _weight(layer, "weight", module.weight, out, into)
    if module.bias is not None:
        yield _weight(layer, "bias", module.bias, out)


def _irreps_linear(layer: Layer) -> Iterator[LayerRow]:
    module: Any = layer.module
    size_in, size_out = module.irreps_in.dim, module.irreps_out.dim
    dtype = next((p.dtype for p in module.parameters()), torch.float64)
    with torch.no_grad():
        start = module(torch.zeros(1, size_in, dtype=dtype))[0]
        matrix = module(torch.eye(size_in, dtype=dtype)) - start
    out, into = spaces(layer.group, [(layer.target, size_out), (layer.source, size_in)])
    yield _weight(layer, "weight", matrix.mT, out, into, free=module.weight.numel())
    if bool((start != 0).any()):
        yield _weight(layer, "bias", start, out)


def _convolution(layer: Layer) -> Iterator[LayerRow]:
    found = convolution(layer.module, layer.group, layer.source, layer.target)
    if found.fault:
        yield layer.row("", Certified.BROKEN, found.fault)
    yield _weight(layer, "weight", found.weight, *found.spaces, free=found.free, left=found.open)
    bias = layer.module.bias
    if isinstance(bias, Tensor):
        yield _weight(layer, "bias", bias, found.spaces[0])


def _batch_norm(layer: Layer) -> Iterator[LayerRow]:
    """In evaluation y = a x + b by channel, a = γ/√(var + ε), b = β − a mean; in training by the batch's statistics."""
    module = cast(nn.BatchNorm2d, layer.module)
    acts = space(layer.group, layer.target, module.num_features)
    if module.running_mean is None or module.running_var is None or module.training:
        yield _ruled(layer, "", lint.by_channel(acts, "the statistics of the batch"))
        scale: Tensor = torch.ones(module.num_features) if module.weight is None else module.weight
        shift: Tensor = torch.zeros(module.num_features) if module.bias is None else module.bias
    else:
        plain = 1.0 if module.weight is None else module.weight.double()
        scale = plain / (module.running_var.double() + module.eps).sqrt()
        shift = (0.0 if module.bias is None else module.bias.double()) - scale * module.running_mean.double()
    dtype = torch.float32 if module.weight is None else module.weight.dtype
    yield _ruled(layer, "weight", lint.gain(scale, acts, _floor(dtype)))
    yield _weight(layer, "bias", shift.to(dtype), acts, free=module.num_features)


def _instance_norm(layer: Layer) -> Iterator[LayerRow]:
    module = cast(nn.InstanceNorm2d, layer.module)
    acts = space(layer.group, layer.target, module.num_features)
    yield _ruled(layer, "", lint.by_channel(acts, "the mean and deviation of each channel"))
    yield from _affine(layer, module.weight, module.bias, acts)


def _layer_norm(layer: Layer) -> Iterator[LayerRow]:
    module = cast(nn.LayerNorm, layer.module)
    size = int(torch.Size(module.normalized_shape).numel())
    acts = space(layer.group, layer.target, size)
    centred = isinstance(module, nn.LayerNorm)
    yield _ruled(layer, "", lint.layer_norm(acts) if centred else lint.rms_norm(acts))
    yield from _affine(layer, module.weight, module.bias if centred else None, acts)


def _affine(layer: Layer, weight: Tensor | None, bias: Tensor | None, acts: Representation) -> Iterator[LayerRow]:
    if weight is not None:
        yield _ruled(layer, "weight", lint.gain(weight.flatten(), acts, _floor(weight.dtype)))
    if bias is not None:
        yield _weight(layer, "bias", bias, acts)


def _dropout(layer: Layer) -> Iterator[LayerRow]:
    drop = cast(nn.Dropout, layer.module)
    if not drop.training or drop.p == 0:
        yield layer.row("", Certified.EXACT, "it does nothing in evaluation")
        return
    acts = _activated(layer)
    yield _ruled(layer, "", lint.by_channel(acts, "its random mask"))


def _activation(layer: Layer) -> Iterator[LayerRow]:
    kind = kind_of(layer.module)
    if kind is None:
        return
    acts = _activated(layer)
    yield _ruled(layer, "", lint.activation(kind, acts, layer.kind))
    slopes = layer.module.weight if isinstance(layer.module, nn.PReLU) else None
    if slopes is not None and slopes.numel() > 1:
        yield _ruled(layer, "weight", lint.gain(slopes, acts, _floor(slopes.dtype)))


def _activated(layer: Layer) -> Representation:
    """The representation at a layer that keeps its shape: of one block of features where no size is stated."""
    given, slopes = layer.target, getattr(layer.module, "weight", None)
    if isinstance(given, Representation):
        return given
    if slopes is not None and slopes.numel() > 1:
        return spaces(layer.group, [(given, slopes.numel())])[0]
    return one_block(layer.group, given)


def _weight(
    layer: Layer,
    part: str,
    weight: Tensor,
    out: Representation,
    *into: Representation,
    free: int | None = None,
    left: str = "",
) -> LayerRow:
    found = project(weight, out, *into)
    free = weight.numel() if free is None else free
    acts = any(lint.structure(s) is not lint.Structure.TRIVIAL for s in (out, *into))
    verdict = _judged(found.level, weight.dtype, layer.tolerance) if acts else Certified.TRIVIAL
    reasons = [left] if left else []
    if verdict is Certified.TRIVIAL:
        reasons.insert(0, f"{out.group.name} moves nothing here")
    elif verdict is Certified.BROKEN:
        what = "the bias is not the same on channels that are moved" if part == "bias" else "the weight leaves"
        tail = "" if part == "bias" else f" the {found.allowed} equivariant directions"
        reasons.insert(0, what + tail)
    elif left:  # what was tested holds, and that is not the whole claim
        verdict = Certified.UNKNOWN
    elif free > found.allowed:
        reasons.insert(0, f"{free} free numbers for {found.allowed} allowed directions: training may leave them")
    row = layer.row(part, verdict, "; ".join(reasons), found.level)
    return replace(row, used=found.used, allowed=found.allowed, free=free, method=found.method)


def _ruled(layer: Layer, part: str, ruling: lint.Ruling) -> LayerRow:
    near = layer.tolerance is not None and ruling.level is not None and ruling.level <= layer.tolerance
    otherwise = Certified.APPROXIMATE if near else Certified.BROKEN
    return layer.row(part, Certified.EXACT if ruling.allowed else otherwise, ruling.reason, ruling.level)


def _judged(level: float, dtype: torch.dtype, tolerance: float | None) -> Certified:
    if level <= _floor(dtype):
        return Certified.EXACT
    return Certified.APPROXIMATE if tolerance is not None and level <= tolerance else Certified.BROKEN


def _floor(dtype: torch.dtype) -> float:
    """What rounding of the weights alone produces: a few units in the last place of their type."""
    real = dtype if dtype.is_floating_point else torch.float64
    return max(_ULPS * torch.finfo(real).eps, ROUNDING)


def told(given: Given) -> str:
    """What a slot of features was declared as."""
    if isinstance(given, Bound):
        return "*".join(map(str, given.actions))
    return given.action if isinstance(given, Features) else str(given)

