"""A state dict found in a file and loaded into a module, strictly: every key that does not fit is listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from symcheck.errors import LoadError
from symcheck.files import reason
from symcheck.registry import suggest

_SHOWN = 10
_EXTRA = "_extra_state"


def select_state(content: Any, key: str | None, where: str) -> dict[str, Any]:
    """The state dict in a file: all of it, the part under `key`, or the part behind the prefix `key`.

    `key` may descend (`a.b`) and may end in a prefix (`state.module.`), which is then taken off.
    """
    if isinstance(content, Tensor) or not isinstance(content, Mapping):
        raise LoadError(
            f"the file holds a {type(content).__name__}, not a state dict",
            where=where,
            hint="write it with torch.save(model.state_dict(), path)",
        )
    if key is not None:
        content = _descend(content, key, where)
    elif not any(isinstance(value, Tensor) for value in content.values()):
        _offer_keys(content, where)
    return {str(name): value for name, value in content.items()}


def _descend(content: Mapping[Any, Any], key: str, where: str) -> Mapping[Any, Any]:
    if isinstance(content.get(key), Mapping):
        part: Mapping[Any, Any] = content[key]
        return part
    for cut in (i for i, letter in enumerate(key) if letter == "."):
        inner = content.get(key[:cut])
        if isinstance(inner, Mapping) and key[cut + 1 :]:
            return _descend(inner, key[cut + 1 :], where)
    if key.endswith("."):
        part = {str(n).removeprefix(key): v for n, v in content.items() if str(n).startswith(key)}
        if part:
            return part
    known = _states(content) or [str(name) for name in list(content)[:_SHOWN]]
    raise LoadError(f"the file has no state dict under '{key}'", where=where, hint=suggest(key, known))


def _states(content: Mapping[Any, Any], prefix: str = "", depth: int = 3) -> list[str]:
    """The dotted keys of what looks like a state dict: mappings from text that hold a tensor."""
    found = []
    for name, value in content.items():
        if not isinstance(value, Mapping) or not all(isinstance(k, str) for k in value):
            continue
        if any(isinstance(v, Tensor) for v in value.values()):
            found.append(f"{prefix}{name}")
        elif depth > 1:
            found += _states(value, f"{prefix}{name}.", depth - 1)
    return sorted(found)


def _offer_keys(content: Mapping[Any, Any], where: str) -> None:
    states = _states(content)
    top = _listing(map(str, content)) or "nothing"
    if not states:
        raise LoadError(
            f"the file holds no tensors, but: {top}", where=where, hint="give the file with the weights"
        )
    options = " or ".join(f"--key {name}" for name in states[:_SHOWN])
    raise LoadError(
        f"the tensors are not at the top of the file, which holds: {top}", where=where, hint=f"add {options}"
    )


def check_names(module: nn.Module, names: Iterable[str], where: str) -> None:
    """Raise LoadError with the missing and the unexpected keys unless the names are the module's own."""
    expected, given = set(module.state_dict()), set(names)
    missing, unexpected = sorted(expected - given), sorted(given - expected)
    if not missing and not unexpected:
        return
    parts = [
        f"{len(keys)} {what}: {_listing(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    raise LoadError(
        f"the weights do not fit the model: {'; '.join(parts)}",
        where=where,
        hint=_prefix_hint(expected, given)
        or "check that --model and its arguments build the network that was trained",
    )


def _prefix_hint(expected: set[str], given: set[str]) -> str:
    """What to do when the keys differ by one prefix in front of all of them."""
    for prefix in sorted({f"{name.split('.')[0]}." for name in given if "." in name}):
        part = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
        if part == expected:
            return f"the keys of the model stand behind '{prefix}' in the file: add --key {prefix}"
    for prefix in sorted({f"{name.split('.')[0]}." for name in expected if "." in name}):
        if {f"{prefix}{name}" for name in given} == expected:
            return f"the model has '{prefix}' before every key of the file: name what builds that part alone"
    return ""


def _listing(names: Iterable[str]) -> str:
    names = list(names)
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def fit_state(module: nn.Module, state: Mapping[str, Any], where: str) -> list[str]:
    """Load `state` into `module`, nothing missing, unexpected or mis-shaped; returns notes on dtypes.

    Raises LoadError that lists the keys, sorted, ten of each kind.
    """
    check_names(module, state, where)
    own = module.state_dict()
    odd = [problem for name in sorted(own) if (problem := _misfit(name, own[name], state[name]))]
    if odd:
        raise LoadError(
            f"{len(odd)} of {len(own)} weights do not fit the model: {_listing(odd)}",
            where=where,
            hint="check the arguments of the model (-m name=value): sizes, number of classes, dtype",
        )
    on_meta = any(isinstance(value, Tensor) and value.is_meta for value in own.values())
    try:
        module.load_state_dict(dict(state), strict=True, assign=on_meta)
    except Exception as error:  # a module may have hooks of its own here
        raise LoadError(
            f"the model refuses its weights: {reason(error)}",
            where=where,
            hint="check that --model and its arguments build the network that was trained",
        ) from error
    return _dtype_notes(own, state)


def _misfit(name: str, own: Any, given: Any) -> str:
    if name.rpartition(".")[2] == _EXTRA or not isinstance(own, Tensor):
        return ""
    if not isinstance(given, Tensor):
        return f"{name} (a {type(given).__name__}, not a tensor)"
    if own.shape != given.shape:
        return f"{name} (file {tuple(given.shape)}, model {tuple(own.shape)})"
    if _family(own) != _family(given):
        return f"{name} (file {_dtype(given)}, model {_dtype(own)})"
    return ""


def _family(x: Tensor) -> tuple[bool, bool]:
    return x.is_floating_point(), x.is_complex()


def _dtype(x: Tensor) -> str:
    return str(x.dtype).removeprefix("torch.")


def _dtype_notes(own: Mapping[str, Any], state: Mapping[str, Any]) -> list[str]:
    pairs: dict[tuple[str, str], int] = {}
    for name, value in own.items():
        if isinstance(value, Tensor) and value.is_floating_point() and value.dtype != state[name].dtype:
            pair = (_dtype(state[name]), _dtype(value))
            pairs[pair] = pairs.get(pair, 0) + 1
    return [f"{count} weights stored as {a} run as {b}" for (a, b), count in sorted(pairs.items())]
