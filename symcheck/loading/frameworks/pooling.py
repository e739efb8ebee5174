"""What a network of transformers returns, as tensors by name, and one vector for a whole text."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from symcheck.errors import DataError

POOLINGS = ("none", "mean", "cls", "last")


def tensors_only(pooling: str, normalize: bool) -> Callable[..., dict[str, Tensor]]:
    """A forward hook that keeps the tensors of a ModelOutput and adds `embedding` (n, d).

    `mean`: Σ m h / Σ m over the tokens with mask m; `cls`: h of the first such token; `last`: of the last one.
    """

    def hook(module: Any, inputs: tuple[Any, ...], named: Mapping[str, Any], output: Any) -> dict[str, Tensor]:
        found = {str(name): value for name, value in output.items() if isinstance(value, Tensor)}
        if pooling != "none":
            states = found.get("last_hidden_state")
            if states is None or states.dim() != 3:
                raise DataError(
                    f"there is no last_hidden_state (n, tokens, d) to pool, but {', '.join(found)}",
                    where=f"-m pooling={pooling}",
                    hint="say -m task=features, or leave the pooling out",
                )
            given = inspect.signature(module.forward).bind_partial(*inputs, **named).arguments
            vectors = pooled(states, given.get("attention_mask"), pooling)
            found["embedding"] = F.normalize(vectors, dim=-1) if normalize else vectors
        return found

    return hook


def pooled(states: Tensor, mask: Tensor | None, pooling: str) -> Tensor:
    """One vector (n, d) of the states (n, tokens, d), where the mask (n, tokens) is not 0."""
    seen = torch.ones(states.shape[:2], device=states.device) if mask is None else mask
    weight = (seen != 0).to(states)
    if pooling == "mean":
        return (states * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)
    place = weight.argmax(1) if pooling == "cls" else weight.shape[1] - 1 - weight.flip(1).argmax(1)
    return states[torch.arange(len(states), device=states.device), place]
