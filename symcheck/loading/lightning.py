"""What a training checkpoint tells beside its weights: the hyper-parameters with which its network was built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

_KEYS = ("hyper_parameters", "hparams", "hyperparameters")
_SHOWN = 12
_WIDTH = 40


def hyper_parameters(content: Any) -> dict[str, Any]:
    """The hyper-parameters in a checkpoint by name, as Lightning stores them; empty where there are none."""
    if not isinstance(content, Mapping):
        return {}
    for key in _KEYS:
        given = content.get(key)
        given = given if isinstance(given, Mapping) else getattr(given, "__dict__", None)
        if given:
            return {str(name): value for name, value in given.items()}
    return {}


def told(content: Any) -> str:
    """The hyper-parameters in words, `width=32, lr=0.001`; empty where there are none."""
    found = hyper_parameters(content)
    parts = [f"{name}={_short(value)}" for name, value in list(found.items())[:_SHOWN]]
    return ", ".join(parts) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def _short(value: Any) -> str:
    if isinstance(value, Tensor) and value.dim():
        return f"a tensor {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
