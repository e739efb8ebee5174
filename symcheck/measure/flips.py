"""How often a label changes under the group: the rate, its Wilson interval, and the rate by the margin of f(x)."""

from __future__ import annotations

import math

import numpy as np

from symcheck.measure.statistics import crossed_interval, wilson_interval
from symcheck.measure.tally import Cell
from symcheck.report.model import Flips, FlipsAt

_FEW = 5  # fewer samples that flip do not show how flips cluster
_GROUPS = 4


def flips_of(cell: Cell, exhaustive: bool) -> Flips | None:
    """The flips of a label output: of one label a sample, or the share of its entries that change; None for numbers.

    The interval is Wilson's for n = p(1 − p) / var(p) pairs, var clustered over elements and samples; n is at most the
    number of pairs, and that of the samples where too few of them flip to tell how flips cluster.
    """
    if not cell.labels or not np.isfinite(cell.squared).all():
        return None
    shares = cell.squared / cell.components
    rate, low, high, effective = _rate(shares, exhaustive)
    return Flips(rate, low, high, shares.size, effective, _by_margin(shares, cell.margin, exhaustive))


def _rate(shares: np.ndarray, exhaustive: bool) -> tuple[float, float, float, float]:
    """The mean of the cells (K, B), its interval, and how many independent pairs that is worth."""
    rate, samples = float(shares.mean()), shares.shape[1]
    error = crossed_interval(shares, exhaustive=exhaustive).error
    telling = min(int((shares > 0).any(0).sum()), int((shares < 1).any(0).sum()))
    count = float(samples)
    if telling >= _FEW and not math.isnan(error):
        count = rate * (1 - rate) / error**2 if error > 0 else math.inf
    effective = min(max(count, 1.0), float(shares.size))
    return rate, *wilson_interval(rate, effective), effective


def _by_margin(shares: np.ndarray, margin: np.ndarray | None, exhaustive: bool) -> tuple[FlipsAt, ...]:
    """The same in quarters of the samples, from those nearest to another label to those farthest from it."""
    if margin is None or len(margin) < 2 * _GROUPS or not np.isfinite(margin).all():
        return ()
    found = []
    for rows in np.array_split(np.argsort(margin, kind="stable"), _GROUPS):
        rate, low, high, _ = _rate(shares[:, rows], exhaustive)
        found.append(FlipsAt(float(margin[rows[0]]), float(margin[rows[-1]]), len(rows), rate, low, high))
    return tuple(found)
