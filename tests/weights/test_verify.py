"""Specs are proven on running networks; wrong ones are refused with the tensor at fault; vacuous ones are named."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from held import held
from spec_networks import NETWORKS, spec_of
from torch import Tensor, nn

from symcheck.errors import LoadError, ModelError
from symcheck.report.model import Report, Verdict
from symcheck.weights.session import verify_spec
from symcheck.weights.spec import Space, Spec
from symcheck.weights.verify import prove

AXES = {
    "conv.weight": "h . . .", "conv.bias": "h", "norm.weight": "h", "norm.bias": "h",
    "norm.running_mean": "h", "norm.running_var": "h", "out.weight": ". (h 4)", "out.bias": ".",
}  # fmt: skip
UNITS = Space("h", "permutation", 6)


class Flattened(nn.Module):
    """Convolution, BatchNorm, ReLU, flatten, linear: fresh, so that gains and statistics are constant."""

    def __init__(self, act: Any = F.relu) -> None:
        super().__init__()
        self.conv, self.norm, self.out = nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.Linear(24, 5)
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.act(self.norm(self.conv(x))).flatten(1))


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        yield


def scale(name: str = "s", **exponents: int) -> Space:
    return Space(name, "scale", 6, on="h", exponents={k.replace("__", "."): (v,) for k, v in exponents.items()})


AFTER = scale("after", norm__weight=1, norm__bias=1, out__weight=-1)
EXAMPLE = (torch.linspace(-1, 1, 96).reshape(3, 2, 4, 4).sin(),)


def given(*spaces: Space, axes: Mapping[str, str] = AXES) -> Spec:
    return spec_of({**AXES, **axes}, *spaces, offsets={"norm.running_var": 1e-5})


def fresh(seed: int = 0) -> Flattened:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Flattened()


def words(certificate: Any) -> list[tuple[str, str]]:
    return [(p.space, str(p.verdict)) for p in certificate.proofs]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("apart", [True, False])
def test_right_specs_are_exact(name: str, apart: bool) -> None:
    """Each space alone, or all together and near misses to first order."""
    certificate = prove(NETWORKS[name].spec, held(name), (), apart=apart)
    assert {p.verdict for p in certificate.proofs} == {Verdict.EXACT}
    assert certificate.joint is not None and certificate.joint.verdict is Verdict.EXACT
    assert certificate.holds and certificate.tolerance == 1e-9
    assert all(p.error <= 1e-11 and p.control > 1e-4 for p in certificate.proofs)


def test_fresh_batchnorm_is_made_generic_first() -> None:
    into = scale("into", conv__weight=1, conv__bias=1, norm__running_mean=1, norm__running_var=2)
    model = fresh()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    certificate = prove(given(UNITS, AFTER, into), model.train(), EXAMPLE)
    assert certificate.holds
    assert set(certificate.generic) == {"norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"}
    assert model.training and all(torch.equal(before[name], t) for name, t in model.state_dict().items())


FAULTS = {
    "statistics forgotten": (given(UNITS, axes={"norm.running_mean": ".", "norm.running_var": "."}),
                             "norm.running_mean"),
    "variance forgotten": (given(UNITS, axes={"norm.running_var": "."}), "norm.running_var"),
    "bias forgotten": (given(UNITS, axes={"conv.bias": "."}), "conv.bias"),
    "factors in the wrong order": (given(UNITS, axes={"out.weight": ". (4 h)"}), "out.weight"),
    "wrong power": (given(scale(norm__weight=1, norm__bias=1, out__weight=-2)), "out.weight"),
    "one tensor too many": (given(scale(norm__weight=1, norm__bias=1, norm__running_mean=1, out__weight=-1)),
                            "norm.running_mean"),
    "no reader": (given(scale(norm__weight=1, norm__bias=1)), "out.weight"),
    "no offset": (replace(given(scale(conv__weight=1, conv__bias=1, norm__running_mean=1, norm__running_var=2)),
                          offsets={}), ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("apart", [True, False])
def test_a_planted_fault_is_found_and_its_tensor_named(fault: str, apart: bool) -> None:
    spec, culprit = FAULTS[fault]
    beside = {} if fault == "factors in the wrong order" else {"after": AFTER}  # which stands on the same pattern
    both = replace(spec, spaces={**spec.spaces, **beside})
    certificate = prove(both, fresh(), EXAMPLE, apart=apart)
    bad, *others = certificate.proofs
    assert bad.verdict is Verdict.BROKEN and bad.error > 1e-6
    assert bad.culprit == culprit and culprit in bad.note
    assert [str(p.verdict) for p in others] == ["exact"] * len(beside)
    assert certificate.failed == (bad.space,)
    assert not beside or prove(both.without(certificate.failed), fresh(), EXAMPLE).holds


def test_a_wrong_activation_is_found() -> None:
    certificate = prove(given(UNITS, AFTER), Flattened(F.gelu), EXAMPLE)
    assert words(certificate) == [("h", "exact"), ("after", "broken")]


def test_a_layer_that_does_nothing_gives_a_test_without_power() -> None:
    model = fresh()
    with torch.no_grad():
        model.out.weight.copy_(1e-9 * torch.randn(5, 24))
    for apart in (True, False):
        certificate = prove(given(UNITS), model, EXAMPLE, apart=apart)
        assert words(certificate) == [("h", "trivial")] and certificate.powerless == ("h",)
        assert certificate.joint is None and not certificate.holds


def test_queries_and_keys_in_one_tensor_are_missed_on_one_side() -> None:
    """A on queries and A^-T on keys of one fused tensor: moving both of them is no near miss."""
    network = NETWORKS["fused-vit"]
    spec = network.spec.only(spaces=["qk"])
    assert len(spec.places["d"]["qkv"]) == 2
    certificate = prove(spec, held("fused-vit"), ())
    assert certificate.holds and certificate.proofs[0].control > 1e-3


def test_a_constant_output_is_trivial_and_nan_invalid() -> None:
    assert words(prove(given(UNITS), Flattened(lambda x: 0 * x), EXAMPLE)) == [("h", "trivial")]
    certificate = prove(given(UNITS), Flattened(lambda x: x.log()), EXAMPLE)
    assert words(certificate) == [("h", "invalid")] and "NaN" in certificate.proofs[0].note
    assert json.loads(json.dumps(certificate.to_dict(), allow_nan=False))["nonfinite"] > 0


def test_randomness_is_invalid() -> None:
    model = Flattened(lambda x: F.dropout(x, 0.5, training=True))
    assert words(prove(given(UNITS), model, EXAMPLE)) == [("h", "invalid")]


class Pinned(nn.Module):
    """float32 whatever is asked for: numpy in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.from_numpy(self.a(x).detach().numpy().astype("float32")).to(x.dtype)
        return self.b(h.relu())


def test_rounding_inside_the_model_is_measured() -> None:
    axes = {"a.weight": "h .", "a.bias": "h", "b.weight": ". h"}
    right = Space("s", "scale", 8, on="h", exponents={"a.weight": (1,), "a.bias": (1,), "b.weight": (-1,)})
    wrong = replace(right, exponents={"a.weight": (1,), "b.weight": (-1,)})
    example = (torch.randn(5, 4),)
    certificate = prove(spec_of(axes, right), Pinned(), example)
    assert words(certificate) == [("s", "exact")] and 1e-9 < certificate.tolerance < 1e-4
    assert certificate.proofs[0].error > 1e-10 and certificate.notes
    assert words(prove(spec_of(axes, wrong), Pinned(), example)) == [("s", "broken")]


class Single(nn.Module):
    """A cast that float64 does not survive when it is done by hand, as normalisers of language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x).to(torch.float32)
        return self.b((h * torch.zeros(8).add(1)).float().relu().type(x.dtype))


def test_casts_to_float32_are_raised() -> None:
    axes = {"a.weight": "h .", "a.bias": "h", "b.weight": ". h"}
    spec = spec_of(axes, Space("h", "permutation", 8))
    certificate = prove(spec, Single(), (torch.randn(5, 4),))
    assert certificate.dtype == "float64" and certificate.tolerance == 1e-9 and certificate.holds
    leak = spec_of({**axes, "a.bias": "."}, Space("h", "permutation", 8))
    model = Single()
    with torch.no_grad():
        model.a.bias.copy_(1.0 + 1e-6 * torch.randn(8))
    assert words(prove(leak, model, (torch.randn(5, 4),))) == [("h", "broken")]


class Stepped(nn.Module):
    """Jumps where a sum over the units passes a limit, which the example meets to the last digit."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 9), nn.Linear(9, 3)
        self.limit = 0.0

    def total(self, x: Tensor) -> Tensor:
        return self.a(x).exp().sum(-1, keepdim=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(self.a(x).tanh())
        return torch.where(self.total(x) > self.limit, y + 1, y)


def test_a_choice_that_rounding_flips_is_no_fault() -> None:
    spec = spec_of({"a.weight": "h .", "a.bias": "h", "b.weight": ". h"}, Space("h", "permutation", 9))
    torch.manual_seed(5)
    example = torch.randn(5, 4).double()
    model = Stepped().double()
    with torch.no_grad():
        model.limit = float(model.total(example)[2])
    proofs = [prove(spec, model, (example,), seed=seed).proofs[0] for seed in range(30)]
    flipped = [p for p in proofs if "rounding flips" in p.note]
    assert flipped and all(p.verdict is Verdict.EXACT and p.error <= 1e-9 for p in flipped)
    assert sum(p.verdict is Verdict.EXACT for p in proofs) > len(flipped)
    broken = spec_of({"a.weight": "h .", "a.bias": ".", "b.weight": ". h"}, Space("h", "permutation", 9))
    assert words(prove(broken, model, (example,))) == [("h", "broken")]


class Normed(nn.Module):
    """What feeds a norm may be scaled, but for its eps."""

    def __init__(self, norm: bool = True) -> None:
        super().__init__()
        self.a, self.norm, self.b = nn.Linear(4, 8, bias=False), nn.LayerNorm(8, eps=1e-3), nn.Linear(8, 3)
        self.normed = norm

    def forward(self, x: Tensor) -> Tensor:
        h = self.a(x)
        return self.b(self.norm(h) if self.normed else h)


def test_an_approximate_space_is_proven_without_eps() -> None:
    space = Space("c", "scale", 1, on=None, exponents={"a.weight": (1,)}, approximate=True)
    spec = spec_of({"a.weight": ". ."}, space)
    (proof,) = prove(spec, Normed(), (torch.randn(5, 4),)).proofs
    assert proof.verdict is Verdict.APPROXIMATE and proof.error > 1e-6
    assert proof.without_eps is not None and proof.without_eps <= 1e-9
    assert words(prove(spec, Normed(norm=False), (torch.randn(5, 4),))) == [("c", "broken")]
    exact = replace(spec, spaces={"c": replace(space, approximate=False)})
    assert words(prove(exact, Normed(), (torch.randn(5, 4),))) == [("c", "broken")]


def test_tied_tensors_move_together() -> None:
    certificate = prove(NETWORKS["tied"].spec, held("tied"), ())
    assert certificate.holds
    untied = NETWORKS["tied"].spec
    untied = replace(untied, ties={}, axes={**untied.axes, "dec": untied.axes["b"] + untied.axes["b"]})
    with pytest.raises(LoadError):
        prove(untied, held("tied"), ())


def test_the_model_must_run_on_its_example_and_fit_the_spec() -> None:
    with pytest.raises(ModelError, match="the model raised"):
        prove(given(UNITS), fresh(), (torch.randn(3, 3),))
    with pytest.raises(LoadError, match="missing"):
        prove(given(UNITS), nn.Linear(3, 3), (torch.randn(3, 3),))


def test_the_report_says_it_space_by_space() -> None:
    wrong = given(UNITS, AFTER, axes={"norm.running_var": "."})
    report = verify_spec(wrong, fresh(), EXAMPLE, seed=3)
    assert [(f.output, str(f.verdict)) for f in report.findings] == [
        ("h", "broken"), ("after", "exact"), ("all spaces", "exact"),
    ]  # fmt: skip
    assert "norm.running_var" in report.findings[0].note and "without(['h'])" in report.findings[0].advice
    assert report.settings["certificate"]["failed"] == ["h"] and report.settings["seed"] == 3
    again = Report.from_json(report.to_json())
    assert again.findings == report.findings and "norm.running_var" in str(again)


def test_the_same_seed_gives_the_same_certificate() -> None:
    one, two, other = (prove(given(UNITS, AFTER), fresh(), EXAMPLE, seed=seed) for seed in (0, 0, 1))
    assert one.proofs == two.proofs
    assert one.proofs != other.proofs
