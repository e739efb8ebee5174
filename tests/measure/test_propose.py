"""Without a claim: a battery from the shapes, measured, and true."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.loading import load_inputs, load_subject, read_subject_file

FIXTURES = Path(__file__).parents[2] / "fixtures"


def verdicts(report: symcheck.Report) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for f in report.findings:
        found.setdefault(f.claim.split(":")[0], set()).add(str(f.verdict))
    return found


@pytest.mark.parametrize("name", ["digits-cnn", "digits-c4", "potential", "potential-mlp", "sets", "causal"])
def test_every_fixture_gets_a_battery(name: str):
    file = read_subject_file(FIXTURES / f"{name}.toml")
    subject = load_subject(file.checkpoint, model=file.model, arguments=file.arguments)
    inputs = load_inputs(file.inputs, samples=16, seed=0)
    report = symcheck.audit(subject, None, inputs, samples=16, elements=8)
    assert report.proposed
    found = verdicts(report)
    assert len(found) >= 2, report.notes
    expected = {
        "digits-c4": {"C4": {"exact"}}, "digits-cnn": {"C4": {"broken"}}, "sets": {"S": {"exact"}},
        "potential": {"O(3)": {"exact"}, "T(3)": {"exact"}, "S": {"exact"}}, "potential-mlp": {"O(3)": {"broken"}},
        "causal": {"S": {"broken"}},
    }[name]  # fmt: skip
    for group, words in expected.items():
        assert words <= found[group], found


def test_graphs_and_images_are_told_apart():
    class Graph(nn.Module):
        def forward(self, adjacency: Tensor) -> Tensor:
            return (adjacency.matrix_power(2).sum(2) - 36).tanh()

    a = torch.rand(12, 6, 6, generator=torch.Generator().manual_seed(0))
    report = symcheck.audit(Graph(), None, a + a.mT)
    assert verdicts(report) == {"S": {"exact"}}


def test_inputs_without_a_proposal_are_refused_with_the_way_out():
    with pytest.raises(symcheck.SymcheckError, match="no symmetry can be proposed") as caught:
        symcheck.audit(lambda x: x * 2, None, torch.randn(8))
    assert "state a claim" in caught.value.hint
