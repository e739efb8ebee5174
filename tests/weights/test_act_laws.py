"""The actions are left actions, permutations scatter, spaces act in the stated order, dtypes stay."""

from __future__ import annotations

import pytest
import torch
from spec_networks import NETWORKS, normal, spec_of
from torch import Tensor

from symcheck.errors import LoadError
from symcheck.weights import operate
from symcheck.weights.act import Actor, in_order
from symcheck.weights.operate import rotations, tree_slots
from symcheck.weights.spec import KINDS, Space, Spec, Term

OVER = {"over": ("k",)}
STATE = normal(1, w=(3, 5, 4), v=(4, 5, 3), n=(3, 7), leaf=(8, 3), c=(2, 2, 3), b=(5,))
AXES = {"w": "k h .", "v": ". h' k", "n": "k n", "leaf": "l k", "c": ". c k", "b": "."}
BOTH = {"w": (1,), "v": (-1,)}
SPACES = {
    "permutation": Space("x", "permutation", 5, on="h", **OVER),
    "sign": Space("x", "sign", 5, on="h", **OVER),
    "scale": Space("x", "scale", 5, on="h", exponents={"w": (1,), "v": (-2,)}, **OVER),
    "orthogonal": Space("x", "orthogonal", 5, on="h", exponents=BOTH, **OVER),
    "general": Space("x", "general", 5, on="h", **OVER),
    "gains": Space("x", "general", 5, on="h", gains={"w": ({"b": 1},), "v": ({"b": -2},)}, **OVER),
    "rotation": Space("x", "rotation", 2, on="c", **OVER),
    "tree": Space("x", "tree", 7, on="n", leaves="l", **OVER),
    "shift": Space("x", "shift", 5, shape=(5,), terms=(Term("b", "h, k h x -> h", ("w",), 0.5),)),
}


def single(kind: str) -> Spec:
    return spec_of(AXES, SPACES[kind], atoms={"k": 3})


def compose(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """First b, then a."""
    if kind == "permutation":
        return a.gather(-1, b)
    if kind in ("rotation", "shift"):
        return a + b
    if kind == "tree":
        return b ^ a.gather(-1, tree_slots(b)[..., : b.shape[-1]])
    return a * b if kind in ("sign", "scale") else a @ b


@pytest.mark.parametrize("kind", SPACES)
def test_left_action(kind: str) -> None:
    """(ab)·θ = a·(b·θ), and not (ba)·θ where the group is not commutative."""
    spec = single(kind)
    a, b = (spec.sample(seed)["x"] for seed in (3, 4))
    apart = spec.apply({"x": a}, spec.apply({"x": b}, STATE))
    for first, second, equal in ((a, b, True), (b, a, kind in ("sign", "scale", "rotation", "shift"))):
        together = spec.apply({"x": compose(kind, first, second)}, STATE)
        same = all(torch.allclose(together[name], x, rtol=1e-9, atol=1e-11) for name, x in apart.items())
        assert same == equal


def test_permutations_scatter() -> None:
    """Slot i goes to slot p(i): with p = (1, 2, 0), of order 3, (10, 20, 30) becomes (30, 10, 20)."""
    spec = spec_of({"w": "h"}, Space("h", "permutation", 3))
    moved = spec.apply({"h": torch.tensor([1, 2, 0])}, {"w": torch.tensor([10, 20, 30])})
    assert moved["w"].tolist() == [30, 10, 20]


def test_each_copy_has_its_own_element() -> None:
    p = torch.tensor([[1, 2, 0], [0, 1, 2]])
    spec = spec_of({"w": "(k h)", "v": "h k"}, Space("h", "permutation", 3, over=("k",)), atoms={"k": 2})
    w = torch.arange(6)
    moved = spec.apply({"h": p}, {"w": w, "v": w.reshape(2, 3).T})
    assert moved["w"].tolist() == [2, 0, 1, 3, 4, 5]
    assert torch.equal(moved["v"], moved["w"].reshape(2, 3).T)


def test_matrices_and_rotations_by_hand() -> None:
    quarter = torch.tensor(torch.pi / 2)
    torch.testing.assert_close(rotations(quarter), torch.tensor([[0.0, -1.0], [1.0, 0.0]]))
    a = spec_of({"w": "h .", "v": ". h'"}, Space("h", "general", 2))
    matrix = torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)
    w = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64)
    moved = a.apply({"h": matrix}, {"w": w, "v": w})
    torch.testing.assert_close(moved["w"], matrix)
    torch.testing.assert_close(moved["v"] @ moved["w"], w)


def test_a_tree_by_hand() -> None:
    """A flip at the root swaps the subtrees; one at node 1, before it moves, swaps its leaves too."""
    spec = spec_of({"n": "n", "leaf": "l"}, Space("t", "tree", 3, on="n", leaves="l"))
    state = {"n": torch.tensor([1.0, 2.0, 3.0]), "leaf": torch.tensor([10.0, 20.0, 30.0, 40.0])}
    moved = spec.apply({"t": torch.tensor([1, 1, 0])}, state)
    assert moved["n"].tolist() == [-1.0, 3.0, -2.0]
    assert moved["leaf"].tolist() == [30.0, 40.0, 20.0, 10.0]


def test_an_even_exponent_moves_the_nodes_of_a_tree_and_keeps_their_sign() -> None:
    tree = Space("t", "tree", 3, on="n", leaves="l", exponents={"n": (1,), "m": (2,)})
    spec = spec_of({"n": "n", "m": "n", "z": "n", "leaf": "l"}, tree)
    state = {name: torch.tensor([1.0, 2.0, 3.0]) for name in ("n", "m", "z")} | {"leaf": torch.zeros(4)}
    moved = spec.apply({"t": torch.tensor([1, 0, 0])}, state)
    assert moved["n"].tolist() == [-1.0, 3.0, 2.0]
    assert moved["m"].tolist() == moved["z"].tolist() == [1.0, 3.0, 2.0]


def test_offsets_shift_the_origin_of_scales() -> None:
    spec = spec_of({"v": "h"}, Space("h", "scale", 2, exponents={"v": (2,)}), offsets={"v": 0.5})
    moved = spec.apply({"h": torch.tensor([3.0, 1.0])}, {"v": torch.tensor([1.0, 1.0], dtype=torch.float64)})
    assert moved["v"].tolist() == [13.0, 1.0]


def test_gains_scale_the_basis() -> None:
    """A becomes T A T^-1 with T = diag(b), and its contragredient where the exponent is −1."""
    spec, part = single("gains"), single("gains").sample(2)["x"]
    moved = spec.apply({"x": part}, STATE)
    for name, power in (("w", 1), ("v", -2)):
        t = torch.diag(STATE["b"] ** power)
        a = t @ part @ torch.linalg.inv(t)
        if name == "v":
            expected = torch.einsum("kij,xjk->xik", torch.linalg.inv(a).mT, STATE["v"])
        else:
            expected = torch.einsum("kij,kjx->kix", a, STATE["w"])
        torch.testing.assert_close(moved[name], expected)


def test_a_gain_of_zero_is_named() -> None:
    with pytest.raises(LoadError, match="divides by b"):
        single("gains").apply(single("gains").sample(0), {**STATE, "b": torch.zeros(5)})


def test_gains_may_differ_from_copy_to_copy() -> None:
    spaces = [
        Space("x", "general", 2, on="h", over=("k",), gains={"w": ({"g": 1},)}),
        Space("y", "general", 2, on="h", over=("k",)),
    ]
    state = normal(3, w=(6, 4), g=(6,))
    gained, plain = (spec_of({"w": "(k h) .", "g": "."}, space, atoms={"k": 3}) for space in spaces)
    part = gained.sample(0)["x"]
    t = torch.diag_embed(state["g"].reshape(3, 2))
    expected = plain.apply({"y": t @ part @ torch.linalg.inv(t)}, state)
    torch.testing.assert_close(gained.apply({"x": part}, state)["w"], expected["w"])


@pytest.mark.parametrize("name", NETWORKS)
def test_an_element_acts_space_after_space(name: str) -> None:
    network = NETWORKS[name]
    element = network.spec.sample(2)
    apart = dict(network.state)
    spaces = in_order(network.spec, element)
    for space in spaces:
        apart = network.spec.apply({space.name: element[space.name]}, apart)
    together = network.spec.apply(element, network.state)
    for key, x in apart.items():
        torch.testing.assert_close(together[key], x, rtol=1e-12, atol=1e-13)
    ranks = [(KINDS.index(space.kind), -len(space.over)) for space in spaces]
    assert ranks == sorted(ranks)


def test_the_order_of_the_kinds_is_the_stated_one() -> None:
    assert KINDS == ("shift", "tree", "orthogonal", "general", "rotation", "scale", "sign", "permutation")


DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2,
    torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64,
]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_permutations_move_every_dtype_bit_for_bit(dtype: torch.dtype) -> None:
    spec = spec_of({"w": "(k h) .", "b": "h"}, Space("h", "permutation", 3), atoms={"k": 2})
    w = (torch.arange(24).reshape(6, 4) % 7 - 3).to(dtype)
    moved = spec.apply({"h": torch.tensor([1, 2, 0])}, {"w": w, "b": w[:3, 0]})
    before, after = (x.to(torch.complex64) for x in (w, moved["w"]))
    assert moved["w"].dtype == dtype and not torch.equal(before, after)
    assert torch.equal(after, before[[2, 0, 1, 5, 3, 4]])


@pytest.mark.parametrize("dtype", DTYPES[:6], ids=str)
def test_scales_act_on_every_floating_dtype(dtype: torch.dtype) -> None:
    spec = spec_of({"w": "h ."}, Space("h", "scale", 2))
    moved = spec.apply({"h": torch.tensor([2.0, 0.5])}, {"w": torch.tensor([[1.0], [-4.0]]).to(dtype)})["w"]
    assert moved.dtype == dtype and moved.float().flatten().tolist() == [2.0, -2.0]


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool])
def test_scales_refuse_integers(dtype: torch.dtype) -> None:
    spec = spec_of({"w": "h"}, Space("h", "scale", 2))
    with pytest.raises(LoadError, match="'w' holds torch"):
        spec.apply(spec.sample(0), {"w": torch.ones(2, dtype=dtype)})


def test_float32_is_multiplied_in_float64() -> None:
    """A sum that cancels: 1 + 2^-30 − 1 is 0 in float32."""
    spec = spec_of({"w": "h"}, Space("h", "general", 3))
    matrix = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    moved = spec.apply({"h": matrix}, {"w": torch.tensor([1.0, 2.0**-30, -1.0])})["w"]
    assert moved[0] == 2.0**-30 and moved.dtype == torch.float32


def test_large_tensors_are_taken_in_slabs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit the same for moves; a matrix rounds alike to the last places."""
    found = []
    for slab in (2**22, 7):
        monkeypatch.setattr(operate, "SLAB", slab)
        found.append([single(kind).apply(single(kind).sample(1), STATE) for kind in SPACES])
    for kind, whole, parts in zip(SPACES, *found, strict=True):
        for name, x in whole.items():
            if kind in ("permutation", "sign", "scale", "tree"):
                assert torch.equal(parts[name], x)
            torch.testing.assert_close(parts[name], x, rtol=1e-13, atol=1e-14)


def test_inputs_stay_as_they_are_and_untouched_tensors_are_passed_on() -> None:
    network = NETWORKS["conv-flatten"]
    before = {name: x.clone() for name, x in network.state.items()}
    state = {**network.state, "extra": torch.ones(3)}
    moved = network.spec.apply(network.spec.sample(0, spaces=["c_out"]), state)
    assert all(torch.equal(network.state[name], x) for name, x in before.items())
    assert [*moved] == [*state]
    assert {name for name in state if moved[name] is state[name]} == {"w", "b", "mean", "var", "extra"}


def test_layouts_in_memory_do_not_matter() -> None:
    """A transposed view, an expanded tensor and one that shares storage are acted on like their copies."""
    spec = spec_of({"w": "h .", "v": "h ."}, Space("h", "permutation", 4), Space("s", "scale", 4, on="h"))
    base = normal(4, x=(3, 4))["x"]
    odd = {"w": base.T, "v": base[0].unsqueeze(1).expand(4, 3)}
    element = spec.sample(1)
    plain = spec.apply(element, {name: x.clone(memory_format=torch.contiguous_format) for name, x in odd.items()})
    for name, x in spec.apply(element, odd).items():
        assert torch.equal(x, plain[name])


def test_terms_of_one_space_read_the_tensors_before_it() -> None:
    terms = (Term("a", "x -> x"), Term("b", "x, x -> x", ("a",)))
    space = Space("s", "shift", 1, shape=(1,), terms=terms)
    spec = spec_of({"a": ".", "b": "."}, space)
    moved = spec.apply({"s": torch.tensor([2.0])}, {"a": torch.tensor([10.0]), "b": torch.tensor([0.0])})
    assert (moved["a"].item(), moved["b"].item()) == (12.0, 20.0)


M = torch.tensor([[1.0, 2.0], [3.0, 4.0]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("equation", "operands", "expected"),
    [
        ("x, y x -> y", ("m",), [4.0, 10.0]),
        ("x, (y x) -> y", ("flat",), [4.0, 10.0]),
        ("x, y x -> y", ("m^-1",), [2.5, 2 / 3 + 1 / 4]),
        ("x, x, x y -> y", ("m[1, :]", "m[...]^2"), [42.0, 88.0]),
        ("x, x -> y", ("m[0, :]",), [4.0, 4.0]),  # y stands only in the result
        ("x -> y", (), [3.0, 3.0]),
        ("x, x x -> x", ("m",), [2.0, 4.0]),
    ],
)
def test_equations_by_hand(equation: str, operands: tuple[str, ...], expected: list[float]) -> None:
    """The element is (2, 1), m is ((1, 2), (3, 4))."""
    spec = additive(equation, operands)
    moved = spec.apply({"s": torch.tensor([2.0, 1.0])}, {"b": torch.zeros(2).double(), "m": M, "flat": M.flatten()})
    torch.testing.assert_close(moved["b"], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("equation", "operands"), [("x, x -> x", ("m",)), ("x, y x -> x", ("m[:, 0:1]",)), ("x, z -> z", ("flat",))]
)
def test_an_equation_that_does_not_fit_is_named(equation: str, operands: tuple[str, ...]) -> None:
    with pytest.raises(LoadError, match="does not fit a tensor of shape"):
        additive(equation, operands).apply(
            {"s": torch.ones(2)}, {"b": torch.zeros(2).double(), "m": M, "flat": M.flatten()}
        )


def additive(equation: str, operands: tuple[str, ...]) -> Spec:
    space = Space("s", "shift", 2, shape=(2,), terms=(Term("b", equation, operands),))
    return spec_of({"b": ".", "m": ". .", "flat": "."}, space)


def test_an_actor_gives_one_tensor_at_a_time() -> None:
    """What is read is the tensor itself and what its terms and gains need, and nothing else."""
    network = NETWORKS["grouped-queries"]
    read: list[str] = []

    def fetch(name: str) -> Tensor:
        read.append(name)
        return network.state[name]

    actor = Actor(network.spec, network.spec.sample(0), network.spec.sizes, fetch)
    whole = network.spec.apply(network.spec.sample(0), network.state)
    assert torch.equal(actor.result("o_b"), whole["o_b"]) and read == ["o_b", "o"]
    assert torch.equal(actor.result("q"), whole["q"]) and read == ["o_b", "o", "q"]
    assert all(torch.equal(actor.result(name), whole[name]) for name in network.state if actor.changes(name))
