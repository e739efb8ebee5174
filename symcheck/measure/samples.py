"""Samples dense (B, *S) or packed: rows of all graphs in one tensor with an owner index per row.

A batch of (element, sample) pairs is the same in both cases: pair i is sample `samples[i]` moved by element
`elements[i]`. Packed rows find their pair through the owner index, so one code path serves both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.actions.base import Bound, Rep, gather, move
from symcheck.batch import Batch, Layout
from symcheck.claim import BoundClaim
from symcheck.errors import DataError


class Samples:
    """The evaluation data on the device; `take` cuts out any samples, with repeats."""

    def __init__(self, tensors: Mapping[str, Tensor], owner: str | None = None) -> None:
        self.tensors, self.owner_name = {name: x.detach() for name, x in tensors.items()}, owner
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
        index = _owners(tensors[owner], owner)
        self.count = int(index.max()) + 1
        self.rows = Layout.of(index, self.count)
        self.rank = torch.empty_like(index)
        self.rank[self.rows.order] = (
            torch.arange(len(index), device=index.device) - self.rows.starts[index[self.rows.order]]
        )
        edges = {name: x for name, x in self.tensors.items() if name != owner and _is_edge_index(x)}
        self.edges = {name: Layout.of(_edge_owners(name, x, index), self.count) for name, x in edges.items()}
        self.kinds = {name: self._kind(name, x, len(index)) for name, x in self.tensors.items()}

    def _kind(self, name: str, x: Tensor, rows: int) -> str:
        """`owner`, `edge_index`, or what the leading axis runs over: `row`, `sample`, or `edge:` with its index."""
        if name == self.owner_name or name in self.edges:
            return "owner" if name == self.owner_name else "edge_index"
        matching = [e for e in self.edges if x.dim() and self.tensors[e].shape[1] == len(x)]
        fits = ["row"] * (x.dim() > 0 and len(x) == rows) + ["sample"] * (x.dim() > 0 and len(x) == self.count)
        if "edge" in name and matching:
            fits = []
        if not fits and len(matching) == 1:
            return f"edge:{matching[0]}"
        if fits and (len(fits) == 1 or rows == self.count):
            return fits[0]
        lengths = ", ".join(f"{self.tensors[e].shape[1]} edges in '{e}'" for e in self.edges)
        raise DataError(
            f"input '{name}' of shape {tuple(x.shape)} is not one entry per row ({rows}), per sample ({self.count})"
            + (f" or per edge ({lengths})" if lengths else ""),
            where=f"packed inputs with owner '{self.owner_name}'",
            hint="check its leading axis; the name of an edge feature should contain 'edge'",
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """One sample's shape per input; packed rows give the shape of the largest sample."""
        if self.owner_name is None:
            return {name: tuple(x.shape[1:]) for name, x in self.tensors.items()}
        largest = int(self.rows.sizes.max())
        shapes = {}
        for name, x in self.tensors.items():
            kind = self.kinds[name]
            lead = {"row": (largest,), "owner": (largest,), "sample": ()}.get(kind, tuple(x.shape[:1]))
            shapes[name] = (*lead, *x.shape[1:])
        return shapes

    def example(self, name: str, count: int = 4) -> Tensor:
        """A few whole samples spread over the data, (n, *S); of packed data the largest sample alone."""
        if self.owner_name is None:
            return self.tensors[name][torch.linspace(0, self.count - 1, min(count, self.count)).long()]
        largest = self.take(self.rows.sizes.argmax()[None])
        x = largest.tensors[name]
        return x if self.kinds[name] == "sample" else x[None]

    def take(self, rows: Tensor) -> Batch:
        """The samples `rows` (int64, with repeats) as one batch."""
        if self.owner_name is None:
            return Batch({name: x[rows] for name, x in self.tensors.items()}, len(rows))
        owner, picked = self.rows.pick(rows)
        sizes = self.rows.sizes[rows]
        firsts = sizes.cumsum(0) - sizes
        tensors: dict[str, Tensor] = {}
        for name, x in self.tensors.items():
            kind = self.kinds[name]
            if kind == "edge_index":
                edge_owner, entries = self.edges[name].pick(rows)
                tensors[name] = self.rank[x[:, entries]] + firsts[edge_owner]
            elif kind.startswith("edge:"):
                tensors[name] = x[self.edges[kind.removeprefix("edge:")].pick(rows)[1]]
            else:
                tensors[name] = owner if kind == "owner" else x[picked] if kind == "row" else x[rows]
        return Batch(tensors, len(rows), owner, sizes, self.kinds)


def _owners(x: Tensor, name: str) -> Tensor:
    """The owner index, checked: integers from 0 on, every sample with at least one row."""
    integral = not (x.is_floating_point() or x.is_complex() or x.dtype == torch.bool)
    if x.dim() == 1 and len(x) and integral and int(x.min()) >= 0:
        index = x.to(torch.int64)
        if bool((torch.bincount(index) > 0).all()):
            return index
    raise DataError(
        f"the owner index '{name}' must number the samples 0, 1, 2, ... with at least one row each",
        where=f"shape {tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')}",
        hint="renumber it: torch.unique(batch, return_inverse=True)[1]",
    )


def _is_edge_index(x: Tensor) -> bool:
    return x.dim() == 2 and x.shape[0] == 2 and x.dtype == torch.int64


def _edge_owners(name: str, edges: Tensor, owner: Tensor) -> Tensor:
    """The sample of each edge, checked: both ends in the same one."""
    if edges.numel() and not (int(edges.min()) >= 0 and int(edges.max()) < len(owner)):
        raise DataError(
            f"'{name}' names nodes outside 0..{len(owner) - 1}", where="packed inputs", hint="number the rows from 0"
        )
    ends = owner[edges]
    if bool((ends[0] != ends[1]).any()):
        raise DataError(
            f"'{name}' has edges between different samples",
            where=f"edge {int((ends[0] != ends[1]).int().argmax())}",
            hint="packed samples must not be connected; give connected graphs the same owner",
        )
    return ends[0]


@dataclass(frozen=True)
class Elements:
    """Elements of one group made ready for the device: what moves the inputs, and what moves each output."""

    g: Tensor
    inputs: Mapping[str, tuple[Rep, ...]]
    outputs: Mapping[str, tuple[Rep, ...]]


def elements_in(bound: BoundClaim, g: Tensor, device: torch.device) -> Elements:
    """The elements as what moves the inputs, in float64."""
    inputs = {name: move(action.represent(g), device, torch.float64) for name, action in bound.inputs.items()}
    return Elements(g.to(device) if bound.relation is not None else g, inputs, {})


def move_batch(bound: BoundClaim, elements: Elements, index: Tensor, batch: Batch) -> Batch:
    """g·x for every pair of the batch: pair i is moved by element `index[i]`, then observed by the model."""
    if bound.relation is not None:
        return observe_batch(bound, bound.relation.move(elements.g[index], batch, bound.roles()))
    moved = {}
    for name, x in batch.tensors.items():
        kind = batch.kinds.get(name, "dense")
        moved[name] = act(bound.inputs[name], elements.inputs[name], index, x, batch, kind)
    return observe_batch(bound, batch.with_tensors(moved))


def observe_batch(bound: BoundClaim, batch: Batch) -> Batch:
    """x as the model sees it."""
    seen = {name: bound.inputs[name] for name in batch.tensors}
    return batch.with_tensors(
        {name: one.observe(batch.tensors[name]) for name, one in seen.items() if not one.actions[0].hidden}
    )


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
            rows = elements[_layout(batch)[0]]
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


def _layout(batch: Batch) -> tuple[Tensor, Tensor]:
    if batch.owner is None or batch.sizes is None:
        raise DataError("packed rows without an owner", where="batch", hint="declare the owner input: batch=owner")
    return batch.owner, batch.sizes


def _targets(permutations: Tensor, batch: Batch) -> Tensor:
    """Where each packed row goes: the permutation of the largest sample, restricted to each sample by rank."""
    owner, sizes = _layout(batch)
    width = permutations.shape[1]
    absent = torch.arange(width, device=owner.device)[None, :] >= sizes[:, None]
    ranks = permutations.masked_fill(absent, width + 1).argsort(dim=1).argsort(dim=1)
    firsts = sizes.cumsum(0) - sizes
    within = torch.arange(len(owner), device=owner.device) - firsts[owner]
    return firsts[owner] + ranks[owner, within]
