"""What is kept of a cell (elements × samples): scalars per pair and one running sum per sample; one host sync.

Variance split over the group, with F_g(x) = g⁻¹·f(g·x) and δ = F_g − f(x):

    V = E_x Var_g F_g(x)                   what no equivariant model could produce
    D = E_x ||F̄(x) − c||², c = P₀ E_x F̄    what differs between samples (or is moved by the group)
    S² = V + D                              the slot scale;  share = sqrt(V / S²)

F̄ is the mean over g, P₀ the projector on what the group leaves alone. Where nothing can be pulled back
V = ½ E||δ||², equal to the above when the law of x is invariant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.base import move
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.measure.defect import Slot, widest
from symcheck.measure.samples import Samples

SHIFTS = 64  # how many other rows an output is compared with where it has no mean
COMPONENTS = 4096  # outputs with more numbers per sample are not followed one by one


@dataclass
class Tally:
    """Accumulator of one output over the pairs of one cell, on the device; those of blocks of elements add up."""

    split: bool
    squared: Tensor  # (K, B) ||δ||²
    halves: Tensor  # (K // 2, B) ½||δ₂ⱼ − δ₂ⱼ₊₁||²
    total: Tensor | None = None  # (B, components) Σ_g δ
    by_component: Tensor | None = None  # (components,) Σ δ²
    changed: Tensor | None = None  # (K, B) whether the neighbour graph of g·x is another one

    @classmethod
    def empty(cls, elements: int, samples: int, device: torch.device, split: bool) -> Tally:
        """Nothing measured yet: an error that is never added stays NaN."""
        squared = torch.full((elements, samples), torch.nan, dtype=torch.float64, device=device)
        return cls(split, squared, torch.zeros((elements // 2, samples), dtype=torch.float64, device=device))

    @classmethod
    def joined(cls, tallies: Sequence[Tally]) -> Tally:
        """One tally from those of consecutive blocks of elements; all but the last one have an even number of them."""

        def summed(parts: list[Tensor | None]) -> Tensor | None:
            found = [part for part in parts if part is not None]
            return torch.stack(found).sum(0) if found else None

        return cls(
            tallies[0].split,
            torch.cat([t.squared for t in tallies]),
            torch.cat([t.halves for t in tallies]),
            summed([t.total for t in tallies]),
            summed([t.by_component for t in tallies]),
            torch.cat(changed) if len(changed := [t.changed for t in tallies if t.changed is not None]) else None,
        )

    def rows(self, elements: Tensor) -> Tally:
        """Some of the elements alone: what was summed over all of them is left out."""
        changed = None if self.changed is None else self.changed[elements]
        return Tally(False, self.squared[elements], self.halves[:0], changed=changed)

    def add(
        self, elements: slice, samples: slice, delta: Tensor, squared: Tensor, changed: Tensor | None = None
    ) -> None:
        """Add a block of pairs, element-major; `elements.start` is even."""
        count, width = elements.stop - elements.start, samples.stop - samples.start
        self.squared[elements, samples] = squared.view(count, width)
        if changed is not None:
            self.changed = torch.zeros_like(self.squared) if self.changed is None else self.changed
            self.changed[elements, samples] = changed.view(count, width).double()
        if not self.split:
            return
        block = delta.reshape(count, width, -1)
        if block.shape[2] <= COMPONENTS:
            squares = block.double().square().sum((0, 1))
            self.by_component = squares if self.by_component is None else self.by_component + squares
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
    changed: np.ndarray | None  # (K, B) bool: the neighbour graph of g·x is another one
    component: tuple[int, float] | None  # of an invariant output: the worst number alone, on its own spread
    labels: bool = False  # ||δ||² counts the entries that changed
    margin: np.ndarray | None = None  # (B,) how far f(x) is from another label

    def worst(self) -> tuple[int, int]:
        """The element and the sample of the largest error; what is not finite is worst."""
        bad = np.where(np.isfinite(self.squared), self.squared, np.inf)
        row, column = divmod(int(bad.argmax()), bad.shape[1])
        return row, column


@dataclass(frozen=True)
class Rest:
    """What f(x) itself contributes, once for all parts of a claim: flat rows, ||f(x)||² and P₀ of their mean.

    `invariant`: nothing moves the output; `curved`: its differences are distances, `labels`: between categories, with
    the mean `margin` of each sample where there is one.
    """

    flat: Tensor  # (rows, components) float64
    owner: Tensor | None
    count: int
    size: Tensor
    centre: Tensor
    finite: Tensor
    invariant: bool
    curved: bool
    labels: bool = False
    margin: Tensor | None = None

    def per_sample(self, rows: Tensor) -> Tensor:
        """Sum a number per row into a number per sample."""
        if self.owner is None:
            return rows
        return torch.zeros(self.count, dtype=rows.dtype, device=rows.device).index_add_(0, self.owner, rows)


def at_rest(slot: Slot, base: Samples, group: Group, margin: Tensor | None = None) -> Rest:
    """Reduce f(x) of all samples; `margin` says of each entry of a label how far it is from another one."""
    outputs = base.tensors[slot.name]
    if slot.curved:
        flat = _apart(slot, outputs)
        centre = torch.zeros_like(flat[0])
    else:
        rows = slot.gap(outputs, torch.zeros_like(outputs))
        flat = rows.reshape(len(rows), -1).double()
        mean = _centre(slot, group, widest(outputs).mean(0))[None]
        centre = slot.gap(mean, torch.zeros_like(mean)).reshape(-1).double()
    owner = base.tensors[base.owner_name] if slot.kind == "row" and base.owner_name else None
    finite = torch.isfinite(flat).all()
    rest = Rest(flat, owner, base.count, flat, centre, finite, slot.bound.trivial, slot.curved)
    size = torch.ones_like(flat) if slot.labels else flat.square()
    if margin is not None:
        rest = replace(rest, finite=finite & ~torch.isnan(margin).any())  # a label made of NaN is none
        rows = margin.reshape(len(margin), -1).double().mean(1)
        margin = rest.per_sample(rows) / rest.per_sample(torch.ones_like(rows))
    return replace(rest, size=rest.per_sample(size.sum(1)), labels=slot.labels, margin=margin)


def _apart(slot: Slot, outputs: Tensor) -> Tensor:
    """Where distances stand for norms: half the mean squared distance to other rows averages to the variance."""
    last = max(len(outputs) - 1, 1)
    steps = {round(k) for k in torch.linspace(1, last, min(SHIFTS, last)).tolist()}
    squares = [slot.gap(outputs, outputs.roll(k, 0)).reshape(len(outputs), -1).double().square() for k in steps]
    return (torch.stack(squares).mean(0) / 2).sqrt()


def finish(tally: Tally, rest: Rest, exhaustive: bool, subgroup: bool) -> Cell:
    """Turn a tally into host numbers: all reductions on the device, then one transfer."""
    elements = tally.squared.shape[0] + (1 if exhaustive else 0)
    total = tally.total if tally.split and subgroup else None
    mean_delta = torch.zeros_like(rest.flat) if total is None else total / elements
    between = rest.per_sample((rest.flat + mean_delta - rest.centre).square().sum(1))
    if rest.invariant and rest.owner is None and not rest.curved:
        between = between * (rest.count / max(rest.count - 1, 1))
    moved = mean_delta.square().sum(1)
    cells, bias = tally.squared / 2, torch.zeros_like(moved[:1])
    if total is None and not rest.curved:
        between = between - cells.mean(0)  # around f(x), not around its mean over the group: V is in it too
    elif total is not None and exhaustive:
        cells = (tally.squared.sum(0) / elements - moved)[None]
    elif total is not None and len(tally.halves):
        cells = tally.halves
        bias = cells.mean(0) / elements  # the mean over so many elements keeps this much of the variance
        between = between - bias
    component = _worst_component(tally, rest)
    finite = rest.finite & torch.isfinite(tally.squared).all()
    components = rest.per_sample(torch.full_like(rest.flat[:, 0], float(rest.flat.shape[1])))
    advantage = (moved - bias).mean()
    changed = rest.flat.new_zeros(0) if tally.changed is None else tally.changed
    pieces = (tally.squared, cells, between, rest.size, components, advantage, finite.double(), component, changed)
    host = torch.cat([p.reshape(-1) for p in pieces]).cpu().numpy()
    parts = np.split(host, np.cumsum([p.numel() for p in pieces])[:-1])
    return Cell(
        squared=parts[0].reshape(tally.squared.shape),
        variance=parts[1].reshape(cells.shape),
        between=parts[2],
        size=parts[3],
        components=parts[4],
        advantage=None if total is None else max(float(parts[5][0]), 0.0),
        finite=bool(parts[6][0]),
        changed=None if tally.changed is None else parts[8].reshape(changed.shape) > 0,
        component=(int(parts[7][0]), float(parts[7][1])) if len(parts[7]) else None,
        labels=rest.labels,
        margin=None if rest.margin is None else rest.margin.cpu().numpy(),
    )


def _worst_component(tally: Tally, rest: Rest) -> Tensor:
    """Which number of an invariant output has the largest error beside its own spread, and that error: (2,) or (0,).

    Numbers of a larger scale may hide it in the error of the whole output.
    """
    squares = tally.by_component
    if squares is None or not rest.invariant or rest.owner is not None or len(squares) < 2:
        return rest.flat.new_zeros(0)
    mean = squares / tally.squared.numel()
    spread = rest.flat.var(0) + mean / 2
    rounding = (1e3 * torch.finfo(torch.float32).eps * rest.flat.abs().amax(0)).square()
    error = torch.where(spread > rounding.clamp(min=1e-300), (mean / spread).sqrt(), 0.0)
    top = torch.nan_to_num(error).max(0)
    return torch.stack([top.indices.double(), top.values])


def _centre(slot: Slot, group: Group, mean: Tensor) -> Tensor:
    """P₀·mean: what the group leaves alone, by repeated averaging over random elements (it contracts the rest).

    Permutations of packed rows leave the mean row alone; what stretches has no mean worth taking out.
    """
    bound = slot.bound
    parts = [i for i, part in enumerate(bound.parts) if slot.kind == "dense" or part.action.rowwise]
    affine = any(part.action.affine and "translation" in part.group.faces for part in bound.parts)
    if not parts or affine:
        return mean
    if not slot.isometric or not _contracts(group):
        return torch.zeros_like(mean)
    rounds, width = 5, 10
    reps = move(bound.represent(group.sample(rounds * width, Draws(0, "centre"))), mean.device, torch.float64)
    for i in range(rounds):
        rows = torch.arange(i * width, (i + 1) * width, device=mean.device)
        moved = mean.expand(width, *mean.shape)
        for k in parts:
            moved = bound.parts[k].action.act(bound.parts[k].group, tuple(t[rows] for t in reps[k]), moved)
        mean = moved.mean(0)
    return mean


def _contracts(group: Group) -> bool:
    return all(factor.compact or "translation" in factor.faces for factor in group.factors())
