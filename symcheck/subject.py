"""The thing that is measured: a function with named inputs and outputs, and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Source:
    """Where a subject came from, for the report."""

    path: str = ""
    sha256: str = ""
    format: str = ""
    model: str = ""


@dataclass(frozen=True)
class Subject:
    """A function `call(*tensors) -> tensor | tuple | dict` with its module, if it has one.

    `castable` is False for programs of fixed precision; `fixed_batch` is the only batch size that the program
    takes (chunks are cut and padded); `derive` maps a new output to `-d(energy)/d(pos)`; `packed` is set by
    inputs with an owner index.
    """

    name: str
    call: Callable[..., Any]
    module: nn.Module | None = None
    source: Source = field(default_factory=Source)
    castable: bool = True
    fixed_batch: int | None = None
    derive: Mapping[str, str] = field(default_factory=dict)
    by_name: bool = False  # call(**inputs) instead of call(*inputs)
    notes: tuple[str, ...] = ()


def named_outputs(result: Any, names: list[str]) -> dict[str, Tensor]:
    """The tensors of a model's result by name: a mapping's keys, or the claim's names by position."""
    raise NotImplementedError
