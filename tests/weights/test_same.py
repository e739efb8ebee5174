"""One network or two? Every planted copy is recognised; a weight changed by a hundredth is seen."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from held import held
from nullity_models import FAMILIES
from spec_networks import NETWORKS
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights.derive import derive
from symcheck.weights.fingerprint import fingerprint
from symcheck.weights.moves import drawn
from symcheck.weights.same import Answer, same_function
from symcheck.weights.spec import Spec

State = Mapping[str, Tensor]
EVERY = [(name, space) for name, network in NETWORKS.items() for space in network.spec.spaces]
WHOLE = [family for family in FAMILIES if family.name in ("relu mlp", "llama qk norm", "gpt2", "lstm", "convolutions")]


def stored(state: State, dtype: torch.dtype) -> dict[str, Tensor]:
    return {k: t.detach().to(dtype) if t.is_floating_point() else t for k, t in state.items()}


def planted(spec: Spec, state: State, seed: int = 5) -> dict[str, Tensor]:
    names = [name for name, space in spec.spaces.items() if not space.approximate]
    return spec.apply(drawn(spec, names, seed), state)


def noisy(state: State, size: float) -> dict[str, Tensor]:
    """The largest noise a fine-tuned copy may have: `size` of every tensor's spread; variances stay positive."""
    generator = torch.Generator().manual_seed(1)
    return {
        k: t + size * t.std(correction=0) * torch.randn(t.shape, generator=generator, dtype=t.dtype)
        if t.is_floating_point() and t.numel() > 1 and "var" not in k
        else t
        for k, t in state.items()
    }


def walk(spec: Spec, answer: Answer, a: State, b: State) -> float:
    """How far apart a and b are where the answer's elements bring them."""
    for element in answer.forward:
        a = spec.apply(element, a)
    b = spec.apply(answer.back, b)
    return max(float((a[k] - b[k]).abs().max() / b[k].abs().max().clamp_min(1e-3)) for k in b)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "space"), EVERY)
def test_a_copy_moved_by_any_space_is_the_same(name: str, space: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name]
    a = stored(network.state, dtype)
    b = network.spec.apply(drawn(network.spec, [space], 4), a)
    answer = same_function(network.spec, a, b)
    assert answer.same is True and answer.close, answer.reason
    if name != "siren":  # whose phases count up to whole turns
        assert walk(network.spec, answer, a, b) < (1e-9 if dtype == torch.float64 else 1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", NETWORKS)
def test_one_weight_changed_by_a_hundredth_is_seen(name: str, dtype: torch.dtype) -> None:
    network = NETWORKS[name]
    a = stored(network.state, dtype)
    assert same_function(network.spec, a, planted(network.spec, a)).same is True
    b = planted(network.spec, a)
    largest = max(network.spec.axes, key=lambda k: b[k].numel())
    changed = b[largest].clone()
    changed.view(-1)[changed.abs().argmax()] *= 1.01
    twins = {k: changed for k, c in network.spec.ties.items() if c == largest}
    answer = same_function(network.spec, a, {**b, largest: changed, **twins})
    assert answer.same is False and answer.close and answer.tensor


@pytest.mark.parametrize("family", WHOLE, ids=lambda family: family.name)
def test_whole_networks(family: object) -> None:
    model = family.model()  # type: ignore[attr-defined]
    example = family.example()  # type: ignore[attr-defined]
    spec = derive(model, example)
    a = {k: t.detach().clone() for k, t in model.state_dict().items()}
    copy = same_function(spec, a, planted(spec, a), model, example)
    assert copy.same is True and copy.outputs is not None and copy.outputs < 1e-9
    tuned = same_function(spec, a, planted(spec, noisy(a, 0.05)), model, example)
    assert tuned.same is False and tuned.close and 0.01 < tuned.distance < 0.3
    other = {k: t.detach() for k, t in family.model(7).state_dict().items()}  # type: ignore[attr-defined]
    answer = same_function(spec, a, other, model, example)
    assert answer.same is False and not answer.close and answer.outputs is not None and answer.outputs > 0.01


def test_a_fingerprint_does_not_move_and_tells_networks_apart() -> None:
    for name, network in NETWORKS.items():
        prints = fingerprint(network.spec, network.state)
        again = fingerprint(network.spec, planted(network.spec, network.state))
        assert prints.keys() == again.keys()
        for key, value in prints.items():
            torch.testing.assert_close(value, again[key], msg=f"{name}: {key}")
    group = NETWORKS["group-norm"]
    assert len(fingerprint(group.spec, group.state)) == 4
    answer = same_function(group.spec, group.state, {**group.state, "gain": group.state["gain"] * 1.01})
    assert answer.same is False and answer.tensor == "gain" and "gain" in answer.reason


def test_equal_functions_that_the_spec_does_not_explain_are_found_by_running() -> None:
    network = NETWORKS["mlp"]
    poorer = network.spec.without(["h_scale"])
    b = planted(network.spec, network.state)
    assert same_function(poorer, network.state, b).same is False
    answer = same_function(poorer, network.state, b, held("mlp"), ())
    assert answer.same is True and "no element" in answer.reason


def test_between_rounding_and_a_difference_nothing_is_said() -> None:
    network = NETWORKS["gated-unit"]
    a = stored(network.state, torch.float32)
    b = {**a, "up": a["up"] * (1 + 3e-5 * torch.sign(a["up"]))}
    answer = same_function(network.spec, a, b)
    assert answer.same is None and "more than rounding" in answer.reason


def test_a_state_dict_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LoadError):
        same_function(NETWORKS["mlp"].spec, NETWORKS["mlp"].state, {"w1": torch.zeros(8, 5)})
