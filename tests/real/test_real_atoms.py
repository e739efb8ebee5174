"""ANI-1x: energies and forces of molecules, with a constant in the energy that dwarfs what was learned."""

from __future__ import annotations

import checks
import pytest
from checks import Audited, Planted
from molecules import ani, everyone, methanol, right

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

CLAIMS = [
    "O(3): z=scalar, pos=points -> energy=scalar, forces=vector",
    "T(3): z=scalar, pos=points -> energy=invariant, forces=invariant",
    "S: z=nodes, pos=nodes -> energy=invariant, forces=nodes",
]
FORCES = {"forces": "-d(energy)/d(pos)"}


def test_it_is_loaded_right() -> None:
    right()


@pytest.mark.parametrize("member", [None, 0])
def test_motions_mirrors_and_order(member: int | None, audited: Audited) -> None:
    name = "ani-1x" if member is None else f"ani-1x, member {member}"
    report = audited(name, ani("ANI1x", member), CLAIMS, methanol(8), elements=8, derive=FORCES)
    assert {"proper", "improper"} <= checks.parts(report)
    assert not {Verdict.BROKEN, Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))  # it sees distances
    energies = [f for f in report.findings if f.output == "energy"]
    if member is None:  # the constants are thousands of times what differs between molecules, and do not flatter it
        assert all(f.spread < 1e-3 * f.size and f.error.spread.mean >= 1e3 * f.error.relative.mean for f in energies)


def test_a_fault_is_found(audited: Audited) -> None:
    inputs = methanol(8)
    faulty = Planted(everyone(), "energy", list(inputs.values()), which=1)
    report = audited("ani-1x, fault", faulty, CLAIMS, inputs, derive=FORCES)
    energies = [f.verdict for f in report.findings if f.output == "energy"]
    assert set(energies) == {Verdict.BROKEN}
