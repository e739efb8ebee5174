"""Which weights of a folder a network of transformers really took: what it would only log is an error."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from symcheck.errors import LoadError
from symcheck.loading.data import safetensors_names

_SHOWN = 10
_RENAMED = {"gamma": "weight", "beta": "bias"}  # how early checkpoints call the two of a LayerNorm


def check_keys(net: nn.Module, found: Mapping[str, Any], folder: Path, *, chosen: bool) -> list[str]:
    """Notes on weights that rightly have no place; LoadError lists those that are missing or left over.

    `found` is what `output_loading_info` gives. A head of the file that the user's task does not use is noted only
    where the task was `chosen`. What transformers itself leaves out in silence is compared by name.
    """
    stored = _stored(folder)
    own = net.state_dict(keep_vars=True)
    missing, left = set(map(str, found["missing_keys"])), set(map(str, found["unexpected_keys"]))
    silent: set[str] = set()
    if stored is not None:
        prefix = f"{getattr(net, 'base_model_prefix', '')}."
        fits = {_plain(name, prefix) for name in stored}
        held = {id(value) for name, value in own.items() if _plain(name, prefix) in fits}
        absent = {n for n, value in own.items() if _plain(n, prefix) not in fits and id(value) not in held}
        missing |= {n for n in absent if isinstance(own[n], nn.Parameter)}
        silent = {n for n in stored if _plain(n, prefix) not in {_plain(m, prefix) for m in own}} - left
    heads = {name for name in left if chosen and _is_head(net, name)}
    shapes = {one if isinstance(one, str) else str(one[0]) for one in found.get("mismatched_keys", ())}
    _refuse(missing - shapes, left - heads, shapes, net, folder)
    notes = [f"weights of the file that this head does not use: {_listing(heads)}"] if heads else []
    return [*notes, *([f"stored and known to be unused: {_listing(silent)}"] if silent else [])]


def _stored(folder: Path) -> list[str] | None:
    """The names in the safetensors of a folder; None where other files count."""
    index, file = folder / "model.safetensors.index.json", folder / "model.safetensors"
    if file.is_file():
        return safetensors_names(file)
    if index.is_file():
        return list(json.loads(index.read_text(encoding="utf-8")).get("weight_map", {}))
    return None


def _plain(name: str, prefix: str) -> str:
    """The name without the prefix of the body, and with the names of today."""
    head, dot, last = name.removeprefix(prefix).rpartition(".")
    return f"{head}{dot}{_RENAMED.get(last, last)}"


def _is_head(net: nn.Module, name: str) -> bool:
    """Whether the first part of the name is no part of the body of the network."""
    body: Any = getattr(net, "base_model", net)
    parts = {part for part, _ in body.named_children()} | {part for part, _ in body.named_parameters(recurse=False)}
    return name.removeprefix(f"{getattr(net, 'base_model_prefix', '')}.").partition(".")[0] not in parts


def _refuse(missing: set[str], left: set[str], shapes: set[str], net: nn.Module, folder: Path) -> None:
    kinds = (("missing, and would be random", missing), ("left over", left), ("of another shape", shapes))
    parts = [f"{len(names)} {what}: {_listing(names)}" for what, names in kinds if names]
    if not parts:
        return
    raise LoadError(
        f"the weights do not fit {type(net).__name__}: {'; '.join(parts)}",
        where=str(folder),
        hint="say with -m task=... which head the file was trained with (features: the body alone)",
    )


def _listing(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _SHOWN
    return ", ".join(ordered[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

