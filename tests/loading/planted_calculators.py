"""ASE calculators for the tests: a smooth pair potential in plain numpy, and one fault at a time."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from ase.calculators.calculator import Calculator, all_changes
from torch import nn

SHIFTS = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), -1).reshape(-1, 3)
RADIUS = 5.0


class Pairwise(Calculator):
    """E = Σ_pairs a_zi a_zj exp(−r) (1 − (r/R)²)⁴ + Σ_i shift·z_i, forces and stress by hand.

    Faults: `factor` of the forces, `pull` (an outer field along x in the forces), `noise`, `single` (float32 inside),
    `leak` (the energy of the field).
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "forces", "stress"]

    def __init__(self, shift: float = 0.0, **faults: float) -> None:
        super().__init__()
        self.shift, self.faults, self.calls = shift, faults, 0

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.calls += 1
        print("a calculator may print")
        kind = np.float32 if "single" in self.faults else np.float64
        x, cell, z = atoms.positions.astype(kind), atoms.cell.array.astype(kind), atoms.numbers
        shifts = SHIFTS if atoms.pbc.all() else np.zeros((1, 3))
        d = x[None, None] - x[None, :, None] + (shifts.astype(kind) @ cell)[:, None, None]  # from i to j
        r = np.sqrt((d**2).sum(-1))
        near = (r > 1e-6) & (r < RADIUS)
        r = np.where(near, r, kind(1))
        strength = (0.5 + 0.1 * z).astype(kind)
        pairs = np.where(near, strength[:, None] * strength[None], kind(0))
        fade = 1 - (r / kind(RADIUS)) ** 2
        value = pairs * np.exp(-r) * fade**4
        slope = pairs * np.exp(-r) * (-(fade**4) - 8 * fade**3 * r / kind(RADIUS) ** 2)
        pull = (slope / r)[..., None] * d
        forces = pull.sum((0, 2)) * self.faults.get("factor", 1.0) + self.faults.get("pull", 0.0) * np.eye(3)[0]
        energy = value.sum() / 2 + self.faults.get("leak", 0.0) * float(x[0, 0] - x[-1, 0])
        energy = energy + self.faults.get("noise", 0.0) * np.random.default_rng().normal()
        self.results = {"energy": float(energy) + self.shift * float((z**2).sum()), "forces": forces}
        if atoms.pbc.all():
            stress = np.einsum("mijk,mijl->kl", pull, d) / 2 / atoms.get_volume()
            self.results["stress"] = stress.flat[[0, 4, 8, 5, 2, 1]]


class EnergyAlone(Pairwise):
    """Without forces."""

    implemented_properties: ClassVar[list[str]] = ["energy"]


class Refusing(Pairwise):
    """Knows no oxygen, and no atom alone."""

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        if 8 in atoms.numbers or len(atoms) == 1:
            raise KeyError("no parameters for this\nand a second line")
        super().calculate(atoms, properties, system_changes)


class WithNetwork(Pairwise):
    """Holds a network, as learned potentials do, and needs gradients."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Linear(3, 1)

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        x = torch.tensor(atoms.get_all_distances(), dtype=torch.float32).sum().expand(1, 3).requires_grad_()
        energy = self.network(x).sum()
        torch.autograd.grad(energy, x)
        self.results["energy"] += float(energy.detach())


class Wrong(Pairwise):
    """Returns forces of another shape."""

    def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results["forces"] = self.results["forces"][:-1]


class NoEnergy(Calculator):
    """Only charges."""

    implemented_properties: ClassVar[list[str]] = ["charges"]


def pairwise(**faults: float) -> Pairwise:
    return Pairwise(**faults)


def nothing() -> int:
    return 3


def failing() -> None:
    raise RuntimeError("no weights here")
