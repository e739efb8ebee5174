"""Which weights of a folder a network of transformers really took: what it would only log is an error."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from symcheck.errors import LoadError
from symcheck.files import readable, reason
from symcheck.loading.data import read_torch, safetensors_names
from symcheck.loading.sniff import Kind, sniff

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_SHOWN = 10
_RENAMED = {"gamma": "weight", "beta": "bias"}  # how early checkpoints call the two of a LayerNorm


def check_keys(net: nn.Module, found: Mapping[str, Any], folder: Path, *, chosen: bool, pooled: bool) -> list[str]:
    """Notes on weights that rightly have no place; LoadError lists those that are missing or left over.

    `found` is what `output_loading_info` gives. A head of the file that the user's task does not use is noted only
    where the task was `chosen`; a pooler that no file holds is taken off where tokens are `pooled` without it. What
    transformers itself passes over in silence is looked for: weights that an index promises and no file holds, and
    names that a class declares harmless.
    """
    promised, stored = _names(folder)
    missing, left = set(map(str, found["missing_keys"])), set(map(str, found["unexpected_keys"]))
    missing |= (promised - stored) | _excused(net, stored)
    poolerless = _without_pooler(net, missing) if pooled else set()
    silent = _unused(net, stored) - left
    heads = {name for name in left if chosen and _is_head(net, name)}
    shapes = {one if isinstance(one, str) else str(one[0]) for one in found.get("mismatched_keys", ())}
    _refuse(missing - poolerless - shapes, left - heads, shapes, net, folder)
    notes = [f"weights of the file that this head does not use: {_listing(heads)}"] if heads else []
    notes += [f"the file has no pooler ({_listing(poolerless)}): there is no pooler_output"] if poolerless else []
    return [*notes, *([f"stored and known to be unused: {_listing(silent)}"] if silent else [])]


def weight_files(folder: Path) -> list[Path]:
    """The files that hold the weights of a folder, as transformers chooses them; an index names several."""
    first = next((folder / name for name in WEIGHTS if (folder / name).is_file()), None)
    if first is None or first.suffix != ".json":
        return [first] if first is not None else []
    return [readable(folder / name) for name in sorted(set(_index(first).values()))]


def _index(path: Path) -> dict[str, str]:
    """Which file holds each weight."""
    try:
        return {str(k): str(v) for k, v in json.loads(path.read_text(encoding="utf-8"))["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LoadError(f"the index cannot be read: {reason(error)}", where=str(path), hint="copy it again") from error


def _names(folder: Path) -> tuple[set[str], set[str]]:
    """The names that the index promises, and those that the files themselves hold."""
    stored: set[str] = set()
    for path in weight_files(folder):
        kind = sniff(path)
        stored |= set(safetensors_names(path) if kind is Kind.SAFETENSORS else map(str, read_torch(path, kind)))
    first = next(folder / name for name in WEIGHTS if (folder / name).is_file())
    return set(_index(first) if first.suffix == ".json" else stored), stored


def _excused(net: nn.Module, stored: set[str]) -> set[str]:
    """Parameters that are in no file, under no tied name, and that the class says may be missing: they are random."""
    prefix, own = _prefix(net), dict(net.named_parameters(remove_duplicate=False))
    fits = {_plain(name, prefix) for name in stored}
    held = {id(value) for name, value in own.items() if _plain(name, prefix) in fits}
    excused = _matching(getattr(net, "_keys_to_ignore_on_load_missing", None), own)
    return {name for name in excused if _plain(name, prefix) not in fits and id(own[name]) not in held}


def _unused(net: nn.Module, stored: set[str]) -> set[str]:
    """Stored names that the class says may be left over, and buffers that the network computes itself."""
    prefix, own = _prefix(net), {_plain(name, _prefix(net)) for name in net.state_dict()}
    computed = {_plain(name, prefix) for name, _ in net.named_buffers()} - own
    excused = _matching(getattr(net, "_keys_to_ignore_on_load_unexpected", None), stored)
    return {n for n in stored if _plain(n, prefix) in computed or (n in excused and _plain(n, prefix) not in own)}


def _without_pooler(net: Any, missing: set[str]) -> set[str]:
    """The weights of a pooler that is missing as a whole and that the network can do without; it is taken off."""
    own = {f"pooler.{name}" for name, _ in net.pooler.named_parameters()} if _may_lack_pooler(net) else set()
    if not own or not own <= missing:
        return set()
    net.pooler = None
    return own


def _may_lack_pooler(net: nn.Module) -> bool:
    """Whether the class itself is also built without its pooler."""
    optional = "add_pooling_layer" in inspect.signature(type(net).__init__).parameters
    return optional and isinstance(getattr(net, "pooler", None), nn.Module)


def _matching(patterns: Iterable[str] | None, names: Iterable[str]) -> set[str]:
    return {name for name in names if any(re.search(pattern, name) for pattern in patterns or ())}


def _prefix(net: nn.Module) -> str:
    return f"{getattr(net, 'base_model_prefix', '')}."


def _plain(name: str, prefix: str) -> str:
    """The name without the prefix of the body, and with the names of today."""
    head, dot, last = name.removeprefix(prefix).rpartition(".")
    return f"{head}{dot}{_RENAMED.get(last, last)}"


def _is_head(net: nn.Module, name: str) -> bool:
    """Whether the first part of the name is no part of the body of the network."""
    body: Any = getattr(net, "base_model", net)
    parts = {part for part, _ in body.named_children()} | {part for part, _ in body.named_parameters(recurse=False)}
    return name.removeprefix(_prefix(net)).partition(".")[0] not in parts


def _refuse(missing: set[str], left: set[str], shapes: set[str], net: nn.Module, folder: Path) -> None:
    kinds = (("missing, and would be random", missing), ("left over", left), ("of another shape", shapes))
    parts = [f"{len(names)} {what}: {_listing(names)}" for what, names in kinds if names]
    if not parts:
        return
    raise LoadError(
        f"the weights do not fit {type(net).__name__}: {'; '.join(parts)}",
        where=str(folder),
        hint="the token states need no pooler: say -m pooling=mean (or cls, last), and measure the embedding"
        if missing and not (left or shapes) and all(name.startswith("pooler.") for name in missing)
        else "say with -m task=... which head the file was trained with (features: the body alone)",
    )


def _listing(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _SHOWN
    return ", ".join(ordered[:_SHOWN]) + (f" and {more} more" if more > 0 else "")

