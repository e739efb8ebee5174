"""Intervals for crossed designs: K elements × B samples share rows and columns, so cells are not independent."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean with its confidence interval and the standard error behind it."""

    mean: float
    low: float
    high: float
    error: float


def crossed_interval(cells: np.ndarray, *, exhaustive: bool = False, level: float = LEVEL) -> Interval:
    """Two-way interval of the mean of `cells` (K, B), clustered over elements (rows) and samples (columns).

    var(mean) = s²_rows/K + s²_cols/B − s²_res/(KB), with t quantiles at Satterthwaite's degrees of freedom.
    `exhaustive`: the rows are the whole group, hence no sample, and only the columns vary.
    Source: the variance of a two-way random-effects mean (Searle, Casella & McCulloch 1992).
    """
    rows, columns = cells.shape
    mean = float(cells.mean())
    if not np.isfinite(cells).all() or columns < 2 or (rows < 2 and not exhaustive):
        return Interval(mean, math.nan, math.nan, math.nan)
    of_columns = float(cells.mean(axis=0).var(ddof=1)) / columns
    if exhaustive:
        return _interval(mean, of_columns, columns - 1, level)
    of_rows = float(cells.mean(axis=1).var(ddof=1)) / rows
    additive = cells.mean(axis=0) + cells.mean(axis=1)[:, None] - mean
    residual = float(((cells - additive) ** 2).sum()) / ((rows - 1) * (columns - 1)) / (rows * columns)
    variance = max(of_rows + of_columns - residual, of_rows, of_columns, 0.0)
    spread = of_rows**2 / (rows - 1) + of_columns**2 / (columns - 1)
    freedom = variance**2 / spread if spread > 0 else math.inf
    return _interval(mean, variance, min(freedom, rows * columns - 1), level)


def _interval(mean: float, variance: float, freedom: float, level: float) -> Interval:
    error = math.sqrt(variance)
    reach = float(stdtrit(max(freedom, 1.0), 0.5 + level / 2)) * error if error > 0 else 0.0
    return Interval(mean, mean - reach, mean + reach, error)


def wilson_interval(rate: float, count: float, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a rate seen in `count` independent trials; it holds near 0 and 1 too. Source: Wilson 1927."""
    z = float(ndtri(0.5 + level / 2))
    centre = (rate + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(rate * (1 - rate) / count + (z / (2 * count)) ** 2)
    return min(max(centre - reach, 0.0), rate), max(min(centre + reach, 1.0), rate)


def quantile_interval(
    cells: np.ndarray, level: float, *, exhaustive: bool = False
) -> tuple[float | None, float | None]:
    """The interval of one quantile of `cells` (K, B): that of the share below it, read off the ranked cells.

    None: so few rows or columns that the quantile has no bound on that side. Source: Woodruff 1952.
    """
    ranked = np.sort(cells, axis=None)
    quantile = ranked[max(math.ceil(level * ranked.size) - 1, 0)]
    below = crossed_interval((cells <= quantile).astype(np.float64), exhaustive=exhaustive)
    reach = below.high - below.mean
    if not np.isfinite(cells).all() or not math.isfinite(reach):
        return None, None
    if quantile == ranked[-1]:  # nothing lies above it: all cells are equal, or there are too few
        return (float(quantile), float(quantile)) if ranked[0] == quantile else (None, None)
    low, high = (math.ceil((level + side * reach) * ranked.size) - 1 for side in (-1, 1))
    return float(ranked[max(low, 0)]), float(ranked[high]) if high < ranked.size else None
