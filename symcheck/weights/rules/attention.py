"""Scaled-dot-product attention, kept whole in the traced graph."""

from __future__ import annotations

from typing import Any

from symcheck.weights.network import Network
from symcheck.weights.relations import Value
from symcheck.weights.rules.contraction import matmul
from symcheck.weights.rules.pointwise import add
from symcheck.weights.rules.shapes import repeat_interleave, transpose
from symcheck.weights.rules.table import rule


@rule("scaled_dot_product_attention")
def attention(
    net: Network, query: Value, key: Value, value: Value, mask: Value | None = None, dropout: float = 0.0,
    causal: bool = False, *, scale: Any = None, enable_gqa: bool = False,
) -> Value:  # fmt: skip
    """softmax(q kᵀ · scale + mask) v over the last two axes; keys and values may repeat over query heads."""
    if enable_gqa and key.shape[-3] != query.shape[-3]:
        times = query.shape[-3] // key.shape[-3]
        key, value = repeat_interleave(net, key, times, -3), repeat_interleave(net, value, times, -3)
    scores = matmul(net, query, transpose(net, key, -2, -1))
    if causal:
        net.pin(scores, "the order of positions is used", [len(scores.axes) - 2, len(scores.axes) - 1])
    if mask is not None:
        boolean = mask.data is not None and not mask.data.is_floating_point()
        scores = _masked(net, scores, mask) if boolean else add(net, scores, mask)
    return matmul(net, net.softmax(scores, -1), value)


def _masked(net: Network, scores: Value, mask: Value) -> Value:
    """A boolean mask: it has axes but no scale."""
    return net.multiply([(scores, 1), (mask, 0)])
