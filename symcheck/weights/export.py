"""The functional graph of a model, by torch.export."""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.errors import ModelError
from symcheck.subject import evaluating

LOGGERS = ("torch.export", "torch._export", "torch.fx", "torch._subclasses.fake_tensor")
REMEDIES = (  # what torch says -> what is the matter, and the way out
    (
        "data-dependent|unbacked",
        "its forward depends on the values of a tensor",
        "make the branch or the size an argument (of a TransformerEncoder: is_causal), use torch.where, or wrap the "
        "part whose shapes are fixed",
    ),
    (
        "not a known type",
        "it returns or takes a class of its own",
        "use tensors, tuples and dicts, or register the class with torch.export.register_dataclass; "
        "for a model of transformers set config.use_cache = False",
    ),
    ("ScriptModule", "it has been scripted", "give the module before torch.jit.script"),
    ("quantized|PackedParams", "it has been quantised", "give the model before quantisation"),
    ("positional arg", "the inputs do not fit its forward", "give one tuple of positional inputs, others by name"),
)
REMEDY = (
    "try attn_implementation='eager' or inputs of another size, wrap the part that can be traced, or write a spec "
    "by hand and use it with --spec"
)


@contextmanager
def _quiet() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [item.level for item in loggers]
    try:
        for item in loggers:
            item.setLevel(logging.CRITICAL)
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for item, level in zip(loggers, levels, strict=True):
            item.setLevel(level)


def export(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.export.ExportedProgram:
    """The functional graph of a model in evaluation mode, with attention, norms and recurrent layers kept whole."""
    try:
        with evaluating(model), _quiet(), _gradients(), torch.enable_grad():
            program = torch.export.export(model, tuple(args), dict(kwargs), strict=False)
            whole: torch.export.ExportedProgram = program.run_decompositions({})
            return whole
    except Exception as error:
        raise untraceable(model, error) from error


def untraceable(model: nn.Module, error: Exception) -> ModelError:
    """What to say when torch cannot trace a model: what is the matter, the line of the forward, the way out."""
    text = str(error).strip()
    first = text.splitlines()[0].split(". ")[0][:200] if text else type(error).__name__
    for words, what, hint in REMEDIES:
        if re.search(words, text, re.IGNORECASE):
            lines = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', text)
            where = "line {1} of {0}, in {2}".format(*lines[-1]) if lines else "derivation of the weight symmetries"
            return ModelError(
                f"torch.export cannot trace a {type(model).__name__}: {what} ({first})", where=where, hint=hint
            )
    where = "derivation of the weight symmetries"
    return ModelError(f"torch.export cannot trace a {type(model).__name__}: {first}", where=where, hint=REMEDY)


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
