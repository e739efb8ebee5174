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
        rows, first, second = evaluator.again(bound)
    except ModelError:  # batch normalisation in training mode refuses a batch of one
        return dict.fromkeys(slots, (0.0, math.inf))
    base = at_rest_of(slots, evaluator.base(bound), rows)
    return {
        name: (
            _largest(evaluator, slot, rows, first[name], second[name]),
            _largest(evaluator, slot, rows, first[name], base[name]),
        )
        for name, slot in slots.items()
    }


def _largest(evaluator: Evaluator, slot: Slot, rows: Tensor, y: Tensor, z: Tensor) -> float:
    return float(slot.squared(slot.gap(y, z), evaluator.samples.take(rows)).sqrt().max())
