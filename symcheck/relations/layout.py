"""The atoms of a batch as flat rows, packed or dense, and new batches made of them: views, copies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import ClaimError, DataError
from symcheck.relations.base import Roles

POINTS, FRACTIONAL, LATTICE = "points", "fractional", "lattice"
POSITIONS = frozenset({POINTS, FRACTIONAL})
_AXES = {"nodes": 1, "vector": 2, "tensor": 3}  # of an output with one entry for each atom, the batch left out


@dataclass(frozen=True)
class Atoms:
    """The atoms of `count` samples: flat rows with owners, whatever the layout of the batch.

    `pos` (rows, 3) Cartesian float64, `cell` (count, 3, 3) rows of lattice vectors, None where none is declared.
    """

    batch: Batch
    roles: Roles
    pos: Tensor
    owner: Tensor
    sizes: Tensor
    cell: Tensor | None

    @classmethod
    def of(cls, batch: Batch, roles: Roles, relation: str) -> Atoms:
        """The atoms of a batch; DataError where its positions have another shape than (rows, 3) or (n, rows, 3)."""
        name = roles.input(POINTS) or roles.input(FRACTIONAL)
        if name is None:
            raise ClaimError(f"{relation} needs positions", where="the inputs", hint="declare one, e.g. pos=points")
        x, lattice = batch.tensors[name].double(), roles.input(LATTICE)
        if x.dim() != (2 if batch.packed else 3) or x.shape[-1] != 3:
            raise DataError(
                f"{relation} takes positions (rows, 3) with an owner index, or (n, rows, 3), not {tuple(x.shape)}",
                where=f"input '{name}'",
                hint="declare batch=owner for packed structures",
            )
        if batch.owner is None or batch.sizes is None:
            sizes = torch.full((len(x),), x.shape[1], device=x.device)
            owner = torch.arange(len(x), device=x.device).repeat_interleave(sizes)
        else:
            sizes, owner = batch.sizes, batch.owner
        flat = x.reshape(-1, 3)
        cell = None if lattice is None else batch.tensors[lattice].double()
        if cell is not None and cell.shape != (batch.count, 3, 3):
            raise DataError(
                f"{relation} takes a cell (samples, 3, 3), rows of lattice vectors, not {tuple(cell.shape)}",
                where=f"input '{lattice}'",
                hint="give one cell for each sample, zeros where there is none",
            )
        if roles.input(POINTS) is None:
            if cell is None:
                raise ClaimError(f"{relation} needs the cell of '{name}'", where="the inputs", hint="add cell=lattice")
            flat = torch.einsum("ni,nij->nj", flat, cell[owner])
        return cls(batch, roles, flat, owner, sizes, cell)

    @property
    def firsts(self) -> Tensor:
        """The first row of each sample."""
        return self.sizes.cumsum(0) - self.sizes

    @property
    def within(self) -> Tensor:
        """The place of each row in its sample."""
        return torch.arange(len(self.owner), device=self.owner.device) - self.firsts[self.owner]

    @property
    def volume(self) -> Tensor:
        """|det| of each cell, (count,) float64; zero without one."""
        if self.cell is None:
            return self.pos.new_zeros(self.batch.count)
        size: Tensor = torch.linalg.det(self.cell).abs()
        return size

    def total(self, rows: Tensor) -> Tensor:
        """Sums over the atoms of each sample, (rows, ...) -> (count, ...)."""
        return rows.new_zeros((self.batch.count, *rows.shape[1:])).index_add_(0, self.owner, rows)

    def at(self, pos: Tensor, cell: Tensor | None = None) -> Batch:
        """The same batch with other Cartesian positions (rows, 3), and another cell."""
        tensors, cell = dict(self.batch.tensors), self.cell if cell is None else cell
        points, fractional, lattice = (self.roles.input(role) for role in (POINTS, FRACTIONAL, LATTICE))
        if points is not None:
            tensors[points] = pos.reshape(tensors[points].shape)
        if fractional is not None and cell is not None:
            places = torch.linalg.solve(cell[self.owner].mT, pos[..., None])[..., 0]
            tensors[fractional] = places.reshape(tensors[fractional].shape)
        if lattice is not None and cell is not None:
            tensors[lattice] = cell
        return self.batch.with_tensors(tensors)

    def flat(self, name: str, y: Tensor, views: int = 1) -> Tensor | None:
        """An output with one entry per atom as (views, rows, ...) float64; None where it has none per atom."""
        rows, role = len(self.owner), self.roles.outputs[name].name.partition("(")[0]
        if self.batch.packed:
            per_atom = len(y) == views * rows and (rows != self.batch.count or role in _AXES)
        else:
            atoms = rows // self.batch.count
            per_atom = y.dim() > _AXES.get(role, y.dim()) and y.shape[1] == atoms
            y = y.flatten(0, 1) if per_atom else y
        return y.double().reshape(views, rows, *y.shape[1:]) if per_atom else None


def stacked(views: Sequence[Batch]) -> Batch:
    """Several batches of the same samples one after another, as one batch."""
    first = views[0]
    if first.owner is None or first.sizes is None:
        tensors = {name: torch.cat([view.tensors[name] for view in views]) for name in first.tensors}
        return Batch(tensors, first.count * len(views), kinds=first.kinds)
    rows, tensors = len(first.owner), {}
    for name in first.tensors:
        parts = [view.tensors[name] for view in views]
        kind = first.kinds.get(name, "row")
        if kind == "owner":
            parts = [x + i * first.count for i, x in enumerate(parts)]
        elif kind == "edge_index":
            parts = [x + i * rows for i, x in enumerate(parts)]
        tensors[name] = torch.cat(parts, dim=1 if kind == "edge_index" else 0)
    owner = torch.cat([first.owner + i * first.count for i in range(len(views))])
    return Batch(tensors, first.count * len(views), owner, first.sizes.repeat(len(views)), first.kinds)


def repeated(atoms: Atoms, copies: int) -> tuple[Batch, Tensor, Tensor]:
    """Every sample with its atoms `copies` times, copy after copy: the batch, and the row and copy of each new atom.

    Edges are repeated within each copy; inputs with the role `extensive` are multiplied.
    """
    batch, sizes = atoms.batch, atoms.sizes * copies
    owner = torch.arange(batch.count, device=sizes.device).repeat_interleave(sizes)
    firsts = sizes.cumsum(0) - sizes
    within = torch.arange(len(owner), device=sizes.device) - firsts[owner]
    row, copy = atoms.firsts[owner] + within % atoms.sizes[owner], within // atoms.sizes[owner]
    tensors = {}
    for name, x in batch.tensors.items():
        kind = batch.kinds.get(name, "dense")
        if kind == "dense":
            per_atom = _per_atom(atoms.roles.inputs[name], x, int(atoms.sizes[0]))
            x = x.flatten(0, 1)[row].reshape(batch.count, -1, *x.shape[2:]) if per_atom else x
        elif kind == "edge_index":
            ends = atoms.owner[x]
            moved = [x + (firsts - atoms.firsts + i * atoms.sizes)[ends] for i in range(copies)]
            x = torch.cat(moved, dim=1)
        elif kind.startswith("edge:"):
            x = x.repeat(copies, *[1] * (x.dim() - 1))
        elif kind != "sample":
            x = owner.to(x.dtype) if kind == "owner" else x[row]
        tensors[name] = x * copies if atoms.roles.inputs[name].name == "extensive" else x
    new = Batch(tensors, batch.count, owner, sizes, batch.kinds) if batch.packed else Batch(tensors, batch.count)
    return new, row, copy


def _per_atom(action: Action, x: Tensor, atoms: int) -> bool:
    """Whether a dense input has one entry for each atom."""
    role = action.name.partition("(")[0]
    return role in (POSITIONS | {"nodes"}) or (role == "vector" and x.dim() > 2 and x.shape[1] == atoms)


def positions_in(roles: Mapping[str, Action], relation: str, what: str) -> str:
    """The name of the positions among the inputs; ClaimError without them."""
    found = [name for name, action in roles.items() if action.name.partition("(")[0] in POSITIONS]
    if not found:
        raise ClaimError(f"{relation} needs the positions of atoms", where=what, hint="declare them: pos=points")
    return found[0]


def refuse_edges(batch: Batch, why: str) -> None:
    """Raise DataError where the batch carries a neighbour list, whose edges do not follow the atoms."""
    for name, kind in batch.kinds.items():
        if kind == "edge_index":
            raise DataError(
                why.format(f"the neighbour list '{name}'"),
                where=f"input '{name}'",
                hint="let the model, or the subject's graph, build the neighbours from the positions",
            )


def refuse_periodic(atoms: Atoms, relation: str) -> None:
    """DataError when a sample is periodic: it has a cell with a volume, or its `pbc` is set."""
    pbc = atoms.batch.tensors.get("pbc")
    odd = atoms.volume > 0 if pbc is None else pbc.reshape(atoms.batch.count, -1).bool().any(1)
    if bool(odd.any()):
        raise DataError(
            f"{relation} is about structures without a cell, and a sample is periodic",
            where=f"sample {int(odd.int().argmax())} of the batch",
            hint="measure it on molecules; for crystals there is Supercell",
        )


def need_periodic(atoms: Atoms, relation: str) -> None:
    """DataError unless every sample has a cell with a volume and is periodic along all three vectors."""
    pbc = atoms.batch.tensors.get("pbc")
    fine = atoms.volume > 0
    if pbc is not None:
        fine = fine & pbc.reshape(atoms.batch.count, -1).bool().all(1)
    if not bool(fine.all()):
        raise DataError(
            f"{relation} is about crystals, and a sample is not periodic",
            where=f"sample {int((~fine).int().argmax())} of the batch",
            hint="measure it on structures with a cell that are periodic along all three vectors",
        )
