"""The canonical form: one for the whole orbit, reached by an element, a fixed point, and the same function."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from held import output
from nullity_models import FAMILIES
from spec_networks import NETWORKS, spec_of
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights.canonical import canonical
from symcheck.weights.derive import derive
from symcheck.weights.moves import drawn, identity
from symcheck.weights.spec import Space, Spec

EVERY = [(name, space) for name, network in NETWORKS.items() for space in network.spec.spaces]
BY_NAME = {family.name: family for family in FAMILIES}


def apart(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """The largest difference over the tensors, each relative to its largest entry."""
    return max(float((a[k].double() - b[k].double()).abs().max() / b[k].double().abs().max()) for k in b)


def exact_spaces(spec: Spec) -> list[str]:
    return [name for name, space in spec.spaces.items() if not space.approximate]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_the_element_leads_there(name: str) -> None:
    network = NETWORKS[name]
    state, element = canonical(network.spec, network.state)
    before, after = output(name, network.state), output(name, state)
    assert float((after - before).abs().max() / before.abs().max()) <= 1e-12
    assert apart(network.spec.apply(element, network.state), state) == 0
    assert apart(state, network.state) > 1e-3


@pytest.mark.parametrize("name", NETWORKS)
def test_a_canonical_form_is_its_own(name: str) -> None:
    spec = NETWORKS[name].spec
    state, _ = canonical(spec, NETWORKS[name].state)
    again, element = canonical(spec, state)
    assert apart(again, state) <= 1e-11
    for space, part in element.items():
        still = identity(spec.spaces[space], part).double()
        far = (part.double() - still).abs() if spec.spaces[space].kind != "rotation" else (part.cos() - 1).abs()
        assert float(far.max()) <= 1e-9, space


@pytest.mark.parametrize(("name", "space"), EVERY)
def test_one_form_for_the_whole_orbit(name: str, space: str) -> None:
    network = NETWORKS[name]
    state, _ = canonical(network.spec, network.state)
    for seed in range(3):
        moved = network.spec.apply(drawn(network.spec, [space], seed), network.state)
        if (name, space) == ("siren", "turn"):
            continue  # half a turn twice is a whole one, which is no element of the spec
        assert apart(canonical(network.spec, moved)[0], state) <= 1e-11


@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "siren"])
@pytest.mark.parametrize("seed", range(3))
def test_all_spaces_at_once(name: str, seed: int) -> None:
    network = NETWORKS[name]
    moved = network.spec.apply(drawn(network.spec, [*network.spec.spaces], seed), network.state)
    assert apart(canonical(network.spec, moved)[0], canonical(network.spec, network.state)[0]) <= 1e-11


@pytest.mark.parametrize("name", sorted(BY_NAME.keys() - {"convolutions"}))  # three scales share BatchNorm's variance
def test_derived_specs_of_whole_networks(name: str) -> None:
    """A shared stream, tied tensors, norms with gains, grouped queries, signs that hang together."""
    family = BY_NAME[name]
    model = family.model()
    spec = derive(model, family.example())
    state = {key: t.detach() for key, t in model.state_dict().items()}
    form, _ = canonical(spec, state)
    moved = spec.apply(drawn(spec, exact_spaces(spec), 3), state)
    assert apart(moved, state) > 0.1
    assert apart(canonical(spec, moved)[0], form) <= 1e-9
    assert apart(canonical(spec, form)[0], form) <= 1e-9
    example = family.example()
    with torch.no_grad():
        before = model(*example)
        model.load_state_dict(form)
        torch.testing.assert_close(model(*example), before, rtol=1e-9, atol=1e-9)


def test_scales_have_the_least_sum_of_squares() -> None:
    network = NETWORKS["mlp"]
    scales = network.spec.only(kinds=["scale"])
    form, _ = canonical(scales, network.state)
    least = sum(float(t.square().sum()) for t in form.values())
    for seed in range(20):
        near = scales.apply(scales.sample(seed, scale=0.05), form)
        assert sum(float(t.square().sum()) for t in near.values()) > least
    into, out = (form[k].square() for k in ("w1", "w2"))
    torch.testing.assert_close(into.sum(1) + form["b1"].square(), out.sum(0))


def test_matrices_are_balanced_and_framed() -> None:
    network = NETWORKS["grouped-queries"]
    form, _ = canonical(network.spec, network.state)
    q, k = form["q"].unflatten(0, (2, 3, 4)), form["k"].unflatten(0, (2, 4))
    for kv in range(2):
        one, two = torch.einsum("gdr,ger->de", q[kv], q[kv]), k[kv] @ k[kv].T
        torch.testing.assert_close(one + torch.einsum("gd,ge->de", *[form["q_b"].unflatten(0, (2, 3, 4))[kv]] * 2), two)
        values = two.diagonal()
        torch.testing.assert_close(two, torch.diag(values), atol=1e-11, rtol=0)
        assert bool((values.diff() < 0).all())


def test_shifts_come_to_rest() -> None:
    form, _ = canonical(NETWORKS["grouped-queries"].spec, NETWORKS["grouped-queries"].state)
    assert float(form["k_b"].abs().max()) == 0 and float(form["v_b"].abs().max()) <= 1e-15


def test_a_scale_that_only_shrinks_gives_mean_square_one() -> None:
    """What feeds a norm without eps has no least size."""
    spec = spec_of({"w": "h .", "b": "h"}, Space("s", "scale", 4, on="h", exponents={"w": (1,), "b": (1,)}))
    state = {"w": torch.randn(4, 6, dtype=torch.float64), "b": torch.randn(4, dtype=torch.float64)}
    form, _ = canonical(spec, state)
    torch.testing.assert_close(form["w"].square().sum(1) + form["b"].square(), torch.full((4,), 7.0).double())
    assert apart(canonical(spec, spec.apply(spec.sample(1), state))[0], form) <= 1e-12


def test_units_that_differ_in_their_neighbours_only_are_told_apart() -> None:
    """Two units with equal entries in another order: the sums over them are equal, their neighbours are not."""
    generator = torch.Generator().manual_seed(0)
    w1 = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    w2 = torch.randn(3, 5, generator=generator, dtype=torch.float64)
    w2[1] = w2[0].flip(0)
    w2[2] = w2[0].roll(1)
    state = {"w1": w1, "w2": w2, "w3": torch.ones(1, 3, dtype=torch.float64)}
    spec = spec_of(
        {"w1": "h .", "w2": "k h", "w3": ". k"}, Space("h", "permutation", 5), Space("k", "permutation", 3)
    )
    form, _ = canonical(spec, state)
    for seed in range(6):
        assert apart(canonical(spec, spec.apply(drawn(spec, ["h", "k"], seed), state))[0], form) == 0


def test_dtypes_stay_and_float32_is_near() -> None:
    network = NETWORKS["gated-unit"]
    single = {k: t.float() for k, t in network.state.items()}
    form, element = canonical(network.spec, single)
    assert all(t.dtype == torch.float32 for t in form.values())
    assert apart(form, canonical(network.spec, network.state)[0]) < 1e-5
    assert element["f_scale"].dtype == torch.float64


def test_approximate_spaces_are_left_alone() -> None:
    network = NETWORKS["mlp"]
    rough = {**network.spec.spaces, "h_scale": replace(network.spec.spaces["h_scale"], approximate=True)}
    _, element = canonical(replace(network.spec, spaces=rough), network.state)
    assert "h_scale" not in element and "k_scale" in element


def test_a_state_dict_that_does_not_fit_is_refused() -> None:
    with pytest.raises(LoadError):
        canonical(NETWORKS["mlp"].spec, {"w1": torch.zeros(8, 5)})
