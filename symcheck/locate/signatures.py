"""The arguments of torch functions by name, also where they were given by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

_CONV = "input weight bias stride padding dilation groups"
_POOL = "input kernel_size stride padding"
_BUILT_IN = {  # functions without a signature that Python knows
    **{f"conv{d}d": _CONV for d in (1, 2, 3)},
    **{f"conv_transpose{d}d": "input weight bias stride padding output_padding groups dilation" for d in (1, 2, 3)},
    **{f"avg_pool{d}d": _POOL for d in (1, 2, 3)},
    **{f"max_pool{d}d": f"{_POOL} dilation ceil_mode" for d in (1, 2, 3)},
    "scaled_dot_product_attention": "query key value attn_mask dropout_p is_causal",
    "linear": "input weight bias",
    "roll": "input shifts dims",
    "flip": "input dims",
}  # fmt: skip
_PLAIN = (bool, int, float, str, tuple)


def options(name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The plain arguments of a call by name; of a tensor that may be left out only that it is there.

    `attn_mask` is True where a mask is given. Arguments of functions whose signature nobody knows are left out.
    """
    given = {**dict(zip(_names(name, function), args, strict=False)), **kwargs}
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    masks = {key: True for key, value in given.items() if key.endswith("mask") and not isinstance(value, (*_PLAIN, type(None)))}
    return {key: value for key, value in plain.items() if isinstance(value, _PLAIN)} | masks


def _names(name: str, function: Callable[..., Any]) -> list[str]:
    if name in _BUILT_IN:
        return _BUILT_IN[name].split()
    try:
        return [*inspect.signature(function).parameters]
    except (TypeError, ValueError):
        return []
