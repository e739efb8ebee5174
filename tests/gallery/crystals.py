"""SevenNet-0 and ANI-1x behind their ASE calculators."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from molecules import ensemble
from wheels import installed, unpacked

CHECKPOINTS = {
    "11jul": "SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "22may": "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    "mf0": "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
}
HOW = "pip install --no-deps sevenn==0.13.0 e3nn==0.6.0 torch-geometric==2.8.1 ase==3.29.0 ..."
RIGHT = {"11jul": -26.987, "22may": -26.964, "mf0": -27.013}


def checkpoint(name: str) -> Path:
    return unpacked("sevenn==0.13.0") / "sevenn" / "pretrained_potentials" / CHECKPOINTS[name]


def sevennet(name: str) -> Any:
    """The calculator of the installed package, with the checkpoint of the pinned wheel, whose pickle is run."""
    kind = installed("sevenn.calculator", HOW).SevenNetCalculator
    modal = {"modal": "PBE"} if name == "mf0" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(str(checkpoint(name)), device="cpu", **modal)


def ani() -> Any:
    """All members of ANI-1x, behind their calculator."""
    return ensemble("ANI1x").ase()


def right() -> None:
    """Rattled rock salt has -26.987 eV, -26.964 eV by the older training, -27.013 eV by the one of two fidelities."""
    build = installed("ase.build", "pip install ase==3.29.0")
    for name, expected in RIGHT.items():
        crystal = build.bulk("NaCl", "rocksalt", a=5.64, cubic=True)
        crystal.rattle(0.05, seed=3)
        crystal.calc = sevennet(name)
        assert abs(crystal.get_potential_energy() - expected) < 2e-3, name
