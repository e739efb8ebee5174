"""Relations of mechanics: forces and stress as derivatives of the energy, momenta that no inner force changes.

Work along a straight path x(t) = x + t·v, t from −h to h, by Gauss–Lobatto quadrature with the seven nodes t_j and
weights w_j (of sum 2), which holds for polynomials up to degree 11:

    E(h) − E(−h) = −h Σ_j w_j F(t_j)·v

(Abramowitz and Stegun 1964, 25.4.32). The whole path costs six calls, and its error lies below the rounding of
energies in double precision wherever the energy is smooth, so that forces that are a gradient are found exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import ClaimError, DataError
from symcheck.groups.arguments import positive, title
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.relations.base import Relation, Roles, Shapes, Single
from symcheck.relations.layout import POSITIONS, Atoms, need_periodic, positions_in, refuse_periodic, stacked

# nodes and weights beside the middle, whose weight is 256/525
NODES = (-1.0, -0.830223896278567, -0.468848793470714, 0.468848793470714, 0.830223896278567, 1.0)
WEIGHTS = (1 / 21, 0.276826047361566, 0.431745381209863, 0.431745381209863, 0.276826047361566, 1 / 21)
MIDDLE = 256 / 525
STEP, STRAIN = 0.04, 0.02


class Path(Relation):
    """A derivative of the energy, checked as work along a short straight path in a random direction.

    `energy=scalar` (or extensive) is read and not measured.
    """

    measured: ClassVar[str]
    inputs: ClassVar[frozenset[str]] = POSITIONS | {"lattice", "nodes", "vector", "extensive"}
    step: float
    size: int

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Refuses inputs without positions."""
        positions_in(roles, self.name, what)
        return super().fit(shapes, roles, what)

    def check_outputs(self, roles: Mapping[str, Action], what: str) -> None:
        """Needs one energy and what is its derivative."""
        super().check_outputs(roles, what)
        if _energy(Roles({}, roles)) is None or not any(self.measures(action) for action in roles.values()):
            raise ClaimError(
                f"{self.name} needs an energy and its derivative among the outputs",
                where=what,
                hint=f"declare energy=scalar and one output as {self.measured}",
            )

    def measures(self, action: Action) -> bool:
        """The derivative alone."""
        return action.name.partition("(")[0] == self.measured

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Directions, (n, size) standard normal."""
        return rng.normal(n, self.size)

    def label(self, g: Tensor, i: int) -> str:
        """`a random direction`."""
        return "a random direction"

    def energies(self, seen: Mapping[str, Tensor], count: int, roles: Roles) -> Tensor:
        """E of every view, (6, count) float64; DataError unless there is one number for each sample."""
        name = _energy(roles) or ""
        y = seen[name].double()
        if y.numel() != len(NODES) * count:
            raise DataError(
                f"{self.name} reads one energy for each structure, not {tuple(y.shape)}",
                where=f"output '{name}' of {len(NODES) * count} structures",
                hint="declare the total energy as scalar, and ignore the energies of atoms",
            )
        return y.reshape(len(NODES), count)


@groups.register("Gradient")
class Gradient(Path):
    """F = −dE/dx: `Gradient(0.04)`, along random directions in which the atoms move by up to 0.04 (root mean square).

    δ_i = √(3n) · (mean of F·v on the path + (E(h) − E(−h)) / 2h) · v_i, |v| = 1, so that the mean of ||δ||² over
    directions is ||F + dE/dx||².
    """

    examples = ("Gradient", "Gradient(0.01)")
    law = "isotropic directions"
    measured = "vector"
    outputs: ClassVar[frozenset[str]] = frozenset({"extensive", "vector"})

    def __init__(self, step: str = str(STEP)) -> None:
        self.step, self.size = positive(step, "Gradient"), 3
        self.name = "Gradient" if self.step == STEP else title("Gradient", self.step)

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """A direction for each atom of the largest sample."""
        super().fit(shapes, roles, what)
        fitted = Gradient(repr(self.step))
        fitted.size = 3 * shapes[positions_in(roles, self.name, what)][0]
        return fitted

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Six views: the atoms at the nodes of the path."""
        atoms = Atoms.of(batch, roles, self.name)
        step = self._reach(atoms)[atoms.owner, None] * _direction(g, atoms)
        return stacked([atoms.at(atoms.pos + t * step) for t in NODES])

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """What is left of the work, along v."""
        atoms = Atoms.of(batch, roles, self.name)
        v, energy = _direction(g, atoms), self.energies(seen, batch.count, roles)
        views, still = _rows(self.name, name, atoms, seen[name], len(NODES)), _rows(self.name, name, atoms, rest[name])
        forces = torch.cat([views, still])
        power = torch.stack([atoms.total((one * v).sum(-1)) for one in forces])
        owed = _mean(power) + (energy[-1] - energy[0]) / (2 * self._reach(atoms))
        scale: Tensor = owed * (3 * atoms.sizes).sqrt()
        return (scale[atoms.owner, None] * v).reshape(rest[name].shape)

    def _reach(self, atoms: Atoms) -> Tensor:
        """h of each sample: the length of a step in which the root mean square over the atoms is `step`."""
        return self.step * atoms.sizes.sqrt()


@groups.register("Strain")
class Strain(Path):
    """σ = (1/V) dE/dε: `Strain(0.02)`, along random symmetric strains x → x·exp(tS) of the atoms and the cell, |S| = 1.

    δ = √6 · (mean of V(t)/V σ·S on the path − (E(h) − E(−h)) / 2hV) · S. Stress is positive under tension.
    """

    examples = ("Strain", "Strain(0.01)")
    law = "isotropic strains"
    measured = "tensor"
    needs: ClassVar[frozenset[str]] = frozenset({"lattice"})
    outputs: ClassVar[frozenset[str]] = frozenset({"extensive", "tensor"})
    size = 6

    def __init__(self, step: str = str(STRAIN)) -> None:
        self.step = positive(step, "Strain")
        self.name = "Strain" if self.step == STRAIN else title("Strain", self.step)

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Six views: the crystal at the nodes of the path."""
        atoms = Atoms.of(batch, roles, self.name)
        need_periodic(atoms, self.name)
        cell, s = atoms.cell if atoms.cell is not None else atoms.pos.new_zeros(0), _symmetric(g)
        views = []
        for t in NODES:
            turned = torch.linalg.matrix_exp(t * self.step * s)
            views.append(atoms.at(torch.einsum("ni,nij->nj", atoms.pos, turned[atoms.owner]), cell @ turned))
        return stacked(views)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """What is left of the work, along S, in the unit of stress."""
        atoms, s = Atoms.of(batch, roles, self.name), _symmetric(g)
        energy, stress = self.energies(seen, batch.count, roles), torch.cat([seen[name], rest[name]]).double()
        if rest[name].shape != (batch.count, 3, 3):
            raise DataError(
                f"{self.name} takes a stress (samples, 3, 3), not {tuple(rest[name].shape)}",
                where=f"output '{name}'",
                hint="return the full matrix instead of its six Voigt numbers",
            )
        grown = [torch.exp(t * self.step * torch.einsum("nii->n", s)) for t in (*NODES, 0.0)]
        power = torch.einsum("tnij,nij->tn", stress.reshape(-1, batch.count, 3, 3), s) * torch.stack(grown)
        owed = _mean(power) - (energy[-1] - energy[0]) / (2 * self.step * atoms.volume)
        return 6**0.5 * owed[:, None, None] * s


class Momentum(Single):
    """Forces between atoms change no total momentum: δ is the projection of F on rigid motions, ||δ||² their part of F.

    Nothing is moved, and f(x) alone is measured.
    """

    inputs: ClassVar[frozenset[str]] = POSITIONS | {"lattice", "nodes", "vector", "extensive"}
    outputs: ClassVar[frozenset[str]] = frozenset({"extensive", "vector"})

    def __init__(self) -> None:
        self.name = type(self).__name__

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Refuses inputs without positions."""
        positions_in(roles, self.name, what)
        return super().fit(shapes, roles, what)

    def measures(self, action: Action) -> bool:
        """Forces alone."""
        return action.name == "vector"

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Nothing moves."""
        return batch


@groups.register("NetForce")
class NetForce(Momentum):
    """ΣF = 0: δ_i = ΣF / n, of norm |ΣF| / √n."""

    examples = ("NetForce",)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """The mean force, for each atom."""
        atoms = Atoms.of(batch, roles, self.name)
        forces = _rows(self.name, name, atoms, rest[name])[0]
        return (atoms.total(forces) / atoms.sizes[:, None])[atoms.owner].reshape(rest[name].shape)


@groups.register("NetTorque")
class NetTorque(Momentum):
    """Σ r×F = 0 about the centre of the atoms: δ_i = ω×r_i with Iω = Σ r×F, I = Σ |r|² − r rᵀ; no crystals."""

    examples = ("NetTorque",)

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Refuses atoms alone, which have nothing to turn about."""
        if shapes[positions_in(roles, self.name, what)][0] < 2:
            raise DataError("one atom alone has no torque", where=what, hint="give structures of two atoms or more")
        return super().fit(shapes, roles, what)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """The forces of the rigid rotation that takes up the torque."""
        atoms = Atoms.of(batch, roles, self.name)
        refuse_periodic(atoms, self.name)
        forces = _rows(self.name, name, atoms, rest[name])[0]
        r = atoms.pos - (atoms.total(atoms.pos) / atoms.sizes[:, None])[atoms.owner]
        inner = torch.einsum("ni,nj->nij", r, r)
        inertia = atoms.total(torch.einsum("nkk->n", inner)[:, None, None] * torch.eye(3).to(r) - inner)
        torque = atoms.total(torch.linalg.cross(r, forces))
        # atoms on a line, or one alone, do not turn about it
        turn = torch.einsum("nij,nj->ni", torch.linalg.pinv(inertia, rtol=1e-8, hermitian=True), torque)
        rigid: Tensor = torch.linalg.cross(turn[atoms.owner], r)
        return rigid.reshape(rest[name].shape)


def _energy(roles: Roles) -> str | None:
    """The output that is the energy: the extensive one, else the scalar one."""
    return roles.output("extensive") or roles.output("scalar")


def _rows(relation: str, name: str, atoms: Atoms, y: Tensor, views: int = 1) -> Tensor:
    """Forces as (views, rows, 3) float64; DataError where there is not one vector for each atom."""
    rows = atoms.flat(name, y, views)
    if rows is None or rows.shape[2:] != (3,):
        raise DataError(
            f"{relation} takes one force for each atom, not {tuple(y.shape)}",
            where=f"output '{name}'",
            hint="declare the forces as vector, and vectors of the whole structure as ignore",
        )
    return rows


def _direction(g: Tensor, atoms: Atoms) -> Tensor:
    """v, one row for each atom, (rows, 3) float64; |v| = 1 over each sample."""
    rows = g.double().reshape(len(g), -1, 3)[atoms.owner, atoms.within]
    return rows / atoms.total(rows.square().sum(1)).sqrt()[atoms.owner, None]


def _symmetric(g: Tensor) -> Tensor:
    """S, isotropic symmetric matrices of Frobenius norm 1, (n, 3, 3) float64."""
    unit = g.double() / torch.linalg.vector_norm(g.double(), dim=1, keepdim=True)
    off = unit[:, 3:] / 2**0.5
    rows = [unit[:, 0], off[:, 0], off[:, 1], off[:, 0], unit[:, 1], off[:, 2], off[:, 1], off[:, 2], unit[:, 2]]
    return torch.stack(rows, 1).reshape(-1, 3, 3)


def _mean(values: Tensor) -> Tensor:
    """The mean over the path of (7, n) values: at the nodes, then in the middle."""
    weights = torch.tensor((*WEIGHTS, MIDDLE), dtype=torch.float64, device=values.device)
    mean: Tensor = torch.einsum("t,tn->n", weights, values) / 2
    return mean
