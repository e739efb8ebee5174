"""A batch of samples: dense rows (n, *S), or packed rows of all graphs in one tensor with an owner index per row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


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
        """Samples start..stop."""
        if self.owner is None or self.sizes is None:
            return Batch({k: v[start:stop] for k, v in self.tensors.items()}, stop - start)
        ends = torch.cat([self.sizes.new_zeros(1), self.sizes.cumsum(0)])
        first, last = int(ends[start]), int(ends[stop])
        kept = {n: self._inside(x, first, last) for n, x in self.tensors.items() if self.kinds[n] == "edge_index"}
        tensors = {}
        for name, x in self.tensors.items():
            kind = self.kinds[name]
            if kind == "edge_index":
                tensors[name] = x[:, kept[name]] - first
            elif kind.startswith("edge:"):
                tensors[name] = x[kept[kind.removeprefix("edge:")]]
            else:
                tensors[name] = x[start:stop] if kind == "sample" else x[first:last] - start * (kind == "owner")
        return Batch(tensors, stop - start, self.owner[first:last] - start, self.sizes[start:stop], self.kinds)

    @staticmethod
    def _inside(edges: Tensor, first: int, last: int) -> Tensor:
        return (edges[0] >= first) & (edges[0] < last)

    def copy(self) -> Batch:
        """The same batch in memory of its own, for models that write into their inputs."""
        return self.with_tensors({name: x.clone() for name, x in self.tensors.items()})

    def with_tensors(self, tensors: Mapping[str, Tensor]) -> Batch:
        """The same layout with other contents."""
        return Batch(tensors, self.count, self.owner, self.sizes, self.kinds)


@dataclass(frozen=True)
class Layout:
    """Which entries (rows or edges) of a packed tensor belong to which sample."""

    order: Tensor
    sizes: Tensor
    starts: Tensor

    @classmethod
    def of(cls, owner: Tensor, count: int) -> Layout:
        """The layout of entries with an owner index."""
        sizes = torch.bincount(owner, minlength=count)
        return cls(torch.argsort(owner, stable=True), sizes, sizes.cumsum(0) - sizes)

    def pick(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """For a batch of samples: the owner of each new entry, and the stored entry it comes from."""
        sizes = self.sizes[samples]
        owner = torch.repeat_interleave(torch.arange(len(samples), device=sizes.device), sizes)
        within = torch.arange(len(owner), device=sizes.device) - (sizes.cumsum(0) - sizes)[owner]
        return owner, self.order[self.starts[samples][owner] + within]
