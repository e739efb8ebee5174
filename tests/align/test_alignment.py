"""`align`: the same function, in the places and the gauge of A, with controls that mean something."""

from __future__ import annotations

import pytest
import torch
from spec_networks import NETWORKS, State

from symcheck.align.alignment import align
from symcheck.align.distance import distances
from symcheck.align.gauge import GAUGES, gauged, undone
from symcheck.align.many import align_many
from symcheck.align.matchers import doubly_stochastic
from symcheck.align.steps import applied
from symcheck.errors import ConfigError, LoadError

# where something of the spec is not looked for, and what: signs with additive terms, a rotation beside gains that stay
PARTIAL = {"siren": "turn", "sigmoid": "flip", "stream-rms": "turn", "stream-layer": "turn"}
WHOLE = [name for name in NETWORKS if name not in PARTIAL]


def apart(a: State, b: State) -> float:
    return max(float((a[k] - b[k]).abs().max() / b[k].abs().max()) for k in b)


def stranger(name: str) -> dict[str, torch.Tensor]:
    """Weights of the same shapes and sizes, in another order."""
    rng = torch.Generator().manual_seed(5)
    return {k: t.flatten()[torch.randperm(t.numel(), generator=rng)].reshape(t.shape)
            for k, t in NETWORKS[name].state.items()}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays(name: str) -> None:
    network, b = NETWORKS[name], stranger(name)
    found = align(network.state, b, network.spec, controls=False)
    before, after = network.call(b), network.call(found.aligned)
    assert float((after - before).abs().max() / before.abs().max()) <= 1e-11
    assert found.cosine[1] >= found.cosine[0] - 1e-12


@pytest.mark.parametrize("name", WHOLE)
def test_a_relabelled_network_comes_back(name: str) -> None:
    network = NETWORKS[name]
    b = network.spec.apply(network.spec.sample(5), network.state)
    found = align(network.state, b, network.spec, controls=False)
    assert found.cosine[1] == pytest.approx(1, abs=1e-9)
    assert apart(found.aligned, network.state) <= 1e-5
    assert not found.left or set(found.left.values()) == {"decided by the gains"}


@pytest.mark.parametrize("name", PARTIAL)
def test_what_is_not_looked_for_is_named(name: str) -> None:
    network = NETWORKS[name]
    found = align(network.state, stranger(name), network.spec, controls=False)
    assert PARTIAL[name] in found.left


@pytest.mark.parametrize("name", ["mlp", "grouped-queries", "lstm", "soft-trees"])
def test_controls_tell_copies_from_strangers(name: str) -> None:
    network = NETWORKS[name]
    copy = align(network.state, network.spec.apply(network.spec.sample(5), network.state), network.spec)
    other = align(network.state, stranger(name), network.spec)
    for found in (copy, other):
        assert found.planted is not None and found.planted.recovered == found.planted.units > 0
        assert found.null is not None and 0 < found.null < 0.8
    assert copy.cosine[1] > copy.null + 0.2  # type: ignore[operator]
    assert other.cosine[1] < other.null + 0.2  # type: ignore[operator]


def test_planted_finds_a_matcher_that_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    network = NETWORKS["mlp"]
    monkeypatch.setattr("symcheck.align.weight.assign", lambda gains: gains.argmin(-1).argsort())
    monkeypatch.setattr("symcheck.align.starts.assign", lambda gains: torch.arange(gains.shape[-1]))
    monkeypatch.setattr("symcheck.align.weight.certain", lambda products, space: None)
    found = align(network.state, network.state, network.spec)
    assert found.planted is not None and found.planted.recovered < found.planted.units


def test_aligning_with_itself_changes_nothing() -> None:
    network = NETWORKS["mlp"]
    found = align(network.state, network.state, network.spec)
    assert apart(found.aligned, network.state) <= 1e-9
    assert all(one.moved == 0 for one in found.matched)
    assert found.agreement == 1.0


@pytest.mark.parametrize("name", ["mlp", "conv-flatten", "grouped-queries", "gated-unit"])
def test_gauges_are_one_for_the_orbit_and_can_be_undone(name: str) -> None:
    network = NETWORKS[name]
    moved = network.spec.apply(network.spec.sample(3), network.state)
    one, two = gauged(network.spec, (network.state, moved), GAUGES)
    for tensor in network.state:
        assert float(one.state[tensor].norm()) == pytest.approx(float(two.state[tensor].norm()), rel=1e-4, abs=1e-9)
    assert any(float(moved[t].norm()) != pytest.approx(float(network.state[t].norm()), rel=1e-2) for t in moved)
    assert apart(applied(network.spec, undone(network.spec, one.steps), one.state), network.state) <= 1e-10


def test_other_shapes_are_refused_by_name() -> None:
    network = NETWORKS["mlp"]
    wider = {**network.state, "w2": torch.zeros(7, 8, dtype=torch.float64)}
    with pytest.raises(LoadError) as caught:
        align(network.state, wider, network.spec)
    assert "w2" in str(caught.value) and "(7, 8)" in str(caught.value)
    with pytest.raises(LoadError, match="1 tensors differ"):
        align(network.state, {k: t for k, t in network.state.items() if k != "b1"}, network.spec)


def test_kinds_restrict_what_moves() -> None:
    network = NETWORKS["mlp"]
    b = network.spec.apply(network.spec.sample(5, ["permutation"]), network.state)
    found = align(network.state, b, network.spec, kinds=["sign"], gauges=(), controls=False)
    assert apart(found.aligned, b) == 0
    found = align(network.state, b, network.spec, kinds=["permutation"], gauges=(), controls=False)
    assert apart(found.aligned, network.state) == 0


def test_several_copies_agree_around_every_triangle() -> None:
    network = NETWORKS["mlp"]
    states = [network.state, *(network.spec.apply(network.spec.sample(k), network.state) for k in (1, 2, 3))]
    found = align_many(states, network.spec, controls=False)
    assert all(apart(one.aligned, network.state) <= 1e-5 for one in found.alignments)
    assert len(found.cycles) == 4 and all(cycle.kept == 1 for cycle in found.cycles)
    odd = align_many([network.state, stranger("mlp"), states[1]], network.spec, controls=False)
    assert apart(odd.alignments[1].aligned, network.state) <= 1e-5
    assert apart(odd.alignments[0].aligned, network.state) > 0.1
    before, after = network.call(stranger("mlp")), network.call(odd.alignments[0].aligned)
    assert float((after - before).abs().max()) <= 1e-11 * float(before.abs().max())


def test_modes_are_counted_after_the_symmetries() -> None:
    network = NETWORKS["mlp"]
    copies = [network.spec.apply(network.spec.sample(k), network.state) for k in (1, 2)]
    found = distances([network.state, copies[0], stranger("mlp"), copies[1]], network.spec)
    assert found.modes == (1, 1, 2, 1)
    assert found.copies == 0.5
    assert found.raw[0][1] > 1 and found.modulo[0][1] < 1e-5
    assert found.modulo[0][2] == pytest.approx(found.null, abs=0.4)
    same = distances([network.state, copies[0]], network.spec, outputs=lambda a, b: 0.0)
    assert not same.notes
    other = distances([network.state, stranger("mlp")], network.spec, outputs=lambda a, b: 0.0)
    assert other.notes and "one function" in other.notes[0]


def test_sinkhorn_rounds_to_the_same_units() -> None:
    network = NETWORKS["mlp"]
    b = network.spec.apply(network.spec.sample(5), network.state)
    found = align(network.state, b, network.spec, matcher="sinkhorn", controls=False)
    assert apart(found.aligned, network.state) <= 1e-5
    matrix = doubly_stochastic(torch.randn(6, 6, dtype=torch.float64))
    for dim in (0, 1):
        assert matrix.sum(dim).tolist() == pytest.approx([1] * 6, abs=1e-3)


def test_matchers_that_need_data_or_do_not_exist_say_so() -> None:
    network = NETWORKS["mlp"]
    words_of = {"activations": "looks at data", "straight-through": "looks at data", "wieghts": "no matcher"}
    for matcher, words in words_of.items():
        with pytest.raises(ConfigError, match=words):
            align(network.state, network.state, network.spec, matcher=matcher, controls=False)
