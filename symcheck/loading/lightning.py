"""What a training checkpoint tells beside its weights: the hyper-parameters with which its network was built."""

from __future__ import annotations

import inspect
import json
import shlex
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

_KEYS = ("hyper_parameters", "hparams", "hyperparameters")
_SHOWN = 12
_WIDTH = 40


def hyper_parameters(content: Any) -> dict[str, Any]:
    """The hyper-parameters in a checkpoint by name, as Lightning stores them; empty where there are none."""
    if not isinstance(content, Mapping):
        return {}
    for key in _KEYS:
        given = content.get(key)
        given = given if isinstance(given, Mapping) else getattr(given, "__dict__", None)
        if given:
            return {str(name): value for name, value in given.items()}
    return {}


def told(content: Any) -> str:
    """The hyper-parameters in words, `width=32, lr=0.001`; empty where there are none."""
    found = hyper_parameters(content)
    parts = [f"{name}={_short(value)}" for name, value in list(found.items())[:_SHOWN]]
    return ", ".join(parts) + (f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else "")


def contradictions(factory: Callable[..., Any], arguments: Mapping[str, object], stored: Mapping[str, Any]) -> str:
    """Where the stored hyper-parameters are not what `factory(**arguments)` is built with, in words; else empty.

    Only plain values of the same name are compared, the defaults of the factory among them.
    """
    try:
        bound = inspect.signature(factory).bind(**arguments)
    except (TypeError, ValueError):  # no signature, or one that the arguments do not fit
        return ""
    bound.apply_defaults()
    built = _plain({**bound.arguments, **bound.kwargs})
    other = {n: value for n, value in _plain(stored).items() if n in built and not _same(value, built[n])}
    if not other:
        return ""
    was, now = (" and ".join(f"{n}={_short(values[n])}" for n in other) for values in (other, built))
    options = as_options(other)
    word = "say" if {*other} & {*arguments} else "add"
    hint = f": {word} {options} if that is wrong" if options else ""
    return f"the file was trained with {was}, but the network was built with {now}{hint}"


def as_options(values: Mapping[str, Any]) -> str:
    """The plain values as one writes them on the command line, `-m width=64 -m act=relu`; None cannot be written."""
    plain = {name: value for name, value in _plain(values).items() if value is not None}
    return " ".join(f"-m {shlex.quote(f'{name}={_written(value)}')}" for name, value in plain.items())


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are numbers, texts, None, or lists of them; scalars of NumPy and torch as those of Python."""
    single = {n: v.item() if isinstance(v, (Tensor, np.generic)) and v.ndim == 0 else v for n, v in values.items()}
    return {name: value for name, value in single.items() if _is_plain(value)}


def _is_plain(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(one is not None and _is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other) or (one != one and other != other)


def _written(value: Any, inside: bool = False) -> str:
    """The value in TOML; a text that is nothing else in TOML needs no quotes."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_written(one, inside=True) for one in value)}]"
    if not isinstance(value, str):
        return repr(value)
    return json.dumps(value) if inside or not value.isprintable() or _is_toml(value) else value


def _is_toml(text: str) -> bool:
    try:
        return bool(tomllib.loads(f"value = {text}"))
    except tomllib.TOMLDecodeError:
        return False


def _short(value: Any) -> str:
    if isinstance(value, Tensor) and value.dim():
        return f"a tensor {tuple(value.shape)}"
    text = " ".join(repr(value).split())
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}…"
