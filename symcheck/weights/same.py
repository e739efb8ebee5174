"""Are two checkpoints one network? By fingerprints, by matching them in one gauge, and by running a model."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.weights.canonical import gauged
from symcheck.weights.fingerprint import differing, fingerprint, precision
from symcheck.weights.match import Match
from symcheck.weights.spec import Spec
from symcheck.weights.still import periods
from symcheck.weights.twin import Twin

CLOSE = 0.5  # relative distance below which two checkpoints have something in common; two trainings are at about 1.4
_MARGIN = 64  # machine epsilons of the stored precision that rounding may have grown to
_UNSURE = 100  # between that and so much more nothing is said


@dataclass(frozen=True)
class Answer:
    """Whether b = g·a for an element g of the spec; None where it could not be decided.

    `tensor` is the first tensor that differs, `distance` = ‖g·a − b‖ / ‖b‖ for the best element found, with scales
    and matrices balanced; `close` when that, or the distance as they are, is below 0.5. Acting with the elements
    `forward` one after another on a, and with `back` on b, brings both to the same place.
    """

    same: bool | None
    reason: str
    tensor: str = ""
    distance: float = math.nan
    close: bool = False
    outputs: float | None = None
    forward: tuple[Mapping[str, Tensor], ...] = field(default=(), repr=False, compare=False)
    back: Mapping[str, Tensor] = field(default_factory=dict, repr=False, compare=False)


def same_function(
    spec: Spec,
    a: Mapping[str, Tensor],
    b: Mapping[str, Tensor],
    model: nn.Module | None = None,
    example_inputs: Any = None,
    *,
    seed: int = 0,
) -> Answer:
    """Is there an element g of the spec with b = g·a, and is the function the same?

    First what no element changes is compared (unequal: different), then both are brought to one gauge and matched,
    without what is written and never read or read and never written, which `forward` and `back` do not bring together.
    With a model, running it has the last word, also on networks that are equal for a reason the spec does not know.
    Raises LoadError when a state dict does not fit the spec.
    """
    eps = max(precision(a), precision(b))
    odd = differing(fingerprint(spec, a), fingerprint(spec, b), eps)
    match = Match(gauged(spec, a, pruned=True), gauged(spec, b, pruned=True))
    forward, back = dict(match.one.element), dict(match.two.element)
    for side in (match.one, match.two):
        side.state |= {name: _wrapped(side.state[name], period) for name, period in periods(spec).items()}
    match.run()
    tensor, largest = _largest(spec, match, b)
    raw = _raw(spec, a, b)
    distance = match.distance()
    limit = max(_MARGIN * eps, 1e-8)
    limit = min(limit, 0.05)
    if odd:
        same, reason = False, f"'{odd}' has entries that no element of the spec leads to"
        tensor = odd
    elif largest <= limit:
        same, reason, tensor = True, f"matched to {largest:.1e} of every tensor's size", ""
    elif largest <= min(_UNSURE * limit, 0.2):
        same, reason = None, f"matched to {largest:.1e} in '{tensor}': more than rounding, less than a difference"
    else:
        same, reason = False, f"no element of the spec was found that brings '{tensor}' nearer than {largest:.1e}"
    outputs = None
    if model is not None:
        outputs, same, reason = _executed(model, example_inputs, (a, b), eps, seed, same, reason)
    close = min(distance, raw) < CLOSE
    return Answer(same, reason, tensor, distance, close, outputs, (forward, *match.steps), back)


def _largest(spec: Spec, match: Match, given: Mapping[str, Tensor]) -> tuple[str, float]:
    """The tensor that differs most, relative to its size, up to whole turns of phases; and by how much.

    The size is that of b, as given or with its gauge fixed: a gauge may leave nothing but rounding.
    """
    wrap = periods(spec)
    worst, name = 0.0, ""
    for key, y in match.two.state.items():
        x = match.one.state[key]
        delta = (x - y).abs() if x.is_floating_point() else (x != y).double()
        if key in wrap:
            delta = _wrapped(delta, wrap[key]).abs()
        size = max((_rms(t) for t in (y, given.get(key)) if t is not None), default=0.0)
        here = float(delta.abs().max()) / (size or 1.0) if y.numel() else 0.0
        if not here <= worst:
            worst, name = here, key
    return name, worst


def _rms(x: Tensor) -> float:
    return float(x.double().square().mean().sqrt()) if x.numel() else 0.0


def _wrapped(x: Tensor, period: float) -> Tensor:
    """x up to whole periods, in [−period / 2, period / 2)."""
    return (x + period / 2) % period - period / 2


def _raw(spec: Spec, a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """‖a − b‖ / ‖b‖ as they are."""
    names = [n for n in spec.axes if n in a and n in b and b[n].is_floating_point()]
    gap = sum(float((a[n].double() - b[n].double()).square().sum()) for n in names)
    size = sum(float(b[n].double().square().sum()) for n in names)
    return math.sqrt(gap / size) if size else math.sqrt(gap)


def _executed(
    model: nn.Module,
    example: Any,
    pair: tuple[Mapping[str, Tensor], Mapping[str, Tensor]],
    eps: float,
    seed: int,
    same: bool | None,
    reason: str,
) -> tuple[float, bool | None, str]:
    """The distance of the outputs, and what it says: rounding of the stored weights is measured by nudging them."""
    twin = Twin.of(model, example, seed, given=pair[0])
    outputs = twin.distance({name: t for name, t in pair[1].items() if name in twin.state})
    rng = np.random.default_rng([seed & 0xFFFFFFFF, 0x5A3E])
    floats = {n: t for n, t in twin.state.items() if t.is_floating_point()}
    nudged = {n: t * (1 + eps * torch.from_numpy(rng.choice((-1.0, 1.0), tuple(t.shape)))) for n, t in floats.items()}
    rounding = max(_MARGIN * twin.distance(nudged), 1e-9, twin.floor)
    if outputs <= rounding and same is not True:
        why = "" if same is None else ", though no element of the spec was found"
        return outputs, True, f"the outputs are equal to {outputs:.1e}{why}"
    if not outputs <= _UNSURE * rounding:
        return outputs, False, f"the outputs differ by {outputs:.1e} of their spread; {reason}"
    return outputs, same, reason

