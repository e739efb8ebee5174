"""Recording one run of a network: its stations, where each comes from, and what it returned."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.locate.stations import LAYOUT, Call, Recording, Station, passing, tensors_in
from symcheck.measure.runner import Runner

_PLAIN = (bool, int, float, str, tuple)
_TRAIL = 24  # functions that are kept of where a tensor comes from
_TORCH = str(Path(torch.__file__).parent)
_OWN = str(Path(__file__).parents[1])


def record(runner: Runner, batch: Batch) -> Recording:
    """Run a batch once and keep what every station returned; copies, since models write into their tensors."""
    recorder = _Recorder(runner.module)
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
    """Where a tensor comes from: stations (-1: the inputs), names of stored tensors, and functions with their paths."""

    sources: frozenset[int] = frozenset()
    names: frozenset[str] = frozenset()
    functions: tuple[tuple[str, str], ...] = ()


class _Recorder:
    """Follows every tensor from the inputs and the stored tensors through the calls of one run."""

    def __init__(self, module: nn.Module | None) -> None:
        self.found = Recording()
        modules = [] if module is None else [*module.named_modules(remove_duplicate=False)]
        self.modules = modules
        self.paths = {id(part): path for path, part in reversed(modules)}
        self.trails: dict[int, _Trail] = {}
        self.alive: list[Any] = []
        self.started = False

    def given(self, inputs: list[Tensor]) -> None:
        """The inputs of the model, which is run anew where it needs gradients and had none."""
        self.found, self.started = Recording(), False
        self._keep(inputs, _Trail(frozenset({-1})))

    def returned(self, result: Any) -> None:
        """The outputs of the model."""
        ends = (self.trails.get(id(t), _Trail()).sources for t in tensors_in(result))
        self.found.ends = frozenset[int]().union(*ends)

    def __call__(self, call: Call) -> Any:
        """Run a call and write down what it is."""
        if not self.started:  # at another precision the stored tensors are there only while the module runs
            self.started = True
            for path, part in self.modules:
                for name, tensor in _stored(part):
                    self._keep([tensor], _Trail(names=frozenset({f"{path}.{name}" if path else name})))
        trails = [self.trails[id(t)] for t in tensors_in([call.args, call.kwargs]) if id(t) in self.trails]
        result = call()
        self.found.calls.append(call.name)
        tensors = call.made(result)
        if not trails or not tensors:
            return result
        sources = frozenset[int]().union(*(trail.sources for trail in trails))
        names = frozenset[str]().union(*(trail.names for trail in trails))
        path, kind, line = _where(sys._getframe(), self.paths)
        before = tuple(dict.fromkeys(one for trail in trails for one in trail.functions))
        if sources and call.name not in LAYOUT:
            here = tuple(name for at, name in before if at == path or name in LAYOUT)
            short = tuple(sorted(name.removeprefix(f"{path}.") for name in names))
            options = {key: value for key, value in call.kwargs.items() if isinstance(value, _PLAIN)}
            station = Station(
                call.place, path, kind or call.name, call.name, line, short, tuple(sorted(sources)), here, options
            )
            self.found.stations[call.place] = station
            self.found.values[call.place] = tuple(t.detach().clone() for t in tensors)
            self.found.results[call.place] = result
            sources, names = frozenset({call.place}), frozenset()
        self._keep(tensors, _Trail(sources, names, (*before, (path, call.name))[-_TRAIL:]))
        return result

    def _keep(self, tensors: list[Tensor], trail: _Trail) -> None:
        self.alive.extend(tensors)  # a tensor that is gone leaves its number to another one
        self.trails.update({id(t): trail for t in tensors})


def _where(frame: FrameType | None, paths: Mapping[int, str]) -> tuple[str, str, str]:
    """The module in whose forward a call was made: its path and class; and the line of the user's code."""
    module, line = None, ""
    while frame is not None and (module is None or not line):
        name, own = frame.f_code.co_filename, frame.f_locals.get("self")
        if module is None and isinstance(own, nn.Module) and id(own) in paths:
            module = own
        if not line and not name.startswith((_TORCH, _OWN, "<")):
            line = f"{Path(name).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ("", "", line) if module is None else (paths[id(module)], type(module).__name__, line)


def _stored(module: nn.Module) -> list[tuple[str, Tensor]]:
    """The tensors that a module itself stores: parameters, buffers, plain attributes."""
    every = [*module._parameters.items(), *module._buffers.items(), *vars(module).items()]
    return [(name, tensor) for name, tensor in every if isinstance(tensor, Tensor)]
