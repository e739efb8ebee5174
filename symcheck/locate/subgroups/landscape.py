"""The error of a claim as a function on the group: a few samples, many elements, at the higher precision there is."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ModelError
from symcheck.measure.audit import Audit
from symcheck.measure.defect import Slot
from symcheck.measure.evaluator import Chunks, Evaluator
from symcheck.measure.floors import nudged
from symcheck.measure.pairs import pair_defects, pair_errors
from symcheck.measure.plan import Stratum
from symcheck.measure.samples import observe_batch
from symcheck.measure.tally import Rest

SAMPLES = 4
_ROUNDING = 64  # units in the last place that a network may lose


@dataclass(frozen=True)
class Landscape:
    """δ(g, x) over the spread S of each output, for elements (K, *E) and the samples `rows`."""

    bound: BoundClaim
    slots: Mapping[str, Slot]
    evaluator: Evaluator
    rows: Tensor
    scale: Mapping[str, float]
    size: Mapping[str, float]  # ||f(x)|| over S
    tolerance: float
    epsilon: float  # of the precision in which the outputs are made

    def rounding(self, name: str) -> float:
        """What rounding may leave of an output, over its spread."""
        return _ROUNDING * self.epsilon * max(self.size[name], 1.0)

    def errors(self, g: Tensor) -> dict[str, np.ndarray]:
        """Root mean square over the samples of ||δ||/S under every element, (K,); infinite where not a number."""
        squares = pair_errors(self.evaluator, self.bound, self.slots, *self._pairs(g))
        shaped = {name: e.square().reshape(len(g), -1).mean(1).sqrt() for name, e in squares.items()}
        return {name: e.numpy() / self.scale[name] for name, e in shaped.items()}

    def defects(self, g: Tensor, pulled: bool = False) -> dict[str, Tensor]:
        """δ/S of every element and sample, (K, samples, components); `pulled`: g⁻¹·f(g·x) − f(x) in any case."""
        slots = {name: replace(slot, pulled=True) for name, slot in self.slots.items()} if pulled else self.slots
        found = pair_defects(self.evaluator, self.bound, slots, *self._pairs(g))
        return {name: d.reshape(len(g), len(self.rows), -1) / self.scale[name] for name, d in found.items()}

    def together(self, g: Tensor, names: Collection[str]) -> np.ndarray:
        """The errors of some outputs as one, (K,)."""
        errors = self.errors(g)
        return np.asarray(np.sqrt(sum(errors[name] ** 2 for name in names)))

    def _pairs(self, g: Tensor) -> tuple[Tensor, Tensor]:
        return g.repeat_interleave(len(self.rows), 0), self.rows.repeat(len(g))


def landscape_of(audit: Audit, claim: Claim, g: Tensor, *, resampled: bool = False, lower: bool = False) -> Landscape:
    """The landscape of a claim whose elements are like g; `lower`: at the lower precision."""
    bound, base, outputs = audit.bound(claim)
    common = audit.common(bound, base, [Stratum("", g, False, False, resampled, "")], outputs)
    runner = audit.low if lower else audit.high or audit.evaluator.runner
    samples, chunks = audit.evaluator.samples, audit.evaluator.chunks
    evaluator = audit.evaluator
    if runner is not evaluator.runner:
        evaluator = Evaluator(runner, samples, Chunks(size=chunks.size, cap=chunks.cap, accelerator=chunks.accelerator))
        try:
            evaluator.base(bound)
        except ModelError:
            evaluator = audit.evaluator
    rows = torch.linspace(0, samples.count - 1, min(SAMPLES, samples.count)).long()
    scale = {name: _spread(rest) for name, rest in common.rests.items()}
    size = {name: float(rest.size.mean().sqrt()) / scale[name] for name, rest in common.rests.items()}
    limit = audit.options.tolerance_of(str(claim))
    return Landscape(bound, common.slots, evaluator, rows, scale, size, limit, _epsilon(evaluator, bound, rows))


def _epsilon(evaluator: Evaluator, bound: BoundClaim, rows: Tensor) -> float:
    """The machine epsilon of a subject: float32's where a change of 2^-40 is swallowed or inflated inside."""
    own = float(torch.finfo(evaluator.runner.dtype or torch.float32).eps)
    batch = observe_batch(bound, evaluator.samples.take(rows.to(evaluator.runner.device)))
    still = evaluator.runner.kept(batch)
    fine, coarse = (evaluator.runner.kept(nudged(batch, 2.0**-k)) for k in (40, 24))
    smooth = [name for name, y in still.items() if y.is_floating_point()]
    change = [max((float((y[n] - still[n]).abs().max()) for n in smooth), default=0.0) for y in (fine, coarse)]
    rough = change[1] > 0 and not (2.0**-20 * change[1] <= change[0] <= 2.0**-13 * change[1])
    return max(own, float(torch.finfo(torch.float32).eps)) if rough else own


def _spread(rest: Rest) -> float:
    """S of f(x): its distance from what the group leaves alone of its mean; 1 for an output that is constant."""
    square = float(rest.per_sample((rest.flat - rest.centre).square().sum(1)).mean())
    if rest.invariant and rest.owner is None and not rest.curved:
        square *= rest.count / max(rest.count - 1, 1)
    return square**0.5 if square > 0 and np.isfinite(square) else 1.0
