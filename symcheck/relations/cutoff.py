"""Smoothness at the cut-off: no output jumps when the distance of two atoms passes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import DataError
from symcheck.groups.arguments import positive, title
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.relations.base import Relation, Roles, Shapes
from symcheck.relations.layout import POSITIONS, Atoms, positions_in, refuse_edges, stacked

STEP = 2e-4  # of the cut-off
NODES = (-3, -2, -1, 1, 2, 3)
ONE_SIDED = (-1.0, 3.0, -3.0, 3.0, -3.0, 1.0)  # f(0+) − f(0−), each by the parabola through three nodes
PAIRS = 32


@groups.register("Smooth")
class Smooth(Relation):
    """`Smooth(5)`: an atom is moved along the line to another one until their distance passes 5, the cut-off.

    δ is the jump f(r+0) − f(r−0), each side from the parabola through three distances 0.0002 r apart; a smooth output
    leaves about (0.0002 r)³ of its third derivative. The pairs are those whose distance is nearest to the cut-off.
    """

    examples = ("Smooth(5)", "Smooth(4.5)")
    law = f"uniform over the {PAIRS} pairs of atoms nearest to the cut-off"
    inputs: ClassVar[frozenset[str]] = POSITIONS | {"lattice", "nodes", "vector", "extensive"}
    outputs: ClassVar[frozenset[str]] = frozenset({"extensive", "nodes", "vector", "tensor"})

    def __init__(self, radius: str) -> None:
        self.radius = positive(radius, "Smooth")
        self.name = title("Smooth", self.radius)

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Refuses inputs without positions."""
        positions_in(roles, self.name, what)
        return super().fit(shapes, roles, what)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Which pair, in the order of nearness to the cut-off, counted from 1: (n, 1)."""
        return 1.0 + rng.integers(n, 1, high=PAIRS).double()

    def label(self, g: Tensor, i: int) -> str:
        """`pair 3`."""
        return f"pair {int(g[i, 0])} of those nearest to {self.radius:g}"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Six views: the distance of one pair at r_c ∓ 3h, 2h, h."""
        refuse_edges(batch, f"{self.name} cannot carry {{}} across the cut-off")
        atoms = Atoms.of(batch, roles, self.name)
        fixed, moving = self._pairs(g, atoms)
        line = atoms.pos[moving] - atoms.pos[fixed]
        line = line / torch.linalg.vector_norm(line, dim=1, keepdim=True)
        views = []
        for node in NODES:
            distance = self.radius * (1 + STEP * node)
            views.append(atoms.at(atoms.pos.index_copy(0, moving, atoms.pos[fixed] + distance * line)))
        return stacked(views)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """The jump of any output, in its rows."""
        views = seen[name].double().reshape(len(NODES), *rest[name].shape)
        weights = torch.tensor(ONE_SIDED, dtype=torch.float64, device=views.device)
        jump: Tensor = torch.einsum("v,v...->...", weights, views)
        return jump

    def _pairs(self, g: Tensor, atoms: Atoms) -> tuple[Tensor, Tensor]:
        """The rows of the fixed and of the moving atom of each sample, (count,) each."""
        width = int(atoms.sizes.max())
        if int(atoms.sizes.min()) < 2:
            raise DataError(
                f"{self.name} needs two atoms, and a sample has one alone",
                where=f"sample {int(atoms.sizes.argmin())} of the batch",
                hint="measure it on structures of several atoms",
            )
        count = atoms.batch.count
        padded = atoms.pos.new_full((count, width, 3), torch.nan)
        padded[atoms.owner, atoms.within] = atoms.pos
        off = (torch.linalg.vector_norm(padded[:, :, None] - padded[:, None], dim=3) - self.radius).abs()
        off = off.masked_fill(torch.eye(width, dtype=torch.bool, device=off.device), torch.nan)
        order = off.nan_to_num(nan=torch.inf).flatten(1).argsort(dim=1, stable=True)
        rank = (g[:, 0].long() - 1) % (atoms.sizes * (atoms.sizes - 1))
        chosen = order[torch.arange(count, device=order.device), rank]
        return atoms.firsts + chosen // width, atoms.firsts + chosen % width
