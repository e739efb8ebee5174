"""Operators that move or mix positions along axes: padding, rolls, cumulative sums, pooling, patches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from symcheck.weights.axes import pin
from symcheck.weights.network import Network
from symcheck.weights.relations import Label, Value
from symcheck.weights.rules.table import rule

MIXED = "positions are mixed along it"


@rule("constant_pad_nd", "pad")
def pad(net: Network, x: Value, widths: Sequence[int], *value: Any) -> Value:
    """Padding: the padded axes are pinned."""
    rank = len(x.axes)
    axes = [rank - 1 - i for i in range(len(widths) // 2) if widths[2 * i] or widths[2 * i + 1]]
    net.pin(x, "padding", axes)
    shape = list(x.shape)
    for i in range(len(widths) // 2):
        shape[rank - 1 - i] += widths[2 * i] + widths[2 * i + 1]
    padding = next((v for v in value if isinstance(v, int | float)), 0)
    return resized(net, x, axes, shape, padding == 0)


@rule("reflection_pad1d", "reflection_pad2d", "replication_pad1d", "replication_pad2d")
def mirror_pad(net: Network, x: Value, widths: Sequence[int]) -> Value:
    """Padding by repetition: the padded axes are pinned."""
    return pad(net, x, widths)


def resized(net: Network, x: Value, axes: Sequence[int], shape: Sequence[int], scales: bool = True) -> Value:
    """An operator that mixes along `axes` linearly and leaves the others: new pinned axes in their place."""
    labels = [("old", i) if i in axes else i for i in range(len(x.axes))]
    out = [("new", i) if i in axes else i for i in range(len(x.axes))]
    net.pin(x, MIXED, list(axes))
    sizes = net.sizes(x) | {("new", i): int(shape[i]) for i in axes}
    how: dict[str, Any] = {"factor": None}
    how |= {} if scales else {"degree": "zero", "parity": "zero", "linear": False}
    value = net.monomial(out, [(x, labels, 1)], sizes, **how)
    net.pin(value, MIXED, list(axes))
    return value


@rule("roll", "flip")
def moved(net: Network, x: Value, *arguments: Any) -> Value:
    """Positions along axes in another order: each reads one other."""
    listed = arguments[1:] if net.operator == "roll" else arguments
    which = [a % len(x.axes) for a in (listed[0] if listed else ())] or list(range(len(x.axes)))
    net.pin(x, MIXED, which)
    labels = [("old", i) if i in which else i for i in range(len(x.axes))]
    kept = [("new", i) if i in which else i for i in range(len(x.axes))]
    out = net.monomial(kept, [(x, labels, 1)], net.sizes(x) | {("new", i): x.shape[i] for i in which}, picks=True)
    net.pin(out, MIXED, which)
    return out


@rule("cumsum")
def cumulative(net: Network, x: Value, axis: int, **_: Any) -> Value:
    """Sums up to every position."""
    return resized(net, x, [axis % len(x.axes)], x.shape)


@rule("tril", "triu")
def triangle(net: Network, x: Value, diagonal: int = 0) -> Value:
    """Zero on one side of a diagonal of the last two axes."""
    ones = torch.ones(x.shape[-2:])
    kept = ones.tril(diagonal) if net.operator == "tril" else ones.triu(diagonal)
    return net.multiply([(x, 1), (net.given(kept, True), 1)], factor=None)


@rule(
    "max_pool1d", "max_pool2d", "max_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d",
    "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d",
    "upsample_nearest1d", "upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "upsample_linear1d",
    "_upsample_bilinear2d_aa", "max_pool2d_with_indices", "interpolate",
)  # fmt: skip
def pool(net: Network, x: Value, *_: Any, **__: Any) -> Any:
    """Sums, maxima or interpolation along spatial axes: positively homogeneous."""
    rank = len(x.axes)
    space = next((int(n) for n in "123" if f"{n}d" in net.operator), rank - 2)
    value = resized(net, x, range(rank - space, rank), net.shape)
    out = net.pointwise(value, "linear", "zero") if "max" in net.operator else value
    return [out, out] if net.operator.endswith("with_indices") else out


@rule("pixel_shuffle")
def pixel_shuffle(net: Network, x: Value, factor: int) -> Value:
    """(c r r) h w -> c (h r) (w r)."""
    b, c, h, w = x.shape
    wide = net.view(x, [b, c // factor**2, factor, factor, h, w])
    for i in (2, 3):
        pin(wide.axes[i], "positions of a pixel shuffle")
    moved = net.permute(wide, [0, 1, 4, 2, 5, 3])
    return net.view(moved, [b, c // factor**2, h * factor, w * factor])


@rule("pixel_unshuffle")
def pixel_unshuffle(net: Network, x: Value, factor: int) -> Value:
    """c (h r) (w r) -> (c r r) h w."""
    b, c, h, w = x.shape
    wide = net.view(x, [b, c, h // factor, factor, w // factor, factor])
    for i in (3, 5):
        pin(wide.axes[i], "positions of a pixel shuffle")
    moved = net.permute(wide, [0, 1, 3, 5, 2, 4])
    return net.view(moved, [b, c * factor**2, h // factor, w // factor])


@rule("im2col")
def patches(net: Network, x: Value, *_: Any) -> Value:
    """c h w -> (c taps) positions."""
    b, c = x.shape[:2]
    taps, positions = net.shape[-2] // c, net.shape[-1]
    net.pin(x, MIXED, [2, 3])
    sizes: dict[Label, int] = {"b": b, "c": c, "taps": taps, "out": positions}
    out = net.monomial(("b", "c", "taps", "out"), [(x, ("b", "c", "h", "w"), 1)], sizes, factor=None)
    net.pin(out, MIXED, [2, 3])
    return net.view(out, [b, c * taps, positions])


@rule("col2im")
def unpatched(net: Network, x: Value, size: Sequence[int], *_: Any) -> Value:
    """(c taps) positions -> c h w, summed where patches overlap."""
    b, c = net.shape[:2]
    wide = net.view(x, [b, c, x.shape[1] // c, x.shape[2]])
    net.pin(wide, MIXED, [2, 3])
    sizes: dict[Label, int] = {"b": b, "c": c, "h": int(size[0]), "w": int(size[1])}
    out = net.monomial(("b", "c", "h", "w"), [(wide, ("b", "c", "taps", "in"), 1)], sizes, factor=None)
    net.pin(out, MIXED, [2, 3])
    return out
