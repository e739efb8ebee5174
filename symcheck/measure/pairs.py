"""The errors of given pairs (g, x), each element with a sample of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor
from torch.nn.functional import pad

from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.measure.defect import Slot, at_rest_of, defect, ready
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.samples import move_batch


def pair_errors(
    evaluator: Evaluator, bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor, picks: Tensor
) -> dict[str, Tensor]:
    """||δ(g_i, x_picks[i])|| of every output, (n,) on the host; what is not a number counts as infinite."""
    found: dict[str, list[Tensor]] = {name: [] for name in slots}
    for deltas, batch in _defects(evaluator, bound, slots, g, picks):
        for name, slot in slots.items():
            found[name].append(slot.squared(deltas[name], batch).sqrt())
    return {name: torch.cat(parts).nan_to_num(nan=math.inf).cpu() for name, parts in found.items()}


def pair_defects(
    evaluator: Evaluator, bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor, picks: Tensor
) -> dict[str, Tensor]:
    """δ(g_i, x_picks[i]) of every output, (n, components) float64 on the host.

    Packed rows of one sample stand side by side, zeros after the last one where samples differ in size.
    """
    found: dict[str, list[Tensor]] = {name: [] for name in slots}
    for deltas, batch in _defects(evaluator, bound, slots, g, picks):
        for name, delta in deltas.items():
            found[name].append(_by_sample(slots[name], delta, batch).double().cpu())
    wide = {name: max(part.shape[1] for part in parts) for name, parts in found.items()}
    return {n: torch.cat([pad(part, (0, wide[n] - part.shape[1])) for part in parts]) for n, parts in found.items()}


def _by_sample(slot: Slot, delta: Tensor, batch: Batch) -> Tensor:
    if slot.kind != "row" or batch.owner is None or batch.sizes is None:
        return delta.reshape(batch.count, -1)
    within = torch.arange(len(delta), device=delta.device) - (batch.sizes.cumsum(0) - batch.sizes)[batch.owner]
    spread = delta.new_zeros(batch.count, int(batch.sizes.max()), *delta.shape[1:])
    spread[batch.owner, within] = delta
    return spread.flatten(1)


def _defects(
    evaluator: Evaluator, bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor, picks: Tensor
) -> Iterator[tuple[dict[str, Tensor], Batch]]:
    """δ of every output, chunk by chunk of the pairs."""
    device = evaluator.runner.device
    elements, base = ready(bound, slots, g, device), evaluator.base(bound)
    picks, size = picks.to(device), max(1, evaluator.chunks.size)
    for first in range(0, len(g), size):
        index = torch.arange(first, min(first + size, len(g)), device=device)
        chosen = picks[index]
        batch = evaluator.samples.take(chosen)
        outputs = evaluator.run(move_batch(bound, elements, index, batch))
        rest = at_rest_of(slots, base, chosen)
        yield {name: defect(slot, elements, index, outputs, rest, batch) for name, slot in slots.items()}, batch
