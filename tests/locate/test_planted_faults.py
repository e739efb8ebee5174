"""One fault in one module of a network: it is found, its cause is named, and the advice that is given mends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from planted_cases import CASES, Case
from planted_more import MORE
from planted_spaces import NormScale, traceless_basis
from torch import nn

from symcheck.api import audit
from symcheck.claim import Claim
from symcheck.locate.attribution import attribute
from symcheck.locate.locate import How, locate
from symcheck.locate.result import Located
from symcheck.locate.terms import Attributed
from symcheck.measure.audit import Options
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.subject import as_subject

EVERY = (*CASES, *MORE)
CLOSED = 1e-9
QUICK = How(samples=8, elements=16, pairs=23, parts=("layers",))

ten = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
every = pytest.mark.parametrize("case", EVERY, ids=lambda case: case.name)


@cache
def located(name: str, fault: bool, dtype: str = "float64") -> Located:
    """What is found in one of the networks."""
    case = next(case for case in EVERY if case.name == name)
    return locate(case.build(fault), case.claim, dict(case.inputs), replace(QUICK, dtype=dtype))


def attributed(case: Case) -> Attributed:
    """The attribution itself, with its tensors."""
    runner = runner_for(as_subject(case.build(True)), case.claim, dict(case.inputs), None, "float64")
    with measuring(runner):
        session = open_session(runner, dict(case.inputs), [case.claim], Options(QUICK.elements), None)
        return attribute(session, Claim.parse(case.claim), {}, QUICK.pairs)


def within(path: str, guilty: str) -> bool:
    """Whether a module is the guilty one, or a part of it."""
    return path == guilty or path.startswith(f"{guilty}.")


@every
def test_a_healthy_network_is_exact_and_nothing_is_ranked(case: Case) -> None:
    found = located(case.name, False)
    assert {finding.verdict for finding in found.findings} == {"exact"}
    assert found.attribution is not None
    assert (found.attribution.operations, found.attribution.modules, found.attribution.cause) == ((), (), "")


@ten
def test_the_fault_is_seen_by_the_audit(case: Case) -> None:
    verdicts = {finding.verdict for finding in located(case.name, True).findings}
    assert case.verdict in verdicts
    assert case.verdict == "exact" or verdicts - {"exact"}


@every
def test_the_guilty_module_ranks_first(case: Case) -> None:
    found = located(case.name, True).attribution
    assert found is not None
    first, *others = found.modules
    assert within(first.path, case.guilty), [module.path for module in found.modules]
    rest = [abs(share) for module in others for share in module.share.values()]
    assert min(first.share.values()) > 2 * max(rest, default=0.0)
    assert first.again > 0.95


@every
def test_the_cause_is_named(case: Case) -> None:
    found = located(case.name, True).attribution
    assert found is not None
    assert found.cause == case.cause, found.sentence


@ten
def test_the_attribution_closes(case: Case) -> None:
    found = attributed(case)
    for one in found.terms.values():
        summed = torch.stack([*one.by_path.values()]).sum(0)
        assert float((summed - one.total).abs().max()) <= CLOSED * float(one.total.abs().max())
        assert one.closure <= CLOSED
        guilty = sum(one.share(place) for place in one.along if within(found.path(place), case.guilty))
        assert guilty > 0.7


def test_what_is_shared_out_is_the_error_itself() -> None:
    """Σ terms = f(g·x) − f(x), computed without the tool."""
    case = CASES[0]
    found, model, image = attributed(case), case.build(True), case.inputs["image"]
    steps = found.course.bound.group.face("shift", found.course.elements.g)[found.course.index]
    rest = found.course.batch.tensors["image"]
    with torch.no_grad():
        moved = torch.stack([x.roll(tuple(s), (1, 2)) for x, s in zip(rest, steps.tolist(), strict=True)])
        error = model(moved) - model(rest)
    summed = torch.stack([*found.terms["output"].by_path.values()]).sum(0).reshape(error.shape)
    assert float(error.abs().max()) > 1e-2 and {*rest.unique().tolist()} <= {*image.unique().tolist()}
    torch.testing.assert_close(summed, error, rtol=0, atol=CLOSED)


@pytest.mark.parametrize("draw", [1, 2])
@ten
def test_other_weights_and_other_pairs_tell_the_same(case: Case, draw: int) -> None:
    how = replace(QUICK, pairs=17, seed=draw)
    found = locate(case.build(True, draw), case.claim, dict(case.inputs), how).attribution
    assert found is not None
    assert within(found.modules[0].path, case.guilty)
    assert (found.cause, found.closure <= CLOSED) == (case.cause, True)


SWAPS = {
    "CNN": ("blocks", 1, 0),
    "Swin": ("blocks", 2, 0),
    "gated network": ("layers", 1, 2),
    "EGNN": ("layers", 1, 0),
    "Deep Sets": ("layers", 1, 2),
    "graph transformer": ("layers", 1, 2),
    "contour network": ("blocks", 1, 2),
    "quadrupoles": ("blocks", 1, 0),
}


@pytest.mark.parametrize("name", SWAPS)
def test_the_blame_moves_with_the_fault(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    parts, i, j = SWAPS[name]
    model = case.build(True)
    layers: Any = getattr(model, parts)
    layers[i], layers[j] = layers[j], layers[i]
    found = locate(model, case.claim, dict(case.inputs), QUICK).attribution
    assert found is not None
    assert within(found.modules[0].path, case.guilty.replace(f"{parts}.{i}", f"{parts}.{j}"))
    assert found.cause == case.cause


def _set(path: str, name: str, value: Any) -> Callable[[nn.Module], None]:
    """Sets an attribute of a module of the network."""
    return lambda model: setattr(model.get_submodule(path), name, value)


def _average_slots(model: nn.Module) -> None:
    slots = model.get_parameter("layers.1.slots").data
    slots.copy_(slots.mean().expand_as(slots))


def _whole_norm(model: nn.Module) -> None:
    setattr(model.get_submodule("layers.1"), "norm_v", NormScale(6).double())  # noqa: B010


# What the sentences advise, by network: a change of the model, or of the claim.
ADVICE: dict[str, Callable[[nn.Module], None] | str] = {
    "CNN": _set("blocks.1.conv", "padding_mode", "circular"),
    "ResNet": "Shift(2): image -> invariant",
    "ViT": _set("embed", "position", None),
    "Swin": lambda model: model.symmetrise(but=None),
    "gated network": _whole_norm,
    "EGNN": _set("layers.1", "rectify", False),
    "Deep Sets": _average_slots,
    "LSTM": "SO(3): points -> vector",
    "graph transformer": _set("layers.1.attention", "sharp", False),
    "contour network": _set("blocks.1", "transposed", False),
    "quadrupoles": _set("blocks.1", "basis", traceless_basis()),
}


@ten
def test_the_advice_mends_it(case: Case) -> None:
    model, advice, claim = case.build(True), ADVICE[case.name], case.claim
    before = audit(model, claim, dict(case.inputs), elements=16)
    if isinstance(advice, str):
        claim = advice
    else:
        advice(model)
    report = audit(model, claim, dict(case.inputs), elements=16)
    assert {finding.verdict for finding in report.findings} == {"exact"}
    worst = max(f.error.spread.mean for f in report.findings if f.error)
    assert worst < 1e-3 * max(f.error.spread.mean for f in before.findings if f.error)
    assert worst < 1e-12


NAMED = {"ViT": "'position'", "Swin": "'bias_table'", "Deep Sets": "'slots'", "quadrupoles": "'basis'", "EGNN": "relu"}


@pytest.mark.parametrize("name", NAMED)
def test_the_sentence_names_what_is_at_fault(name: str) -> None:
    found = located(name, True).attribution
    assert found is not None
    assert NAMED[name] in found.sentence and "'weight'" not in found.sentence and "'index'" not in found.sentence


def test_two_faults_share_the_blame() -> None:
    case = CASES[5]
    model = case.build(False)
    for path in ("layers.0", "layers.2"):
        _set(path, "rectify", True)(model)
    found = locate(model, case.claim, dict(case.inputs), QUICK).attribution
    assert found is not None
    assert {module.path for module in found.modules} == {"layers.0", "layers.2"}
    assert all(module.share["output"] > 0.05 and module.size["output"] > 0.05 for module in found.modules)
    assert found.closure <= CLOSED


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-10])
def test_a_small_fault_is_no_rounding(size: float) -> None:
    case = CASES[6]
    model = case.build(True)
    slots = model.get_parameter("layers.1.slots").data
    slots.copy_(1 + size * slots)
    found = locate(model, case.claim, dict(case.inputs), QUICK).attribution
    assert found is not None
    assert [module.path for module in found.modules][:1] == ["layers.1"]
    assert 0.01 * size < found.error["output"] < 10 * size
    assert found.modules[0].share["output"] > 0.99
    assert found.cause == "position_weights"


@pytest.mark.parametrize("name", ["CNN", "EGNN", "Deep Sets", "LSTM", "contour network"])
def test_single_precision_finds_the_same_module(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    found = located(name, True, "float32").attribution
    assert found is not None
    assert within(found.modules[0].path, case.guilty)
    assert found.cause == case.cause


def test_every_kind_of_fault_is_planted() -> None:
    assert {case.cause for case in CASES} == {
        "zero_padding", "stride", "position_added", "unsymmetrised_weight", "batch_norm_vectors", "position_weights",
        "pointwise_on_vectors", "handed_frame", "cutoff", "transposed_rotation", "float32_constants",
    }  # fmt: skip
