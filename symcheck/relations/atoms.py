"""Relations of size: a supercell, or copies far apart, is k times the structure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product
from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import DataError
from symcheck.groups.arguments import positive, whole
from symcheck.groups.base import groups
from symcheck.relations.base import Relation, Roles, Shapes, Single
from symcheck.relations.layout import (
    POSITIONS,
    Atoms,
    need_periodic,
    positions_in,
    refuse_edges,
    refuse_periodic,
    repeated,
)
from symcheck.relations.sequences import minus

DISTANCE = 50.0


class Multiple(Single):
    """k times the atoms: extensive outputs are k times as large, those of each copy as those of the original.

    δ of an `extensive` output is f(g·x)/k − f(x); of one entry per atom the root mean square over the copies of
    their differences from the original; any other output is unchanged.
    """

    copies: int
    outputs: ClassVar[frozenset[str]] = frozenset({"extensive", "nodes", "vector", "tensor"})

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Refuses inputs without positions."""
        positions_in(roles, self.name, what)
        return super().fit(shapes, roles, what)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """What the larger structure owes, in the rows of f(x)."""
        y, z = seen[name], rest[name]
        if roles.outputs[name].name == "extensive":
            return minus(y / self.copies, z)
        atoms = Atoms.of(batch, roles, self.name)
        alone = atoms.flat(name, z)
        if alone is None and y.shape == z.shape:
            return minus(y, z)
        if alone is None or y.numel() != self.copies * z.numel():
            raise DataError(
                f"output '{name}' of shape {tuple(z.shape)} has {tuple(y.shape)} for {self.copies} times the atoms",
                where=f"{self.name}, declared '{roles.outputs[name]}'",
                hint="declare what there is for each atom as nodes, what adds up as extensive, all else as scalar",
            )
        wide = y.double().reshape(-1, *alone.shape[2:])
        first = self.copies * atoms.firsts[atoms.owner] + atoms.within
        places = first + torch.arange(self.copies, device=first.device)[:, None] * atoms.sizes[atoms.owner]
        return (wide[places] - alone).square().mean(0).sqrt().reshape(z.shape)


@groups.register("Supercell")
class Supercell(Multiple):
    """A supercell of a × b × c cells; `Supercell(2)` is 2 × 2 × 2."""

    examples = ("Supercell(2)", "Supercell(2,1,1)")
    inputs: ClassVar[frozenset[str]] = POSITIONS | {"lattice", "nodes", "vector", "extensive"}
    needs: ClassVar[frozenset[str]] = frozenset({"lattice"})

    def __init__(self, a: str, b: str | None = None, c: str | None = None) -> None:
        texts = (a, a, a) if b is None and c is None else (a, b or "1", c or "1")
        self.times = tuple(whole(text, "Supercell", 1) for text in texts)
        self.copies = math.prod(self.times)
        whole(str(self.copies), "Supercell", 2)
        self.name = f"Supercell({a if b is None and c is None else ','.join(map(str, self.times))})"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """The supercell: atoms at pos + (i, j, k)·cell, the cell multiplied; neighbour lists are refused."""
        refuse_edges(batch, f"{self.name} cannot repeat {{}}: its edges cross the cell")
        atoms = Atoms.of(batch, roles, self.name)
        need_periodic(atoms, self.name)
        cell = atoms.cell if atoms.cell is not None else atoms.pos.new_zeros(batch.count, 3, 3)
        moved, row, copy = repeated(atoms, self.copies)
        steps = torch.tensor(list(product(*map(range, self.times))), dtype=torch.float64, device=row.device)
        owner = atoms.owner[row]
        pos = atoms.pos[row] + torch.einsum("ni,nij->nj", steps[copy], cell[owner])
        larger = cell * torch.tensor(self.times, dtype=torch.float64, device=row.device)[:, None]
        return Atoms.of(moved, roles, self.name).at(pos, larger)


@groups.register("Copies")
class Copies(Multiple):
    """Copies of a molecule, each `distance` away from the last: `Copies(2,50)`; size extensivity."""

    examples = ("Copies(2)", "Copies(3,20)")
    inputs: ClassVar[frozenset[str]] = frozenset({"points", "lattice", "nodes", "vector", "extensive"})
    needs: ClassVar[frozenset[str]] = frozenset({"points"})

    def __init__(self, copies: str, distance: str = str(DISTANCE)) -> None:
        self.copies, self.distance = whole(copies, "Copies", 2), positive(distance, "Copies")
        self.name = f"Copies({copies})" if self.distance == DISTANCE else f"Copies({copies},{distance})"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Copies side by side along the first axis, with `distance` between their nearest atoms; no crystals."""
        atoms = Atoms.of(batch, roles, self.name)
        refuse_periodic(atoms, self.name)
        along = atoms.pos[:, 0]
        ends = [along.new_zeros(batch.count).scatter_reduce(0, atoms.owner, along, how, include_self=False)
                for how in ("amin", "amax")]  # fmt: skip
        moved, row, copy = repeated(atoms, self.copies)
        pos = atoms.pos[row].clone()
        pos[:, 0] += copy * (ends[1] - ends[0] + self.distance)[atoms.owner[row]]
        return Atoms.of(moved, roles, self.name).at(pos)
