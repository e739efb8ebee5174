"""Inputs as a user gives them: named, checked, cut to the samples that are measured, and told apart by a digest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import DataError
from symcheck.grammar import parse_claim
from symcheck.measure.graphs import Graph
from symcheck.measure.samples import Samples

Inputs = Tensor | Sequence[Tensor] | Mapping[str, Tensor]


def named_inputs(inputs: Inputs) -> dict[str, Tensor]:
    """Inputs by name: a tensor or array is `input`, a tuple `input0`, `input1`, ..."""
    if isinstance(inputs, Tensor | np.ndarray):
        inputs = {"input": torch.as_tensor(inputs)}
    elif isinstance(inputs, tuple | list):
        inputs = {f"input{i}": x for i, x in enumerate(inputs)}
    if not isinstance(inputs, Mapping) or not all(isinstance(x, Tensor | np.ndarray) for x in inputs.values()):
        raise DataError(
            "the inputs are no tensors",
            where=f"audit(model, claims, inputs): inputs is a {type(inputs).__name__}",
            hint="give a tensor, a tuple or a dict of tensors with a leading sample axis",
        )
    tensors = {name: torch.as_tensor(x) for name, x in inputs.items()}
    for name, x in tensors.items():
        if not x.numel():
            raise DataError(f"input '{name}' is empty", where=f"shape {tuple(x.shape)}", hint="give some samples")
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise DataError(
                f"input '{name}' contains NaN or infinity",
                where="inputs",
                hint="clean the data: nothing can be concluded",
            )
    if not tensors:
        raise DataError("there are no inputs", where="inputs", hint="give a tensor, a tuple or a dict of tensors")
    return tensors


def without_ignored(tensors: dict[str, Tensor], texts: Sequence[str]) -> tuple[dict[str, Tensor], list[str]]:
    """Inputs that every claim declares `ignore` (labels in a data file) are not given to the model."""
    trees = [parse_claim(text) for text in texts]
    slots = [{s.name: s for s in tree.inputs} for tree in trees]
    ignored = [n for n in tensors if trees and all(n in s and s[n].terms[0].name == "ignore" for s in slots)]
    kept = [
        str(replace(tree, inputs=tuple(s for s in tree.inputs if s.name not in ignored))) if ignored else text
        for tree, text in zip(trees, texts, strict=True)
    ]
    return {name: x for name, x in tensors.items() if name not in ignored}, kept


def first_samples(tensors: dict[str, Tensor], samples: int, texts: Sequence[str]) -> dict[str, Tensor]:
    """The first `samples` samples; packed data keep the rows and edges of those samples."""
    owner = owner_of(texts, tensors)
    if owner is None:
        return {name: x[:samples] if x.dim() else x for name, x in tensors.items()}
    packed = Samples(tensors, owner)
    return dict(packed.take(torch.arange(min(samples, packed.count))).tensors)


def with_graph(
    tensors: dict[str, Tensor], text: str, texts: Sequence[str], dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """The inputs with the edges of a frozen neighbour graph, built once from the positions as the model sees them."""
    graph = Graph.parse(text) if text else None
    if graph is None or not graph.frozen:
        return tensors
    packed = Samples(tensors, owner_of(texts, tensors))
    batch = packed.take(torch.arange(packed.count))
    seen = {n: x.to(dtype) if dtype is not None and x.is_floating_point() else x for n, x in batch.tensors.items()}
    built = graph.with_edges(batch.with_tensors(seen)).tensors
    return {**batch.tensors, **{name: built[name] for name in (graph.edges, graph.shifts) if name}}


def owner_of(texts: Sequence[str], tensors: Mapping[str, Tensor]) -> str | None:
    """The input that a claim declares as `owner`."""
    for text in texts:
        names = list(tensors)
        for i, slot in enumerate(parse_claim(text).inputs):
            if slot.terms[0].name == "owner":
                return slot.name or (names[i] if i < len(names) else None)
    return None


def digest(tensors: Mapping[str, Tensor]) -> str:
    """The start of the SHA-256 of all inputs with their names and shapes: equal digests mean the same data."""
    found = hashlib.sha256()
    for name, x in sorted(tensors.items()):
        found.update(f"{name} {x.dtype} {tuple(x.shape)}".encode())
        found.update(x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]
