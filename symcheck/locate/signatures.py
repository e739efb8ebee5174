"""The arguments of torch functions by name, also where they were given by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import EllipsisType
from typing import Any

from torch import Tensor

from symcheck.locate.stations import Call

_CONV = "input weight bias stride padding dilation groups"
_POOL = "input kernel_size stride padding"
_BUILT_IN = {  # functions without a signature that Python knows
    **{f"conv{d}d": _CONV for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": "input weight bias stride padding output_padding groups dilation" for d in (1, 2, 3)},
    **{f"avg_pool{d}d": _POOL for d in (1, 2, 3)},
    **{f"max_pool{d}d": f"{_POOL} dilation ceil_mode" for d in (1, 2, 3)},
    "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal",
    **dict.fromkeys(("add", "sub", "mul", "div", "add_", "sub_", "mul_", "div_"), "input other"),
    "linear": "input weight bias",
    "roll": "input shifts dims",
    "flip": "input dims",
}  # fmt: skip
_PLAIN = (bool, int, float, str, tuple)


def options(call: Call) -> dict[str, Any]:
    """The plain arguments of a call by name; `attn_mask` is True where a mask is given.

    Arguments by position are left out where nobody knows the signature of the function.
    """
    given = {**dict(zip(_names(call.name, call.function), call.args, strict=False)), **call.kwargs}
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    masks = {key for key, value in given.items() if key.endswith("mask") and isinstance(value, Tensor)}
    return {key: value for key, value in plain.items() if isinstance(value, _PLAIN)} | dict.fromkeys(masks, True)


def picked(call: Call) -> list[str]:
    """`pick n` for every axis of length n of which a call takes out entries by their number."""
    whole = call.args[0] if call.args else None
    if not isinstance(whole, Tensor):
        return []
    if call.name in ("select", "narrow") and len(call.args) > 1 and isinstance(call.args[1], int):
        return [f"pick {whole.shape[call.args[1]]}"]
    if call.name not in ("__getitem__", "getitem") or len(call.args) < 2:
        return []
    index = [one for one in (call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)) if one is not None]
    if not all(isinstance(one, int | slice | EllipsisType) for one in index):
        return []
    after = index.index(...) if ... in index else len(index)
    axes = [*enumerate(index[:after]), *((i - len(index), one) for i, one in enumerate(index) if i > after)]
    sizes = [(whole.shape[axis], one) for axis, one in axes]
    return [f"pick {size}" for size, one in sizes if isinstance(one, int) or _partial(one, size)]


def _partial(one: Any, size: int) -> bool:
    return isinstance(one, slice) and len(range(*one.indices(size))) < size


def _names(name: str, function: Callable[..., Any]) -> list[str]:
    if name in _BUILT_IN:
        return _BUILT_IN[name].split()
    try:
        return [*inspect.signature(function).parameters]
    except (TypeError, ValueError):
        return []
