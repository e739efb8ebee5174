"""SevenNet-0 on a crystal and on the crystal turned and mirrored, by ASE alone: its energy should be the same."""

import numpy as np
from ase import Atoms
from asked import pairs, say
from crystals import sevennet
from torch import as_tensor


def main(name: str) -> None:
    calculator = sevennet(name.removeprefix("sevennet-"))

    def answer(z: np.ndarray, positions: np.ndarray, cell: np.ndarray) -> dict[str, np.ndarray]:
        atoms = Atoms(numbers=z, positions=positions, cell=cell, pbc=True, calculator=calculator)
        forces, stress = atoms.get_forces(), atoms.get_stress(voigt=False)
        return {"energy": np.asarray(atoms.get_potential_energy()), "forces": forces, "stress": stress}

    for entry, element, inputs in pairs(name):
        g, z, x = element.numpy(), inputs["z"].numpy(), inputs["pos"].double().numpy()
        cell = inputs["cell"][0].double().numpy()
        here, there = answer(z, x, cell), answer(z, x @ g.T, cell @ g.T)
        back = {"energy": there["energy"], "forces": there["forces"] @ g, "stress": g.T @ there["stress"] @ g}
        say(entry, as_tensor(back[entry["output"]] - here[entry["output"]]))
