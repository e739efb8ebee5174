"""Repetition and company: what changes when nothing but the batch does."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from symcheck.claim import BoundClaim
from symcheck.errors import ModelError
from symcheck.measure.defect import Slot, at_rest_of
from symcheck.measure.evaluator import Evaluator


def company(evaluator: Evaluator, bound: BoundClaim, slots: Mapping[str, Slot]) -> dict[str, tuple[float, float]]:
    """Per output the largest ||f(x) − f(x)'|| between two equal runs, and between two companies of batch-mates."""
    try:
        runs = evaluator.again(bound)
    except ModelError:  # batch normalisation in training mode refuses a batch of one
        return dict.fromkeys(slots, (0.0, math.inf))
    base, ((rows, first), (_, second), (others, third)) = evaluator.base(bound), runs
    found = {}
    for name, slot in slots.items():
        repeat = _largest(evaluator, slot, rows, first[name], second[name])
        apart = [
            _largest(evaluator, slot, those, y[name], at_rest_of(slots, base, those)[name])
            for those, y in ((rows, first), (others, third))
        ]
        found[name] = (repeat, math.nan if any(map(math.isnan, apart)) else max(apart))
    return found


def _largest(evaluator: Evaluator, slot: Slot, rows: Tensor, y: Tensor, z: Tensor) -> float:
    return float(slot.squared(slot.gap(y, z), evaluator.samples.take(rows)).sqrt().max())
