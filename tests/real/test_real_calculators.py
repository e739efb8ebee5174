"""SevenNet-0 as an ASE calculator: turns, forces as gradients, supercells, and a wrong factor on the forces."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crystals import sevennet

import symcheck
from symcheck.loading.atoms import load_calculator, load_structures, referenced
from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

SLOTS = "pos=points, z=nodes, cell=lattice, pbc=scalar, batch=owner"
CLAIMS = [
    f"SO(3): {SLOTS.replace('z=nodes', 'z=scalar')} -> energy=scalar, forces=vector, stress=tensor(ij=ji)",
    f"Gradient: {SLOTS} -> energy=scalar, forces=vector, stress=ignore",
    f"Supercell(2,1,1): {SLOTS} -> energy=extensive, forces=nodes, stress=scalar",
    f"NetForce: {SLOTS} -> energy=scalar, forces=vector, stress=ignore",
]


def calculator(factor: float) -> Any:
    """SevenNet-0, its forces multiplied."""
    found = sevennet("11jul")
    calculate = found.calculate

    def scaled(*given: Any, **named: Any) -> None:
        calculate(*given, **named)
        found.results["forces"] = factor * found.results["forces"]

    found.calculate = scaled
    return found


@pytest.mark.parametrize("factor", [1.0, 1.05])
def test_the_calculator_and_a_wrong_factor(factor: float) -> None:
    inputs = load_structures("builtin:NaCl", samples=3, seed=0, base=Path())
    subject = referenced(load_calculator(calculator(factor)), inputs)
    assert "isolated atoms: Na" in subject.notes[-1] and "float32" in subject.notes[1]
    report = symcheck.audit(subject, CLAIMS, inputs, elements=4)
    broken = {f.claim.partition(":")[0] for f in report.findings if f.verdict is Verdict.BROKEN}
    assert not any(f.verdict in (Verdict.INVALID, Verdict.TRIVIAL) for f in report.findings)
    if factor == 1.0:
        assert not broken and sum(f.verdict.holds for f in report.findings) >= len(report.findings) - 1
    else:
        size = next(f.error for f in report.findings if f.claim.startswith("Gradient"))
        assert size is not None and size.relative.mean > 0.02  # 0.05/1.05 on average over directions
