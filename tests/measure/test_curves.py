"""What a finding keeps to be drawn and compared: coordinates, means by element and sample, quantiles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import symcheck
from symcheck.grammar import parse_claim
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.measure.curve import curve_of, where_on
from symcheck.measure.statistics import quantile_interval


def drawn(text: str, count: int = 12) -> tuple[object, Tensor]:
    group = make_group(parse_claim(f"{text}: a -> b").group)
    return group, group.sample(count, Draws(0, text))


@pytest.mark.parametrize(("text", "kind"), [
    ("C5", "angle"), ("SO(2)", "angle"), ("O(2)", "angle"), ("D4", "listed"), ("SO(3)", "rotation"),
    ("O(3)", "rotation"), ("O", "listed"), ("S(4)", "listed"), ("Scale(0.5,2)", "number"),
    ("T(3)", "listed"), ("T(2)", "listed"), ("SE(3)", "rotation")])  # fmt: skip
def test_kinds(text: str, kind: str) -> None:
    group, g = drawn(text)
    curve = curve_of(where_on(group, g), np.linspace(0, 1, len(g)))  # type: ignore[arg-type]
    assert curve.kind == kind and len(curve.labels) == len(curve.errors) == len(g)
    assert kind == "listed" or len(curve.at) == len(g)


@pytest.mark.parametrize("text", ["O(2)", "O(3)"])
def test_coordinates_give_the_matrix_back(text: str) -> None:
    group, g = drawn(text, 30)
    matrices = group.face("linear", g)  # type: ignore[attr-defined]
    curve = curve_of(where_on(group, g), np.zeros(len(g)))  # type: ignore[arg-type]
    assert {point[-1] for point in curve.at} == {0.0, 1.0}
    for matrix, point in zip(matrices, curve.at, strict=True):
        if text == "O(2)":
            c, s = math.cos(point[0]), math.sin(point[0])
            again = torch.tensor([[c, -s], [s, c]], dtype=torch.float64) @ torch.diag(
                torch.tensor([1.0, -1.0 if point[1] else 1.0], dtype=torch.float64)
            )
        else:
            x, y, z = point[:3]
            generator = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]], dtype=torch.float64)
            again = torch.linalg.matrix_exp(generator) * (-1.0 if point[3] else 1.0)
        assert torch.allclose(again, matrix, atol=1e-4)


def leaky(x: Tensor) -> Tensor:
    return x.square().sum((1, 2)) + 0.1 * x[:, 0, 0]


def test_means_agree_with_the_error(tmp_path: Path) -> None:
    x = torch.randn(20, 4, 3, generator=torch.Generator().manual_seed(0))
    save = tmp_path / "worst.safetensors"
    finding = symcheck.audit(leaky, "SO(3): points -> scalar", x, elements=10, save=save).findings[0]
    assert finding.error is not None and finding.curve is not None
    mean = finding.error.spread.mean
    assert np.mean(finding.curve.errors) == pytest.approx(mean, rel=1e-4)
    assert np.mean(finding.by_sample) == pytest.approx(mean, rel=1e-4)
    assert len(finding.by_sample) == 20 and len(finding.curve.errors) == 10
    assert finding.distribution[-1] == pytest.approx(finding.error.spread.max, rel=1e-4)
    assert list(finding.distribution) == sorted(finding.distribution)
    pair = load_file(save)
    moved, x_worst = pair["0/moved/input"].float(), pair["0/input/input"]
    assert torch.allclose(moved.norm(dim=-1), x_worst.norm(dim=-1), atol=1e-5)
    assert torch.allclose(pair["0/left/output"], leaky(moved))
    assert torch.allclose(pair["0/right/output"], leaky(x_worst))


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_quantile_intervals_cover(level: float) -> None:
    rng = np.random.default_rng(0)
    truth = float(np.quantile(np.exp(rng.normal(size=10**6) * math.sqrt(0.75)), level))
    covered = 0
    for _ in range(200):
        rows, columns = rng.normal(size=(32, 1)) / 2, rng.normal(size=(1, 64)) / 2
        cells = np.exp(rows + columns + rng.normal(size=(32, 64)) / 2)
        low, high = quantile_interval(cells, level)
        covered += (low or 0.0) <= truth <= (math.inf if high is None else high)
    assert 180 <= covered < 200  # 190 expected at 95 %


def test_a_quantile_that_few_cells_cannot_bound_has_no_upper_end() -> None:
    cells = np.exp(np.random.default_rng(1).normal(size=(32, 1)) * np.ones((1, 64)))
    low, high = quantile_interval(cells, 0.99)
    assert low is None and high is None  # nothing lies above it
    low, high = quantile_interval(cells, 0.9)
    assert low is not None and high is None


def test_an_interval_needs_rows_and_columns() -> None:
    assert quantile_interval(np.ones((1, 5)), 0.95) == (None, None)
    assert quantile_interval(np.ones((1, 5)), 0.95, exhaustive=True) == (1.0, 1.0)
    assert quantile_interval(np.full((4, 5), np.nan), 0.95) == (None, None)
