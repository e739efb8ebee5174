"""The barrier: its definition, its sign, and its standard error against a bootstrap."""

from __future__ import annotations

import math

import pytest
import torch

from symcheck.connect.barrier import barrier
from symcheck.connect.path import grid


def curves(count: int, points: int = 9, seed: int = 0) -> torch.Tensor:
    """Losses (T, n) with ends that differ, a hump that differs from sample to sample, and what all t share."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.tensor(grid(points), dtype=torch.float64)[:, None]
    height, shared = torch.rand(count, generator=generator), 5 * torch.rand(count, generator=generator)
    return (1 + 2 * t) + shared + 4 * height * t * (1 - t) * (1 + 0.4 * t)


def test_a_line_has_no_barrier_whatever_its_ends() -> None:
    t = torch.tensor(grid(9), dtype=torch.float64)[:, None]
    found = barrier(grid(9), (1 - t) * torch.rand(30) + 7 * t * torch.rand(30))
    assert found.value == pytest.approx(0, abs=1e-12) and found.midpoint == pytest.approx(0, abs=1e-12)


def test_the_line_definition_and_the_midpoint() -> None:
    values = torch.tensor([[1.0], [2.0], [3.5], [3.0], [2.0]]).repeat(1, 4)
    found = barrier((0, 0.25, 0.5, 0.75, 1), values)
    assert (found.value, found.at) == (pytest.approx(2.0), 0.5)
    assert found.midpoint == pytest.approx(2.0) and found.error == 0
    skew = barrier((0, 0.25, 0.5, 0.75, 1), values.flip(0) + torch.tensor([[0.0], [0], [0], [3], [0]]))
    assert skew.at == 0.75 and skew.value == pytest.approx(5 - 1.25)


def test_a_path_that_sags_has_a_negative_barrier() -> None:
    values = torch.tensor([[1.0], [0.6], [0.2], [0.5], [1.0]]).repeat(1, 3)
    found = barrier((0, 0.25, 0.5, 0.75, 1), values)
    assert found.value == pytest.approx(-0.4) and found.at == 0.25


def test_the_standard_error_is_that_of_a_bootstrap() -> None:
    values, t = curves(400), grid(9)
    found = barrier(t, values)
    generator = torch.Generator().manual_seed(1)
    draws = [barrier(t, values[:, torch.randint(0, 400, (400,), generator=generator)]).value for _ in range(600)]
    spread = torch.tensor(draws, dtype=torch.float64).std()
    assert found.error == pytest.approx(float(spread), rel=0.12)
    alone = float(values[t.index(found.at)].std() / math.sqrt(400))
    assert found.error < 0.35 * alone  # unpaired, what all t share would be counted


def test_one_sample_has_no_standard_error() -> None:
    assert math.isnan(barrier(grid(3), torch.tensor([[0.0], [1.0], [0.0]])).error)
