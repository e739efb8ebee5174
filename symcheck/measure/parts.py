"""Parts inside a module: what they returned while it ran, caught by hooks that are always removed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError
from symcheck.measure.expressions import Named


@dataclass
class Caught:
    """What the watched parts returned in one run of the module: copies, since models write into their tensors."""

    calls: dict[str, int] = field(default_factory=dict)
    tensors: dict[Named, list[Tensor]] = field(default_factory=dict)

    def of(self, part: Named) -> Tensor:
        """What one part returned; ConfigError where it was not called so, or several times."""
        calls, tensors = self.calls[part.path], self.tensors.get(part, [])
        if part.call is None and calls > 1:
            ends = f"{part.path}@1 for the first call, {part.path}@{calls} for the last"
            raise _no(part, f"is called {calls} times in one run of the model", f"write {ends}")
        if part.call is not None and not 0 < part.call <= calls:
            raise _no(part, f"is called {calls} times", "number the calls from 1 on")
        if not calls:
            what = "is not called itself: a list of parts, or inside a compiled program"
            raise _no(part, what, "name a part inside it, or the one around it")
        place = part.place or 0
        if place >= len(tensors):
            kept = f"returned {len(tensors)} tensors" if part.place is not None else "returned no tensor"
            raise _no(part, kept, "name another part" if not tensors else f"write {part.path}[{len(tensors) - 1}]")
        return tensors[place]


def parts_of(module: nn.Module | None) -> dict[str, nn.Module]:
    """The parts of a module by their paths, those with two names under both; callables and programs show none."""
    found = dict(module.named_modules(remove_duplicate=False)) if module is not None else {}
    return {path: part for path, part in found.items() if path and not isinstance(part, torch.jit.ScriptModule)}


@contextmanager
def watching(modules: Mapping[str, nn.Module], parts: Collection[Named]) -> Iterator[Caught]:
    """Catch what these parts return while `modules` run; the hooks are removed whatever happens."""
    caught = Caught({part.path: 0 for part in parts})
    with ExitStack() as stack:
        for path in caught.calls:
            hook = _hook(caught, path, [part for part in parts if part.path == path])
            stack.callback(modules[path].register_forward_hook(hook).remove)
        yield caught


def _hook(caught: Caught, path: str, wanted: list[Named]) -> Any:
    def keep(module: nn.Module, inputs: Any, result: Any) -> None:
        caught.calls[path] += 1
        for part in wanted:
            if (part.call or 1) == caught.calls[path]:
                caught.tensors[part] = [t.clone() for t in _tensors(result)]

    return keep


def _tensors(result: Any) -> list[Tensor]:
    """The tensors of a result in their order: a tensor itself, those of a tuple, a mapping or a dataclass."""
    if isinstance(result, Tensor):
        return [result]
    if is_dataclass(result) and not isinstance(result, type):
        result = vars(result)
    values = result.values() if isinstance(result, Mapping) else result if isinstance(result, tuple | list) else ()
    return [tensor for value in values for tensor in _tensors(value)]


def _no(part: Named, what: str, hint: str) -> ConfigError:
    return ConfigError(f"the part '{part.path}' {what}", where=f"output '{part}'", hint=hint)
