"""ProteinMPNN: from a backbone to its sequence. Rigid motions and the order of residues; mirrors are another world."""

from __future__ import annotations

import checks
import pytest
from checks import Audited, Planted
from protein import designer, pieces, right

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

STILL = "acids=scalar, places=scalar, turns=scalar"


def test_it_is_loaded_right() -> None:
    right()


def test_motions_mirrors_and_order(audited: Audited) -> None:
    rigid, mirrored = (f"{g}: atoms=points, {STILL} -> logp=invariant" for g in ("SE(3)", "E(3)"))
    order = "S: atoms=nodes, acids=nodes, places=nodes, turns=nodes -> logp=nodes"
    report = audited("proteinmpnn", designer(), [rigid, mirrored, order], pieces(5), samples=3, elements=4)
    by_part = {(f.claim.split(":")[0], f.part): f for f in report.findings}
    assert set(by_part) == {("SE(3)", ""), ("E(3)", "proper"), ("E(3)", "improper"), ("S", "")}
    for key in (("SE(3)", ""), ("E(3)", "proper"), ("S", "")):  # distances between atoms are all that it sees
        assert by_part[key].verdict is Verdict.EXACT, by_part[key]
    assert by_part["E(3)", "improper"].verdict is not Verdict.EXACT  # it builds the side chain by a cross product
    assert all("precision could not be raised" in f.note for f in report.findings)  # float32 is written into it


def test_a_fault_is_found(audited: Audited) -> None:
    inputs = pieces(5)
    faulty = Planted(designer(), "logp", list(inputs.values()))
    claim = f"SE(3): atoms=points, {STILL} -> logp=invariant"
    report = audited("proteinmpnn, fault", faulty, [claim], inputs, samples=3, elements=4)
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
