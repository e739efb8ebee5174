"""ASE calculators as subjects: what they compute is measured, anew at every call, and their faults are found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import symcheck
from symcheck.errors import DataError, LoadError, ModelError, SymcheckError
from symcheck.loading.atoms import load_calculator, load_structures
from symcheck.report.model import Report
from symcheck.subject import Subject

ase = pytest.importorskip("ase")

HERE = Path(__file__).parent
FILE = HERE / "planted_calculators.py"
SLOTS = "pos=points, z=nodes, cell=lattice, pbc=scalar, batch=owner"
TURNS = "O(3): pos=points, z=scalar, cell=lattice, pbc=scalar, batch=owner -> energy=scalar, forces=vector"
CRYSTAL = f"{TURNS}, stress=tensor(ij=ji)"


def calculator(name: str = "pairwise", **arguments: Any) -> Subject:
    return load_calculator(f"{FILE}:{name}", arguments)


def structures(source: str, samples: int = 6) -> dict[str, Tensor]:
    return load_structures(source, samples=samples, seed=0, base=HERE)


def audited(subject: Subject, claims: str | list[str], inputs: Mapping[str, Tensor]) -> Report:
    return symcheck.audit(subject, claims, dict(inputs), elements=4)


def verdicts(report: Report) -> dict[str, set[str]]:
    names = dict.fromkeys(found.output for found in report.findings)
    return {name: {str(f.verdict) for f in report.findings if f.output == name} for name in names}


def test_what_ase_itself_says() -> None:
    inputs, made = structures("builtin:crystals", 8), calculator()
    found = made.call(**inputs)
    for k in range(8):
        rows = inputs["batch"] == k
        atoms = ase.Atoms(inputs["z"][rows], inputs["pos"][rows].numpy(), cell=inputs["cell"][k].numpy(), pbc=True)
        atoms.calc = made.call.calculator  # type: ignore[attr-defined]
        assert abs(float(found["energy"][k]) - atoms.get_potential_energy()) < 1e-12
        assert torch.allclose(found["forces"][rows], torch.tensor(atoms.get_forces()))
        assert torch.allclose(found["stress"][k], torch.tensor(atoms.get_stress(voigt=False)))


def test_rows_of_structures_may_be_mixed() -> None:
    inputs, made = structures("builtin:molecules"), calculator()
    order = torch.randperm(len(inputs["z"]), generator=torch.Generator().manual_seed(1))
    mixed = {**inputs, **{name: inputs[name][order] for name in ("pos", "z", "batch")}}
    straight, found = made.call(**inputs), made.call(**mixed)
    assert torch.allclose(found["energy"], straight["energy"])
    assert torch.allclose(found["forces"], straight["forces"][order])


def test_every_call_computes(capsys: pytest.CaptureFixture[str]) -> None:
    inputs, made = structures("builtin:molecules", 3), calculator()
    for _ in range(2):
        made.call(**inputs)
    assert made.call.calculator.calls == 6  # type: ignore[attr-defined]
    assert capsys.readouterr().out == ""


def test_a_sound_calculator_is_exact_and_its_stress_is_measured_too() -> None:
    assert verdicts(audited(calculator(), CRYSTAL, structures("builtin:crystals"))) == {
        "energy": {"exact"},
        "forces": {"exact"},
        "stress": {"exact"},
    }


def test_molecules_have_no_stress() -> None:
    report = audited(calculator(), TURNS, structures("builtin:molecules"))
    assert verdicts(report) == {"energy": {"exact"}, "forces": {"exact"}}


def test_without_forces_the_energy_is_audited_alone() -> None:
    made = calculator("EnergyAlone")
    claim = TURNS.replace(", forces=vector", "")
    assert verdicts(audited(made, claim, structures("builtin:molecules"))) == {"energy": {"exact"}}
    assert "energy, in" in made.notes[0] and "forces" not in made.notes[0]


@pytest.mark.parametrize(
    ("fault", "claim", "broken"),
    [
        ({"pull": 0.05}, TURNS, {"forces"}),
        ({"leak": 0.05}, TURNS, {"energy"}),
        ({"pull": 0.05}, f"NetForce: {SLOTS} -> energy=scalar, forces=vector", {"forces"}),
        ({"factor": 1.05}, f"Gradient: {SLOTS} -> energy=scalar, forces=vector", {"forces"}),
    ],
)
def test_faults_are_found(fault: dict[str, float], claim: str, broken: set[str]) -> None:
    inputs = structures("builtin:molecules", 8)
    assert all(f.verdict.holds for f in audited(calculator(), claim, inputs).findings)
    found = audited(calculator(**fault), claim, inputs)
    assert {name for name, words in verdicts(found).items() if words == {"broken"}} == broken


@pytest.mark.parametrize(("factor", "holds"), [(1.0, True), (1.02, False)])
def test_crystals_owe_their_stress_and_their_supercells(factor: float, holds: bool) -> None:
    inputs = structures("builtin:Si", 4)
    claims = [
        f"Strain: {SLOTS} -> energy=scalar, forces=ignore, stress=tensor(ij=ji)",
        f"Supercell(2,1,1): {SLOTS} -> energy=extensive, forces=nodes, stress=scalar",
        f"Gradient: {SLOTS} -> energy=scalar, forces=vector, stress=ignore",
    ]
    found = audited(calculator(factor=factor), claims, inputs).findings
    assert all(f.verdict.holds for f in found if "Gradient" not in f.claim)
    assert [f.verdict.holds for f in found if "Gradient" in f.claim] == [holds]


def test_noise_is_not_called_exact() -> None:
    report = audited(calculator(noise=1e-3), TURNS, structures("builtin:molecules"))
    assert verdicts(report)["energy"] == {"invalid"}


def test_a_calculator_in_float32_is_told_from_one_in_float64() -> None:
    inputs = structures("builtin:molecules", 8)
    single, double = audited(calculator(single=1.0), TURNS, inputs), audited(calculator(), TURNS, inputs)
    assert verdicts(single) == verdicts(double) == {"energy": {"exact"}, "forces": {"exact"}}
    assert all("could not be raised" in f.note for f in single.findings)
    assert not any("could not be raised" in f.note for f in double.findings)


def test_a_network_inside_is_given_its_gradients_and_named() -> None:
    made = calculator("WithNetwork")
    assert "float32" in made.notes[1]
    claim = TURNS.replace("O(3)", "SO(3)")
    assert {str(f.verdict) for f in audited(made, claim, structures("builtin:molecules")).findings} <= {
        "exact",
        "approximate",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "a int is no ASE calculator"),
        ("NoEnergy", "has no energy"),
        ("failing", "raised RuntimeError: no weights here"),
        ("missing", "has no 'missing'"),
    ],
)
def test_what_is_no_calculator_is_refused(name: str, message: str) -> None:
    with pytest.raises((LoadError, ModelError), match=message) as caught:
        calculator(name)
    assert caught.value.where and caught.value.hint


@pytest.mark.parametrize(("name", "message"), [("Refusing", "KeyError"), ("Wrong", "cannot reshape")])
def test_what_a_calculator_raises_is_its_own(name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        audited(calculator(name), TURNS, structures("builtin:molecules"))
    assert name in caught.value.where and "\n" not in caught.value.message


def test_an_object_is_taken_as_it_is_and_dense_positions_are_refused() -> None:
    made = load_calculator(calculator().call.calculator)  # type: ignore[attr-defined]
    assert made.name == "Pairwise"
    with pytest.raises(DataError, match="packed structures"):
        made.call(torch.zeros(2, 3, 3), torch.ones(2, 3))


def test_without_ase_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str, name: str) -> Any:
        raise LoadError(f"this needs {module}", hint=f"symcheck[{name}]")

    monkeypatch.setattr("symcheck.loading.calculators.extra", missing)
    monkeypatch.setattr("symcheck.loading.structures.extra", missing)
    for act in (lambda: load_calculator("x:y"), lambda: structures("builtin:H2O")):
        with pytest.raises(SymcheckError, match="this needs ase") as caught:
            act()
        assert "symcheck[ase]" in caught.value.hint
