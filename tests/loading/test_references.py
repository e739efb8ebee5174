"""Reference energies: composition is taken off, nothing else is, and errors that it hid are found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.errors import ConfigError, DataError, SymcheckError
from symcheck.loading.references import SYMBOLS, referenced
from symcheck.subject import Subject, as_subject

TURNS = "SO(3): pos=points, z=scalar, batch=owner -> energy=scalar"
CONSTANTS = torch.tensor([0.0, -13.6, 0, 0, 0, 0, -1030.0, -1485.0, -2042.0], dtype=torch.float64)


class Composed(nn.Module):
    """E = Σ_i ε(z_i) + Σ_pairs exp(−r) c c, with a leak that only turns show."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        self.c = nn.Parameter(torch.rand(9, generator=torch.Generator().manual_seed(0)).double())
        self.leak = leak

    def forward(self, pos: Tensor, z: Tensor, batch: Tensor) -> dict[str, Tensor]:
        i, j = torch.nonzero((batch[:, None] == batch[None]).triu(1), as_tuple=True)
        pairs = torch.exp(-(pos[i] - pos[j]).norm(dim=1)) * self.c[z[i]] * self.c[z[j]]
        pairs = pairs + self.leak * (pos[i] - pos[j])[:, 0]
        energy = pos.new_zeros(int(batch.max()) + 1).index_add_(0, batch, CONSTANTS[z].to(pos))
        return {"energy": energy.index_add(0, batch[i], pairs)}


def molecules(count: int = 16) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(2)
    batch = torch.arange(count).repeat_interleave(torch.tensor([3 + k % 4 for k in range(count)]))
    z = torch.tensor([1, 6, 7, 8])[torch.randint(0, 4, (len(batch),), generator=g)]
    return {"pos": torch.randn(len(batch), 3, generator=g).double(), "z": z, "batch": batch}


def verdict(subject: Any, claim: str = TURNS) -> tuple[str, tuple[str, ...]]:
    report = symcheck.audit(subject, claim, molecules(), elements=16)
    (found,) = report.findings
    return str(found.verdict), report.notes


def test_the_symbols_are_in_their_places() -> None:
    assert len(SYMBOLS) == 118
    places = {"H": 1, "C": 6, "Fe": 26, "Xe": 54, "Cs": 55, "Au": 79, "Rn": 86, "U": 92, "Og": 118}
    assert {name: SYMBOLS.index(name) + 1 for name in places} == places


@pytest.mark.parametrize("reference", ["isolated", "fit", {"H": -13.6, "C": -1030.0, "N": -1485.0, "O": -2042.0}])
def test_what_composition_hides_is_found(reference: Any) -> None:
    inputs = molecules()
    assert verdict(as_subject(Composed(0.02)))[0] == "approximate"  # beside thousands, twenty thousandths
    word, notes = verdict(referenced(as_subject(Composed(0.02)), inputs, reference))
    assert word == "broken" and any(note.startswith("energy: taken off") for note in notes)
    assert verdict(referenced(as_subject(Composed()), inputs, reference))[0] == "exact"


def test_isolated_atoms_give_their_own_energies() -> None:
    found = referenced(as_subject(Composed()), molecules(), "isolated")
    assert found.offset is not None
    assert {z: round(e, 9) for z, e in found.offset.energies.items()} == {1: -13.6, 6: -1030.0, 7: -1485.0, 8: -2042.0}
    assert "H -13.6" in found.notes[-1] and "isolated atoms" in found.notes[-1]


def test_a_fit_leaves_what_composition_does_not_explain() -> None:
    inputs = molecules(40)
    found = referenced(as_subject(Composed()), inputs, "fit")
    assert found.offset is not None
    assert all(abs(found.offset.energies[z] - float(CONSTANTS[z])) < 2 for z in (1, 6, 7, 8))


def test_extensive_energies_stay_extensive() -> None:
    claim = "Copies(2,80): pos=points, z=nodes, batch=owner -> energy=extensive"
    assert verdict(referenced(as_subject(Composed()), molecules(), "isolated"), claim)[0] == "exact"


def test_forces_by_gradient_are_the_same() -> None:
    inputs, claim = molecules(), f"{TURNS}, forces=vector"
    plain = Subject("net", (net := Composed()), net, derive={"forces": "-d(energy)/d(pos)"})
    for subject in (plain, referenced(plain, inputs, "isolated")):
        found = {f.output: str(f.verdict) for f in symcheck.audit(subject, claim, inputs).findings}
        assert found == {"energy": "exact", "forces": "exact"}


class Dense(nn.Module):
    """The same energies of structures of one size."""

    def forward(self, pos: Tensor, z: Tensor) -> Tensor:
        return CONSTANTS[z].to(pos).sum(1) + torch.cdist(pos, pos).sum((1, 2))


def test_stacked_structures_and_a_lone_output() -> None:
    g = torch.Generator().manual_seed(4)
    z = torch.tensor([1, 6, 7, 8])[torch.randint(0, 4, (16, 5), generator=g)]
    inputs = {"pos": torch.randn(16, 5, 3, generator=g).double(), "z": z}
    subject = referenced(as_subject(Dense()), inputs, "fit")
    (found,) = symcheck.audit(subject, "SO(3): pos=points, z=scalar -> energy=scalar", inputs).findings
    assert str(found.verdict) == "exact" and found.size is not None and found.size < 100


@pytest.mark.parametrize(
    ("reference", "error", "message"),
    [
        ("atoms", ConfigError, "'atoms' is no reference"),
        ({"Hh": 1.0}, ConfigError, "'Hh' is no element"),
    ],
)
def test_words_that_mean_nothing(reference: Any, error: type[SymcheckError], message: str) -> None:
    with pytest.raises(error, match=message):
        referenced(as_subject(Composed()), molecules(), reference)


def test_a_table_with_a_gap_is_refused() -> None:
    with pytest.raises(DataError, match="no reference energy for O"):
        verdict(referenced(as_subject(Composed()), molecules(), {"H": 0.0, "C": 0.0, "N": 0.0}))


def test_a_fit_that_the_samples_do_not_determine_is_refused() -> None:
    few = {"pos": molecules()["pos"][:8], "z": torch.tensor([1, 6] * 4), "batch": torch.arange(4).repeat_interleave(2)}
    with pytest.raises(DataError, match="do not determine"):
        referenced(as_subject(Composed()), few, "fit")


def test_what_has_no_elements_or_energy_is_refused() -> None:
    inputs = molecules()
    with pytest.raises(DataError, match="no input holds the elements"):
        referenced(as_subject(Composed()), {n: x for n, x in inputs.items() if n != "z"}, "isolated")
    with pytest.raises(DataError, match="no output is called 'energy'"):
        referenced(as_subject(lambda pos, z, batch: {"a": pos.sum(), "b": pos.sum()}), inputs, "isolated")


def test_calculators_have_isolated_atoms_by_default_and_say_where_they_fail() -> None:
    pytest.importorskip("ase")
    from symcheck.loading.atoms import load_calculator, load_structures

    file = Path(__file__).parent / "planted_calculators.py"
    inputs = load_structures("builtin:C6H6", samples=4, seed=0, base=Path())
    found = referenced(load_calculator(f"{file}:pairwise", {"shift": 2.0}), inputs)
    assert found.offset is not None
    assert found.offset.energies == pytest.approx({1: 2.0, 6: 72.0})
    refused = referenced(load_calculator(f"{file}:Refusing"), inputs)
    assert refused.offset is None and "not on a reference" in refused.notes[-1] and "KeyError" in refused.notes[-1]
    assert referenced(as_subject(Composed()), inputs).offset is None
