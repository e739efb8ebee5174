"""Samples dense (B, *S) or packed: rows of all graphs in one tensor with an owner index per row.

A batch of (element, sample) pairs is the same in both cases: pair i is sample `samples[i]` moved by element
`elements[i]`. Packed rows find their pair through the owner index, so one code path serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.actions.base import Bound, Rep, gather
from symcheck.claim import BoundClaim
from symcheck.errors import DataError


@dataclass(frozen=True)
class Batch:
    """Inputs of `count` samples; packed batches carry the owner and first row of each sample."""

    tensors: Mapping[str, Tensor]
    count: int
    owner: Tensor | None = None
    sizes: Tensor | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)

    @property
    def packed(self) -> bool:
        """Whether rows have owners."""
        return self.owner is not None

    def slice(self, start: int, stop: int) -> Batch:
        """Samples start..stop of a dense batch."""
        return Batch({k: v[start:stop] for k, v in self.tensors.items()}, stop - start)

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Batch:
        """The same layout with other contents."""
        return Batch(tensors, self.count, self.owner, self.sizes, self.kinds)


class Samples:
    """The evaluation data on the device; `take` cuts out any samples, with repeats."""

    def __init__(self, tensors: Mapping[str, Tensor], owner: str | None = None) -> None:
        self.tensors, self.owner_name = dict(tensors), owner
        if owner is None:
            counts = {name: len(x) if x.dim() else -1 for name, x in tensors.items()}
            if len(set(counts.values())) != 1 or -1 in counts.values():
                raise DataError(
                    f"the inputs have different numbers of samples: {counts}",
                    where="the leading axis of each input",
                    hint="give every input the same leading sample axis; for packed graphs declare batch=owner",
                )
            self.count = next(iter(counts.values()))
            return
        index = tensors[owner].to(torch.int64)
        self.count = int(index.max()) + 1 if len(index) else 0
        self.order = torch.argsort(index, stable=True)
        self.sizes = torch.bincount(index, minlength=self.count)
        self.starts = self.sizes.cumsum(0) - self.sizes
        self.rank = torch.empty_like(index)
        self.rank[self.order] = torch.arange(len(index), device=index.device) - self.starts[index[self.order]]
        self.kinds = {name: self._kind(name, x, index) for name, x in tensors.items()}
        self._edges(index)

    def _kind(self, name: str, x: Tensor, index: Tensor) -> str:
        edges = next((t.shape[1] for t in self.tensors.values() if _is_edge_index(t)), -1)
        if name == self.owner_name:
            return "owner"
        if _is_edge_index(x):
            return "edge_index"
        lengths = {self.count: "sample", edges: "edge", len(index): "row"}
        if x.dim() and len(x) in lengths:
            return lengths[len(x)]
        raise DataError(
            f"input '{name}' of shape {tuple(x.shape)} fits neither rows ({len(index)}), edges ({edges}) "
            f"nor samples ({self.count})",
            where=f"packed inputs with owner '{self.owner_name}'",
            hint="give one entry per row, per edge or per sample",
        )

    def _edges(self, index: Tensor) -> None:
        names = [name for name, kind in self.kinds.items() if kind == "edge_index"]
        if names:
            owner = index[self.tensors[names[0]][0]]
            self.edge_order = torch.argsort(owner, stable=True)
            self.edge_sizes = torch.bincount(owner, minlength=self.count)
            self.edge_starts = self.edge_sizes.cumsum(0) - self.edge_sizes

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """One sample's shape per input; packed rows give the shape of the largest sample."""
        if self.owner_name is None:
            return {name: tuple(x.shape[1:]) for name, x in self.tensors.items()}
        largest = int(self.sizes.max())
        lead = {"row": (largest,), "owner": (largest,)}
        whole = {n: tuple(x.shape) for n, x in self.tensors.items() if self.kinds[n] in ("edge", "edge_index")}
        return {n: whole.get(n, (*lead.get(self.kinds[n], ()), *x.shape[1:])) for n, x in self.tensors.items()}

    def example(self, name: str, count: int = 4) -> Tensor:
        """A few whole samples of one tensor, (n, *S); of packed data the largest sample alone."""
        if self.owner_name is None:
            return self.tensors[name][:count]
        largest = self.take(self.sizes.argmax()[None])
        x = largest.tensors[name]
        return x if self.kinds[name] == "sample" else x[None]

    def take(self, rows: Tensor) -> Batch:
        """The samples `rows` (int64, with repeats) as one batch."""
        if self.owner_name is None:
            return Batch({name: x[rows] for name, x in self.tensors.items()}, len(rows))
        sizes = self.sizes[rows]
        owner, picked = _rows(rows, sizes, self.starts[rows], self.order)
        firsts = sizes.cumsum(0) - sizes
        tensors: dict[str, Tensor] = {}
        for name, x in self.tensors.items():
            kind = self.kinds[name]
            if kind in ("edge_index", "edge"):
                edge_owner, edges = _rows(rows, self.edge_sizes[rows], self.edge_starts[rows], self.edge_order)
                tensors[name] = self.rank[x[:, edges]] + firsts[edge_owner] if kind == "edge_index" else x[edges]
            else:
                tensors[name] = owner if kind == "owner" else x[picked] if kind == "row" else x[rows]
        return Batch(tensors, len(rows), owner, sizes, self.kinds)


def _is_edge_index(x: Tensor) -> bool:
    return x.dim() == 2 and x.shape[0] == 2 and x.dtype == torch.int64


def _rows(samples: Tensor, sizes: Tensor, starts: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """The owner of each row of the new batch, and the row of the stored tensors it comes from."""
    owner = torch.repeat_interleave(torch.arange(len(samples), device=sizes.device), sizes)
    within = torch.arange(len(owner), device=sizes.device) - (sizes.cumsum(0) - sizes)[owner]
    return owner, order[starts[owner] + within]


def move_batch(bound: BoundClaim, reps: Mapping[str, tuple[Rep, ...]], elements: Tensor, batch: Batch) -> Batch:
    """g·x for every pair of the batch: pair i is moved by element `elements[i]`, then observed by the model."""
    moved = {}
    for name, x in batch.tensors.items():
        action = bound.inputs[name]
        kind = batch.kinds.get(name, "dense")
        moved[name] = action.observe(act(action, reps[name], elements, x, batch, kind))
    return batch.with_tensors(moved)


def observe_batch(bound: BoundClaim, batch: Batch) -> Batch:
    """x as the model sees it."""
    return batch.with_tensors({name: bound.inputs[name].observe(x) for name, x in batch.tensors.items()})


def act(bound: Bound, reps: tuple[Rep, ...], elements: Tensor, x: Tensor, batch: Batch, kind: str) -> Tensor:
    """Act on one tensor of a batch; `kind` says whether its rows are pairs (dense, sample) or packed rows."""
    if bound.trivial:
        return x
    floating = any(t.is_floating_point() for rep in reps for t in rep)
    wide = x.double() if floating and x.is_floating_point() else x
    if kind in ("dense", "sample"):
        return bound.act(gather(reps, elements), wide)
    for part, rep in zip(bound.parts, reps, strict=True):
        if part.action.rowwise and kind == "row":
            rows = elements[_owner(batch)]
            wide = part.action.act(part.group, tuple(t[rows] for t in rep), wide)
        elif part.action.relabels and kind in ("row", "edge_index"):
            target = _targets(rep[0][elements], batch)
            wide = target[wide] if kind == "edge_index" else torch.empty_like(wide).index_copy_(0, target, wide)
        else:
            raise DataError(
                f"action '{part.action}' does not act on packed rows",
                where=f"{kind} of a packed batch",
                hint="give dense samples with a leading sample axis",
            )
    return wide


def _owner(batch: Batch) -> Tensor:
    if batch.owner is None:
        raise DataError("packed rows without an owner", where="batch", hint="declare the owner input: batch=owner")
    return batch.owner


def _targets(permutations: Tensor, batch: Batch) -> Tensor:
    """Where each packed row goes: the permutation of the largest sample, restricted to each sample by rank."""
    owner = _owner(batch)
    sizes = torch.bincount(owner, minlength=batch.count)
    width = permutations.shape[1]
    absent = torch.arange(width, device=owner.device)[None, :] >= sizes[:, None]
    ranks = permutations.masked_fill(absent, width + 1).argsort(dim=1).argsort(dim=1)
    firsts = sizes.cumsum(0) - sizes
    within = torch.arange(len(owner), device=owner.device) - firsts[owner]
    return firsts[owner] + ranks[owner, within]
