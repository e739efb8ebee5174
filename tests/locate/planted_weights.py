"""Generic weights: what no symmetry can hide behind."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def draws(seed: int, *shape: int) -> Tensor:
    """Standard normal float64 numbers of this seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def generic(model: nn.Module, seed: int) -> nn.Module:
    """The model in float64 and eval mode, every parameter and running statistic drawn, none of them zero or alike."""
    model.double().eval()
    rng = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in [*model.named_parameters(), *model.named_buffers()]:
            if value.is_floating_point():
                _fill(name, value, rng)
    return model


def _fill(name: str, value: Tensor, rng: torch.Generator) -> None:
    noise = torch.randn(value.shape, generator=rng, dtype=value.dtype)
    if name.endswith("running_var"):
        value.copy_(0.5 + noise.abs())
    elif name.endswith("running_mean"):
        value.copy_(0.3 * noise)
    elif name.endswith("weight") and value.dim() == 1:
        value.copy_(1 + 0.3 * noise)
    elif value.dim() == 1:
        value.copy_(0.3 * noise)
    elif name.endswith("weight") or "weight_" in name:
        value.copy_(1.4 * noise / math.sqrt(value[0].numel()))
    elif name.endswith(("table", "position", "slots")):
        value.copy_(noise)
