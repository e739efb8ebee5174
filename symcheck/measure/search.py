"""The worst case by search: many starts, then local ascent around the best elements, batched, forward passes only.

Works for every group with a notion of nearness: exp(ξ)g for Lie groups, transpositions for permutations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.claim import BoundClaim
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.measure.defect import Slot, base_of, defect, ready
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.plan import Stratum
from symcheck.measure.samples import move_batch
from symcheck.measure.tally import Cell

STARTS, LEADERS, ROUNDS, CHILDREN, INPUTS = 96, 3, 8, 8, 4
RADIUS, SHRINK = 0.5, 0.55


@dataclass(frozen=True)
class Searched:
    """The worst pair found: its element (1, *E), its sample, ||δ||, and the forwards it took."""

    g: Tensor
    label: str
    sample: int
    value: float
    forwards: int


def search_worst(
    evaluator: Evaluator, bound: BoundClaim, slot: Slot, stratum: Stratum, cell: Cell
) -> Searched:
    """Maximise ||δ(g, x)|| over the part of the group, for the samples with the largest errors so far."""
    squared = torch.from_numpy(cell.squared).nan_to_num(nan=math.inf)
    columns = squared.amax(0).topk(min(INPUTS, squared.shape[1])).indices.tolist()
    best: Searched | None = None
    for column in columns:
        known = squared[:, column].topk(min(LEADERS, len(squared))).indices
        found = _ascend(evaluator, bound, slot, stratum, int(column), stratum.g[known])
        if best is None or not found.value <= best.value:
            best = found
    if best is None:  # no samples: the cell would have refused before
        raise ValueError("nothing to search")
    return best


def _ascend(
    evaluator: Evaluator, bound: BoundClaim, slot: Slot, stratum: Stratum, sample: int, start: Tensor
) -> Searched:
    group, rng = bound.group, Draws(0, f"worst {bound.claim} {slot.name} {sample}")
    drawn = group.sample(4 * STARTS, rng)
    pool = torch.cat([start, drawn[_same_part(group, drawn, stratum)][:STARTS]])
    values = _errors(evaluator, bound, slot, pool, sample)
    forwards, radius = len(pool), RADIUS
    for _ in range(ROUNDS if not stratum.exhaustive and not stratum.resampled else 0):
        leaders = pool[values.topk(min(LEADERS, len(pool))).indices]
        children = group.nearby(leaders.repeat_interleave(CHILDREN, 0), radius, rng)
        children = children[_same_part(group, children, stratum)]
        if len(children):
            forwards += len(children)
            pool = torch.cat([leaders, children])
            values = torch.cat(
                [values.topk(len(leaders)).values, _errors(evaluator, bound, slot, children, sample)]
            )
        radius *= SHRINK
    top = int(values.argmax())
    return Searched(pool[top : top + 1], group.label(pool, top), sample, float(values[top]), forwards)


def _same_part(group: Group, g: Tensor, stratum: Stratum) -> Tensor:
    wanted = bool(group.proper(stratum.g[:1])[0])
    return group.proper(g) == wanted


def _errors(evaluator: Evaluator, bound: BoundClaim, slot: Slot, g: Tensor, sample: int) -> Tensor:
    """||δ|| of one sample under every element of g, on the host; NaN counts as the worst."""
    device = evaluator.runner.device
    elements = ready(bound, {slot.name: slot}, g, device)
    base, size = evaluator.base(bound), max(1, evaluator.chunks.size)
    found = []
    for first in range(0, len(g), size):
        index = torch.arange(first, min(first + size, len(g)), device=device)
        picks = torch.full_like(index, sample)
        batch = evaluator.samples.take(picks)
        outputs = evaluator.run(move_batch(bound, elements.inputs, index, batch))
        delta = defect(slot, elements, index, outputs[slot.name], base_of(slot, base, picks), batch)
        found.append(slot.squared(delta, batch).sqrt())
    return torch.cat(found).nan_to_num(nan=math.inf).cpu()
