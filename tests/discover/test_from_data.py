"""Symmetries of data without a network: the test keeps its level, sees what is planted, and says when it cannot."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import Tensor

from symcheck.cli.discover_parts_text import data_lines
from symcheck.discover.from_data import canonical, data_symmetries, name_of
from symcheck.discover.two_sample import LEVEL, Rows, discrepancy, randomised, two_sample
from symcheck.errors import DataError
from symcheck.report.page import Page


def gauss(n: int, d: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((n, d)))


def box(n: int, d: int, seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (n, d)))


def turned(rows: Tensor, seed: int) -> Tensor:
    """Every row turned by its own angle."""
    angle = torch.from_numpy(np.random.default_rng([3, seed]).uniform(0, 2 * math.pi, len(rows)))
    c, s = angle.cos(), angle.sin()
    return torch.stack([c * rows[:, 0] - s * rows[:, 1], s * rows[:, 0] + c * rows[:, 1]], 1)


def quarter(rows: Tensor, seed: int) -> Tensor:
    k = torch.from_numpy(np.random.default_rng([4, seed]).integers(0, 4, len(rows)))
    z = torch.complex(rows[:, 0], rows[:, 1]) * torch.polar(torch.ones(len(rows)).double(), k.double() * math.pi / 2)
    return torch.stack([z.real, z.imag], 1)


def test_the_exact_test_keeps_its_level() -> None:
    """Of invariant data 5 % may be called different: of 30 draws at most 5 with probability 0.997."""
    rejected = sum(randomised(Rows.of(gauss(60, 2, seed)), turned, seed) <= LEVEL for seed in range(30))
    assert rejected <= 5


def test_the_split_test_keeps_its_level() -> None:
    rejected = sum(discrepancy(gauss(50, 3, seed), gauss(50, 3, 1000 + seed), seed) <= LEVEL for seed in range(30))
    assert rejected <= 5


@pytest.mark.parametrize("haar", [True, False])
def test_round_data_are_alike_and_stretched_or_shifted_ones_differ(haar: bool) -> None:
    round_, stretch = gauss(500, 2, 0), torch.tensor([1.0, 1.6]).double()
    found = [two_sample(Rows.of(x), turned, "turns", haar=haar) for x in (round_, round_ * stretch, round_ + 0.7)]
    assert [one.verdict for one in found] == ["alike", "differ", "differ"]


def test_a_square_has_quarter_turns_and_no_others() -> None:
    """Mean and covariance are round: only higher moments tell a square from a disc."""
    squares = [Rows.of(box(300, 2, seed)) for seed in range(4)]
    assert sum(two_sample(x, quarter, "C4", haar=True).verdict == "alike" for x in squares) >= 3  # at the level of 5 %
    assert all(two_sample(x, turned, "SO(2)", haar=True).verdict == "differ" for x in squares)


def test_labels_can_break_what_the_inputs_have() -> None:
    x = gauss(500, 2, 1)
    radius, side = (x.norm(dim=1) > 1.2).long(), (x[:, 0] > 0).long()
    assert two_sample(Rows.of(x, radius), turned, "by radius", haar=True).verdict == "alike"
    assert two_sample(Rows.of(x, side), turned, "by side", haar=True).verdict == "differ"


def test_few_samples_are_inconclusive_and_fewer_refused() -> None:
    assert two_sample(Rows.of(gauss(16, 2, 2)), turned, "few").verdict == "inconclusive"
    with pytest.raises(DataError, match="too few"):
        two_sample(Rows.of(gauss(8, 2, 2)), turned, "fewer")
    with pytest.raises(DataError, match="not finite"):
        two_sample(Rows.of(torch.full((40, 2), math.nan)), turned, "NaN")


def test_generators_have_names() -> None:
    turn = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
    assert name_of(turn) == "rotation about (0.00, 0.00, 1.00)"
    assert (name_of(turn[:2, :2]), name_of(torch.eye(2).double())) == ("rotation", "scaling")
    assert name_of(torch.tensor([[0.0, 2.0], [-0.5, 0.0]]).double()) == ""
    assert name_of(torch.diag(torch.tensor([1.0, -1.0])).double()) == ""


def test_what_was_learned_is_made_plain() -> None:
    nearly = torch.tensor([[0.05, 1.04], [-0.96, -0.02]]).double()
    plain = canonical(nearly)
    assert torch.equal(plain[0], -plain[0].T)
    assert all(float(torch.linalg.eigvals(one).real.abs().max()) < 1e-12 for one in plain)
    stretched = torch.diag(torch.tensor([1.0, -1.0])).double()
    assert torch.equal(canonical(stretched)[0], stretched)


def test_data_of_another_shape_are_refused() -> None:
    for x in (gauss(200, 20, 0), gauss(20, 2, 0), gauss(200, 1, 0)):
        with pytest.raises(DataError, match="cannot be learned"):
            data_symmetries(x)


@pytest.mark.slow
def test_rotations_of_round_data_are_learned() -> None:
    angle, radius = gauss(800, 2, 3), 1 + 0.2 * gauss(800, 1, 4)
    found = data_symmetries(angle / angle.norm(dim=1, keepdim=True) * radius, seeds=1)
    assert [(one.name, one.test.verdict) for one in found.generators] == [("rotation", "alike")]
    stream = io.StringIO()
    data_lines(Page(Console(file=stream, width=100)), found)
    assert "rotation: alike" in stream.getvalue()


@pytest.mark.slow
def test_all_rotations_of_space_are_learned() -> None:
    found = data_symmetries(gauss(800, 3, 5), generators=3, seeds=1, skew=True)
    assert len(found.generators) == 3
    assert all(one.name.startswith("rotation about") for one in found.generators)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["square", "stretched", "shifted"])
def test_nothing_is_found_in_data_without_a_symmetry(case: str) -> None:
    x = {
        "square": box(800, 2, 6),
        "stretched": gauss(800, 2, 7) * torch.tensor([1.0, 2.0]).double(),
        "shifted": gauss(800, 2, 8) + 1.0,
    }[case]
    found = data_symmetries(x, seeds=1, skew=True)
    assert found.generators == () and found.notes
