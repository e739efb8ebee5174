"""Running a subject: mode, precision, device, gradients only when needed, padding, and halving on out-of-memory."""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.errors import ConfigError, DataError, ModelError, SymcheckError
from symcheck.measure.calling import by_keyword, called, passed
from symcheck.measure.graphs import Graph
from symcheck.measure.outputs import Outputs
from symcheck.subject import Subject, evaluating, slots

_MODES = (torch.inference_mode, torch.no_grad)  # then gradients
_NEEDS_GRADIENT = re.compile(r"grad|[Ii]nference")


class Runner:
    """Calls one subject at one dtype on one device, on batches of any size; counts the forward passes."""

    def __init__(
        self, subject: Subject, device: torch.device, dtype: torch.dtype | None, names: list[str], *, cast: bool = True
    ) -> None:
        self.subject, self.device, self.dtype = subject, device, dtype
        self.graph = Graph.parse(subject.graph) if subject.graph else None
        self.forwards = 0
        self.mode = 0
        self.keywords: bool | None = None
        self.limit: int | None = subject.fixed_batch
        self.call: Callable[..., Any] = subject.call
        self.module = subject.module
        if self.module is not None:
            self.module = _placed(self.module, device)
            if subject.call is subject.module:
                self.call = _cast(self.module, dtype) if cast else self.module
        self.outputs = Outputs(subject, self.module if subject.call is subject.module else subject.module)
        self.outputs.names = names
        self.gradients = bool(self.outputs.inputs)

    @property
    def names(self) -> list[str]:
        """The names that the claims give to outputs, in order."""
        return self.outputs.names

    @names.setter
    def names(self, names: list[str]) -> None:
        """Names for what follows."""
        self.outputs.names = names

    def at(self, dtype: torch.dtype) -> Runner:
        """The same subject at another precision."""
        other = copy.copy(self)
        other.dtype, other.forwards = dtype, 0
        if self.module is not None and self.subject.call is self.subject.module:
            other.call = _cast(self.module, dtype)
        return other

    def shaken(self, size: float) -> Runner:
        """The same subject with every stored float multiplied by 1 ± size (parameters, buffers, plain tensors)."""
        other = copy.copy(self)
        generator = torch.Generator().manual_seed(11)

        def shake(stored: Tensor) -> Tensor:
            signs = torch.randint(0, 2, stored.shape, generator=generator) * 2 - 1
            cast = stored.detach().to(self.dtype or stored.dtype)
            return cast * (1 + size * signs.to(cast))

        if self.module is not None:
            other.call = _replaced(self.module, shake)
        return other

    def prepared(self, x: Tensor) -> Tensor:
        """A tensor as the subject takes it: on the device, floats in the subject's dtype."""
        dtype = self.dtype if self.dtype is not None and x.is_floating_point() else x.dtype
        return x.to(device=self.device, dtype=dtype)

    def as_given(self, batch: Batch) -> Batch:
        """The batch with tensors as the subject takes them."""
        return batch.with_tensors({name: self.prepared(x) for name, x in batch.tensors.items()})

    def __call__(self, batch: Batch) -> dict[str, Tensor]:
        """The outputs of one batch by name, in pieces when the subject or the memory wants smaller ones."""
        size = self.limit or batch.count
        if batch.count <= size and self.subject.fixed_batch is None:
            try:
                return self._forward(batch)
            except torch.OutOfMemoryError as error:
                self._halve(batch.count, error)
                return self(batch)
        if batch.packed and self.subject.fixed_batch is not None:
            raise DataError(
                "a packed batch cannot be filled up to the batch size that this program takes",
                where=self.subject.name,
                hint="give dense inputs, or a program with a dynamic batch axis",
            )
        pieces = [self._padded(batch.slice(i, min(i + size, batch.count)), size) for i in range(0, batch.count, size)]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def kept(self, batch: Batch) -> dict[str, Tensor]:
        """As a call, but the batch stays as it was and the outputs are ours, whatever the model writes into."""
        return {name: y.clone() for name, y in self(batch.copy()).items()}

    def _padded(self, batch: Batch, size: int) -> dict[str, Tensor]:
        if self.subject.fixed_batch is None or batch.count == size:
            return self(batch) if self.subject.fixed_batch is None else self._forward(batch)
        rows = torch.arange(size, device=self.device).clamp(max=batch.count - 1)
        full = Batch({k: v[rows] for k, v in batch.tensors.items()}, size)
        return {name: y[: batch.count] for name, y in self._forward(full).items()}

    def _halve(self, size: int, error: Exception) -> None:
        if size <= 1:
            raise DataError(
                "one sample alone does not fit into the memory of the device",
                where=f"{self.subject.name} on {self.device}",
                hint="use a smaller input, another device, or a lower --dtype",
            ) from error
        self.limit = max(1, size // 2)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _forward(self, batch: Batch) -> dict[str, Tensor]:
        self.forwards += batch.count
        batch = self.as_given(batch)
        if self.graph is not None and self.graph.edges and not self.graph.frozen:
            batch = self.graph.with_edges(batch)
        inputs = dict(batch.tensors)
        try:
            while not self.gradients:
                try:
                    with _MODES[self.mode]():
                        found = self._called(inputs, batch)
                    return {name: y.detach() if y.requires_grad else y for name, y in found.items()}
                except RuntimeError as error:
                    if isinstance(error, torch.OutOfMemoryError) or not _NEEDS_GRADIENT.search(str(error)):
                        raise
                    self.mode += 1  # some models switch gradients on for themselves, others need them from outside
                    self.gradients = self.mode == len(_MODES)
                    inputs = {name: x.clone() for name, x in inputs.items()}
            with torch.enable_grad():
                return {k: v.detach() for k, v in self._with_gradients(inputs, batch).items()}
        except (SymcheckError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a model may raise is reported as the model's
            raise self._failed(error, inputs) from error

    def _called(self, inputs: Mapping[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        """By keyword when every input has the name of a parameter of the model, else by position."""
        takes = self.subject.takes
        if self.keywords is None:
            names = passed(takes, batch)
            self.keywords = bool(names) and by_keyword(self.subject, names)
        found = called(self.outputs.taking(self.call), takes, self.keywords, inputs, batch, [])
        found = self.subject.offset(batch, found) if self.subject.offset is not None else found
        return self.outputs.of(found, inputs)

    def _failed(self, error: Exception, inputs: Mapping[str, Tensor]) -> ModelError:
        lines = str(error).strip().splitlines() or [""]
        given = ", ".join(f"{n} {tuple(x.shape)} {str(x.dtype).removeprefix('torch.')}" for n, x in inputs.items())
        return ModelError(
            f"the model raised {type(error).__name__}: {lines[0]}",
            where=f"{self.subject.name} called with {given}",
            hint="check that the inputs have the shapes, order and types that the model's forward takes",
        )

    def _with_gradients(self, inputs: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
        for wrt in self.outputs.inputs:
            if wrt not in inputs:
                raise ConfigError(
                    f"a derived output needs the input '{wrt}'",
                    where=f"inputs: {', '.join(inputs)}",
                    hint="write derive as forces = '-d(energy)/d(pos)' with the names of your output and input",
                )
            inputs[wrt] = inputs[wrt].detach().requires_grad_(True)
        return self._called(inputs, batch)


def _placed(module: nn.Module, device: torch.device) -> nn.Module:
    """The module itself when it is on the device, else a copy there."""
    tensors = [*module.parameters(), *module.buffers()]
    there = torch.device(device.type, torch.cuda.current_device()) if device == torch.device("cuda") else device
    if all(t.device == there or (there.index is None and t.device.type == there.type) for t in tensors):
        return module
    return copy.deepcopy(module).to(device)


def _cast(module: nn.Module, dtype: torch.dtype | None) -> Callable[..., Any]:
    """The module at another precision; itself when nothing changes."""
    stored = [*module.parameters(), *module.buffers()]
    if dtype is None or all(t.dtype == dtype for t in stored if t.is_floating_point()):
        return module
    return _replaced(module, lambda t: t.detach().to(dtype))


def _replaced(module: nn.Module, change: Callable[[Tensor], Tensor]) -> Callable[..., Any]:
    """The module with every stored float changed for the time of each call; nothing else is copied."""
    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        module = copy.deepcopy(module)
        with torch.no_grad():
            for t in (*module.parameters(), *module.buffers()):
                t.data = change(t.data) if t.is_floating_point() else t.data
        return module
    stored = slots(module)
    new = {id(t): change(t) for t in stored.values() if t.is_floating_point()}  # tied tensors stay tied
    other = {name: new[id(t)] for name, t in stored.items() if t.is_floating_point()}
    plain = [
        (vars(part), name, value, change(value))
        for part in module.modules()
        for name, value in vars(part).items()
        if isinstance(value, Tensor) and value.is_floating_point()
    ]

    def call(*inputs: Tensor, **named: Tensor) -> Any:
        for attributes, name, _, changed in plain:
            attributes[name] = changed
        try:
            return torch.func.functional_call(module, other, inputs, named, tie_weights=False)
        finally:
            for attributes, name, value, _ in plain:
                attributes[name] = value

    return call


@contextmanager
def measuring(runner: Runner) -> Iterator[None]:
    """Eval mode, full float32 precision and deterministic convolutions while measuring; everything is restored."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = (matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark)
    try:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = False, False, True, False
        with evaluating(runner.module):
            yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic, cudnn.benchmark = before


def environment(runner: Runner, mapping: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What the numbers depend on: versions, device, precision and mode."""
    device = runner.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {
        "torch": torch.__version__,
        "device": str(device),
        "device_name": name,
        "dtype": str(runner.dtype).removeprefix("torch.") if runner.dtype else "as given",
        "tf32": False,
        "deterministic_convolutions": True,
        "mode": "eval" if runner.module is not None else "callable",
        "gradients": "by the caller" if runner.gradients else "by the model" if runner.mode else "off",
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        **(mapping or {}),
    }
