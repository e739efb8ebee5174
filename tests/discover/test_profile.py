"""The profile: what data, labels and network say of one candidate, and where they disagree."""

from __future__ import annotations

import io

import pytest
import torch
from planted_finite import mlp, normal, session
from rich.console import Console
from torch import Tensor, nn

from symcheck.cli.discover_parts_text import profile_lines
from symcheck.discover.profile import BOTH, DATA_ONLY, NEITHER, NETWORK_ONLY, data_test, extents, find_profile
from symcheck.report.page import Page

ROUND = normal(300, 2, seed=1)
STRETCHED = ROUND * torch.tensor([1.0, 2.5])
CLAIM = "SO(2): x=vector -> invariant"


class Radial(nn.Module):
    """A function of the length."""

    def __init__(self) -> None:
        super().__init__()
        self.h = mlp(1, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.h(x.square().sum(1, keepdim=True))


@pytest.mark.parametrize(
    ("model", "x", "finding"),
    [
        (Radial(), ROUND, BOTH),
        (Radial(), STRETCHED, NETWORK_ONLY),
        (mlp(2, 2, 2), ROUND, DATA_ONLY),
        (mlp(2, 2, 2), STRETCHED, NEITHER),
    ],
)
def test_agreement_and_disagreement_are_named(model: nn.Module, x: Tensor, finding: str) -> None:
    with session(model, x) as audit:
        (row,) = find_profile(audit, [CLAIM]).rows
    assert (row.finding, row.origin) == (finding, "stated")


def test_few_samples_and_constant_outputs_leave_it_undecided() -> None:
    with session(Radial(), ROUND[:12]) as audit:
        (few,) = find_profile(audit, [CLAIM]).rows
    with session(lambda x: torch.ones(len(x), 1), ROUND[:100]) as audit:
        (constant,) = find_profile(audit, [CLAIM]).rows
    assert few.finding.startswith("of the data nothing can be said: 12 samples are too few")
    assert (constant.model, constant.finding) == ("trivial", "undecided")


def test_labels_of_neighbours_agree_where_they_are_invariant() -> None:
    by_radius, by_side = (ROUND.norm(dim=1) > 1.2).long(), (ROUND[:, 0] > 0).long()
    with session(Radial(), ROUND) as audit:
        (radius,), (side,) = (find_profile(audit, [CLAIM], labels=y).rows for y in (by_radius, by_side))
        (number,) = find_profile(audit, [CLAIM], labels=ROUND[:, 0]).rows
    assert radius.labels is not None and radius.labels > 0.85
    assert side.labels is not None and side.labels < 0.65
    assert side.labels_at_rest is not None and side.labels_at_rest > 0.9
    assert (radius.finding, side.finding) == (BOTH, NETWORK_ONLY)
    assert number.labels is not None and number.labels_at_rest is not None
    assert number.labels < 0.3 < 0.9 < number.labels_at_rest


def test_extents_end_where_the_tolerance_does() -> None:
    """An ellipse that is nearly a circle: small turns stay within the tolerance, large ones do not."""

    def leaking(x: Tensor) -> Tensor:
        return x[:, :1].square() + 1.2 * x[:, 1:].square()

    with session(Radial(), ROUND) as audit:
        (exact,) = extents(audit, CLAIM)
    with session(leaking, ROUND, tolerance=0.05) as audit:
        (near,) = extents(audit, CLAIM)
    assert exact.quantiles["q10"] == exact.reach == pytest.approx(torch.pi)
    assert 0 < near.quantiles["median"] < near.reach
    assert near.quantiles["q10"] <= near.quantiles["median"] <= near.quantiles["q90"]


def test_translations_have_extents_without_a_period() -> None:
    with session(lambda x: x - x.mean(1, keepdim=True), normal(40, 4, 2)) as audit:
        found = extents(audit, "T(2): x=points -> invariant")
    assert len(found) == 2 and all(one.quantiles["q10"] == one.reach for one in found)


def test_discrete_groups_have_no_extents() -> None:
    with session(mlp(2, 2, 3), ROUND) as audit:
        assert extents(audit, "C4: x=vector -> invariant") == []


def test_inputs_that_stay_are_tested_jointly() -> None:
    """Turned positions are alike by themselves, but not beside a side that does not turn."""
    side = (ROUND[:, 0] > 0).float()[:, None]
    with session(lambda x, side: x.sum(1, keepdim=True) + side, {"x": ROUND, "side": side}) as audit:
        assert data_test(audit, "SO(2): x=vector, side=scalar -> invariant").verdict == "differ"


def test_layers_and_proposals_find_their_place() -> None:
    with session(Radial(), ROUND[:60]) as audit:
        proposed = find_profile(audit, layers=lambda claim: {"h.0": 0.25})
        found = find_profile(audit, found=[CLAIM, "nonsense"])
    assert {row.origin for row in proposed.rows} == {"proposed"}
    assert all(row.layers == {"h.0": 0.25} for row in proposed.rows)
    assert [row.origin for row in found.rows] == ["found"] and found.notes


def test_the_terminal_shows_the_finding() -> None:
    with session(mlp(2, 2, 2), ROUND[:100]) as audit:
        profile = find_profile(audit, [CLAIM], layers=lambda claim: {"h.0": 0.25})
    stream = io.StringIO()
    profile_lines(Page(Console(file=stream, width=110)), profile)
    assert DATA_ONLY in stream.getvalue() and "h.0 25 %" in stream.getvalue()
