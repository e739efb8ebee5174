"""A branch that is multiplied by 0: what only it reads is free, and nothing of it takes anything back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import symcheck


class Gated(nn.Module):
    """softmax(A x + k bias) or A x + k B x, read by C."""

    def __init__(self, factor: float, soft: bool) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)
        self.bias, self.factor, self.soft = nn.Parameter(torch.randn(8)), factor, soft

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        if self.soft:
            return self.c(torch.softmax(h + self.factor * self.bias, -1))
        h = h.tanh()
        return self.c(h + self.factor * (self.b(h) + self.bias))


def shifts(model: nn.Module, inputs: Tensor) -> dict[str, int]:
    """The size of every shift space by the tensors that it moves; all of them proved."""
    spec = symcheck.derive_spec(model, inputs)
    assert symcheck.verify_spec(spec, model, inputs).holds
    found = [space for space in spec.spaces.values() if space.kind == "shift"]
    return {"+".join(sorted({term.to for term in space.terms})): space.size for space in found}


@pytest.mark.parametrize("soft", [True, False])
def test_a_branch_times_zero_is_free(soft: bool) -> None:
    torch.manual_seed(0)
    found = shifts(Gated(0.0, soft), torch.randn(5, 4))
    assert found["bias"] == 8
    assert not any("bias" in to.split("+") for to in found if to != "bias")


@pytest.mark.parametrize("soft", [True, False])
def test_a_branch_that_counts_is_not_free(soft: bool) -> None:
    torch.manual_seed(0)
    found = shifts(Gated(0.5, soft), torch.randn(5, 4))
    together = "a.bias+bias" if soft else "b.bias+bias"
    assert found[together] == 8 and found.get("bias", 0) <= 1
