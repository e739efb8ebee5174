"""What is kept of a cell (elements × samples): scalars per pair and one running sum per sample; one host sync.

Variance split over the group, with F_g(x) = g⁻¹·f(g·x) and δ = F_g − f(x):

    V = E_x Var_g F_g(x)                   what no equivariant model could produce
    D = E_x ||F̄(x) − c||², c = P₀ E_x F̄    what differs between samples (or is moved by the group)
    S² = V + D                              the slot scale;  share = sqrt(V / S²)

F̄ is the mean over g, P₀ the projector on what the group leaves alone. Where nothing can be pulled back
V = ½ E||δ||², equal to the above when the law of x is invariant.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.base import gather, move
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.measure.defect import Slot
from symcheck.measure.samples import Samples


class Tally:
    """Device-side accumulator of one output over the pairs of one cell."""

    def __init__(self, elements: int, samples: int, device: torch.device, split: bool) -> None:
        self.split = split
        self.squared = torch.full((elements, samples), torch.nan, dtype=torch.float64, device=device)
        self.halves = torch.zeros((elements // 2, samples), dtype=torch.float64, device=device)
        self.total: Tensor | None = None

    def add(self, elements: slice, samples: slice, delta: Tensor, squared: Tensor) -> None:
        """Add a block of pairs, element-major; `elements.start` is even."""
        count, width = elements.stop - elements.start, samples.stop - samples.start
        self.squared[elements, samples] = squared.view(count, width)
        if not self.split:
            return
        block = delta.reshape(count, width, -1)
        pairs = count // 2
        gaps = block[: 2 * pairs : 2] - block[1 : 2 * pairs : 2]
        first = elements.start // 2
        norms = torch.linalg.vector_norm(gaps, dim=2, dtype=torch.float64)
        self.halves[first : first + pairs, samples] = norms.square() / 2
        if self.total is None:
            self.total = torch.zeros((self.squared.shape[1], block.shape[2]), dtype=torch.float64, device=delta.device)
        self.total[samples] += block.sum(0, dtype=torch.float64)


@dataclass(frozen=True)
class Cell:
    """One output's cell on the host. `between` is D per sample, `size` is ||f(x)||² per sample."""

    squared: np.ndarray  # (K, B) ||δ||²
    variance: np.ndarray  # (B,) or (K', B): cells whose mean is V
    between: np.ndarray  # (B,)
    size: np.ndarray  # (B,)
    components: np.ndarray  # (B,) numbers per sample
    advantage: float | None
    finite: bool


def finish(tally: Tally, slot: Slot, base: Samples, group: Group, exhaustive: bool, subgroup: bool) -> Cell:
    """Turn a tally into host numbers: all reductions on the device, then one transfer."""
    outputs = base.tensors[slot.name]
    count = tally.squared.shape[1]
    split = tally.split and subgroup and tally.total is not None
    flat, owner = _flat(slot, outputs, base)
    finite = torch.isfinite(flat).all() & torch.isfinite(tally.squared).all()
    size = _per_sample(flat.square().sum(1), owner, count)
    elements = tally.squared.shape[0] + (1 if exhaustive else 0)
    mean_delta = tally.total / elements if split and tally.total is not None else torch.zeros_like(flat)
    centred = flat + mean_delta
    centre = _centre(slot, group, centred.mean(0).view(outputs.shape[1:]))
    between = _per_sample((centred - centre.reshape(1, -1)).square().sum(1), owner, count)
    if slot.bound.trivial and owner is None:
        between = between * (count / max(count - 1, 1))
    moved = mean_delta.square().sum(1)
    if split and exhaustive:
        cells = (tally.squared.sum(0) / elements - moved)[None]
    elif split and len(tally.halves):
        cells = tally.halves
        between = (between - cells.mean(0) / elements).clamp(min=0)
    else:
        cells = tally.squared / 2
    entries = torch.full((len(flat),), float(flat.shape[1]), dtype=torch.float64, device=flat.device)
    components = _per_sample(entries, owner, count)
    advantage = (moved.mean() - (0.0 if exhaustive else cells.mean() / elements)) if split else flat.new_tensor(0.0)
    pieces = (tally.squared, cells, between, size, components, advantage, finite.double())
    host = torch.cat([p.reshape(-1) for p in pieces]).cpu().numpy()
    parts = np.split(host, np.cumsum([p.numel() for p in pieces])[:-1])
    return Cell(
        parts[0].reshape(tally.squared.shape),
        parts[1].reshape(cells.shape),
        *parts[2:5],
        advantage=max(float(parts[5][0]), 0.0) if split else None,
        finite=bool(parts[6][0]),
    )


def _flat(slot: Slot, outputs: Tensor, base: Samples) -> tuple[Tensor, Tensor | None]:
    rows = slot.gap(outputs, torch.zeros_like(outputs)) if _linear(slot) else outputs
    flat = rows.reshape(len(rows), -1).double()
    owner = base.tensors[base.owner_name] if slot.kind == "row" and base.owner_name else None
    return flat, owner


def _linear(slot: Slot) -> bool:
    return slot.mask is not None or slot.bound.trivial


def _per_sample(rows: Tensor, owner: Tensor | None, count: int) -> Tensor:
    if owner is None:
        return rows
    return torch.zeros(count, dtype=rows.dtype, device=rows.device).index_add_(0, owner, rows)


def _centre(slot: Slot, group: Group, mean: Tensor) -> Tensor:
    """P₀·mean: what the group leaves alone, by repeated averaging over random elements (it contracts the rest)."""
    bound = slot.bound
    if bound.trivial:
        return mean
    if any(part.action.affine and "translation" in part.group.faces for part in bound.parts):
        return mean
    if not bound.isometric or slot.kind == "row" or not _contracts(group):
        return torch.zeros_like(mean)
    rng, rounds, width = Draws(0, "centre"), 6, 12
    g = group.sample(rounds * width, rng)
    reps = move(bound.represent(g), mean.device, torch.float64)
    for i in range(rounds):
        rows = torch.arange(i * width, (i + 1) * width, device=mean.device)
        mean = bound.act(gather(reps, rows), mean.expand(width, *mean.shape)).mean(0)
    return mean


def _contracts(group: Group) -> bool:
    return all(factor.compact or "translation" in factor.faces for factor in group.factors())
