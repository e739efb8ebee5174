"""f(g·θ) = f(θ) by running small networks; leaving any one tensor out of the action must be seen."""

from __future__ import annotations

import pytest
import torch
from spec_networks import NETWORKS, Network
from torch import Tensor

EVERY = [(network, space) for network, each in NETWORKS.items() for space in each.spec.spaces]


def distance(network: Network, state: dict[str, Tensor]) -> float:
    """max|Δf| / max|f|"""
    before, after = network.call(network.state), network.call(state)
    return float((after - before).abs().max() / before.abs().max())


def moving(network: Network, spaces: list[str], order: int = 1) -> dict[str, Tensor]:
    """The first random element whose parts all move something; permutations of at least this order."""
    for seed in range(100):
        element = network.spec.sample(seed, spaces=spaces)
        if all(moves(network, name, part, order) for name, part in element.items()):
            return element
    raise AssertionError("no seed moves everything")


def moves(network: Network, name: str, part: Tensor, order: int) -> bool:
    space = network.spec.spaces[name]
    if space.kind == "permutation":
        power = still = torch.arange(space.size).expand_as(part)
        for _ in range(min(order, 1 if space.size < 3 else order)):
            power = power.gather(-1, part)
            if torch.equal(power, still):
                return False
        return True
    return not torch.equal(part, torch.ones_like(part)) and bool(part.any())


@pytest.mark.parametrize(("name", "space"), EVERY)
def test_each_space_keeps_the_function(name: str, space: str) -> None:
    network = NETWORKS[name]
    element = moving(network, [space], order=2)
    moved = network.spec.apply(element, network.state)
    assert distance(network, moved) <= 1e-12
    back = network.spec.apply(element, moved, inverse=True)
    for key, x in network.state.items():
        torch.testing.assert_close(back[key], x, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize(("name", "space"), EVERY)
def test_leaving_one_tensor_out_changes_the_function(name: str, space: str) -> None:
    network = NETWORKS[name]
    moved = network.spec.apply(moving(network, [space]), network.state)
    changed = [key for key, x in network.state.items() if not torch.equal(moved[key], x)]
    assert changed
    free = ["k_b"] if name == "grouped-queries" else []  # softmax does not see the bias of the keys
    assert len(changed) > 1 or changed == free
    for key in [key for key in changed if key not in free]:
        assert distance(network, {**moved, key: network.state[key]}) > 1e-4, key


@pytest.mark.parametrize("name", NETWORKS)
def test_all_spaces_together(name: str) -> None:
    network = NETWORKS[name]
    element = moving(network, [*network.spec.spaces])
    moved = network.spec.apply(element, network.state)
    assert distance(network, moved) <= 1e-11
    back = network.spec.apply(element, moved, inverse=True)
    for key, x in network.state.items():
        torch.testing.assert_close(back[key], x, rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("name", ["conv-flatten", "fused-neox", "grouped-queries", "stream-rms", "soft-trees"])
def test_lower_precision_is_rounded_once(name: str) -> None:
    """Act on bfloat16 tensors: within one unit in the last place of acting on the same values in float64."""
    network = NETWORKS[name]
    element = network.spec.sample(3)
    low = {key: x.to(torch.bfloat16) for key, x in network.state.items()}
    exact = network.spec.apply(element, {key: x.to(torch.float64) for key, x in low.items()})
    for key, x in network.spec.apply(element, low).items():
        assert x.dtype == torch.bfloat16
        torch.testing.assert_close(x.to(torch.float64), exact[key], rtol=2**-8, atol=1e-4)


def test_tied_names_stay_one_tensor() -> None:
    network = NETWORKS["tied"]
    moved = network.spec.apply(network.spec.sample(1), network.state)
    assert moved["dec"] is moved["enc"]
    alone = {name: x for name, x in network.state.items() if name != "enc"}
    assert torch.equal(network.spec.apply(network.spec.sample(1), alone)["dec"], moved["dec"])
    untied = {**network.state, "dec": network.state["dec"] + 1}
    both = network.spec.apply(network.spec.sample(1), untied)
    assert torch.equal(both["enc"], moved["enc"]) and not torch.equal(both["dec"], moved["dec"])
