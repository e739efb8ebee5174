"""Reference energies: E − Σ_e n_e ε_e instead of E.

How much two structures differ in energy is decided by what they are made of (an atom of carbon is some 38 hartree, a
bond a tenth of one), and beside that spread no error would count. A sum over the elements of a structure depends on
no position, so that no symmetry is gained or lost when it is taken off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.errors import ConfigError, DataError, SymcheckError
from symcheck.loading.calculators import CALCULATOR
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.samples import Samples
from symcheck.subject import Subject

ENERGY = "energy"
NUMBERS = ("z", "numbers", "atomic_numbers", "Z", "species")
WORDS = ("isolated", "fit", "none")
_CHUNK = 32
SYMBOLS = re.findall(r"\w+", """
    H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr Nb
    Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au
    Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts
    Og
""")  # fmt: skip


@dataclass(frozen=True)
class Reference:
    """Takes Σ_e n_e ε_e off the energies of a batch; `numbers` names the input that says which element each atom is."""

    numbers: str
    energies: Mapping[int, float]

    def __call__(self, batch: Batch, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs with the energy on its reference, float64; DataError for an element without one."""
        name = energy_in(outputs)
        z = batch.tensors[self.numbers]
        missing = sorted(set(z.flatten().tolist()) - self.energies.keys())
        if missing:
            raise DataError(
                f"there is no reference energy for {', '.join(map(symbol, missing))}",
                where="reference",
                hint="add it to the table, or write reference = 'none'",
            )
        of = torch.zeros(max(self.energies) + 1, dtype=torch.float64, device=z.device)
        of[torch.tensor([*self.energies], device=z.device)] = torch.tensor(
            [*self.energies.values()], dtype=torch.float64, device=z.device
        )
        each, y = of[z.long()], outputs[name]
        if batch.owner is not None:
            total = each.new_zeros(batch.count).index_add_(0, batch.owner, each.reshape(len(z)))
        else:
            total = each.reshape(batch.count, -1).sum(1)
        if y.numel() != batch.count:
            raise DataError(
                f"the energy has the shape {tuple(y.shape)} for {batch.count} structures",
                where=f"output '{name}'",
                hint="a reference is taken off the total energy of each structure; write reference = 'none'",
            )
        return {**outputs, name: y.double() - total.reshape(y.shape)}

    def __str__(self) -> str:
        return ", ".join(f"{symbol(z)} {energy:.6g}" for z, energy in sorted(self.energies.items()))


def referenced(
    subject: Subject,
    inputs: Mapping[str, Tensor],
    reference: str | Mapping[str, float] | None = None,
    *,
    owner: str = "batch",
) -> Subject:
    """The subject with E − Σ_e n_e ε_e as its energy, and a note that says so.

    `reference` is `isolated` (each ε from one atom in vacuum, computed by the subject itself), `fit` (least squares on
    the energies of these inputs), `none`, or a table {"H": ...} in the energy's unit; None is `isolated` for
    calculators, `none` where that fails and for all else. Raises ConfigError for another word or element; DataError
    where the energies cannot be found or the fit is not determined.
    """
    chosen = reference if reference is not None else "isolated" if subject.source.format == CALCULATOR else "none"
    if chosen == "none":
        return subject
    if isinstance(chosen, str) and chosen not in WORDS:
        raise ConfigError(
            f"'{chosen}' is no reference", where="reference", hint="write isolated, fit, none or a table {H = -13.6}"
        )
    try:
        numbers = _numbers(inputs)
        if not isinstance(chosen, str):
            table, how = {_number(key): float(value) for key, value in chosen.items()}, "as given"
        elif chosen == "fit":
            table, how = _fit(subject, inputs, numbers, owner), "least squares on these samples"
        else:
            table, how = _isolated(subject, inputs, numbers, owner), "isolated atoms"
    except SymcheckError as error:
        if reference is not None:
            raise
        note = f"the energy is not on a reference, so that its spread is that of the composition: {error.message}"
        return replace(subject, notes=(*subject.notes, note))
    found = Reference(numbers, table)
    note = f"energy: taken off for each atom, {how}: {found}"
    return replace(subject, offset=found, notes=(*subject.notes, note))


def energy_in(outputs: Mapping[str, Tensor]) -> str:
    """The name of the energy: `energy`, or the only output; DataError where neither is there."""
    if ENERGY in outputs or len(outputs) == 1:
        return ENERGY if ENERGY in outputs else next(iter(outputs))
    raise DataError(
        f"no output is called '{ENERGY}': {', '.join(outputs)}",
        where="reference",
        hint="call the total energy 'energy', or write reference = 'none'",
    )


def symbol(z: int) -> str:
    """H for 1; the number itself where no element has it."""
    return SYMBOLS[z - 1] if 1 <= z <= len(SYMBOLS) else str(z)


def _number(key: str) -> int:
    if key in SYMBOLS:
        return SYMBOLS.index(key) + 1
    if key.isdecimal():
        return int(key)
    raise ConfigError(f"'{key}' is no element", where="reference", hint="write symbols such as H or Na")


def _numbers(inputs: Mapping[str, Tensor]) -> str:
    """The input that says which element each atom is."""
    for name in NUMBERS:
        if name in inputs and not inputs[name].is_floating_point():
            return name
    raise DataError(
        f"no input holds the elements of the atoms: {', '.join(inputs)}",
        where="reference",
        hint=f"call it {' or '.join(NUMBERS[:3])}, integers; or write reference = 'none'",
    )


def _elements(z: Tensor) -> list[int]:
    """Every element once, in order."""
    return sorted(set(z.flatten().tolist()))


def _energies(subject: Subject, batch: Batch) -> Tensor:
    """E of each sample of a batch, (n,) float64 on the CPU, the offset of the subject left out."""
    bare = replace(subject, offset=None, derive={}, output=())
    runner = Runner(bare, torch.device("cpu"), subject.dtype, [], cast=False)
    with measuring(runner):
        outputs = runner.kept(batch)
    y = outputs[energy_in(outputs)].double().flatten()
    if len(y) != batch.count or not bool(torch.isfinite(y).all()):
        raise DataError(
            f"the energies of {batch.count} structures came as {len(y)} numbers, or not finite",
            where=f"{subject.name}, for the reference",
            hint="write reference = 'fit', a table, or 'none'",
        )
    return y.cpu()


def _isolated(subject: Subject, inputs: Mapping[str, Tensor], numbers: str, owner: str) -> dict[int, float]:
    """E of one atom of each element alone, in no cell."""
    data = _samples(inputs, owner)
    elements = _elements(inputs[numbers])
    count, tensors = len(elements), {}
    for name, x in data.tensors.items():
        kind = data.kinds.get(name, "dense") if data.owner_name is not None else "dense"
        if name == numbers:
            tensors[name] = torch.tensor(elements, dtype=x.dtype)
        elif kind == "owner":
            tensors[name] = torch.arange(count)
        elif kind == "edge_index":
            tensors[name] = x[:, :0]
        elif kind.startswith("edge:"):
            tensors[name] = x[:0]
        elif kind == "sample" or (kind == "row" and x.shape[1:] == (3,) and x.is_floating_point()):
            tensors[name] = x.new_zeros((count, *x.shape[1:]))
        else:
            raise DataError(
                f"what '{name}' is for one atom alone is not known", where="reference", hint="write reference = 'fit'"
            )
    sizes = torch.ones(count, dtype=torch.int64)
    found = _energies(subject, Batch(tensors, count, torch.arange(count), sizes, data.kinds))
    return dict(zip(elements, found.tolist(), strict=True))


def _fit(subject: Subject, inputs: Mapping[str, Tensor], numbers: str, owner: str) -> dict[int, float]:
    """ε by least squares of E on the numbers of atoms of each element."""
    data = _samples(inputs, owner)
    elements = torch.tensor(_elements(inputs[numbers]))
    composition, energies = [], []
    for start in range(0, data.count, _CHUNK):
        batch = data.take(torch.arange(start, min(start + _CHUNK, data.count)))
        ones = (batch.tensors[numbers].reshape(-1, 1) == elements).double()
        each = len(ones) // batch.count
        rows = batch.owner if batch.owner is not None else torch.arange(batch.count).repeat_interleave(each)
        composition.append(ones.new_zeros(batch.count, len(elements)).index_add_(0, rows, ones))
        energies.append(_energies(subject, batch))
    counts, y = torch.cat(composition), torch.cat(energies)
    if data.count <= len(elements) or int(torch.linalg.matrix_rank(counts)) < len(elements):
        raise DataError(
            f"{data.count} samples of {len(elements)} elements do not determine the fit",
            where="reference = 'fit'",
            hint="give more samples of different composition, or write reference = 'isolated'",
        )
    solution = torch.linalg.lstsq(counts, y[:, None]).solution[:, 0]
    found = dict(zip(elements.tolist(), solution.tolist(), strict=True))
    return {z: energy for z, energy in found.items() if math.isfinite(energy)}


def _samples(inputs: Mapping[str, Tensor], owner: str) -> Samples:
    return Samples({name: x.cpu() for name, x in inputs.items()}, owner if owner in inputs else None)
