"""Certificates: the bound is Clopper-Pearson's, and it covers a fraction that is known."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.stats import beta
from torch import Tensor

import symcheck
from symcheck.gate.certificate import draws_needed, violating_fraction
from symcheck.measure.certify import Ask
from symcheck.report.model import Certificate


@pytest.mark.parametrize(("fraction", "confidence", "draws"), [
    (0.05, 0.95, 59), (0.01, 0.95, 299), (0.001, 0.95, 2995), (0.01, 0.99, 459)])  # fmt: skip
def test_draws(fraction: float, confidence: float, draws: int) -> None:
    assert draws_needed(fraction, confidence) == draws
    assert violating_fraction(0, draws, confidence) <= fraction < violating_fraction(0, draws - 1, confidence)


@pytest.mark.parametrize(
    ("violations", "draws"), [(0, 1), (0, 10), (1, 299), (3, 10), (298, 299), (299, 299), (40, 9999)]
)
def test_the_bound_is_the_beta_quantile(violations: int, draws: int) -> None:
    expected = 1.0 if violations == draws else float(beta.ppf(0.95, violations + 1, draws - violations))
    assert violating_fraction(violations, draws, 0.95) == pytest.approx(expected, rel=1e-9)


def one_in_four(x: Tensor) -> Tensor:
    """Invariant under flips, but for the samples that are marked (first channel above 0): one in four."""
    leak = (x[:, 0, 0, 0] + x[:, 0, 0, -1] > 0).double() * x[:, 1, 0, 0]
    return x[:, 1].square().mean((1, 2)) + leak


def marked(samples: int = 400) -> Tensor:
    x = torch.randn(samples, 2, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x[:, 0] = -1.0
    x[: samples // 4, 0] = 1.0
    return x


def certified(model: object, x: Tensor, seed: int = 0, tolerance: float = 1e-6) -> Certificate:
    report = symcheck.audit(
        model, "D1: image -> invariant", x, samples=len(x), seed=seed, tolerance=tolerance, certify=Ask(0.02)
    )
    found = report.findings[0].certificate
    assert found is not None
    return found


def test_the_fraction_covers_the_truth_as_often_as_it_says() -> None:
    found = [certified(one_in_four, marked(), seed) for seed in range(60)]
    covered = sum(c.fraction >= 0.25 for c in found)
    assert 52 <= covered <= 60  # 57 expected at 95 %
    assert 0.15 < sum(c.violations for c in found) / sum(c.draws for c in found) < 0.35
    assert {c.draws for c in found} == {draws_needed(0.02, 0.95)}


def test_a_healthy_model_gets_what_it_asked_for() -> None:
    found = certified(lambda x: x[:, 1].square().mean((1, 2)), marked())
    assert found.violations == 0 and found.fraction <= 0.02


def test_not_a_number_violates() -> None:
    found = certified(lambda x: x[:, 1].mean((1, 2)) * math.nan, marked())
    assert found.violations == found.draws and found.fraction == 1.0


def test_both_parts_of_a_group_are_certified_apart() -> None:
    x = torch.randn(40, 5, 3, generator=torch.Generator().manual_seed(1))
    report = symcheck.audit(lambda x: torch.linalg.det(x[:, :3]), "O(3): points -> invariant", x, certify=Ask(0.05))
    by_part = {f.part: f.certificate for f in report.findings}
    assert by_part["proper"] is not None and by_part["proper"].violations == 0
    assert by_part["improper"] is not None and by_part["improper"].violations == by_part["improper"].draws
