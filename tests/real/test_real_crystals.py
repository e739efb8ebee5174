"""SevenNet-0, an e3nn potential behind its own calculator: energy, forces and stress of rock salt, in float32 only."""

from __future__ import annotations

import contextlib
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import checks
import pytest
import torch
from checks import Audited
from torch import Tensor

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

HERE = "not installed: pip install --no-deps sevenn==0.13.0 e3nn==0.6.0 torch-geometric==2.8.1 ase==3.29.0 ..."
CLAIMS = [
    "O(3): pos=points, cell=vector -> energy=scalar, forces=vector, stress=tensor(ij=ji)",
    "T(3): pos=points, cell=scalar -> energy=invariant, forces=invariant, stress=invariant",
]


@cache
def calculator() -> Any:
    sevenn = pytest.importorskip("sevenn", reason=HERE, exc_type=ImportError)
    pytest.importorskip("sevenn.calculator", reason=HERE, exc_type=ImportError)
    from sevenn.calculator import SevenNetCalculator

    folder = Path(sevenn.__file__).parent / "pretrained_potentials" / "SevenNet_0__11Jul2024"
    with contextlib.redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SevenNetCalculator(str(folder / "checkpoint_sevennet_0.pth"), device="cpu")


def salt(count: int = 4) -> tuple[Tensor, Tensor]:
    """Rock salt of eight atoms, strained and moved: positions (n, 8, 3) and cells (n, 3, 3)."""
    g = torch.Generator().manual_seed(9)
    half = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) / 2
    cell = 5.64 * (torch.eye(3) + 0.03 * torch.randn(count, 3, 3, generator=g))
    return half @ cell + 0.08 * torch.randn(count, 8, 3, generator=g), cell


def potential(leak: float = 0.0) -> Any:
    def sevennet(pos: Tensor, cell: Tensor) -> dict[str, Tensor]:
        from ase import Atoms

        found = []
        for x, box in zip(pos.numpy(), cell.numpy(), strict=True):
            atoms = Atoms("Na4Cl4", positions=x, cell=box, pbc=True, calculator=calculator())
            found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)))
        names, columns = ("energy", "forces", "stress"), zip(*found, strict=True)
        outputs = {
            n: torch.stack([torch.as_tensor(y).to(pos) for y in ys]) for n, ys in zip(names, columns, strict=True)
        }
        outputs["forces"] = outputs["forces"] + leak * torch.tensor([1.0, 0.0, 0.0]).to(pos)
        return outputs

    return sevennet


def test_it_is_loaded_right() -> None:
    calculator()
    from ase.build import bulk

    crystal = bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    crystal.rattle(0.05, seed=3)
    crystal.calc = calculator()
    assert abs(crystal.get_potential_energy() + 26.987) < 2e-3


def test_motions_and_mirrors(audited: Audited) -> None:
    calculator()
    inputs = dict(zip(("pos", "cell"), salt(), strict=True))
    report = audited("sevennet-0", potential(), CLAIMS, inputs, elements=4)
    assert checks.parts(report) == {"proper", "improper", ""}
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))
    assert all(f.verdict.holds for f in report.findings if f.part != "improper")  # mirrors are for the tool to find out
    assert all(
        "precision" in f.note for f in report.findings
    )  # the calculator computes in float32 whatever it is given


def test_a_fault_in_one_output_is_found_there_only(audited: Audited) -> None:
    calculator()
    inputs = dict(zip(("pos", "cell"), salt(), strict=True))
    size = float(potential()(**inputs)["forces"].std())
    report = audited("sevennet-0, fault", potential(size / 50), CLAIMS[:1], inputs, elements=6)
    assert set(checks.verdicts(report, "forces")) == {Verdict.BROKEN}
    assert all(f.verdict.holds for f in report.findings if f.output != "forces" and f.part == "proper")
