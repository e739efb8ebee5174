"""The oracle agrees with counts by hand; a spec that lacks a space, or has a wrong one, is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from nullity_models import FAMILIES, Family, generic
from spec_networks import spec_of
from torch import nn

from symcheck.errors import ConfigError
from symcheck.weights.derive import derive
from symcheck.weights.nullity import Completeness, completeness
from symcheck.weights.spec import Space, Spec, Term

BY_NAME = {family.name: family for family in FAMILIES}


def counted(family: Family, spec: Spec, seed: int = 0) -> Completeness:
    return completeness(spec, family.model(seed), family.example(seed), seed)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_nullity_is_what_was_counted_by_hand(name: str) -> None:
    family = BY_NAME[name]
    found = counted(family, Spec({}, {}))
    assert (found.parameters, found.nullity) == (family.parameters, family.nullity)
    assert found.clear and found.rank == family.parameters - family.nullity
    assert found.predicted == 0 and found.equal == (family.nullity == 0)


@pytest.mark.parametrize("name", BY_NAME)
def test_the_derived_spec_is_complete(name: str) -> None:
    """What is derived from the graph predicts the nullity, family by family."""
    family = BY_NAME[name]
    spec = derive(family.model(), family.example())
    found = counted(family, spec)
    assert found.equal and found.predicted == family.nullity and found.leak < 1e-9


def units(name: str, atom: str, size: int, **exponents: int) -> Space:
    return Space(name, "scale", size, on=atom, exponents={k.replace("__", "."): (v,) for k, v in exponents.items()})


RELU = spec_of(
    {"layers.0.weight": "h .", "layers.0.bias": "h", "layers.1.weight": "k h", "layers.1.bias": "k",
     "layers.2.weight": ". k"},
    units("h_scale", "h", 7, layers__0__weight=1, layers__0__bias=1, layers__1__weight=-1),
    units("k_scale", "k", 6, layers__1__weight=1, layers__1__bias=1, layers__2__weight=-1),
)  # fmt: skip
NECK = spec_of(
    {"layers.0.weight": "d .", "layers.0.bias": "d", "layers.1.weight": ". d'", "layers.1.bias": "."},
    Space("d", "general", 3),
    Space(
        "bias", "shift", 3, shape=(3,),
        terms=(Term("layers.0.bias", "d -> d"), Term("layers.1.bias", "d, o d -> o", ("layers.1.weight",), -1.0)),
    ),
)  # fmt: skip
LSTM = spec_of(
    {"cell.bias_ih_l0": "n", "cell.bias_hh_l0": "n"},
    Space("bias", "shift", 20, shape=(20,),
          terms=(Term("cell.bias_ih_l0", "n -> n"), Term("cell.bias_hh_l0", "n -> n", (), -1.0))),
    atoms={"n": 20},
)  # fmt: skip
CONV = spec_of(
    {"conv1.weight": "c . . .", "conv1.bias": "c", "norm.weight": "c", "norm.bias": "c", "norm.running_mean": "c",
     "norm.running_var": "c", "conv2.weight": "k c . .", "conv2.bias": "k", "out.weight": ". k"},
    units("into", "c", 4, conv1__weight=1, conv1__bias=1, norm__running_mean=1, norm__running_var=2),
    Space("spread", "scale", 4, on="c", exponents={"norm.weight": (1,), "norm.running_var": (2,)}),
    units("after", "c", 4, norm__weight=1, norm__bias=1, conv2__weight=-1),
    units("k_scale", "k", 3, conv2__weight=1, conv2__bias=1, out__weight=-1),
    Space("mean", "shift", 4, shape=(4,),
          terms=(Term("conv1.bias", "c -> c"), Term("norm.running_mean", "c -> c"))),
    offsets={"norm.running_var": 1e-5},
)  # fmt: skip
HAND = {"relu mlp": RELU, "bottleneck": NECK, "lstm": LSTM}


@pytest.mark.parametrize("name", HAND)
def test_a_complete_spec_predicts_the_nullity(name: str) -> None:
    found = counted(BY_NAME[name], HAND[name])
    assert found.equal and found.predicted == BY_NAME[name].nullity
    assert found.leak < 1e-9


@pytest.mark.parametrize("name", HAND)
def test_a_missing_space_is_seen(name: str) -> None:
    spec = HAND[name]
    for space in spec.spaces:
        found = counted(BY_NAME[name], spec.without([space]))
        assert found.predicted < found.nullity and not found.equal


def test_a_wrong_space_leaks() -> None:
    wrong = replace(RELU.spaces["h_scale"], exponents={"layers.0.weight": (1,), "layers.1.weight": (-1,)})
    found = counted(BY_NAME["relu mlp"], replace(RELU, spaces={**RELU.spaces, "h_scale": wrong}))
    assert found.predicted == found.nullity and found.leak > 1e-4 and not found.equal


def test_spaces_that_move_buffers_count_where_the_buffers_stay() -> None:
    """W → cW, mean → c·mean, var → c²var and gain → c·gain, var → c²var together leave W → cW, gain → gain/c."""
    family = BY_NAME["convolutions"]
    found = counted(family, CONV)
    assert found.nullity == 15 and found.leak < 1e-6
    assert found.predicted == 7 + 4  # the means are buffers too: b → b + δ, bias → bias − δ·gain/σ is not in the spec
    without = counted(family, CONV.without(["spread"]))
    assert without.predicted == 7


def test_approximate_spaces_count_when_asked_for() -> None:
    model = generic(nn.Sequential(nn.Linear(8, 5, bias=False), nn.RMSNorm(5, eps=1e-3), nn.Linear(5, 3)))
    gains = Space("g", "scale", 5, on="g", exponents={"1.weight": (1,), "2.weight": (-1,)})
    size = Space("c", "scale", 1, on=None, exponents={"0.weight": (1,)}, approximate=True)
    turn = Space("q", "orthogonal", 5, on="g", exponents={"0.weight": (1,), "2.weight": (1,)},
                 gains={"2.weight": ({"1.weight": -1},)})  # fmt: skip
    spec = spec_of({"0.weight": "g .", "1.weight": "g", "2.weight": ". g"}, gains, size, turn)
    example = (torch.randn(6, 8, dtype=torch.float64),)
    found = completeness(spec, model, example, approximate=True)
    assert found.equal and found.nullity == 5 + 1 + 10
    assert completeness(spec, model, example).predicted == 15


def test_large_models_are_refused() -> None:
    with pytest.raises(ConfigError, match="the model has 6030"):
        completeness(Spec({}, {}), nn.Linear(66, 90), (torch.randn(2, 66),))
