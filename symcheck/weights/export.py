"""The functional graph of a model, by torch.export."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.errors import ModelError


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in ("torch.export", "torch._export", "torch.fx")]
    levels = [item.level for item in loggers]
    try:
        for item in loggers:
            item.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for item, level in zip(loggers, levels, strict=True):
            item.setLevel(level)


def export(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.export.ExportedProgram:
    """The functional graph of a model in evaluation mode, with attention, norms and recurrent layers kept whole."""
    training = model.training
    model.eval()
    try:
        with _quiet(), _gradients(), torch.enable_grad():
            program = torch.export.export(model, tuple(args), dict(kwargs), strict=False)
            return program.run_decompositions({})
    except Exception as error:
        lines = str(error).strip().splitlines()
        why = lines[0].split(". ")[0][:200] if lines else type(error).__name__
        raise ModelError(
            f"torch.export cannot trace a {type(model).__name__}: {why}",
            where="derivation of the weight symmetries",
            hint="try attn_implementation='eager' or inputs of another size, wrap the part that can be traced, "
            "or write a spec by hand and use it with --spec",
        ) from error
    finally:
        model.train(training)


@contextmanager
def _gradients() -> Iterator[None]:
    """While a model is traced, a gradient stands for the value that it is the gradient of.

    Forces −∂E/∂x move only if E moves, so what leaves E alone for every x leaves its gradients alone.
    """
    true = torch.autograd.grad

    def grad(outputs: Any, inputs: Any, *_: Any, **__: Any) -> tuple[Tensor, ...]:
        given = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        total = torch.stack([value.sum() for value in given]).sum()
        return tuple(x * 0 + total for x in ([inputs] if isinstance(inputs, Tensor) else inputs))

    torch.autograd.grad = grad  # type: ignore[assignment]
    try:
        yield
    finally:
        torch.autograd.grad = true
