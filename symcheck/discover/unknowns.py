"""The unknowns: which matrices may generate a change of each input, and which outputs may follow it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from symcheck.discover.forms import parse_form, preserving
from symcheck.errors import ConfigError, DataError
from symcheck.measure.samples import Samples
from symcheck.registry import suggest

WIDEST = 64
ACTING = ("auto", "free", "invariant")


@dataclass(frozen=True)
class Block:
    """One unknown generator x -> A x + b on the trailing axis of one or several inputs.

    `basis`, (m, d, d + 1), spans the allowed (A, b), b in units of `scale`; `moment` is E z zᵀ of z = (x, scale) over
    all rows, divided by E|x|².
    """

    name: str
    inputs: tuple[str, ...]
    width: int
    affine: bool
    form: str
    scale: float
    basis: Tensor
    moment: Tensor

    @property
    def gram(self) -> Tensor:
        """(m, m): E⟨X x, Y x⟩ / E|x|² for the basis."""
        return torch.einsum("kia,ab,lib->kl", self.basis, self.moment, self.basis)

    def extended(self, x: Tensor) -> Tensor:
        """The rows z = (x, scale), (rows, d + 1) float64."""
        rows = x.reshape(-1, self.width).double()
        return torch.cat([rows, torch.full_like(rows[:, :1], self.scale)], 1)


@dataclass(frozen=True)
class Slot:
    """One output: its trailing axis of `width` numbers moves by an unknown matrix (`free`) or not (`invariant`)."""

    name: str
    width: int
    acting: str
    spread: float  # root mean square of f − E f per number
    numbers: int = 0  # of all samples


@dataclass(frozen=True)
class Ask:
    """What to search: inputs (all that are real by default), forms by input, shared blocks, shifts, outputs."""

    inputs: tuple[str, ...] = ()
    forms: Mapping[str, str] = field(default_factory=dict)
    shared: bool = False
    affine: bool = True
    acting: str = "auto"
    seed: int = 0


def blocks_of(samples: Samples, ask: Ask) -> list[Block]:
    """A block for each searched input, or for all inputs of one width where they are shared.

    Raises DataError for inputs that are too wide for d² unknowns, ConfigError for unknown names and forms.
    """
    names = _searched(samples, ask)
    forms = _forms(ask.forms, names)
    groups: dict[object, list[str]] = {}
    for name in names:
        width = samples.tensors[name].shape[-1]
        groups.setdefault((width, forms[name]) if ask.shared else name, []).append(name)
    return [_block(samples, tuple(group), forms[group[0]], ask.affine) for group in groups.values()]


def spanned(block: Block) -> int:
    """The rank of the moment: how many of the d (+ 1) directions the data span."""
    moment = block.moment if block.affine else block.moment[: block.width, : block.width]
    values = torch.linalg.eigvalsh(moment)
    return int((values > 1e-10 * values.max()).sum())


def acting_on(width: int, shape: tuple[int, ...], ask: Ask) -> str:
    """Whether an output may move: one number stays what it is unless it is set free; what is wide stays too."""
    if ask.acting != "auto":
        return ask.acting
    return "invariant" if width == 1 or width > WIDEST or len(shape) > 2 else "free"


def _searched(samples: Samples, ask: Ask) -> list[str]:
    real = [n for n, x in samples.tensors.items() if x.is_floating_point() and n != samples.owner_name]
    for name in ask.inputs:
        if name not in samples.tensors:
            raise ConfigError(f"there is no input '{name}'", where="--input", hint=suggest(name, real))
        if name not in real:
            raise DataError(
                f"input '{name}' holds {samples.tensors[name].dtype}, which no generator can move", where="--input",
                hint=f"real inputs: {', '.join(real) or 'none'}",
            )  # fmt: skip
    names = list(ask.inputs) or real
    if not names:
        raise DataError(
            "no input is real: there is nothing that a generator could move", where=", ".join(samples.tensors),
            hint="whole numbers have discrete symmetries only",
        )  # fmt: skip
    fitting = [name for name in names if _fits(samples, name)]
    if not fitting:
        shapes = ", ".join(f"{name} {tuple(samples.tensors[name].shape[1:])}" for name in names)
        raise DataError(
            f"the inputs are too large for a search of all generators: d numbers make d² unknowns, d at most {WIDEST}",
            where=f"shapes of one sample: {shapes}",
            hint="give vectors (B, d) or points (B, N, d), or a part of the network behind its first layers",
        )
    return fitting


def _fits(samples: Samples, name: str) -> bool:
    x = samples.tensors[name]
    packed = samples.owner_name is not None and samples.kinds[name] == "row"
    return x.dim() in ((2,) if packed else (2, 3)) and x.shape[-1] <= WIDEST and _leads(samples, name)


def _leads(samples: Samples, name: str) -> bool:
    return samples.owner_name is None or samples.kinds[name] in ("row", "sample")


def _forms(asked: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    """The form of each input; the entry of the empty name is that of all others."""
    if unknown := [name for name in asked if name and name not in names]:
        raise ConfigError(f"there is no input '{unknown[0]}'", where="--form", hint=suggest(unknown[0], list(names)))
    return {name: asked.get(name, asked.get("", "")) for name in names}


def _block(samples: Samples, names: tuple[str, ...], form: str, affine: bool) -> Block:
    x = torch.cat([samples.tensors[name].reshape(-1, samples.tensors[name].shape[-1]).double().cpu() for name in names])
    d, size = x.shape[1], float(x.square().sum(1).mean())
    if not size > 0:
        raise DataError(f"input '{names[0]}' is zero throughout", where="inputs", hint="give inputs that differ")
    linear = preserving(parse_form(form, d)) if form else torch.eye(d * d, dtype=torch.float64).reshape(-1, d, d)
    basis = torch.nn.functional.pad(linear, (0, 1))
    if affine:
        shifts = torch.zeros((d, d, d + 1), dtype=torch.float64)
        shifts[torch.arange(d), torch.arange(d), d] = 1.0
        basis = torch.cat([basis, shifts])
    block = Block("+".join(names), names, d, affine, form, (size / d) ** 0.5, basis, torch.zeros(()))
    z = block.extended(x)
    return replace(block, moment=z.T @ z / len(z) / size)
