"""Where in a file the state dict stands: found when there is one, offered by key when there are several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor

from symcheck.errors import LoadError
from symcheck.registry import suggest

SHOWN = 10
_DEPTH = 3


def select_state(content: Any, key: str | None, where: str) -> dict[str, Any]:
    """The state dict in a file: all of it, the only one in it, the part under `key`, or behind the prefix `key`.

    `key` may descend (`a.b`, `ema.0`) and may end in a prefix (`state.module.`), which is then taken off.
    """
    key = sole_key(content, where) if key is None else key
    part = _descend(content, key, where) if key else content
    return {str(name): value for name, value in _items(part)}


def sole_key(content: Any, where: str) -> str:
    """The key of the only state dict in a file, empty when the file is one itself; LoadError offers several."""
    if not isinstance(content, Mapping | list | tuple):
        raise _no_state(content, where)
    found = state_keys(content)
    top = isinstance(content, Mapping) and _tensors(content.values())
    if top and not (found and all(not x.dim() for x in top)):
        return ""
    if len(found) == 1:
        return found[0]
    listed = listing(name for name, _ in _items(content)) or "nothing"
    if not found:
        raise LoadError(f"the file holds no tensors, but: {listed}", where=where, hint="give the file with the weights")
    options = " or ".join(f"--key {name}" for name in found[:SHOWN])
    raise LoadError(
        f"the tensors are not at the top of the file, which holds: {listed}", where=where, hint=f"add {options}"
    )


def state_keys(content: Any) -> list[str]:
    """The dotted keys of what looks like a state dict: mappings from text, mostly to tensors, but no optimiser's."""
    found = {key: part for key, part in _mappings(content) if all(isinstance(name, str) for name in part)}
    held = {key: _tensors(part.values()) for key, part in found.items()}
    with_tensors = {key: tensors for key, tensors in held.items() if tensors and 2 * len(tensors) >= len(found[key])}
    arrays = [key for key, tensors in with_tensors.items() if any(x.dim() for x in tensors)]
    return sorted(arrays or with_tensors)  # scores are tensors too, but numbers


def place(content: Any, key: str) -> str:
    """The Python text that leads to what stands under a key of `state_keys`: `['a'][0]`."""
    for name, value in _items(content):
        if name == key or key.startswith(f"{name}."):
            index = int(name) if isinstance(content, list | tuple) else name
            return f"[{index!r}]" + (place(value, key[len(name) + 1 :]) if name != key else "")
    return ""


def listing(names: Iterable[str]) -> str:
    """The first ten names, and how many more there are."""
    names = list(names)
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def _mappings(content: Any, prefix: str = "", depth: int = _DEPTH) -> Iterable[tuple[str, Mapping[Any, Any]]]:
    """Every mapping below the top by its dotted key; what holds tensors is not searched further."""
    for name, value in _items(content):
        if name.lower().startswith("optim"):
            continue
        if isinstance(value, Mapping):
            yield f"{prefix}{name}", value
        if depth > 1 and isinstance(value, Mapping | list | tuple) and not _holds_arrays(value):
            yield from _mappings(value, f"{prefix}{name}.", depth - 1)


def _items(content: Any) -> list[tuple[str, Any]]:
    """The entries of a mapping by name, of a list by number."""
    pairs = content.items() if isinstance(content, Mapping) else enumerate(content)
    return [(str(name), value) for name, value in pairs]


def _tensors(values: Iterable[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _holds_arrays(content: Any) -> bool:
    return any(tensor.dim() for tensor in _tensors(value for _, value in _items(content)))


def _no_state(content: Any, where: str) -> LoadError:
    return LoadError(
        f"the file holds a {type(content).__name__}, not a state dict",
        where=where,
        hint="write it with torch.save(model.state_dict(), path)",
    )


def _descend(content: Any, key: str, where: str) -> Mapping[Any, Any]:
    if not isinstance(content, Mapping | list | tuple):
        raise _no_state(content, where)
    entries = dict(_items(content))
    part = entries.get(key)
    if isinstance(part, Mapping):
        return part
    if isinstance(part, list | tuple) and _tensors(part):
        raise LoadError(
            f"under '{key}' stand {len(part)} tensors without names",
            where=where,
            hint="only the code that wrote them knows which is which: save a state dict with it",
        )
    for cut in (i for i, letter in enumerate(key) if letter == "."):
        inner = entries.get(key[:cut])
        if isinstance(inner, Mapping | list | tuple) and key[cut + 1 :]:
            return _descend(inner, key[cut + 1 :], where)
    if key.endswith("."):
        behind = {name.removeprefix(key): value for name, value in entries.items() if name.startswith(key)}
        if behind:
            return behind
    known = state_keys(content) or list(entries)[:SHOWN]
    raise LoadError(f"the file has no state dict under '{key}'", where=where, hint=suggest(key, known))
