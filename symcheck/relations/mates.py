"""Batch-mates: the same samples in other order and company."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch, Layout
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.relations.base import Relation, Roles
from symcheck.relations.sequences import gap

_GOLDEN = 0.6180339887498949


@final
@groups.register("Mates")
class Mates(Relation):
    """A sample's outputs do not depend on what else is in the batch: f(x, one batch) = f(x, another batch).

    Parameters (n, 1) choose the order, and one sample that takes every second place: a crowd of one changes what a
    batch has on average, which a mere change of order would not.
    """

    name = "Mates"
    law = "another order, uniform, and one sample at every second place"
    together = True

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform numbers that choose order and company."""
        return rng.uniform(n, 1)

    def label(self, g: Tensor, i: int) -> str:
        """`company 0.3141`."""
        return f"company {float(g[i, 0]):.4f}"

    def _check(self, roles: Mapping[str, Action], known: frozenset[str], what: str) -> None:
        """Nothing of a sample is changed, so that any role will do."""

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Twice as many samples: all of them in another order, each followed by a stranger."""
        return picked(batch, _company(g))

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """f(x, another batch) − f(x), every sample back in its place."""
        y, z = seen[name], rest[name]
        places = 2 * _order(g[:, 0]).argsort().to(y.device)
        if batch.owner is not None and batch.sizes is not None and len(z) == len(batch.owner):
            sizes = batch.sizes[_company(g).to(batch.sizes.device)]
            owner = torch.repeat_interleave(torch.arange(len(sizes), device=sizes.device), sizes)
            places = Layout.of(owner, len(sizes)).pick(places)[1]
        return gap(name, y[places], z, self.name)


def _order(g: Tensor) -> Tensor:
    """A permutation of the batch that the parameters of its pairs decide."""
    return ((g.double() + torch.arange(1, len(g) + 1, device=g.device) * _GOLDEN) % 1.0).argsort()


def _company(g: Tensor) -> Tensor:
    """Who stands where: every pair in its new place, and behind it the one that its parameter names, (2n,)."""
    stranger = (g[:, 0] * len(g)).long().clamp(max=len(g) - 1)
    return torch.stack([_order(g[:, 0]), stranger], dim=1).flatten()


def picked(batch: Batch, samples: Tensor) -> Batch:
    """The samples of a batch at these places, with repeats, dense or packed."""
    if batch.owner is None or batch.sizes is None:
        return Batch({name: x[samples.to(x.device)] for name, x in batch.tensors.items()}, len(samples))
    samples = samples.to(batch.owner.device)
    owner, rows = Layout.of(batch.owner, batch.count).pick(samples)
    sizes = batch.sizes[samples]
    before, after = batch.sizes.cumsum(0) - batch.sizes, sizes.cumsum(0) - sizes
    tensors: dict[str, Tensor] = {}
    for name, x in batch.tensors.items():
        kind = batch.kinds[name]
        index = batch.tensors[kind.removeprefix("edge:")] if kind.startswith("edge:") else x
        if kind == "edge_index" or kind.startswith("edge:"):
            edge_owner, entries = Layout.of(batch.owner[index[0]], batch.count).pick(samples)
            moved = x[:, entries] - before[samples][edge_owner] + after[edge_owner] if x is index else x[entries]
            tensors[name] = moved
        else:
            tensors[name] = owner if kind == "owner" else x[rows] if kind == "row" else x[samples]
    return Batch(tensors, len(samples), owner, sizes, batch.kinds)
