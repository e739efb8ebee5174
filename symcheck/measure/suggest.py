"""A broken claim may be a wrong sentence about a good network: try other output actions on the pairs at hand.

No forward pass is spent: the probed outputs f(x) and f(g·x) are compared again under each candidate.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from symcheck.actions.base import Bound, move
from symcheck.actions.plain import make_action
from symcheck.errors import SymcheckError
from symcheck.grammar import Term
from symcheck.measure.defect import Slot
from symcheck.measure.floors import Probe
from symcheck.measure.samples import act

CANDIDATES = ("scalar", "pseudoscalar", "vector", "pseudovector", "covector", "nodes", "image", "sequence", "regular")
BETTER = 0.01  # how much smaller the error must become


def suggest_action(probe: Probe, slot: Slot) -> str:
    """What the output does instead, when another action explains it; empty when none does."""
    if slot.related is not None:
        return ""
    shape = tuple(probe.low_moved[slot.name].shape[1:])
    named = [("the inverse element (R.T for R) fits", slot.bound, True)]
    named += [(f"it behaves as '{name}'", bound, False) for name, bound in _others(probe, slot, shape)]
    current = _error(probe, slot, slot.bound, False)
    found = [(_error(probe, slot, bound, inverse), text) for text, bound, inverse in named]
    best, text = min(found, key=lambda pair: pair[0])
    return text if best <= BETTER * current else ""


def _others(probe: Probe, slot: Slot, shape: tuple[int, ...]) -> Iterator[tuple[str, Bound]]:
    for name in CANDIDATES:
        try:
            bound = Bound((make_action(Term(name)),), probe.bound.group)
            for part in bound.parts:
                part.action.check(part.group, shape, slot.name)
                part.action.represent(part.group, probe.bound.group.split(probe.g[:1])[part.index])
        except SymcheckError:
            continue
        if bound.parts or name == "scalar":
            yield name, bound


def _error(probe: Probe, slot: Slot, bound: Bound, inverse: bool) -> float:
    """Root mean square of f(g·x) − g·f(x) under another action; infinite where it does not apply."""
    g = probe.bound.group.inverse(probe.g) if inverse else probe.g
    y, base = probe.low_moved[slot.name], probe.low_still[slot.name]
    try:
        reps = move(bound.represent(g), y.device, torch.float64)
        delta = slot.gap(y, act(bound, reps, probe.index, base, probe.batch, slot.kind))
    except (SymcheckError, RuntimeError, IndexError):
        return float("inf")
    return float(slot.squared(delta, probe.batch).mean().sqrt())
