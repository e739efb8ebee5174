"""Recording one run of a network: its stations, where each comes from, and what it returned."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.locate.signatures import options, picked
from symcheck.locate.stations import LAYOUT, Call, Recording, Station, hollow, passing, tensors_in
from symcheck.measure.runner import Runner

_FRESH = {f"new_{kind}" for kind in ("zeros", "ones", "full", "empty", "tensor")} | {
    f"{kind}_like" for kind in ("zeros", "ones", "full", "empty")
}  # they read no more than a shape
_TRAIL = 24  # functions that are kept of where a tensor comes from
_TORCH = str(Path(torch.__file__).parent)
_OWN = str(Path(__file__).parents[1])


def record(runner: Runner, batch: Batch) -> Recording:
    """Run a batch once and keep what every station returned; copies, since models write into their tensors."""
    recorder = _Recorder(runner.module, batch.count)
    seen = passing(runner, recorder)
    inner = seen.call

    def called(*args: Any, **named: Any) -> Any:
        recorder.given(tensors_in([args, named]))
        result = inner(*args, **named)
        recorder.returned(vars(result) if is_dataclass(result) and not isinstance(result, type) else result)
        return result

    seen.call = called
    outputs = seen.kept(batch)
    recorder.found.outputs = {name: y.detach() for name, y in outputs.items()}
    return recorder.found


@dataclass(frozen=True)
class _Trail:
    """Where a tensor comes from: stations (-1: the inputs), names of stored tensors, and functions with their paths.

    `layout` are the functions since those stations.
    """

    sources: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    functions: tuple[tuple[str, str], ...] = ()
    layout: tuple[str, ...] = ()

    @classmethod
    def joined(cls, trails: Sequence[_Trail]) -> _Trail:
        """Of a tensor that is made from several."""
        return cls(
            frozenset[int]().union(*(trail.sources for trail in trails)),
            frozenset[str]().union(*(trail.names for trail in trails)),
            tuple(dict.fromkeys(one for trail in trails for one in trail.functions)),
            tuple(dict.fromkeys(one for trail in trails for one in trail.layout)),
        )


class _Recorder:
    """Follows every tensor from the inputs and the stored tensors through the calls of one run."""

    def __init__(self, module: nn.Module | None, pairs: int) -> None:
        self.found, self.pairs = Recording(), pairs
        modules = [] if module is None else [*module.named_modules(remove_duplicate=False)]
        self.modules = modules
        self.paths = {id(part): path for path, part in reversed(modules)}
        self.trails: dict[int, _Trail] = {}
        self.alive: list[Tensor] = []
        self.shared: dict[int, list[Tensor]] = {}
        self.started = False

    def given(self, inputs: list[Tensor]) -> None:
        """The inputs of the model, which is run anew where it needs gradients and had none."""
        self.found, self.started = Recording(), False
        self._keep(inputs, _Trail(frozenset({-1})))

    def returned(self, result: Any) -> None:
        """The outputs of the model."""
        made = tensors_in(result)
        self._unseen(made, "the outputs")
        whole = _Trail.joined([self.trails.get(id(t), _Trail()) for t in made])
        self.found.ends, self.found.layout = whole.sources, whole.layout

    def __call__(self, call: Call) -> Any:
        """Run a call and write down what it is."""
        if not self.started:  # at another precision the stored tensors are there only while the module runs
            self.started = True
            for path, part in self.modules:
                for name, tensor in _stored(part):
                    self._keep([tensor], _Trail(names=frozenset({f"{path}.{name}" if path else name})))
        read = tensors_in([call.args, call.kwargs])
        before = [self.trails[id(t)] for t in read if id(t) in self.trails]
        result = call()
        self.found.calls.append(call.name)
        tensors = call.made(result)
        if not tensors:
            return result
        path, kind, line = _where(sys._getframe(), self.paths)
        self._unseen(read, line)
        trail = _Trail() if call.name in _FRESH else _Trail.joined(before)
        if trail.sources and call.name not in LAYOUT:
            fixed = any(t.numel() > 1 and not (self.trails[id(t)].sources or self.trails[id(t)].names) for t in read)
            self.found.stations[call.place] = _station(call, (path, kind or call.name, line), trail, read, fixed)
            self.found.values[call.place] = tuple(t.detach().clone() for t in tensors)
            self.found.results[call.place] = hollow(result)
            trail = replace(trail, sources=frozenset({call.place}), names=frozenset(), layout=())
        else:
            trail = replace(trail, layout=(*trail.layout, call.name, *picked(call)))
        if trail.sources or trail.names:
            trail = replace(trail, functions=(*trail.functions, (path, call.name))[-_TRAIL:])
        if call.written is not None:
            self._written(call.written, trail)
        self._keep(tensors, trail)
        return result

    def _written(self, tensor: Tensor, trail: _Trail) -> None:
        """Whatever shares memory with a tensor that is written into comes from there too."""
        for other in self.shared.get(_memory(tensor), ()):
            self.trails[id(other)] = _Trail.joined([self.trails[id(other)], trail])

    def _keep(self, tensors: Iterable[Tensor], trail: _Trail) -> None:
        for tensor in tensors:
            self.alive.append(tensor)  # a tensor that is gone leaves its number to another one
            self.trails[id(tensor)] = trail
            self.shared.setdefault(_memory(tensor), []).append(tensor)

    def _unseen(self, read: Iterable[Tensor], line: str) -> None:
        """Tensors with a row for each pair that no call which was seen has made: TorchScript, vmap, other libraries."""
        for tensor in read:
            if id(tensor) not in self.trails:
                if any(size and size % self.pairs == 0 for size in tensor.shape) and line not in self.found.unseen:
                    self.found.unseen.append(line)
                self._keep([tensor], _Trail())


def _station(call: Call, where: tuple[str, str, str], trail: _Trail, read: list[Tensor], fixed: bool) -> Station:
    """What is written down of a call that computes something."""
    path, kind, line = where
    return Station(
        place=call.place,
        path=path,
        kind=kind,
        function=call.name,
        line=line,
        names=tuple(sorted(name.removeprefix(f"{path}.") for name in trail.names)),
        sources=tuple(sorted(trail.sources)),
        before=tuple(name for at, name in trail.functions if at == path or name in LAYOUT),
        layout=trail.layout,
        options=options(call),
        fixed=fixed,
        shape=tuple(read[0].shape) if read else (),
    )


def _memory(tensor: Tensor) -> int:
    """A number of the memory that a tensor lies in; its own where it has none (sparse, inside of a vmap)."""
    try:
        return tensor.untyped_storage().data_ptr() or id(tensor)
    except RuntimeError:
        return id(tensor)


def _where(frame: FrameType | None, paths: Mapping[int, str]) -> tuple[str, str, str]:
    """The module in whose forward a call was made: its path and class; and the line of the user's code."""
    module, line, seen = None, "", False
    while frame is not None and (module is None or not line):
        name, own = frame.f_code.co_filename, frame.f_locals.get(next(iter(frame.f_code.co_varnames), ""))
        if module is None and isinstance(own, nn.Module) and id(own) in paths:
            module = own
        if seen and name.startswith(_OWN):  # past it stands who runs the network
            break
        seen = seen or not name.startswith(_OWN)
        if not line and not name.startswith((_TORCH, _OWN, "<")):
            line = f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ("", "", line) if module is None else (paths[id(module)], type(module).__name__, line)


def _stored(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The tensors that a module itself stores: parameters, buffers, plain attributes."""
    every = [*module._parameters.items(), *module._buffers.items(), *vars(module).items()]
    return [(name, tensor) for name, tensor in every if isinstance(tensor, Tensor)]
