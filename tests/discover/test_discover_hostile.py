"""Networks and data of which a search must say that it cannot tell, or must not say more than there is."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
import torch
from planted_finite import mlp, normal, session
from torch import Tensor, nn

import symcheck
from symcheck.batch import Batch
from symcheck.discover.contained import without_contained
from symcheck.discover.discover import Search, discover
from symcheck.discover.discrete_result import Discrete
from symcheck.discover.profile import NETWORK_ONLY, find_profile
from symcheck.discover.result import Discovery
from symcheck.errors import DataError
from symcheck.measure.dual import Differential
from symcheck.measure.runner import Runner
from symcheck.subject import as_subject


class Net(nn.Module):
    def __init__(self, function: Callable[..., object], inside: nn.Module | None = None) -> None:
        super().__init__()
        self.inside, self.function = inside or nn.Identity(), function

    def forward(self, *tensors: Tensor) -> object:
        return self.function(self.inside, *tensors)


def found_in(model: nn.Module, x: Tensor | Mapping[str, Tensor], *parts: str) -> Discovery:
    return discover(as_subject(model), x, Search(parts=parts or ("continuous", "discrete"), elements=8))


def test_two_samples_are_too_few_for_generators_and_that_is_said() -> None:
    found = found_in(mlp(3, 2, 0), normal(2, 3))
    assert found.continuous is None
    assert any("too few" in note for note in found.notes)


def test_too_few_equations_are_refused_before_any_derivative_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symcheck.discover.continuous.rows_of", lambda *_: pytest.fail("derivatives were taken"))
    found = found_in(mlp(40, 1, 0), normal(32, 40), "continuous", "discrete")
    assert any("equations are too few" in note for note in found.notes)


def test_outputs_that_are_not_finite_are_refused() -> None:
    with pytest.raises(DataError, match="NaN or infinite"):
        found_in(Net(lambda _, x: x.sum(-1).log()), normal(64, 3))


def test_labels_and_complex_numbers_are_named_as_not_searched() -> None:
    with pytest.raises(DataError, match="no output holds real numbers"):
        found_in(Net(lambda f, x: f(x).argmax(-1), mlp(3, 4, 0)), normal(64, 3))
    both = found_in(Net(lambda f, x: {"scores": f(x), "label": f(x).argmax(-1)}, mlp(3, 4, 0)), normal(64, 3))
    assert "output 'label' holds int64, and was not searched" in both.notes


@pytest.mark.parametrize(
    "model",
    [
        Net(lambda f, x: (f(x) > 0).double(), mlp(3, 1, 1)),
        Net(lambda f, x: f(x.round()), mlp(3, 1, 1)),
        Net(lambda _, x: torch.relu(x.sum(-1, keepdim=True) - 4)),  # hardly any sample gets an answer
    ],
)
def test_a_derivative_of_zero_is_no_finding(model: nn.Module) -> None:
    found = found_in(model, normal(128, 3))
    assert found.continuous is None
    assert any("derivative of the outputs is zero" in note for note in found.notes)


def _with_gradient(inside: Callable[[Tensor], Tensor], x: Tensor) -> dict[str, Tensor]:
    with torch.enable_grad():
        x = x.detach().requires_grad_(True)
        energy = inside(x.square().sum(-1, keepdim=True))
        return {"energy": energy, "forces": torch.autograd.grad(energy.sum(), x)[0]}


def test_outputs_that_carry_gradients_are_audited_and_searched() -> None:
    model = Net(_with_gradient, mlp(1, 1, 2))
    report = symcheck.audit(model, "O(3): x=vector -> energy=invariant, forces=vector", {"x": normal(32, 3)})
    assert report.holds
    found = found_in(model, {"x": normal(96, 3)})
    assert "O(3): x=vector -> energy=invariant, forces=vector" in found.claims


def test_finite_groups_inside_a_continuous_one_are_no_claims_of_their_own() -> None:
    found = found_in(Net(lambda _, x: x.square().sum(-1, keepdim=True).sin()), {"x": normal(96, 3)})
    assert found.claims == ("O(3): x=vector -> output=invariant",)
    assert found.discrete is not None
    assert any("part of O(3)" in note for note in found.discrete.notes)


def test_mirrors_are_no_part_of_rotations() -> None:
    """B3 has mirrors and stays beside SO(3), its rotations do not."""
    found = found_in(Net(lambda _, x: x.square().sum(-1, keepdim=True).sin()), {"x": normal(96, 3)}, "discrete")
    assert found.discrete is not None and found.discrete.groups
    group = found.discrete.groups[0]
    turned = replace(group, generators=("(0 1 2)", "(0 -0)(1 -1)", "(0 1 -0 -1)"))
    both = without_contained(Discrete((group, turned), ()), ["SO(3): x=vector -> output=invariant"], {"x": (3,)})
    assert both.groups == (group,)
    kept = without_contained(Discrete((turned,), ()), ["SO(3): x=vector -> output=ignore, other=vector"], {"x": (3,)})
    assert kept.groups == (turned,)  # the claim says nothing of this output


def test_a_component_that_is_zero_throughout_has_no_sign_to_flip() -> None:
    x = normal(96, 3) * torch.tensor([1.0, 1.0, 0.0])
    found = found_in(Net(lambda f, x: f(x.abs()), mlp(3, 1, 1)), {"x": x}, "discrete")
    assert found.discrete is not None
    assert not any("2 -2" in one.what for one in found.discrete.tried)


def test_rows_of_wide_features_are_a_set_even_where_they_could_be_a_picture() -> None:
    model = Net(lambda f, x: f(x).mean(1), mlp(6, 3, 0))
    found = found_in(model, {"x": normal(16, 64, 6)}, "discrete")
    assert found.claims == ("S: x=nodes -> output=invariant",)
    assert found.discrete is not None
    assert [group.order for group in found.discrete.groups] == [math.factorial(64)]


def test_unlike_sizes_of_components_are_told() -> None:
    scale = torch.tensor([1.0, 1e4, 1e-2], dtype=torch.float64)
    found = found_in(Net(lambda f, x: f(x / scale.to(x)), mlp(3, 1, 1)), normal(96, 3) * scale.float(), "continuous")
    assert found.continuous is not None
    assert any("differ" in note and "in size" in note for note in found.continuous.notes)


def test_a_kink_is_told_from_a_lost_derivative() -> None:
    kinked = Net(lambda f, x: torch.relu(f(x) * 0 + x), nn.Identity())  # at zero
    lost = Net(lambda _, x: torch.from_numpy(x.detach().numpy() ** 2))
    for model, word, x in ((kinked, "kink", torch.zeros(4, 3)), (lost, "lost", torch.ones(4, 3))):
        push = Differential(Runner(as_subject(model), torch.device("cpu"), torch.float64, []))
        x = x.double()
        push(Batch({"x": x}, 4), {"x": torch.ones_like(x)})
        assert word in push.without


SQUARE = [f"{group}: x=image -> invariant" for group in ("C4", "C2", "D1", "D2")]


def test_a_profile_of_several_candidates_corrects_their_levels() -> None:
    """Of m candidates the least p counts m times; what differs alone but not then is undecided, never alike."""
    model, x = Net(lambda f, x: f(x.square().sum((1, 2, 3))[:, None]), mlp(1, 2, 1)), normal(200, 1, 6, 6, seed=4)
    x[:, :, :3] += 0.02 * torch.rand(200, 1, 3, 6, generator=torch.Generator().manual_seed(1))
    with session(model, {"x": x}) as audit:
        alone = {text: find_profile(audit, [text]).rows[0].data for text in SQUARE}
        together = {row.claim: row for row in find_profile(audit, SQUARE).rows}
    tests = [test for test in alone.values() if test is not None]
    assert len(tests) == len(SQUARE)
    least = min(tests, key=lambda one: one.p)
    first = together[least.what].data
    assert first is not None and first.p == pytest.approx(min(1.0, len(SQUARE) * least.p))
    for text, test in alone.items():
        row = together[text]
        assert test is not None and row.data is not None and row.data.p >= test.p
        assert (row.data.verdict == "differ") == (test.verdict == "differ" and row.data.p <= test.level)
        assert row.data.verdict != "alike" or test.verdict == "alike"
        assert (row.finding == NETWORK_ONLY) == (row.data.verdict == "differ")


def test_one_claim_in_two_spellings_is_one_row() -> None:
    with session(Net(lambda f, x: f(x.square()), mlp(2, 1, 0)), {"x": normal(64, 2)}) as audit:
        found = find_profile(audit, ["SO(2): vector -> invariant"], found=["SO(2): x=vector -> output=invariant"])
    assert [row.origin for row in found.rows] == ["stated"]


class Packed(nn.Module):
    """A function of each row, summed over the rows of a sample, and the rows themselves; `first` tells rows apart."""

    def __init__(self, first: bool) -> None:
        super().__init__()
        self.each, self.first = mlp(3, 2, 0), first

    def forward(self, x: Tensor, batch: Tensor) -> dict[str, Tensor]:
        each = self.each(x)
        weight = torch.arange(len(x)).to(x)[:, None] if self.first else 1.0
        count = int(batch.max()) + 1
        return {"total": torch.zeros(count, 2).to(x).index_add_(0, batch, weight * each), "each": each}


@pytest.mark.parametrize("first", [False, True])
def test_packed_rows_are_tried_in_another_order(first: bool) -> None:
    x, batch = normal(60, 3), torch.arange(20).repeat_interleave(3)
    claim = "T(3): x=points, batch=owner -> total=invariant, each=invariant"
    found = discover(
        as_subject(Packed(first)), {"x": x, "batch": batch}, Search(parts=("discrete",), elements=8), claims=[claim]
    )
    assert ("S: x=nodes, batch=owner -> total=invariant, each=nodes" in found.claims) is not first
    assert found.discrete is not None and any("packed" in note for note in found.discrete.notes)
