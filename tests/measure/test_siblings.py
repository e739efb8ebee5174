"""Where precision cannot be raised, a part that errs ten times as much as its mirror image is not called exact."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.measure.siblings import beside
from symcheck.report.model import Finding, Verdict
from symcheck.report.numbers import remark


class Distances(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().sum((1, 2)) + 0.3


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> list[Finding]:
    """The proper and improper finding of an invariant program of fixed precision."""
    path = tmp_path_factory.mktemp("fixed") / "fixed.pt"
    torch.jit.save(torch.jit.trace(Distances(), torch.randn(4, 5, 3)), path)
    data = torch.randn(32, 5, 3, generator=torch.Generator().manual_seed(0))
    subject = symcheck.load(path, allow_program=True)
    found = symcheck.audit(subject, "O(3): points -> scalar", data, elements=8).findings
    assert [f.part for f in found] == ["proper", "improper"] and all(f.floor.high is None for f in found)
    return list(found)


def larger(finding: Finding, times: float) -> Finding:
    """The finding with an error so many times as large."""
    assert finding.error is not None
    spread = finding.error.spread
    grown = replace(spread, mean=times * spread.mean, low=times * spread.low, high=times * spread.high)
    return replace(finding, error=replace(finding.error, spread=grown))


def verdicts(findings: list[Finding]) -> list[str]:
    return [str(finding.verdict) for finding in beside(findings)]


def test_parts_that_err_alike_stay_exact(parts: list[Finding]) -> None:
    assert verdicts(parts) == ["exact", "exact"]
    assert verdicts([parts[0], larger(parts[1], 3)]) == ["exact", "exact"]


def test_a_part_that_errs_far_more_is_judged_by_its_interval(parts: list[Finding]) -> None:
    assert verdicts([parts[0], larger(parts[1], 30)]) == ["exact", "approximate"]
    assert verdicts([larger(parts[0], 30), parts[1]]) == ["approximate", "exact"]
    (_, told) = beside([parts[0], larger(parts[1], 1e6)])
    assert told.verdict is Verdict.BROKEN and "other orientation: more than rounding" in told.note
    assert remark(told).startswith("the whole interval lies above the tolerance")


def test_other_outputs_enumerated_groups_and_raised_precision_are_left_alone(parts: list[Finding]) -> None:
    proper, improper = parts[0], larger(parts[1], 30)
    assert verdicts([replace(proper, output="other"), improper]) == ["exact", "exact"]
    listed = replace(improper, counts=replace(improper.counts, exhaustive=True))
    assert verdicts([proper, listed]) == ["exact", "exact"]
    raised = replace(improper, floor=replace(improper.floor, high=1e-15))
    assert verdicts([proper, raised]) == ["exact", "exact"]


def test_a_broken_finding_says_both_why_and_what_else(parts: list[Finding]) -> None:
    found = replace(larger(parts[0], 1e6), verdict=Verdict.BROKEN, note="precision could not be raised: no float64")
    assert "the whole interval lies above" in remark(found) and "could not be raised" in remark(found)
    assert "interval" not in remark(replace(found, verdict=Verdict.APPROXIMATE))
