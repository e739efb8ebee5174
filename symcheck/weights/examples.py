"""Inputs of a model made from one example: others of the same shapes, in the same ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

Call = tuple[tuple[Any, ...], dict[str, Any]]


def as_call(example: Any) -> Call:
    """Arguments and keywords from what a user gives: a tensor, a tuple, a mapping, or a pair (tuple, mapping)."""
    if isinstance(example, Mapping):
        return (), dict(example)
    if not isinstance(example, tuple | list):
        return (example,), {}
    if len(example) == 2 and isinstance(example[0], tuple) and isinstance(example[1], Mapping):
        return example[0], dict(example[1])
    return tuple(example), {}


def tensors_of(call: Call) -> list[Tensor]:
    """Every tensor of a call, nested ones too."""
    found: list[Tensor] = []
    tree_map_only(Tensor, found.append, call)
    return found


def redrawn(call: Call, rng: np.random.Generator, how: str = "redrawn", *, noise: float = 1.0) -> Call:
    """Another input: floats with noise of `noise` times their spread, integers anew, booleans as they are.

    Integers are drawn from the range seen ("redrawn"; where only two values occur they change places instead, since
    two values are a mask), or only change places along the last axis ("permuted"), or stay ("kept").
    """

    def change(x: Tensor) -> Tensor:
        if x.dtype == torch.bool or x.numel() == 0:
            return x
        if x.is_floating_point() or x.is_complex():
            return x + noise * _spread(x) * _normal(x, rng)
        if how == "kept":
            return x
        low, high = int(x.min()), int(x.max())
        if how == "redrawn" and len(torch.unique(x)) > 2:
            drawn = torch.from_numpy(rng.integers(low, high + 1, tuple(x.shape)))
            return drawn.to(x)
        keys = torch.from_numpy(rng.random(tuple(x.shape)))
        return x.gather(-1, keys.argsort(-1).to(x.device)) if x.dim() else x

    changed: Call = tree_map_only(Tensor, change, call)
    return changed


def _spread(x: Tensor) -> float:
    """The deviation of the finite entries, or their size where they are all alike."""
    size = (x.abs() if x.is_complex() else x).detach().double()
    size = size[size.isfinite()]
    if size.numel() == 0:
        return 0.0
    deviation = float(size.std(correction=0))
    return deviation if deviation > 1e-6 * float(size.abs().mean()) else float(size.abs().mean()) or 1.0


def _normal(x: Tensor, rng: np.random.Generator) -> Tensor:
    """Standard normal numbers like x; 0 where x is not finite."""
    noise = torch.from_numpy(rng.standard_normal(tuple(x.shape))).to(x.device, torch.float64)
    return torch.where(x.isfinite(), noise, 0.0).to(x.real.dtype if x.is_complex() else x.dtype)
