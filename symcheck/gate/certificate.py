"""How much of data × group may violate a limit, from independent draws: the Clopper-Pearson bound."""

from __future__ import annotations

import math


def violating_fraction(violations: int, draws: int, confidence: float) -> float:
    """The p with P(Binomial(draws, p) <= violations) = 1 − confidence: BetaInv(confidence; v + 1, n − v).

    With that confidence at most this fraction violates. Source: Clopper and Pearson 1934.
    """
    if violations >= draws:
        return 1.0
    if violations == 0:
        return -math.expm1(math.log1p(-confidence) / draws)
    low, high = violations / draws, 1.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(violations, draws, middle) > 1 - confidence else (low, middle)
    return high


def draws_needed(fraction: float, confidence: float) -> int:
    """The fewest draws that certify `fraction` when none violates: n ≥ ln(1 − confidence) / ln(1 − fraction)."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-fraction) - 1e-9)


def _at_most(violations: int, draws: int, p: float) -> float:
    """P(Binomial(draws, p) <= violations)."""
    if p >= 1:
        return 0.0
    log_p, log_q = math.log(p), math.log1p(-p)
    whole = math.lgamma(draws + 1)
    terms = (
        whole - math.lgamma(k + 1) - math.lgamma(draws - k + 1) + k * log_p + (draws - k) * log_q
        for k in range(violations + 1)
    )
    return math.fsum(math.exp(term) for term in terms)
