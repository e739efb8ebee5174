"""A wrong sentence about a good network: the report says which one fits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import symcheck

X = torch.randn(24, 5, 3, generator=torch.Generator().manual_seed(0))


def cross(x: Tensor) -> Tensor:
    return torch.linalg.cross(x[:, 0] - x[:, 1], x[:, 2] - x[:, 1])


def triple(x: Tensor) -> Tensor:
    return ((x[:, 3] - x[:, 1]) * cross(x)).sum(1, keepdim=True)


def energy(x: Tensor) -> Tensor:
    return x.square().sum((1, 2))[:, None].tanh() + x.square().sum((1, 2))[:, None]


@pytest.mark.parametrize(
    "model, claim, word",
    [
        (cross, "O(3): vector -> vector", "'pseudovector'"),
        (triple, "O(3): vector -> scalar", "'pseudoscalar'"),
        (lambda x: x[:, 0] * energy(x), "SO(3): vector -> scalar", "'vector'"),
        (energy, "Sign: vector -> vector", "'scalar'"),
        (lambda x: x.tanh(), "S: nodes -> invariant", "'nodes'"),
        (lambda x: x[:, 0].sin(), "SO(3): vector -> vector", ""),
    ],
)
def test_the_action_that_fits_is_named(model, claim: str, word: str):
    findings = symcheck.audit(model, claim, X.double()).findings
    broken = [f for f in findings if f.verdict == "broken"]
    assert broken
    assert all(word in f.advice for f in broken) if word else not any("behaves" in f.advice for f in broken)


def test_an_inverse_output_is_recognised():
    def turned_back(x: Tensor) -> Tensor:  # complex conjugation: a turn of x by 90 degrees turns this by -90
        return x[:, 0] * torch.tensor([1.0, -1.0])

    (found,) = symcheck.audit(turned_back, "C4: vector -> vector", X[..., :2].double()).findings
    assert found.verdict == "broken"
    assert "inverse" in found.advice
