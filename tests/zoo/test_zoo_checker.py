"""The zoo's own judges: they find planted faults, and pass what is right."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from zoo_all import ENTRIES
from zoo_check import Judge, check
from zoo_entry import Entry, Expect, normal
from zoo_match import missed
from zoo_terms import general, perm, scale, shift, sign

from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec, Term

CHAIN = {
    "0.weight": "a .", "0.bias": "a", "2.weight": "b a", "2.bias": "b", "4.weight": ". b", "4.bias": ".",
}  # fmt: skip
UP_DOWN = {"0.weight": (1,), "0.bias": (1,), "2.weight": (-1,)}


def spec(axes: dict[str, str], *spaces: Space, **more: object) -> Spec:
    return Spec({s.name: s for s in spaces}, {n: parse_axes(t) for n, t in axes.items()}, **more)  # type: ignore[arg-type]


def unsound(entry: Entry, found: Spec) -> set[str]:
    return set(check(found, entry.model(), [entry.inputs(1), entry.inputs(2)]).unsound)


def chain(*spaces: Space, axes: dict[str, str] = CHAIN) -> Spec:
    """Spaces over the MLP 7-9-11-5, both permutations unless given."""
    return spec(axes, *spaces, atoms={a: n for a, n in (("a", 9), ("b", 11)) if not any(s.on == a for s in spaces)})


PERMUTED = chain(Space("a", "permutation", 9), Space("b", "permutation", 11))
SCALED = chain(Space("s", "scale", 9, on="a", exponents=UP_DOWN))


def test_right_spaces_pass() -> None:
    entry = ENTRIES["mlp-relu"]
    judged = check(PERMUTED, entry.model(), [entry.inputs(1), entry.inputs(2)])
    assert judged.unsound == {} and judged.idle == () and judged.worst < 1e-12 and judged.tried == 2
    assert 0.6 < judged.acted < 1.0  # random permutations keep some entries; the last bias never moves
    assert unsound(entry, SCALED) == set()


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("mlp-relu", chain(Space("a", "permutation", 9), axes=CHAIN | {"0.bias": "."})),
        ("mlp-relu", chain(Space("s", "scale", 9, on="a", exponents=UP_DOWN | {"2.weight": (-2,)}))),
        ("mlp-relu", chain(Space("s", "sign", 9, on="a", exponents=UP_DOWN))),
        ("mlp-tanh", SCALED),
        ("mlp-relu", chain(Space("s", "shift", 9, shape=(9,), terms=(Term("0.bias", "a -> a"),)))),
    ],
    ids=["forgotten bias", "wrong power", "sign of ReLU", "scale of tanh", "shift"],
)
def test_wrong_spaces_are_named(name: str, wrong: Spec) -> None:
    assert unsound(ENTRIES[name], wrong) == {*wrong.spaces, "jointly"}


def test_a_forgotten_running_variance_is_found() -> None:
    axes = {
        "0.weight": "c . . .", "0.bias": "c", "1.weight": "c", "1.bias": "c", "1.running_mean": "c",
        "1.running_var": "c", "4.weight": ". c . .",
    }  # fmt: skip
    entry, c = ENTRIES["vgg-bn"], Space("c", "permutation", 8)
    assert unsound(entry, spec(axes, c)) == set()
    assert unsound(entry, spec(axes | {"1.running_var": "."}, c, atoms={})) == {"c", "jointly"}


def test_each_space_is_judged_alone() -> None:
    both = chain(Space("b", "permutation", 11), Space("s", "sign", 9, on="a", exponents=UP_DOWN))
    assert unsound(ENTRIES["mlp-relu"], both) == {"s", "jointly"}


def test_a_space_that_does_nothing_is_idle() -> None:
    entry = ENTRIES["mlp-relu"]
    still = chain(Space("s", "scale", 9, on="a", exponents={"0.weight": (0,)}))
    assert check(still, entry.model(), [entry.inputs(1)]).idle == ("s",)


def test_what_is_not_finite_is_an_infinite_error() -> None:
    judge = Judge(ENTRIES["mlp-relu"].model(), [normal(4, 7)(1)])
    assert judge.error(judge.state) == 0.0
    assert judge.error(judge.state | {"0.bias": judge.state["0.bias"] * torch.nan}) == float("inf")


@pytest.mark.parametrize("name", ["llama", "t5", "gpt2"])
def test_networks_with_casts_inside_run_in_double(name: str) -> None:
    pytest.importorskip("transformers")
    entry = ENTRIES[name]
    judge = Judge(entry.model(), [entry.inputs(1)])
    nudged = {n: t * (1 + 1e-12) if t.is_floating_point() and t.dim() > 1 else t for n, t in judge.state.items()}
    assert 1e-15 < judge.error(nudged) < 1e-9  # in float32 it would be 0 or 1e-7


def test_found_and_missed() -> None:
    wanted = (perm(9, "0.weight:0", "2.weight:1"), perm(11, "2.weight:0"), scale(9, "0.weight:0"))
    assert missed(wanted, PERMUTED) == [wanted[2]]
    assert missed(wanted, SCALED) == list(wanted[:2])
    others = (perm(8, "0.weight:0"), perm(9, "2.weight:0"), perm(9, "0.weight:0", over=2))
    assert missed(others, PERMUTED) == list(others)


def test_one_space_counts_once() -> None:
    twice = (scale(9, "0.weight:0"), scale(9, "0.bias:0"))
    assert len(missed(twice, SCALED)) == 1
    assert missed(twice, chain(Space("s", "scale", 9, on="a", exponents=UP_DOWN),
                               Space("t", "scale", 9, on="a", exponents=UP_DOWN))) == []  # fmt: skip


def test_a_larger_group_holds_a_smaller_one() -> None:
    linear = chain(Space("a", "general", 9), axes=CHAIN | {"2.weight": "b a'"})
    held = (perm(9, "0.weight:0"), scale(9, "0.weight:0"), sign(9, "2.weight:1"), general(9, "0.weight:0"))
    assert missed(held, linear) == []
    ones = chain(Space("a", "orthogonal", 9, fixes="ones"), axes=CHAIN | {"2.weight": "b a'"})
    assert missed(held, ones) == list(held[1:])


def test_what_must_not_be_touched_and_approximate_spaces() -> None:
    wanted = Expect("scale", 9, ("0.weight:0",), off=("2.weight",))
    assert missed((wanted,), SCALED) == [wanted]
    space = replace(SCALED.spaces["s"], approximate=True)
    rough = chain(space)
    assert missed((scale(9, "0.weight:0"),), rough) != []
    assert missed((Expect("scale", 9, ("0.weight:0",), eps=True),), rough) == []


def test_a_stack_of_tensors_counts_as_acted_on() -> None:
    axes = {"router": "e .", "experts.0.up": ". .", "experts.1.up": ". .", "out": ". ."}
    stacked = spec(axes, Space("e", "permutation", 2, stacks=("experts.*.up",)))
    assert missed((perm(2, "router:0", "experts.1.up"),), stacked) == []
    assert missed((perm(2, "router:0", "out"),), stacked) != []


def test_either_of_two_places_will_do() -> None:
    assert missed((scale(9, "4.weight:1|2.weight:1"),), SCALED) == []
    assert missed((scale(9, "4.weight:1|4.bias"),), SCALED) != []


def test_shifts_are_found_by_what_they_add_to() -> None:
    moved = chain(Space("s", "shift", 9, shape=(9,), terms=(Term("0.bias", "a -> a"), Term("2.bias", "a -> b"))))
    assert missed((shift(9, "0.bias", "2.bias"),), moved) == []
    assert missed((shift(9, "0.bias", off=("2.bias",)), shift(11, "0.bias")), moved) != []


@pytest.mark.parametrize("name", ENTRIES)
def test_the_entry_is_generic_and_its_places_exist(name: str) -> None:
    entry = ENTRIES[name]
    pytest.importorskip(entry.needs or "torch")
    model = entry.model()
    state = model.state_dict()
    for place in (place for expect in entry.expected for place in (*expect.on, *expect.off)):
        for tensor, colon, axis in (one.partition(":") for one in place.split("|")):
            assert tensor in state and (not colon or int(axis) < state[tensor].dim()), place
    assert len(set(entry.expected)) == len(entry.expected)
    assert sum(p.numel() for p in model.parameters()) < 200_000
    assert all(p.numel() == 1 or p.std() > 0 for p in model.parameters())
    with torch.no_grad():
        a, b = model(*entry.inputs(0)), model(*entry.inputs(1))
    assert a.isfinite().all() and (a - b).abs().max() > 1e-3
