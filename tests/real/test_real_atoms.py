"""ANI-1x: energies and forces of molecules, with a constant in the energy that dwarfs what was learned."""

from __future__ import annotations

import contextlib
import sys
from functools import cache

import checks
import pytest
import torch
from checks import Audited, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

HERE = "not installed: pip install --no-deps torchani==2.0 lark-parser==0.12.0 'setuptools==80.9.0'"
METHANOL = [
    [-0.0503, 0.6685, 0.0], [-0.0503, -0.7585, 0.0], [-1.0807, 1.0417, 0.0], [0.4650, 1.0417, 0.8924],
    [0.4650, 1.0417, -0.8924], [0.8544, -1.0417, 0.0],
]  # fmt: skip
CLAIMS = [
    "O(3): z=scalar, pos=points -> energy=scalar, forces=vector",
    "T(3): z=scalar, pos=points -> energy=invariant, forces=invariant",
    "S: z=nodes, pos=nodes -> energy=invariant, forces=nodes",
]
FORCES = {"forces": "-d(energy)/d(pos)"}


class Energy(nn.Module):
    """Elements (n, atoms) and positions (n, atoms, 3) -> energy (n,): all members, or one without its constants."""

    def __init__(self, ani: nn.Module, member: int | None = None) -> None:
        super().__init__()
        self.ani, self.member = ani, member

    def forward(self, z: Tensor, pos: Tensor) -> dict[str, Tensor]:
        if self.member is None:
            return {"energy": self.ani((z, pos)).energies}
        return {"energy": self.ani.neural_networks[self.member](self.ani.aev_computer((z, pos))).energies}


@cache
def ani() -> nn.Module:
    torchani = pytest.importorskip("torchani", reason=HERE, exc_type=ImportError)
    with contextlib.redirect_stdout(sys.stderr):
        return torchani.models.ANI1x().eval()


def molecules(count: int = 8) -> dict[str, Tensor]:
    """Methanol, its atoms moved by about 0.1 angstrom."""
    z = ani().species_to_tensor(["C", "O", "H", "H", "H", "H"])
    moved = 0.1 * torch.randn(count, 6, 3, generator=torch.Generator().manual_seed(8))
    return {"z": z.repeat(count, 1), "pos": torch.tensor(METHANOL) + moved}


def test_it_is_loaded_right() -> None:
    z = ani().species_to_tensor(["O", "H", "H"])[None]
    pos = torch.tensor([[[0.0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]])
    with torch.no_grad():
        assert abs(float(Energy(ani())(z, pos)["energy"]) + 76.3884) < 1e-3


@pytest.mark.parametrize("member", [None, 0])
def test_motions_mirrors_and_order(member: int | None, audited: Audited) -> None:
    name = "ani-1x" if member is None else f"ani-1x, member {member}"
    report = audited(name, Energy(ani(), member), CLAIMS, molecules(), elements=8, derive=FORCES)
    assert {"proper", "improper"} <= checks.parts(report)
    assert not {Verdict.BROKEN, Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))  # it sees distances
    energies = [f for f in report.findings if f.output == "energy"]
    if member is None:  # the constants are thousands of times what differs between molecules, and do not flatter it
        assert all(f.spread < 1e-3 * f.size and f.error.spread.mean >= 1e3 * f.error.relative.mean for f in energies)


def test_a_fault_is_found(audited: Audited) -> None:
    inputs = molecules()
    faulty = Planted(Energy(ani()), "energy", list(inputs.values()), which=1)
    report = audited("ani-1x, fault", faulty, CLAIMS, inputs, derive=FORCES)
    energies = [f.verdict for f in report.findings if f.output == "energy"]
    assert set(energies) == {Verdict.BROKEN}
