"""Certificates: independent pairs of an element and a sample, and how many of them have an error above the limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from symcheck.claim import BoundClaim
from symcheck.gate.certificate import draws_needed, violating_fraction
from symcheck.groups.draws import Draws
from symcheck.measure.defect import Slot
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.pairs import pair_errors
from symcheck.measure.plan import Stratum, strata
from symcheck.report.model import Certificate


@dataclass(frozen=True)
class Ask:
    """Certify that at most `fraction` of data × group is above the limit, with confidence `confidence`.

    `more` times as many pairs are drawn as it takes when none is above the limit, to decide where some are.
    """

    fraction: float
    confidence: float = 0.95
    more: int = 1

    @property
    def draws(self) -> int:
        """How many independent pairs are drawn."""
        return self.more * draws_needed(self.fraction, self.confidence)


def certify(
    evaluator: Evaluator,
    bound: BoundClaim,
    slots: Mapping[str, Slot],
    part: Stratum,
    limits: Mapping[str, tuple[float, float]],
    ask: Ask,
    seed: int,
) -> dict[str, Certificate]:
    """A certificate for every output: `limits` holds its limit (spread scale) and its spread.

    Elements come from the part's law and samples uniformly from the given ones, with replacement, so that the
    pairs are independent, which those of a crossed design are not.
    """
    key, samples = f"certificate {bound.claim}", evaluator.samples.count
    draws = ask.draws
    g = part.g
    if not part.exhaustive:
        drawn = strata(bound, {name: slot.bound for name, slot in slots.items()}, draws, seed)
        g = next(other.g for other in drawn if other.name == part.name)[:draws]
    if len(g) < draws or part.exhaustive:
        g = g[Draws(seed, f"{key} elements").integers(draws, high=len(g))]
    picks = Draws(seed, key).integers(draws, high=samples)
    law = f"{part.law} × {samples} samples, uniformly"
    found = {}
    for name, errors in pair_errors(evaluator, bound, slots, g, picks).items():
        limit, spread = limits[name]
        violations = int((~(errors <= limit * spread)).sum())
        fraction = violating_fraction(violations, draws, ask.confidence)
        found[name] = Certificate(limit, ask.confidence, fraction, draws, violations, law)
    return found
