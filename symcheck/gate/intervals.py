"""Decisions on intervals, without numpy: how many samples would decide, and the normal and Student quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, variance

LEVEL = 0.95
NEVER = 2**31


def samples_to_decide(mean: float, high: float, limit: float, samples: int) -> int:
    """About how many samples (and elements) would move `limit` out of the interval; errors fall as 1/√n."""
    gap, reach = abs(mean - limit), max(high - mean, 0.0)
    if not gap > 0 or not math.isfinite(reach):
        return NEVER
    return min(NEVER, math.ceil(samples * max(1.0, (reach / gap) ** 2 * 1.1)) + 1)


def widened(looks: int) -> float:
    """How much wider intervals must be where the same question is asked up to `looks` times: Bonferroni's factor."""
    tail = (1 - LEVEL) / 2
    normal = NormalDist()
    return normal.inv_cdf(1 - tail / looks) / normal.inv_cdf(1 - tail)


def student(level: float, freedom: float) -> float:
    """The quantile of Student's t at 0.5 + level / 2, within 1 % from 3 degrees of freedom on.

    Source: Abramowitz and Stegun 1964, 26.7.5.
    """
    z, v = NormalDist().inv_cdf(0.5 + level / 2), max(freedom, 1.0)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / v ** (i + 1) for i, term in enumerate(terms))


def crossed(rows: Sequence[float], columns: Sequence[float], exhaustive: bool) -> tuple[float, float]:
    """Mean and half-width at 95 % from the means of elements and of samples: var ≤ s²_rows/K + s²_cols/B.

    What the two-way variance subtracts for single cells is left in, so that the interval errs on the wide side.
    """
    of_columns = variance(columns) / len(columns)
    of_rows = 0.0 if exhaustive else variance(rows) / len(rows)
    whole = of_rows + of_columns
    if whole == 0:
        return fmean(columns), 0.0
    parts = of_columns**2 / (len(columns) - 1) + (of_rows**2 / (len(rows) - 1) if of_rows else 0.0)
    return fmean(columns), student(LEVEL, whole**2 / parts) * math.sqrt(whole)
