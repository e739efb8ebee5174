"""Graphs one by one, or as torch_geometric holds them, to packed inputs: rows of all, and an owner for each row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import DataError

OWNER = "batch"
_ROWS = ("pos", "positions", "coordinates", "R", "x", "z", "atomic_numbers", "numbers")
_WHOLE = ("cell", "lattice", "pbc", "stress", "virial", "energy", "natoms", "num_atoms", "charge", "spin")
_ABOUT_PACKING = ("ptr", "num_nodes")


def packable(content: Any) -> bool:
    """Whether this is a graph, or a list of graphs or of mappings of arrays: one entry a sample."""
    if isinstance(content, list | tuple):
        return bool(content) and all(isinstance(one, Mapping) or _graph(one) is not None for one in content)
    return _graph(content) is not None


def pack(content: Any, where: str) -> dict[str, Tensor]:
    """One dict of tensors for all samples, with the owner index `batch`.

    Rows (as many as `pos`, `x`, `z`, or else the first array has) and, by a name with `edge` in it, edges are put one
    after another; an edge index (2, E) is moved on by the rows before; the others are stacked, one entry a sample.
    Raises DataError for an array that is none of these, or not in every sample.
    """
    if isinstance(content, list | tuple):
        samples = [_arrays(one if isinstance(one, Mapping) else _graph(one), where) for one in content]
        return _joined(samples, where)
    whole = _arrays(_graph(content), where)
    return whole if OWNER in whole else _joined([whole], where)


def _graph(value: Any) -> Mapping[str, Any] | None:
    """What a graph holds by name: an object that is not a mapping or tensor, and has `edge_index` and `to_dict`."""
    if isinstance(value, (Mapping, Tensor, np.ndarray, type)):
        return None
    to_dict, keys = getattr(value, "to_dict", None), getattr(value, "keys", None)
    if not (callable(to_dict) and callable(keys)):
        return None
    found = to_dict()
    return found if isinstance(found, Mapping) else None


def _arrays(sample: Mapping[str, Any] | None, where: str) -> dict[str, Tensor]:
    found = {}
    for name, value in (sample or {}).items():
        if value is None or name in _ABOUT_PACKING:
            continue
        try:
            array = value.detach().cpu() if isinstance(value, Tensor) else torch.as_tensor(np.asarray(value))
        except (TypeError, ValueError, RuntimeError) as error:
            raise DataError(
                f"'{name}' of a sample is a {type(value).__name__}, not a numeric array",
                where=where,
                hint=f"leave it out: del data.{name}, or give numbers",
            ) from error
        single = array.dtype == torch.float64 and not isinstance(value, Tensor | np.ndarray)
        found[str(name)] = array.float() if single else array
    return found


def _joined(samples: Sequence[dict[str, Tensor]], where: str) -> dict[str, Tensor]:
    names = [name for name in samples[0] if name != OWNER]
    for i, sample in enumerate(samples):
        if set(sample) - {OWNER} != set(names):
            odd = sorted((set(sample) ^ set(names)) - {OWNER})
            raise DataError(
                f"not every sample has '{odd[0]}'",
                where=f"{where}, sample {i}",
                hint="give every sample the same arrays",
            )
    lead = next((n for n in (*_ROWS, *names) if n in names and _leads(n, samples)), None)
    if lead is None:
        raise DataError(
            f"no array counts the rows of a sample: {', '.join(names)}",
            where=where,
            hint="give pos, x or z, one row a node",
        )
    rows = [len(sample[lead]) for sample in samples]
    edges = _edge_counts(samples, where)
    joined = {name: _join(name, [sample[name] for sample in samples], rows, edges, where) for name in names}
    owner = torch.repeat_interleave(torch.arange(len(samples)), torch.tensor(rows))
    return {**joined, OWNER: owner}


def _leads(name: str, samples: Sequence[Mapping[str, Tensor]]) -> bool:
    return "edge" not in name and name not in _WHOLE and all(sample[name].dim() for sample in samples)


def _is_index(name: str, x: Tensor) -> bool:
    named = "index" in name or name == "edges"
    return named and x.dim() == 2 and x.shape[0] == 2 and x.dtype in (torch.int64, torch.int32)


def _edge_counts(samples: Sequence[Mapping[str, Tensor]], where: str) -> list[int] | None:
    """How many edges each sample has; None without an edge index."""
    names = [name for name in samples[0] if all(_is_index(name, sample[name]) for sample in samples)]
    if len(names) > 1:
        raise DataError(
            f"there are several edge indices: {', '.join(names)}",
            where=where,
            hint="let your function pack the graphs",
        )
    return [sample[names[0]].shape[1] for sample in samples] if names else None


def _join(name: str, arrays: Sequence[Tensor], rows: Sequence[int], edges: Sequence[int] | None, where: str) -> Tensor:
    if all(_is_index(name, x) for x in arrays):
        starts = torch.tensor([0, *rows]).cumsum(0)
        return torch.cat([x.long() + start for x, start in zip(arrays, starts[:-1].tolist(), strict=True)], 1)
    alike = len({tuple(x.shape) for x in arrays}) == 1
    if "edge" in name and edges is not None and _counts(arrays, edges):
        return _concatenated(name, arrays, where)
    if name not in _WHOLE and _counts(arrays, rows):
        return _concatenated(name, arrays, where)
    if alike and arrays[0].dim() and len(arrays[0]) == 1:
        return torch.cat(list(arrays))  # as torch_geometric keeps what belongs to a whole graph
    if alike:
        return torch.stack(list(arrays))
    raise DataError(
        f"'{name}' has neither one entry per row, nor per edge, nor the same shape in every sample",
        where=f"{where}, shapes {', '.join(str(tuple(x.shape)) for x in arrays[:3])}",
        hint="the name of what belongs to edges contains 'edge'",
    )


def _counts(arrays: Iterable[Tensor], expected: Sequence[int]) -> bool:
    return all(x.dim() and len(x) == n for x, n in zip(arrays, expected, strict=True))


def _concatenated(name: str, arrays: Sequence[Tensor], where: str) -> Tensor:
    if len({tuple(x.shape[1:]) for x in arrays}) > 1:
        raise DataError(
            f"'{name}' has rows of different shapes",
            where=f"{where}, shapes {', '.join(str(tuple(x.shape)) for x in arrays[:3])}",
            hint="give every row the same shape",
        )
    return torch.cat(list(arrays))
