"""A network as a passage of stations: every operation on tensors in its forward, in order, which may be replaced.

A call of a torch function is numbered by its place in the run. A station is a call whose result depends on the inputs
and computes something; what only moves entries (a reshape, a slice) lies between stations.
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, handle_torch_function

from symcheck.errors import ModelError
from symcheck.measure.runner import Runner

LAYOUT = frozenset(
    {
        "view", "view_as", "reshape", "reshape_as", "flatten", "unflatten", "squeeze", "squeeze_", "unsqueeze",
        "unsqueeze_", "permute", "transpose", "transpose_", "t", "T", "mT", "H", "movedim", "moveaxis", "swapaxes",
        "swapdims", "expand", "expand_as", "broadcast_to", "broadcast_tensors", "contiguous", "clone", "detach", "to",
        "type", "type_as", "float", "double", "half", "bfloat16", "chunk", "split", "tensor_split", "split_with_sizes",
        "unbind", "narrow", "select", "__getitem__", "getitem", "alias", "diagonal", "unfold", "view_as_real",
        "view_as_complex", "real", "imag", "data", "requires_grad_", "atleast_1d", "size", "shape", "dim", "numel",
        "is_floating_point", "is_complex", "device", "dtype", "item", "tolist", "__len__", "__bool__", "stack", "cat",
        "concat", "repeat", "repeat_interleave", "tile", "dropout", "feature_dropout", "resolve_conj", "resolve_neg",
    }
)  # fmt: skip


@dataclass(frozen=True)
class Call:
    """One call of a torch function in a run: its place in the order of calls, and how to run it."""

    place: int
    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The name of the function; of a property, the name of that."""
        name = getattr(self.function, "__name__", "")
        return getattr(self.function.__self__, "__name__", name) if name == "__get__" else name  # type: ignore[attr-defined]

    @property
    def written(self) -> Tensor | None:
        """The tensor that the call writes into, if it does."""
        out = self.kwargs.get("out")
        if isinstance(out, Tensor):
            return out
        inner = self.name.removeprefix("__i") if self.name.startswith("__i") and self.name.endswith("__") else ""
        inplace = self.kwargs.get("inplace") is True or (self.name.endswith("_") and not self.name.endswith("__"))
        first = self.args[0] if self.args else None
        known = inplace or self.name == "__setitem__" or inner not in ("", "nvert__", "nt__", "ndex__")
        return first if known and isinstance(first, Tensor) else None

    def __call__(self) -> Any:
        """What the function returns."""
        return self.function(*self.args, **self.kwargs)

    def made(self, result: Any) -> list[Tensor]:
        """The tensors that the call returned, or wrote into."""
        return tensors_in(result if self.written is None else self.written)


@dataclass(frozen=True)
class Station:
    """One operation: the path of the module in whose forward it runs, as the user's code names it, and what it is.

    `line` is the place in the user's code, `names` the parameters and buffers that it reads, directly or by way of
    others, `sources` the places of the stations whose results it reads, -1 for the inputs, `before` the functions of
    its module (and reshapes anywhere) that lead to it, `layout` what lies between its sources and it, `options` its
    plain arguments by name, `fixed` whether it reads numbers made on the way (a mask, a ramp), neither given nor
    stored, `shape` that of the first tensor that it reads.
    """

    place: int
    path: str
    kind: str
    function: str
    line: str
    names: tuple[str, ...]
    sources: tuple[int, ...]
    before: tuple[str, ...] = ()
    layout: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    fixed: bool = False
    shape: tuple[int, ...] = ()

    def __str__(self) -> str:
        return f"{self.path or self.kind}: {self.function}"


@dataclass
class Recording:
    """One run: its stations by place, what each returned, the names of all calls in order, and the outputs.

    `ends` are the places of the stations that the outputs are read from, `layout` what lies between them and the
    outputs, `unseen` the lines that read tensors of which nobody saw where they come from.
    """

    stations: dict[int, Station] = field(default_factory=dict)
    values: dict[int, tuple[Tensor, ...]] = field(default_factory=dict)
    results: dict[int, Any] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    ends: frozenset[int] = frozenset()
    layout: tuple[str, ...] = ()
    unseen: list[str] = field(default_factory=list)

    def before(self, places: Iterable[int], through: Collection[int]) -> tuple[int, ...]:
        """The stations of `through` that lead to these places without another one in between, in order."""
        found: set[int] = set()
        left = [*places]
        while left:
            place = left.pop()
            if place in through and place not in found:
                found.add(place)
                left += self.stations[place].sources
        return tuple(sorted(found))


class Passage(TorchFunctionMode):
    """Numbers the calls of one run and gives each to `visit`, which returns the result to go on with."""

    def __init__(self, visit: Callable[[Call], Any]) -> None:
        super().__init__()
        self.visit, self.count, self.over = visit, 0, False

    def __torch_function__(
        self, func: Any, types: Iterable[Any], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """One call; functions that it calls itself are not seen."""
        call = Call(self.count, func, args, kwargs or {})
        self.count += 1
        if self.over:  # the run was given up: what is cleared away is no part of it
            return call()
        try:
            return self.visit(call)
        except BaseException:
            self.over = True
            raise


def passing(runner: Runner, visit: Callable[[Call], Any]) -> Runner:
    """The runner, with every call of its model seen by `visit`."""
    other, call = copy.copy(runner), runner.call

    def seen(*args: Any, **named: Any) -> Any:
        with uncompiled(), opaque(runner.module), Passage(visit):
            return call(*args, **named)

    other.call = seen
    return other


@contextmanager
def uncompiled() -> Iterator[None]:
    """Compiled parts run as they are written: their operations cannot be seen otherwise."""
    if "torch._dynamo" not in sys.modules:  # nothing can be compiled yet
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield


@contextmanager
def opaque(module: nn.Module | None) -> Iterator[None]:
    """Parts whose operations cannot be seen (TorchScript) are one call each."""
    parents = [] if module is None or isinstance(module, torch.jit.ScriptModule) else [*module.modules()]
    found = [
        (parent._modules, name, part)
        for parent in parents
        for name, part in parent.named_children()
        if isinstance(part, torch.jit.ScriptModule) and not isinstance(parent, torch.jit.ScriptModule)
    ]
    try:
        for modules, name, part in found:
            modules[name] = stand_in = nn.Module()
            stand_in.forward = functools.partial(_script, part)
        yield
    finally:
        for modules, name, part in found:
            modules[name] = part


def _script(part: nn.Module, *args: Any, **named: Any) -> Any:
    """A TorchScript part as one call, in whose frame the part stands first."""

    def torchscript(*given: Any, **more: Any) -> Any:
        return part(*given, **more)

    return handle_torch_function(torchscript, args, *args, **named)


def put(call: Call, recorded: Any, values: Sequence[Tensor]) -> Any:
    """`values` in the place of what the call would have returned, or written, laid out in memory as that was."""
    written = call.written
    if written is not None:
        written.copy_(values[0])
        return None if call.name == "__setitem__" else written
    return _filled(recorded, map(_laid, tensors_in(recorded), values))


def _laid(recorded: Tensor, value: Tensor) -> Tensor:
    if value.shape != recorded.shape or 0 in recorded.stride():
        return value.clone()
    return torch.empty_strided(value.shape, recorded.stride(), dtype=value.dtype, device=value.device).copy_(value)


def same_way(recording: Recording, call: Call) -> None:
    """Raise a ModelError where a run takes another way through the network than the recorded one."""
    if call.place >= len(recording.calls) or recording.calls[call.place] != call.name:
        before = [s for place, s in recording.stations.items() if place < call.place]
        raise ModelError(
            "the network takes another way for g·x than for x, so that its operations cannot be compared one by one",
            where=f"after {before[-1]}, {before[-1].line}" if before else "at its first operation",
            hint="a branch depends on the values of the input: take it out, or measure the parts on both sides of it",
        )


def tensors_in(value: Any) -> list[Tensor]:
    """The tensors of nested tuples, lists and dicts, in their order."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, Mapping):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for item in value for tensor in tensors_in(item)]


def hollow(value: Any) -> Any:
    """The same structure with tensors of the same layout, which hold nothing."""
    return _filled(value, map(_emptied, tensors_in(value)))


def _emptied(t: Tensor) -> Tensor:
    if t.layout is not torch.strided:
        return torch.empty(0, requires_grad=t.requires_grad)
    return torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device="meta", requires_grad=t.requires_grad)


def _filled(template: Any, values: Iterator[Tensor]) -> Any:
    """The same structure with other tensors."""
    if isinstance(template, Tensor):
        return next(values)
    if isinstance(template, Mapping):
        return {key: _filled(item, values) for key, item in template.items()}
    if isinstance(template, tuple | list):
        items = [_filled(item, values) for item in template]
        named = isinstance(template, tuple) and getattr(template, "_fields", None)
        return type(template)(*items) if named else type(template)(items)
    return template
