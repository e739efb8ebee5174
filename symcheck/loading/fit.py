"""A state dict loaded into a module, strictly: every key that does not fit is listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor, nn

from symcheck.errors import LoadError
from symcheck.files import reason
from symcheck.loading.nested import listing

_EXTRA = "_extra_state"


def check_names(module: nn.Module, names: Iterable[str], where: str, key: str = "") -> None:
    """Raise LoadError with the missing and the unexpected keys unless the names are the module's own.

    `key` is where in the file they stand.
    """
    expected, given = set(module.state_dict()), set(names)
    missing, unexpected = sorted(expected - given), sorted(given - expected)
    if not missing and not unexpected:
        return
    parts = [
        f"{len(keys)} {what}: {listing(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected))
        if keys
    ]
    raise LoadError(
        f"the weights do not fit the model: {'; '.join(parts)}",
        where=where,
        hint=_prefix_hint(expected, given, key)
        or "check that --model and its arguments build the network that was trained",
    )


def _prefix_hint(expected: set[str], given: set[str], key: str) -> str:
    """What to do when the keys differ by one prefix in front of all of them."""
    for prefix in _prefixes(given):
        part = {name.removeprefix(prefix) for name in given if name.startswith(prefix)}
        if part == expected:
            full = f"{key.rstrip('.')}.{prefix}" if key else prefix
            return f"the keys of the model stand behind '{prefix}' in the file: add --key {full}"
    for prefix in _prefixes(expected):
        if {f"{prefix}{name}" for name in given} == expected:
            return f"the model has '{prefix}' before every key of the file: name what builds that part alone"
    return ""


def _prefixes(names: set[str]) -> list[str]:
    """What may stand before names: `module.`, `module._orig_mod.`, up to three parts."""
    parts = (name.split(".")[:-1] for name in names)
    return sorted({".".join(part[:count]) + "." for part in parts for count in range(1, 1 + min(3, len(part)))})


def fit_state(module: nn.Module, state: Mapping[str, Any], where: str, key: str = "") -> list[str]:
    """Load `state` into `module`, nothing missing, unexpected or mis-shaped; returns notes on dtypes.

    Raises LoadError that lists the keys, sorted, ten of each kind.
    """
    check_names(module, state, where, key)
    where = f"{where}, key {key}" if key else where
    own = module.state_dict()
    odd = [problem for name in sorted(own) if (problem := _misfit(name, own[name], state[name]))]
    if odd:
        raise LoadError(
            f"{len(odd)} of {len(own)} weights do not fit the model: {listing(odd)}",
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
