"""A network one of whose parts has two names keeps its weights while it is aligned."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from symcheck.align import Evidence, align
from symcheck.measure.loss import Labelled, loss_for
from symcheck.weights.session import derive_spec


class Twice(nn.Module):
    """One layer under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.again = nn.Linear(6, 6), nn.Linear(6, 6)
        self.alias, self.last = self.again, nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.alias(self.again(self.first(x).relu()).relu()).relu())


@pytest.mark.parametrize("matcher", ["activations", "straight-through"])
def test_the_model_is_left_as_it_was(matcher: str) -> None:
    model = Twice()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    spec = derive_spec(model, torch.randn(4, 6))
    other = spec.apply(spec.sample(1), before)
    x, labels = torch.randn(64, 6), torch.randint(0, 3, (64,))
    evidence = Evidence(model, Labelled({"x": x}, labels), loss_for(labels))
    align(before, other, spec, matcher=matcher, evidence=evidence, controls=False)
    assert all(isinstance(p, nn.Parameter) for p in model.again.parameters())
    after = model.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], t) for name, t in before.items())
