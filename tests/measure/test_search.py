"""The search for the worst case against a dense sample of the group, at a stated number of forward passes."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import symcheck
from symcheck.claim import Claim
from symcheck.groups.draws import Draws
from symcheck.measure import search
from symcheck.measure.defect import slot_for
from symcheck.measure.evaluator import Evaluator, chunks_for
from symcheck.measure.plan import Stratum
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.subject import as_subject

DENSE, BUDGET, INPUTS = 20_000, 300, 12


def prepared(net: nn.Module, x: Tensor, claim: str):
    samples = Samples({"x": x})
    evaluator = Evaluator(
        Runner(as_subject(net), torch.device("cpu"), torch.float32, []), samples, chunks_for(samples, None)
    )
    bound = Claim.parse(claim).bind(samples.shapes())
    base = evaluator.base(bound)
    ((name, action),) = bound.outputs(base.shapes()).items()
    return evaluator, bound, slot_for(name, bound, action, base, True, False)


def test_search_reaches_a_dense_maximum_on_rotations_within_the_budget():
    torch.manual_seed(1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(15, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))
    x = torch.randn(INPUTS, 5, 3, generator=torch.Generator().manual_seed(2))
    evaluator, bound, slot = prepared(net, x, "SO(3): vector -> scalar")
    dense = bound.group.sample(DENSE, Draws(5, "dense"))
    known = bound.group.sample(3, Draws(6, "known"))
    part = Stratum("", bound.group.sample(8, Draws(7, "part")), False, True, False, "")
    ratios, forwards = [], []
    for sample in range(INPUTS):
        top = float(search._errors(evaluator, bound, slot, dense, sample).max())
        found = search._ascend(evaluator, bound, slot, part, sample, known)
        ratios.append(found.value / top)
        forwards.append(found.forwards)
    print(
        f"\nsearch / dense maximum: mean {sum(ratios) / INPUTS:.4f}, least {min(ratios):.4f}, {max(forwards)} forwards"
    )
    assert max(forwards) <= BUDGET
    assert sum(ratios) / INPUTS >= 0.99
    assert min(ratios) >= 0.97


class Hidden(nn.Module):
    """Broken on one narrow pose only: random elements hardly ever meet it."""

    def forward(self, x: Tensor) -> Tensor:
        norms = x.square().sum((1, 2))
        return norms + 5 * torch.exp(-60 * (1 - x[:, 0, 2] / x[:, 0].norm(dim=1)))


def test_search_finds_a_narrow_fault_that_sampling_underrates():
    x = torch.randn(16, 3, 3, generator=torch.Generator().manual_seed(3))
    (plain,) = symcheck.audit(Hidden(), "SO(3): vector -> scalar", x, elements=8).findings
    (found,) = symcheck.audit(Hidden(), "SO(3): vector -> scalar", x, elements=8, worst=True).findings
    assert found.worst.searched is not None
    assert found.worst.value > plain.worst.value
    assert found.worst.value * found.spread > 0.9 * 5


def test_permutations_are_searched_by_transpositions():
    torch.manual_seed(4)
    weights = torch.randn(12)

    def by_order(x: Tensor) -> Tensor:
        return (x[..., 0] * weights).sum(1)

    x = torch.randn(8, 12, 1, generator=torch.Generator().manual_seed(5))
    (plain,) = symcheck.audit(by_order, "S: nodes -> invariant", x, elements=8).findings
    (found,) = symcheck.audit(by_order, "S: nodes -> invariant", x, elements=8, worst=True).findings
    assert found.worst.value > 1.2 * plain.worst.value
    ranked = x[..., 0].sort(1).values
    order = weights.sort().values
    extremes = torch.stack([(ranked * order).sum(1), (ranked.flip(1) * order).sum(1)])
    bound = (extremes - by_order(x)).abs().amax(0)[found.worst.sample]
    assert found.worst.value * found.spread <= float(bound) * 1.001


def test_the_searched_worst_is_an_element_of_the_same_part():
    def chiral(x: Tensor) -> Tensor:
        return torch.linalg.det(x[:, :3]) + x.square().sum((1, 2))

    x = torch.randn(16, 4, 3, generator=torch.Generator().manual_seed(6))
    proper, improper = symcheck.audit(chiral, "O(3): vector -> scalar", x, worst=True).findings
    assert proper.part == "proper" and proper.verdict == "exact"
    assert proper.worst.value < 1e-5
    assert improper.verdict == "broken" and improper.worst.value > 0.1
