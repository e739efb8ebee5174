"""Tensors that carry a derivative: forward mode as typed functions, valid inside one `level`."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
import torch.autograd.forward_ad as forward
from torch import Tensor


def level() -> AbstractContextManager[object]:
    """Inside this context tensors may carry derivatives; contexts do not nest."""
    return forward.dual_level()


def dual(x: Tensor, v: Tensor) -> Tensor:
    """x with the derivative v."""
    made: Tensor = forward.make_dual(x, v)  # type: ignore[no-untyped-call]
    return made


def carried(x: Tensor) -> Tensor | None:
    """The derivative that x carries, if it does."""
    found: Tensor | None = forward.unpack_dual(x).tangent  # type: ignore[no-untyped-call]
    return found


def tangent(x: Tensor) -> Tensor:
    """The derivative that x carries, zero where it carries none."""
    found = carried(x)
    return torch.zeros_like(bare(x)) if found is None else found


def bare(x: Tensor) -> Tensor:
    """x without its derivative."""
    plain: Tensor = forward.unpack_dual(x).primal  # type: ignore[no-untyped-call]
    return plain


def clock() -> Tensor:
    """t = 0 with dt = 1, (1,) float64: what a one-parameter subgroup is differentiated by."""
    zero = torch.zeros(1, dtype=torch.float64)
    return dual(zero, torch.ones_like(zero))
