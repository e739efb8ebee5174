"""The worst pairs that an audit writes beside its report, read as numpy arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FORMAT = "symcheck.worst/1"
LARGEST = 4_000_000  # numbers of one tensor; what is larger is not drawn


@dataclass(frozen=True)
class Pair:
    """One pair (g, x): the inputs x and g·x, and both sides f(g·x) and g·f(x), by name, without a batch axis."""

    inputs: Mapping[str, Any]
    moved: Mapping[str, Any]
    left: Mapping[str, Any]
    right: Mapping[str, Any]


def read_pair(reference: str, beside: Path | None = None) -> Pair | str:
    """The pair at `PATH#i`, or one sentence that says why there is none; a file that moved is looked for `beside`."""
    name, mark, index = reference.rpartition("#")
    if not mark or not index.isdecimal():
        return "The worst pair was not kept: write the report to a file, and it is saved beside it."
    try:
        near = [Path(name), *([beside / Path(name).name] if beside is not None else [])]
        path = next((path for path in near if path.is_file()), None)
        if path is None:
            return f"The worst pair was kept in {name}, which is not here."
        return _read(path, index)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        return f"The worst pair in {name} cannot be read: {error}"


def _read(path: Path, index: str) -> Pair | str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                return f"{path} holds no worst pairs."
            packed = bool(json.loads(metadata["pairs"])[int(index)].get("owner"))
            parts: dict[str, dict[str, Any]] = {"input": {}, "moved": {}, "left": {}, "right": {}}
            for key in sorted(file.keys()):
                head, _, rest = key.partition("/")
                what, _, name = rest.partition("/")
                if head == index and what in parts and _count(file.get_slice(key).get_shape()) <= LARGEST:
                    parts[what][name] = _numbers(file.get_tensor(key), packed)
    except (SafetensorError, AttributeError) as error:
        return f"The worst pair in {path} cannot be read: {error}"
    if not parts["left"] or not parts["right"]:
        return f"{path} holds no outputs of the worst pair: they are too large to be drawn, or were not kept."
    return Pair(parts["input"], parts["moved"], parts["left"], parts["right"])


def _count(shape: list[int]) -> int:
    count = 1
    for size in shape:
        count *= size
    return count


def _numbers(tensor: Any, packed: bool) -> Any:
    """Real numbers in float64, without the batch axis that a dense sample has."""
    import numpy as np

    array = np.abs(tensor) if np.iscomplexobj(tensor) else np.asarray(tensor, dtype=np.float64)
    return array if packed or array.ndim == 0 or array.shape[0] != 1 else array[0]
