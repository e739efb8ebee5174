"""ASE calculators as subjects: energy, forces and stress of packed structures, one structure after another."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.errors import DataError, LoadError, ModelError
from symcheck.importing import extra, import_object
from symcheck.subject import Source, Subject

CALCULATOR = "calculator"  # the format of such a source


@dataclass(frozen=True)
class Calculation:
    """f(pos, z, cell, pbc, batch) of a calculator, which every call runs anew; nothing is kept between calls.

    Shapes: pos (rows, 3), z (rows,), cell (n, 3, 3) and pbc (n, 3), zeros without them, batch (rows,) the structure of
    each row; energy (n,), forces (rows, 3) and, where every structure is periodic along all vectors, stress (n, 3, 3),
    float64, in the units of the calculator: eV, eV/Å, eV/Å³. Raises ModelError for what the calculator raises.
    """

    calculator: Any
    properties: tuple[str, ...]

    def __call__(
        self, pos: Tensor, z: Tensor, cell: Tensor | None = None, pbc: Tensor | None = None, batch: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Energy, forces and stress, as far as the calculator has them."""
        owner = _owner(pos, batch)
        count = int(owner.max()) + 1 if cell is None else len(cell)
        cells = np.zeros((count, 3, 3)) if cell is None else cell.detach().cpu().double().numpy()
        solid = np.abs(np.linalg.det(cells)) > 0
        periodic = solid[:, None].repeat(3, 1) if pbc is None else pbc.detach().cpu().bool().numpy()
        asked = [name for name in self.properties if name != "stress" or (periodic.all() and solid.all())]
        places, kinds = pos.detach().cpu().double().numpy(), z.detach().cpu().numpy()
        found: dict[str, list[Any]] = {name: [] for name in asked}
        # the gradients that a network inside needs are its own affair
        with redirect_stdout(sys.stderr), torch.inference_mode(False), torch.enable_grad():
            for k in range(count):
                rows = owner == k
                for name, value in self._one(kinds[rows], places[rows], cells[k], periodic[k], asked).items():
                    found[name].append(value)
        joined = {name: np.concatenate(ys) if name == "forces" else np.stack(ys) for name, ys in found.items()}
        order = np.argsort(np.argsort(owner, kind="stable"), kind="stable")
        if "forces" in joined:
            joined["forces"] = joined["forces"][order]
        return {name: torch.as_tensor(y, dtype=torch.float64, device=pos.device) for name, y in joined.items()}

    def _one(self, z: Any, pos: Any, cell: Any, pbc: Any, asked: list[str]) -> dict[str, Any]:
        """One structure, computed whatever was computed before."""
        every = extra("ase.calculators.calculator", "ase").all_changes
        atoms = extra("ase", "ase").Atoms(numbers=z, positions=pos, cell=cell, pbc=pbc)
        self.calculator.atoms, self.calculator.results = None, {}
        try:
            self.calculator.calculate(atoms, asked, every)
            return {name: _array(name, self.calculator.results[name], len(z)) for name in asked}
        except Exception as error:  # whatever a calculator may raise is reported as its own
            lines = str(error).strip().splitlines() or [""]
            raise ModelError(
                f"the calculator raised {type(error).__name__}: {lines[0]}",
                where=f"{type(self.calculator).__name__} on {atoms.symbols}, asked for {', '.join(asked)}",
                hint="check that it knows these elements and cells, and that it returns what it says it implements",
            ) from error


def load_calculator(source: Any, arguments: Mapping[str, Any] | None = None, *, base: Path | None = None) -> Subject:
    """The subject (pos, z, cell, pbc, batch) -> energy, forces, stress that an ASE calculator is.

    `source` is a calculator, or `module:factory` or `file.py:factory`, whose result for `arguments` is one. Raises
    LoadError: no ase, no such factory, no calculator; ModelError: the factory fails.
    """
    kind = extra("ase.calculators.calculator", "ase").BaseCalculator
    text = source if isinstance(source, str) else ""
    given = dict(arguments or {})
    calculator = _made(text, given, base) if text else source
    if not isinstance(calculator, kind):
        raise LoadError(
            f"a {type(calculator).__name__} is no ASE calculator",
            where=text or "load_calculator",
            hint="name a function that returns one, e.g. def calculator(): return EMT()",
        )
    known = [name for name in ("energy", "forces", "stress") if name in calculator.implemented_properties]
    if "energy" not in known:
        raise LoadError(
            "this calculator has no energy",
            where=f"{type(calculator).__name__}, which implements {', '.join(calculator.implemented_properties)}",
            hint="symcheck audits calculators of energies, forces and stress",
        )
    name = type(calculator).__name__
    network = next((part for part in vars(calculator).values() if isinstance(part, nn.Module)), None)
    notes = [f"{name} is an ASE calculator: structures one by one; {', '.join(known)}, in its own units"]
    dtypes = sorted({str(p.dtype).removeprefix("torch.") for p in network.parameters()}) if network is not None else []
    if dtypes:
        notes.append(f"the network inside the calculator holds {', '.join(dtypes)}")
    made = Source(format=CALCULATOR, model=text or name, arguments=given)
    return Subject(name, Calculation(calculator, tuple(known)), source=made, notes=tuple(notes))


def _made(text: str, arguments: Mapping[str, Any], base: Path | None) -> Any:
    """What the factory returns; a calculator that is named itself is taken as it is."""
    factory = import_object(text, base=base)
    if not callable(factory):
        return factory
    try:
        with redirect_stdout(sys.stderr):
            return factory(**arguments)
    except Exception as error:  # whatever a factory may raise
        lines = str(error).strip().splitlines() or [""]
        raise ModelError(
            f"the factory of the calculator raised {type(error).__name__}: {lines[0]}",
            where=f"{text}({', '.join(f'{k}={v!r}' for k, v in arguments.items())})",
            hint="check the arguments; --traceback shows where",
        ) from error


def _owner(pos: Tensor, batch: Tensor | None) -> Any:
    if batch is None or pos.dim() != 2 or pos.shape[1] != 3 or batch.shape != pos.shape[:1]:
        raise DataError(
            f"a calculator takes packed structures, pos (rows, 3) with batch (rows,), not {tuple(pos.shape)}",
            where="the inputs of the calculator",
            hint="load them with --structures, and declare batch=owner",
        )
    return batch.detach().cpu().numpy()


def _array(name: str, value: Any, atoms: int) -> Any:
    """A property as an array of its shape; the six Voigt numbers of a stress (xx, yy, zz, yz, xz, xy) as a matrix."""
    y = np.asarray(value, dtype=np.float64)
    if name == "stress" and y.size == 6:
        y = y.reshape(6)[[0, 5, 4, 5, 1, 3, 4, 3, 2]]
    return y.reshape({"energy": (), "forces": (atoms, 3), "stress": (3, 3)}[name])
