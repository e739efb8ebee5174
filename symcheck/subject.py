"""The thing that is measured: a function with named inputs and outputs, and its parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.errors import DataError


@dataclass(frozen=True)
class Source:
    """Where a subject came from, for the report."""

    path: str = ""
    sha256: str = ""
    format: str = ""
    model: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""


@dataclass(frozen=True)
class Subject:
    """A function `call(*tensors) -> tensor | tuple | dict`, with its module if it has one.

    `castable` is False for programs of fixed precision; `fixed_batch` is the only batch size that the program
    takes (chunks are cut and padded to it); `derive` adds outputs such as `forces = -d(energy)/d(pos)`; of `output`,
    where it is not empty, nothing else is measured.
    `takes` says how packed graphs are passed: as `arguments`, as one `dict`, as one `data` (torch_geometric), or
    `dense` (graphs of one size stacked at a time). `graph` is the neighbour graph, see `symcheck.measure.graphs`.
    `encode` turns texts into inputs, where the network came with a tokenizer; `offset` changes what it returns for a
    batch before anything is derived from it, e.g. to energies on a reference.
    """

    name: str
    call: Callable[..., Any]
    module: nn.Module | None = None
    source: Source = field(default_factory=Source)
    castable: bool = True
    fixed_batch: int | None = None
    derive: Mapping[str, str] = field(default_factory=dict)
    output: tuple[str, ...] = ()
    takes: str = "arguments"
    graph: str = ""
    encode: Callable[[Sequence[str]], Mapping[str, Tensor]] | None = None
    offset: Callable[[Batch, Mapping[str, Tensor]], dict[str, Tensor]] | None = None
    notes: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """How many parameters the module has (0 without a module)."""
        return sum(p.numel() for p in self.module.parameters()) if self.module is not None else 0

    @property
    def dtype(self) -> torch.dtype | None:
        """The dtype of the first floating parameter or buffer, None without one."""
        if self.module is None:
            return None
        tensors = [*self.module.parameters(), *self.module.buffers()]
        return next((t.dtype for t in tensors if t.is_floating_point()), None)


def slots(module: nn.Module) -> dict[str, Tensor]:
    """Every place where a tensor is stored, once also where a part has two names: swapped twice it would stay so."""
    return {
        name: t
        for prefix, part in module.named_modules()
        for kind in (part.named_parameters, part.named_buffers)
        for name, t in kind(prefix, recurse=False, remove_duplicate=False)
    }


def call_with(module: nn.Module, state: Mapping[str, Tensor], args: Iterable[Any], named: Mapping[str, Any]) -> Any:
    """f(θ, x): what the module returns with the tensors of `state`; it keeps its own."""
    given = {name: state[name] for name in slots(module) if name in state}
    return torch.func.functional_call(module, given, tuple(args), dict(named), tie_weights=False)


@contextmanager
def evaluating(module: nn.Module | None) -> Iterator[None]:
    """The module in evaluation mode; afterwards each part is in the mode it was in before."""
    modes = {part: part.training for part in module.modules()} if module is not None else {}
    try:
        if module is not None:
            module.eval()
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def as_subject(model: Any) -> Subject:
    """A Subject from an `nn.Module` or any callable; a Subject stays as it is."""
    if isinstance(model, Subject):
        return model
    if isinstance(model, nn.Module):
        name = type(model).__name__
        fixed = isinstance(model, torch.jit.ScriptModule)
        return Subject(name, model, module=model, castable=not fixed)
    if callable(model):
        return Subject(getattr(model, "__name__", type(model).__name__), model)
    raise DataError(
        f"a {type(model).__name__} cannot be audited",
        where="the first argument of audit",
        hint="give an nn.Module, a callable on tensors, or what symcheck.load returned",
    )


def named_outputs(result: Any, names: list[str], *, strict: bool = True) -> dict[str, Tensor]:
    """The tensors of a model's result by name: a mapping's keys, else `names` by position, else output0, ...

    What is no tensor is passed over unless `strict`, where it is a DataError, as is a result without tensors.
    """
    if isinstance(result, Tensor):
        return {names[0] if len(names) == 1 else "output": result}
    if is_dataclass(result) and not isinstance(result, type):
        result = dict(vars(result))
    if isinstance(result, Mapping):
        pairs = [(str(k), v) for k, v in result.items()]
    elif isinstance(result, tuple) and (fields := getattr(result, "_fields", None)):
        pairs = list(zip(fields, result, strict=True))
    elif isinstance(result, tuple | list):
        given = names if len(names) == len(result) else [f"output{i}" for i in range(len(result))]
        pairs = list(zip(given, result, strict=True))
    else:
        pairs = []
    tensors = {key: value for key, value in pairs if value is not None}
    odd = {key: type(value).__name__ for key, value in tensors.items() if not isinstance(value, Tensor)}
    if not strict:
        return {key: value for key, value in tensors.items() if key not in odd}
    if odd or not tensors:
        raise DataError(
            "the model returned " + (f"no tensor but {odd}" if odd else f"a {type(result).__name__} without tensors"),
            where="the output of the model",
            hint="wrap the model so that it returns a tensor, a tuple or a dict of tensors, or choose: --output NAME",
        )
    return tensors
