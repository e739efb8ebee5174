"""The two-way interval covers what it promises; the naive one, as a control, does not."""

from __future__ import annotations

import math

import numpy as np
import pytest

from symcheck.gate.intervals import samples_to_decide
from symcheck.measure.statistics import crossed_interval

TRIALS = 2000


def draw(
    rng: np.random.Generator, rows: int, columns: int, effects: tuple[float, float, float], skew: bool
) -> np.ndarray:
    def noise(*shape: int) -> np.ndarray:
        return rng.gamma(4, 1, shape) / 2 - 2 if skew else rng.standard_normal(shape)

    of_row, of_column, residual = effects
    return 5 + of_row * noise(rows, 1) + of_column * noise(1, columns) + residual * noise(rows, columns)


def coverage(rows: int, columns: int, effects: tuple[float, float, float], skew: bool = False) -> float:
    rng = np.random.default_rng(rows * 1000 + columns)
    found = (crossed_interval(draw(rng, rows, columns, effects, skew)) for _ in range(TRIALS))
    return sum(i.low <= 5 <= i.high for i in found) / TRIALS


@pytest.mark.parametrize("rows, columns", [(16, 64), (32, 32), (32, 64), (64, 16)])
@pytest.mark.parametrize("effects", [(1, 1, 1), (1, 0.1, 1), (0.1, 1, 1), (0.3, 0.3, 1)])
def test_crossed_interval_covers_95_percent(rows, columns, effects):
    assert 0.93 <= coverage(rows, columns, effects) <= 0.97


@pytest.mark.parametrize("rows, columns", [(16, 64), (32, 64)])
def test_coverage_of_skewed_errors(rows, columns):
    assert 0.93 <= coverage(rows, columns, (1, 1, 1), skew=True) <= 0.97


def test_the_independent_interval_fails_the_same_simulation():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(500):
        cells = draw(rng, 16, 64, (1, 1, 1), False)
        reach = 1.96 * cells.std() / math.sqrt(cells.size)
        hits += abs(cells.mean() - 5) <= reach
    assert hits / 500 < 0.5


def test_exhaustive_elements_are_no_sample():
    rng = np.random.default_rng(2)
    rows = np.linspace(-3, 3, 7)[:, None]
    hits = 0
    for _ in range(TRIALS):
        found = crossed_interval(rows + rng.standard_normal((1, 32)) + rng.standard_normal((7, 32)), exhaustive=True)
        hits += found.low <= 0 <= found.high
    assert 0.93 <= hits / TRIALS <= 0.97


def test_nan_and_single_columns_give_no_interval():
    assert math.isnan(crossed_interval(np.full((4, 4), np.nan)).low)
    assert math.isnan(crossed_interval(np.ones((4, 1))).high)


def test_samples_to_decide_grow_as_the_tolerance_comes_near():
    cells = np.random.default_rng(3).standard_normal((16, 16)) + 5
    found = crossed_interval(cells)
    near = samples_to_decide(found.mean, found.high, found.mean + (found.high - found.mean) / 4, 16)
    far = samples_to_decide(found.mean, found.high, found.mean + (found.high - found.mean) / 2, 16)
    assert near > far > 16
