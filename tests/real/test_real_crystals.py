"""SevenNet-0, an e3nn potential behind its own calculator: energy, forces and stress of rock salt, in float32 only."""

from __future__ import annotations

from typing import Any

import checks
import pytest
import torch
from checks import Audited
from crystals import right, sevennet
from torch import Tensor

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

CLAIMS = [
    "O(3): pos=points, cell=vector -> energy=scalar, forces=vector, stress=tensor(ij=ji)",
    "T(3): pos=points, cell=scalar -> energy=invariant, forces=invariant, stress=invariant",
]


def salt(count: int = 4) -> tuple[Tensor, Tensor]:
    """Rock salt of eight atoms, strained and moved: positions (n, 8, 3) and cells (n, 3, 3)."""
    g = torch.Generator().manual_seed(9)
    half = torch.tensor([[0, 0, 0], [0, 1, 1], [1, 0, 1], [1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) / 2
    cell = 5.64 * (torch.eye(3) + 0.03 * torch.randn(count, 3, 3, generator=g))
    return half @ cell + 0.08 * torch.randn(count, 8, 3, generator=g), cell


def potential(leak: float = 0.0) -> Any:
    calculator = sevennet("11jul")

    def answer(pos: Tensor, cell: Tensor) -> dict[str, Tensor]:
        from ase import Atoms

        found = []
        for x, box in zip(pos.numpy(), cell.numpy(), strict=True):
            atoms = Atoms("Na4Cl4", positions=x, cell=box, pbc=True, calculator=calculator)
            found.append((atoms.get_potential_energy(), atoms.get_forces(), atoms.get_stress(voigt=False)))
        names, columns = ("energy", "forces", "stress"), zip(*found, strict=True)
        outputs = {
            n: torch.stack([torch.as_tensor(y).to(pos) for y in ys]) for n, ys in zip(names, columns, strict=True)
        }
        outputs["forces"] = outputs["forces"] + leak * torch.tensor([1.0, 0.0, 0.0]).to(pos)
        return outputs

    return answer


def test_they_are_loaded_right() -> None:
    right()


def test_motions_and_mirrors(audited: Audited) -> None:
    inputs = dict(zip(("pos", "cell"), salt(), strict=True))
    report = audited("sevennet-0", potential(), CLAIMS, inputs, elements=4)
    assert checks.parts(report) == {"proper", "improper", ""}
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))
    assert all(f.verdict.holds for f in report.findings if f.part != "improper")  # mirrors are for the tool to find out
    assert all(
        "precision" in f.note for f in report.findings
    )  # the calculator computes in float32 whatever it is given


def test_a_fault_in_one_output_is_found_there_only(audited: Audited) -> None:
    inputs = dict(zip(("pos", "cell"), salt(), strict=True))
    size = float(potential()(**inputs)["forces"].std())
    report = audited("sevennet-0, fault", potential(size / 50), CLAIMS[:1], inputs, elements=6)
    assert set(checks.verdicts(report, "forces")) == {Verdict.BROKEN}
    assert all(f.verdict.holds for f in report.findings if f.output != "forces" and f.part == "proper")
