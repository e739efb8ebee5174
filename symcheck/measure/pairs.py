"""The errors of given pairs (g, x), each element with a sample of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.claim import BoundClaim
from symcheck.measure.defect import Slot, at_rest_of, defect, ready
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.samples import move_batch


def pair_errors(
    evaluator: Evaluator, bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor, picks: Tensor
) -> dict[str, Tensor]:
    """||δ(g_i, x_picks[i])|| of every output, (n,) on the host; what is not a number counts as infinite."""
    device = evaluator.runner.device
    elements, base = ready(bound, slots, g, device), evaluator.base(bound)
    picks, size = picks.to(device), max(1, evaluator.chunks.size)
    found: dict[str, list[Tensor]] = {name: [] for name in slots}
    for first in range(0, len(g), size):
        index = torch.arange(first, min(first + size, len(g)), device=device)
        chosen = picks[index]
        batch = evaluator.samples.take(chosen)
        outputs = evaluator.run(move_batch(bound, elements, index, batch))
        rest = at_rest_of(slots, base, chosen)
        for name, slot in slots.items():
            delta = defect(slot, elements, index, outputs, rest, batch)
            found[name].append(slot.squared(delta, batch).sqrt())
    return {name: torch.cat(parts).nan_to_num(nan=math.inf).cpu() for name, parts in found.items()}
