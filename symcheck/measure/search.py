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
from symcheck.measure.defect import Slot
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.pairs import pair_errors
from symcheck.measure.plan import Stratum
from symcheck.measure.tally import Cell

STARTS, CHILDREN, INPUTS = 80, 4, 4
LEADERS = (14, 12, 8, 5, 4, 3, 3, 2, 2)  # how many candidates are refined in each round
RADIUS, KEEP, SHRINK = 0.4, 0.8, 0.45


@dataclass(frozen=True)
class Searched:
    """The worst pair found: its element (1, *E), its sample, ||δ||, and the forwards it took."""

    g: Tensor
    label: str
    sample: int
    value: float
    forwards: int


def search_worst(evaluator: Evaluator, bound: BoundClaim, slot: Slot, stratum: Stratum, cell: Cell) -> Searched:
    """Maximise ||δ(g, x)|| over the part of the group, for the samples with the largest errors so far."""
    squared = torch.from_numpy(cell.squared).nan_to_num(nan=math.inf)
    columns = squared.amax(0).topk(min(INPUTS, squared.shape[1])).indices.tolist()
    found = []
    for column in columns:
        known = squared[:, column].topk(min(3, len(squared))).indices
        found.append(_ascend(evaluator, bound, slot, stratum, int(column), stratum.g[known]))
    return max(found, key=lambda one: one.value)


def _ascend(
    evaluator: Evaluator, bound: BoundClaim, slot: Slot, stratum: Stratum, sample: int, start: Tensor
) -> Searched:
    group, rng = bound.group, Draws(0, f"worst {bound.claim} {slot.name} {sample}")
    pool = stratum.g
    if not (stratum.exhaustive or stratum.resampled):
        drawn = group.sample(4 * STARTS, rng)
        pool = torch.cat([start, drawn[_same_part(group, drawn, stratum)][:STARTS]])
    values = _errors(evaluator, bound, slot, pool, sample)
    forwards = len(pool)
    leaders, radius = pool, torch.full_like(values, RADIUS)
    for kept in () if stratum.exhaustive or stratum.resampled else LEADERS:
        top = values.topk(min(kept, len(values)))
        leaders, values, radius = leaders[top.indices], top.values, radius[top.indices]
        children = group.nearby(leaders.repeat_interleave(CHILDREN, 0), radius.repeat_interleave(CHILDREN), rng)
        children = torch.where(_rows_like(_same_part(group, children, stratum), children), children, start[:1])
        found = _errors(evaluator, bound, slot, children, sample).view(-1, CHILDREN).max(1)
        forwards += len(children)
        better = found.values > values
        best = children.view(-1, CHILDREN, *children.shape[1:])[torch.arange(len(leaders)), found.indices]
        leaders = torch.where(_rows_like(better, leaders), best, leaders)
        values = torch.maximum(values, found.values)
        radius = radius * torch.where(better, KEEP, SHRINK)
    i = int(values.argmax())
    return Searched(leaders[i : i + 1], group.label(leaders, i), sample, float(values[i]), forwards)


def _rows_like(flags: Tensor, rows: Tensor) -> Tensor:
    return flags.view(-1, *[1] * (rows.dim() - 1))


def _same_part(group: Group, g: Tensor, stratum: Stratum) -> Tensor:
    wanted = bool(group.proper(stratum.g[:1])[0])
    return group.proper(g) == wanted


def _errors(evaluator: Evaluator, bound: BoundClaim, slot: Slot, g: Tensor, sample: int) -> Tensor:
    """||δ|| of one sample under every element of g, on the host; NaN counts as the worst."""
    return pair_errors(evaluator, bound, {slot.name: slot}, g, torch.full((len(g),), sample))[slot.name]
