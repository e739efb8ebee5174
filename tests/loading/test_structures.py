"""Structures from files and built in: what is read, how copies are made, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from symcheck.errors import DataError, LoadError, SymcheckError
from symcheck.loading.structures import MOLECULES, load_structures, read_structures

ase = pytest.importorskip("ase")
io = pytest.importorskip("ase.io")

HERE = Path()


def load(source: str, samples: int = 6, seed: int = 0, base: Path = HERE) -> dict[str, Tensor]:
    return load_structures(source, samples=samples, seed=seed, base=base)


def frames() -> list[object]:
    return [
        ase.Atoms("OH2", [[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]]),
        ase.Atoms("CO2", [[0, 0, 0], [0, 0, 1.2], [0, 0, -1.2]]),
    ]


@pytest.mark.parametrize("name", ["two.extxyz", "two.xyz", "two.traj"])
def test_every_frame_of_a_file_in_order(tmp_path: Path, name: str) -> None:
    io.write(tmp_path / name, frames())
    found = load(name, samples=2, base=tmp_path)
    assert found["z"].tolist() == [8, 1, 1, 6, 8, 8]
    assert found["batch"].tolist() == [0, 0, 0, 1, 1, 1]
    assert torch.allclose(found["pos"][1], torch.tensor([0, 0.8, -0.5]).double())
    assert found["cell"].shape == (2, 3, 3) and not found["cell"].any() and not found["pbc"].any()
    assert {name: x.dtype for name, x in found.items() if not x.is_floating_point()} == {
        "z": torch.int64,
        "pbc": torch.bool,  # two rows of whole numbers would be taken for edges
        "batch": torch.int64,
    }


def test_a_crystal_keeps_its_cell(tmp_path: Path) -> None:
    salt = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4.1, 4.2, 4.3], pbc=True)
    io.write(tmp_path / "salt.cif", salt)
    found = load("salt.cif", samples=3, base=tmp_path)
    assert found["pbc"].tolist() == [[True] * 3] * 3
    assert torch.allclose(found["cell"][2], torch.diag(torch.tensor([4.1, 4.2, 4.3]).double()))


def test_copies_are_rattled_and_the_given_structures_are_not(tmp_path: Path) -> None:
    io.write(tmp_path / "two.extxyz", frames())
    one, again = (load("two.extxyz", samples=400, base=tmp_path) for _ in range(2))
    assert torch.equal(one["pos"], again["pos"])
    originals = torch.cat([torch.tensor(atoms.positions) for atoms in frames()])  # type: ignore[attr-defined]
    moved = one["pos"].view(200, 6, 3) - originals
    assert float(moved[0].abs().max()) < 1e-7  # as written
    assert abs(float(moved[1:].std()) / 0.05 - 1) < 0.05
    fewer = load("two.extxyz", samples=10, base=tmp_path)
    assert torch.equal(fewer["pos"], one["pos"][:30])  # sample i depends on its number alone
    assert not torch.equal(fewer["pos"], load("two.extxyz", samples=10, seed=1, base=tmp_path)["pos"])


def test_what_is_done_is_said(tmp_path: Path) -> None:
    atoms = frames()
    atoms[0].set_initial_charges([0.5, -0.25, -0.25])  # type: ignore[attr-defined]
    io.write(tmp_path / "two.traj", atoms)
    assert read_structures("two.traj", samples=2, seed=0, base=tmp_path).how == (
        "2 structures of two.traj; left out: initial charges"
    )
    assert read_structures("builtin:H2O(rattle=0.1)", samples=5, seed=0, base=HERE).how == (
        "1 structure of builtin:H2O; 5 of 5 samples are copies rattled by 0.1 Å"
    )


def test_builtin_structures_are_of_mixed_size_and_never_perfect() -> None:
    found = load("builtin:molecules", samples=len(MOLECULES))
    sizes = torch.bincount(found["batch"])
    assert int(sizes.min()) >= 3 and len(set(sizes.tolist())) > 4
    calm = load("builtin:molecules(rattle=1e-9)", samples=len(MOLECULES))
    assert abs(float((found["pos"] - calm["pos"]).std()) / 0.05 - 1) < 0.2
    crystals = load("builtin:crystals", samples=8)
    assert bool((torch.linalg.det(crystals["cell"]).abs() > 1).all()) and bool(crystals["pbc"].all())
    assert int(torch.bincount(crystals["batch"]).min()) >= 2
    assert set(load("builtin:NaCl", samples=2)["z"].tolist()) == {11, 17}
    assert set(load("builtin:C6H6", samples=2)["z"].tolist()) == {1, 6}


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("builtin:molecule", "did you mean 'molecules'"),
        ("builtin:H", "one atom alone"),
        ("builtin:H2O(rattle=-1)", "'-1' is no length"),
        ("builtin:H2O(rattle=big)", "'big' is no length"),
        ("missing.extxyz", "there is no file"),
    ],
)
def test_names_that_are_not_there(source: str, message: str) -> None:
    with pytest.raises(SymcheckError, match=message):
        load(source)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no structure|cannot read"),
        ("1\n\nH 0 0 0\n", "one atom alone"),
        ("2\n\nH 0 0 0\nO nan 0 1\n", "not finite"),
        ("2\n\nX 0 0 0\nO 0 0 1\n", "no known element"),
        ("2\n\nQq 0 0 0\nO 0 0 1\n", "cannot read"),
        ("3\n\nH 0 0 0\nO 0 0 1\n", "cannot read"),
        ('1\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nCu 0 0 0\n', "every structure is one atom"),
        ('2\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T"\nH 0 0 0\nH 1 0 0\n2\n\nH 0 0 0\nH 1 0 0\n', "others are not"),
    ],
)
def test_files_that_cannot_be_measured(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "bad.extxyz").write_text(text)
    with pytest.raises((DataError, LoadError), match=message) as caught:
        load("bad.extxyz", base=tmp_path)
    assert caught.value.where and caught.value.hint


def test_sites_that_are_shared_are_refused(tmp_path: Path) -> None:
    half = ase.Atoms("NaCl", scaled_positions=[[0, 0, 0], [0.5, 0.5, 0.5]], cell=[4, 4, 4], pbc=True)
    half.info["occupancy"] = {"0": {"Na": 0.5}, "1": {"Cl": 1.0}}
    half.arrays["spacegroup_kinds"] = torch.tensor([0, 1]).numpy()
    io.write(tmp_path / "half.cif", half)
    with pytest.raises(DataError, match="occupied in part"):
        load("half.cif", base=tmp_path)


def test_formats_outside_the_list_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.py").write_text("raise SystemExit('was run')\n")
    with pytest.raises(LoadError):
        load("x.py", base=tmp_path)
