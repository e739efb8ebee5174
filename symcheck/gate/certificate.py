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
    """P(Binomial(draws, p) <= violations) = I_{1−p}(draws − violations, violations + 1)."""
    if p >= 1:
        return 0.0
    return _incomplete_beta(draws - violations, violations + 1, 1 - p)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """I_x(a, b) by Lentz's continued fraction. Source: DLMF 8.17.22."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)) / a
    tiny, c = 1e-300, 1.0
    d = 1 / (1 - (a + b) * x / (a + 1) or tiny)
    total = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for term in (even, odd):
            d, c = 1 / (1 + term * d or tiny), 1 + term / c or tiny
            total *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * total
