"""Structures as packed tensors: files that ASE reads, or built-in molecules and crystals, with rattled copies.

Shapes: pos (rows, 3) float64 and z (rows,) int64, the atoms of all structures; cell (n, 3, 3) float64, rows of lattice
vectors, and pbc (n, 3) bool, zeros without a cell; batch (rows,) int64, the structure of each row.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from symcheck.errors import DataError, LoadError
from symcheck.files import nearest
from symcheck.groups.draws import Draws
from symcheck.importing import extra
from symcheck.registry import suggest

RATTLE = 0.05  # Å, standard deviation of each coordinate
BUILTIN = "builtin:"
MOLECULES = (
    "H2O", "CH3OH", "NH3", "CH3COOH", "C2H4", "H2CO", "CH3CN", "CH3CH2OH", "C6H6", "CH3CONH2", "C5H5N", "CH4",
)  # fmt: skip
CRYSTALS: dict[str, dict[str, Any]] = {
    "NaCl": {"crystalstructure": "rocksalt", "a": 5.64, "cubic": True},
    "Si": {"crystalstructure": "diamond", "a": 5.43},
    "Cu": {"crystalstructure": "fcc", "a": 3.61, "cubic": True},
    "MgO": {"crystalstructure": "rocksalt", "a": 4.21},
    "Fe": {"crystalstructure": "bcc", "a": 2.87, "cubic": True},
    "ZnO": {"crystalstructure": "wurtzite", "a": 3.25, "c": 5.21},
    "GaAs": {"crystalstructure": "zincblende", "a": 5.65},
    "CsCl": {"crystalstructure": "cesiumchloride", "a": 4.12},
}
FORMATS = (
    "extxyz", "xyz", "cif", "traj", "vasp", "vasp-xdatcar", "proteindatabank", "sdf", "mol", "xsf", "json", "gen",
    "aims", "lammps-data", "res", "cube", "espresso-in",
)  # fmt: skip
_SOURCE = re.compile(r"(?P<name>.*?)(\(\s*rattle\s*=\s*(?P<rattle>[^)]*)\))?")


@dataclass(frozen=True)
class Structures:
    """Packed structures, and in words where they come from."""

    tensors: dict[str, Tensor]
    how: str


def load_structures(source: str, *, samples: int, seed: int, base: Path) -> dict[str, Tensor]:
    """`samples` structures as packed tensors pos, z, cell, pbc, batch; see `read_structures`."""
    return read_structures(source, samples=samples, seed=seed, base=base).tensors


def read_structures(source: str, *, samples: int, seed: int, base: Path) -> Structures:
    """The first `samples` structures of a file, or of `builtin:molecules`, `builtin:crystals`, `builtin:NAME`.

    Where there are fewer, rattled copies of them in turn are added: every coordinate moved by a normal number of
    standard deviation 0.05 Å, or as `file.extxyz(rattle=0.1)` says; sample i depends on (seed, i) alone. Built-in
    structures are all rattled, since a perfect one has no forces. Raises LoadError for a file that cannot be read,
    DataError for structures that cannot be measured.
    """
    found = _SOURCE.fullmatch(source.strip())
    name, text = (found["name"], found["rattle"]) if found else (source, None)
    sigma = RATTLE if text is None else _number(text, source)
    builtin = name.startswith(BUILTIN)
    given = _builtin(name.removeprefix(BUILTIN)) if builtin else _read(base / Path(name).expanduser())
    given = given[:samples]
    _check(given, name)
    chosen = []
    for i in range(samples):
        atoms = given[i % len(given)]
        pos = torch.from_numpy(np.array(atoms.positions, dtype=np.float64))
        if builtin or i >= len(given):
            pos = pos + sigma * Draws(seed, f"structure {i}").normal(len(pos), 3)
        chosen.append((atoms, pos))
    copies = samples if builtin else samples - len(given)
    how = f"{len(given)} structure{'s' * (len(given) > 1)} of {name}"
    if copies:
        how += f"; {copies} of {samples} samples are copies rattled by {sigma:g} Å"
    return Structures(_packed(chosen), how if builtin else how + _left_out(given))


def _packed(chosen: Sequence[tuple[Any, Tensor]]) -> dict[str, Tensor]:
    sizes = torch.tensor([len(pos) for _, pos in chosen])
    return {
        "pos": torch.cat([pos for _, pos in chosen]),
        "z": torch.cat([torch.from_numpy(np.array(atoms.numbers, dtype=np.int64)) for atoms, _ in chosen]),
        "cell": torch.stack([torch.from_numpy(np.array(atoms.cell.array, dtype=np.float64)) for atoms, _ in chosen]),
        "pbc": torch.stack([torch.from_numpy(np.array(atoms.pbc, dtype=bool)) for atoms, _ in chosen]),
        "batch": torch.arange(len(chosen)).repeat_interleave(sizes),
    }


def _read(path: Path) -> list[Any]:
    """Every structure of a file, in order."""
    if not path.is_file():
        raise LoadError(f"there is no file '{path}'", where="--structures", hint=nearest(path))
    io = extra("ase.io", "ase")
    try:
        with redirect_stdout(sys.stderr):
            kind = io.formats.filetype(str(path))
            if kind in FORMATS:
                found = io.read(str(path), index=":", format=kind)
                return found if isinstance(found, list) else [found]
    except Exception as error:  # a reader raises nearly anything on a damaged file
        lines = str(error).strip().splitlines() or [""]
        raise LoadError(
            f"ASE cannot read structures from it: {type(error).__name__}: {lines[0]}",
            where=str(path),
            hint="check that it is what its name says, or convert it to extended XYZ: ase convert",
        ) from error
    raise LoadError(
        f"files of the format '{kind}' are not read here", where=str(path), hint=f"known: {', '.join(FORMATS)}"
    )


def _builtin(name: str) -> list[Any]:
    """The structures that a built-in name stands for."""
    build, g2 = extra("ase.build", "ase"), extra("ase.collections", "ase").g2
    if name == "molecules":
        return [build.molecule(one) for one in MOLECULES]
    if name == "crystals":
        return [build.bulk(one, **how) for one, how in CRYSTALS.items()]
    if name in CRYSTALS:
        return [build.bulk(name, **CRYSTALS[name])]
    if name in g2.names:
        return [build.molecule(name)]
    known = ["molecules", "crystals", *CRYSTALS, *g2.names]
    raise DataError(
        f"no built-in structure is called '{name}'",
        where=f"--structures {BUILTIN}{name}",
        hint=suggest(name, known, "molecules, crystals, a molecule of the G2 set such as H2O, a crystal such as NaCl"),
    )


def _check(given: Sequence[Any], name: str) -> None:
    """Refuse what cannot be measured, and say which structure it is."""
    if not given:
        raise DataError("there is no structure in it", where=name, hint="give a file with at least one structure")
    for i, atoms in enumerate(given):
        where, periodic = f"structure {i + 1} of {name}, {atoms.symbols}", bool(atoms.pbc.any())
        sites = (atoms.info.get("occupancy") or {}).values()
        if not len(atoms):
            raise DataError("a structure has no atoms", where=where, hint="take it out of the file")
        if len(atoms) == 1 and not periodic:
            raise DataError("a structure is one atom alone", where=where, hint="nothing in it can turn: take it out")
        if not np.isfinite(atoms.positions).all() or not np.isfinite(atoms.cell.array).all():
            raise DataError("a position or the cell is not finite", where=where, hint="mend the file, or take it out")
        if not ((atoms.numbers >= 1) & (atoms.numbers <= 118)).all():
            raise DataError("an atom is of no known element", where=where, hint="write chemical symbols such as Na")
        if periodic and not (abs(np.linalg.det(atoms.cell.array)) > 0) and bool(atoms.pbc.all()):
            raise DataError("a periodic structure has no cell", where=where, hint="give its lattice vectors")
        if any(len(site) > 1 or min(site.values()) < 1 for site in sites):
            raise DataError("a site is occupied in part", where=where, hint="give an ordered structure")
    if len({bool(atoms.pbc.all()) for atoms in given}) > 1:
        raise DataError(
            "some structures are periodic along all vectors and others are not",
            where=name,
            hint="audit crystals and molecules apart: stress and supercells belong to crystals alone",
        )
    if all(len(atoms) == 1 for atoms in given):
        raise DataError("every structure is one atom alone", where=name, hint="give cells of at least two atoms")


def _left_out(given: Sequence[Any]) -> str:
    """What the structures say and no tensor carries."""
    words = {
        "initial magnetic moments": any(atoms.has("initial_magmoms") for atoms in given),
        "initial charges": any(atoms.has("initial_charges") for atoms in given),
        "constraints": any(atoms.constraints for atoms in given),
    }
    named = [word for word, there in words.items() if there]
    return f"; left out: {', '.join(named)}" if named else ""


def _number(text: str, source: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 < value < float("inf")):
        raise DataError(f"'{text}' is no length", where=f"--structures {source}", hint="write (rattle=0.1), in Å")
    return value
