"""Pieces in one safetensors file and back: numbers as tensors, the rest as JSON. Reading one runs no code."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.measure.curve import Where
from symcheck.measure.finding import Facts
from symcheck.measure.floors import Precision
from symcheck.measure.laws import Law
from symcheck.measure.piece import Piece
from symcheck.measure.plan import Stratum
from symcheck.measure.search import Searched
from symcheck.measure.tally import Rest, Tally
from symcheck.measure.worst import WorstPair
from symcheck.report import model
from symcheck.report.write import write_bytes

FORMAT = "symcheck.parts/1"
_MEASURED = (Piece, Facts, Stratum, Where, Law, Precision, Searched, Tally, Rest, WorstPair)
_REPORTED = tuple(kind for kind in vars(model).values() if isinstance(kind, type) and is_dataclass(kind))
_KNOWN = {kind.__name__: kind for kind in (*_MEASURED, *_REPORTED)}


def save_pieces(path: Path, pieces: Sequence[Piece], about: Mapping[str, Any]) -> None:
    """Write the pieces with what they are of (`about`, plain data), whole or not at all."""
    tensors: dict[str, Tensor] = {}
    plain = json.dumps(_plain(tuple(pieces), tensors, {}))
    texts = {"format": FORMAT, "pieces": plain, "about": json.dumps(about, sort_keys=True, default=str)}
    write_bytes(path, save(tensors, metadata={**texts, "sha256": _sum(texts, tensors)}))


def load_pieces(path: Path) -> tuple[list[Piece], dict[str, Any]]:
    """What `save_pieces` wrote; LoadError when the file holds something else or is damaged."""
    hint = "write it again with symcheck audit --shard i/n -o"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise LoadError("this file holds no part of an audit", where=str(path), hint=hint)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        if metadata["sha256"] != _sum(metadata, tensors):
            raise LoadError("this part of an audit is damaged", where=str(path), hint=hint)
        return list(_object(json.loads(metadata["pieces"]), tensors)), json.loads(metadata["about"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise LoadError(f"the part of an audit cannot be read: {error}", where=str(path), hint=hint) from error


def _sum(texts: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    """The digest of all that a file holds: a flipped bit gives another finding, not another error."""
    found = hashlib.sha256("\n".join(texts[key] for key in ("format", "pieces", "about")).encode())
    for name, x in sorted(tensors.items()):
        found.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        found.update(x.flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()


def on_host(pieces: Sequence[Piece]) -> list[Piece]:
    """The same pieces with all tensors in the memory of the host, so that those of several devices can be joined."""
    tensors: dict[str, Tensor] = {}
    return list(_object(_plain(tuple(pieces), tensors, {}), tensors))


def _plain(value: Any, tensors: dict[str, Tensor], known: dict[int, str]) -> Any:
    """Plain data: dataclasses by name, tensors by number (each once), floats that JSON lacks as text."""
    if isinstance(value, Tensor):
        key = known.setdefault(id(value), str(len(tensors)))
        if key not in tensors:
            tensors[key] = value.detach().cpu().contiguous().clone()
        return {"~tensor": key}
    if is_dataclass(value) and not isinstance(value, type):
        own = {f.name: _plain(getattr(value, f.name), tensors, known) for f in fields(value)}
        return {"~": type(value).__name__, **own}
    if isinstance(value, Mapping):
        return {"~table": [[key, _plain(item, tensors, known)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [_plain(item, tensors, known) for item in value]
    if isinstance(value, StrEnum):
        return {"~word": type(value).__name__, "is": str(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return {"~float": repr(value)}
    return value


def _object(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return tuple(_object(item, tensors) for item in value)
    if not isinstance(value, dict):
        return value
    if "~tensor" in value:
        return tensors[value["~tensor"]]
    if "~table" in value:
        return {key: _object(item, tensors) for key, item in value["~table"]}
    if "~float" in value:
        return float(value["~float"])
    if "~word" in value:
        return model.Verdict(value["is"])
    kind: Any = _KNOWN[value["~"]]
    return kind(**{key: _object(item, tensors) for key, item in value.items() if key != "~"})
