"""Derived symmetries of unusual structures: every one holds, and its near misses do not."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zoo_attend import ListedExperts
from zoo_check import Judge, check
from zoo_entry import generic, normal
from zoo_images import Pooled, Shuffle, conv
from zoo_plain import FreeTrees, ObliviousTrees

from symcheck.patterns import parse_axes, print_axes
from symcheck.weights.derive import derive
from symcheck.weights.moves import drawn
from symcheck.weights.spec import Space, Spec

BROKEN = 1e-4


class Net(nn.Module):
    """A function of itself and the input, with parts by keyword."""

    def __init__(self, function: Callable[..., Tensor], **parts: nn.Module | nn.Parameter) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def linear(i: int, o: int, *, bias: bool = True) -> nn.Linear:
    return nn.Linear(i, o, bias=bias)


def parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))


def proven(net: nn.Module, *shape: int) -> tuple[Spec, Judge]:
    """The spec of a network with generic weights, every space of which holds on other inputs."""
    net, draw = generic(net.eval(), "exotic"), normal(*shape)
    spec = derive(net, draw(0))
    soundness = check(spec, net, [draw(1), draw(2)])
    assert soundness.unsound == {} and soundness.idle == ()
    return spec, Judge(net, [draw(3)])


def error(spec: Spec, judge: Judge, name: str) -> float:
    """How far a random element of one space, other than the identity, moves the output."""
    return judge.error(spec.apply(drawn(spec, [name], 5), judge.state))


def sole(spec: Spec, kind: str, *tensors: str) -> Space:
    """The one space of a kind that acts on all of these tensors."""
    spaces = [s for s in spec.spaces.values() if s.kind == kind]
    acting = [(s, spec.places[s.on or ""] if s.exponents is None else s.exponents) for s in spaces]
    found = [s for s, on in acting if all(tensor in on for tensor in tensors)]
    assert len(found) == 1, [*spec.spaces]
    return found[0]


def changed(spec: Spec, space: Space) -> Spec:
    return replace(spec, spaces={**spec.spaces, space.name: space})


# -- functions that are odd about another point, or after a phase


@pytest.mark.parametrize(("function", "omega"), [(torch.sin, 30.0), (torch.sin, 1.0), (torch.cos, 5.0)])
def test_a_phase(function: Callable[[Tensor], Tensor], omega: float) -> None:
    """sin(ω(Wx + b)): b + π/ω and −v; another phase moves the output."""
    spec, judge = proven(Net(lambda m, x: m.b(function(omega * m.a(x))), a=linear(3, 5), b=linear(5, 2)), 6, 3)
    (space,) = (s for s in spec.spaces.values() if s.kind == "sign" and s.terms)
    assert space.exponents == {"b.weight": (1,)} and len(space.terms) == 1
    assert math.isclose(space.terms[0].factor, math.pi / omega)
    for terms in ((replace(space.terms[0], factor=math.pi / (2 * omega)),), ()):
        assert error(changed(spec, replace(space, terms=terms)), judge, space.name) > BROKEN


def flips(net: nn.Module, *shape: int) -> list[Space]:
    spec, _ = proven(net, *shape)
    return [s for s in spec.spaces.values() if s.kind == "sign" and s.terms]


def test_a_sigmoid_is_odd_about_a_half() -> None:
    """σ(−z) = 1 − σ(z): −v, and what it read goes into the next bias; through views, means and residuals too."""
    spec, judge = proven(Net(lambda m, x: m.b(m.a(x).sigmoid()), a=linear(3, 5), b=linear(5, 2)), 6, 3)
    space = sole(spec, "sign", "a.weight", "a.bias", "b.weight")
    assert [(t.to, t.operands, t.factor) for t in space.terms] == [("b.bias", ("b.weight",), 1.0)]
    assert error(changed(spec, replace(space, terms=())), judge, space.name) > BROKEN
    for function in (
        lambda m, x: m.b(m.a(x).sigmoid().mean(0)),
        lambda m, x: m.b(m.a(x).sigmoid() + m.c(x)),
        lambda m, x: m.b(m.a(x).sigmoid()) * m.d(m.a(x).sigmoid()),
    ):
        parts = {"a": linear(3, 5), "b": linear(5, 2), "c": linear(3, 5), "d": linear(5, 2)}
        assert len(flips(Net(function, **parts), 6, 3)) == 1


def test_flips_that_no_bias_takes_back_are_none() -> None:
    """A gate, a norm, a reader without a bias, a layer in front without a bias, a second use of the pre-activation."""
    a, b, c = linear(3, 5), linear(5, 2), linear(3, 5)
    assert not flips(Net(lambda m, x: m.b(m.a(x).sigmoid() * m.c(x)), a=a, b=b, c=c), 6, 3)
    assert not flips(Net(lambda m, x: m.b(F.layer_norm(m.a(x).sigmoid(), (5,))), a=a, b=b), 6, 3)
    assert not flips(Net(lambda m, x: m.b(m.a(x).sigmoid()).tanh(), a=a, b=linear(5, 2, bias=False)), 6, 3)
    assert not flips(Net(lambda m, x: m.b(m.a(x).sin()), a=linear(3, 5, bias=False), b=b), 6, 3)
    reused = Net(lambda m, x: (lambda z: m.b(z.sin()) + m.c(z))(m.a(x)), a=a, b=b, c=linear(5, 2))
    assert not flips(reused, 6, 3)


def test_what_reads_one_bias_flips_together() -> None:
    """[sin z, cos z] of one pre-activation: the phase turns both."""
    net = Net(lambda m, x: m.b(torch.cat([m.a(x).sin(), m.a(x).cos()], -1)), a=linear(3, 5), b=linear(10, 2))
    spec, judge = proven(net, 6, 3)
    (space,) = (s for s in spec.spaces.values() if s.terms and s.kind == "sign")
    assert space.exponents == {"b.weight": (1, 1)}
    assert error(changed(spec, replace(space, exponents={"b.weight": (1, 0)})), judge, space.name) > BROKEN


def test_flips_over_other_units() -> None:
    """One phase for every unit of every head."""
    net = Net(
        lambda m, x: m.b(torch.einsum("bhd,hde->bhe", m.a(x).view(-1, 5, 4).sin(), m.w).flatten(1)),
        a=linear(3, 20), b=linear(15, 2), w=parameter(5, 4, 3),
    )  # fmt: skip
    (space,) = flips(net, 6, 3)
    assert space.size == 4 and len(space.over) == 1


@pytest.mark.parametrize(
    ("function", "kinds"),
    [
        (lambda z: z.clamp(-1, 1), {"permutation", "sign"}),
        (lambda z: z.clamp(-1, 2), {"permutation"}),
        (lambda z: z.clamp(min=0), {"permutation", "scale"}),
        (lambda z: z.clamp(min=0.5), {"permutation"}),
        (F.softsign, {"permutation", "sign"}),
        (F.hardtanh, {"permutation", "sign"}),
        (F.relu6, {"permutation"}),
        (torch.asinh, {"permutation", "sign"}),
        (torch.special.erfc, {"permutation", "sign"}),
    ],
)
def test_functions_by_their_symmetry(function: Callable[[Tensor], Tensor], kinds: set[str]) -> None:
    spec, _ = proven(Net(lambda m, x: m.b(function(m.a(x))), a=linear(3, 5), b=linear(5, 2)), 6, 3)
    assert {s.kind for s in spec.spaces.values()} == kinds


# -- axes


def test_channels_take_turns() -> None:
    """A channel shuffle: `(a | b)`, and not one half after the other."""
    spec, judge = proven(Pooled(12, conv(3, 8), Shuffle(8, 6), Shuffle(8, 7), conv(8, 12, 1)), 2, 3, 6, 6)
    name = "body.2.branch.0.0.weight"
    text = print_axes(spec.axes[name])
    assert " | " in text
    space = sole(spec, "permutation", "body.1.branch.2.0.weight", name)
    apart = replace(spec, axes={**spec.axes, name: parse_axes(text.replace(" | ", " + "))})
    assert error(apart, judge, space.name) > BROKEN


def test_multiplicities_move_and_components_do_not() -> None:
    """Vectors (B, m, 3) mixed over m: any permutation of the three components changes Σ v · w(x)."""

    def mixed(m: Net, x: Tensor) -> Tensor:
        v = torch.tensordot(x[:, :6].reshape(-1, 2, 3).transpose(1, 2), m.w.view(2, 4), ([2], [0])).transpose(1, 2)
        gate = torch.sigmoid(x[:, 6:] @ m.g)
        return torch.einsum("bmc,bm,m,c->b", v, gate, m.out, x.new_tensor([1.0, -2.0, 0.5])).unsqueeze(-1)

    spec, judge = proven(Net(mixed, w=parameter(8), g=parameter(5, 4), out=parameter(4)), 6, 11)
    space = sole(spec, "permutation", "w", "g", "out")
    assert space.size == 4 and print_axes(spec.axes["w"]) == f"(2 {space.on})"
    axes = {**spec.axes, "w": parse_axes(f"({space.on} 2)")}
    assert error(replace(spec, axes=axes), judge, space.name) > BROKEN


def test_what_reads_only_a_shape_is_a_constant() -> None:
    """A recurrence by hand that starts from zeros keeps its signs; one that starts from ones does not."""

    def recurrent(start: Callable[[Tensor], Tensor]) -> Spec:
        def run(m: Net, x: Tensor) -> Tensor:
            h = start(m.a(x[:, 0]))
            for t in range(x.shape[1]):
                h = torch.tanh(m.a(x[:, t]) + m.b(h))
            return m.out(h)

        return proven(Net(run, a=linear(3, 5), b=linear(5, 5, bias=False), out=linear(5, 2)), 2, 4, 3)[0]

    for start in (torch.zeros_like, lambda h: h.new_zeros(h.shape), lambda h: torch.full_like(h, 0.0)):
        assert {s.kind for s in recurrent(start).spaces.values()} == {"permutation", "sign"}
    assert {s.kind for s in recurrent(torch.ones_like).spaces.values()} == {"permutation"}


@pytest.mark.parametrize("cell", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
def test_recurrent_cells(cell: type[nn.RNNCellBase]) -> None:
    def run(m: Net, x: Tensor) -> Tensor:
        state = None
        for t in range(x.shape[1]):
            state = m.cell(x[:, t], state)
        return m.out(state[0] if isinstance(state, tuple) else state)

    spec, _ = proven(Net(run, cell=cell(3, 5), out=linear(5, 2)), 2, 4, 3)
    assert sole(spec, "permutation", "cell.weight_hh", "out.weight").size == 5
    assert sole(spec, "sign", "cell.weight_hh", "out.weight").size == 5


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_final_and_first_states_of_recurrent_layers(kind: type[nn.RNNBase]) -> None:
    """The last layer's final state is read, and the first states are parameters: they move with the units."""

    def run(m: Net, x: Tensor) -> Tensor:
        first = m.first.expand(-1, x.shape[0], -1).contiguous()
        _, last = m.net(x, (first, first) if kind is nn.LSTM else first)
        return m.out((last[0] if kind is nn.LSTM else last)[-1])

    net = kind(3, 5, 2, batch_first=True)
    spec, _ = proven(Net(run, net=net, out=linear(5, 2), first=parameter(2, 1, 5)), 2, 4, 3)
    assert sole(spec, "permutation", "first", "net.weight_hh_l0", "net.weight_hh_l1", "out.weight").size == 5


# -- what is guessed and checked


@pytest.mark.parametrize(("trees", "depth"), [(3, 2), (2, 3), (1, 2)])
def test_soft_trees(trees: int, depth: int) -> None:
    """Flips with their subtrees, for every tree its own; without the leaves, or in another order, they change it."""
    spec, judge = proven(FreeTrees(trees, depth), 6, 6)
    (space,) = (s for s in spec.spaces.values() if s.kind == "tree")
    assert space.size == 2**depth - 1 and len(space.over) == (trees > 1)
    unsigned = replace(space, exponents={"split": (1,), "bias": (0,)})
    assert error(changed(spec, unsigned), judge, space.name) > BROKEN
    moved = spec.apply(drawn(spec, [space.name], 5), judge.state)
    assert judge.error({**moved, "leaf": judge.state["leaf"]}) > BROKEN


def test_trees_whose_levels_share_a_split_are_no_free_trees() -> None:
    spec, _ = proven(ObliviousTrees(4, 3), 6, 6)
    assert not [s for s in spec.spaces.values() if s.kind == "tree"]


def test_experts_of_their_own_modules() -> None:
    """Rows of the router and whole experts change places; the one without the other changes the output."""
    spec, judge = proven(ListedExperts(), 2, 4, 7)
    (space,) = (s for s in spec.spaces.values() if s.stacks)
    assert space.size == 5 and {*space.stacks} == {f"experts.*.{part}.weight" for part in ("gate", "up", "down")}
    assert error(changed(spec, replace(space, stacks=())), judge, space.name) > BROKEN
    assert error(changed(spec, replace(space, stacks=space.stacks[:2])), judge, space.name) > BROKEN
    moved = spec.apply(drawn(spec, [space.name], 5), judge.state)
    rows = {name: judge.state[name] for name in ("router.weight", "router.bias")}
    assert judge.error({**moved, **rows}) > BROKEN


def test_experts_that_are_copies_of_one_another() -> None:
    """Nothing is concluded from experts that are equal: those of another router stay where they are."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = ListedExperts(), ListedExperts()
            self.a.out, self.b.out = linear(7, 7), linear(7, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    net = generic(Two().eval(), "copies")
    for part in (net.a, net.b):
        for expert in part.experts[1:]:
            expert.load_state_dict(part.experts[0].state_dict())
    spec = derive(net, normal(2, 4, 7)(0))
    found = {space.name: {stack[0] for stack in space.stacks} for space in spec.spaces.values() if space.stacks}
    assert found == {"a_experts_experts": {"a"}, "b_experts_experts": {"b"}}
    for part in "ab":
        assert spec.places[f"{part}_experts_experts"].keys() == {f"{part}.router.weight", f"{part}.router.bias"}


def test_modules_alike_that_do_different_things_stay() -> None:
    """Five layers read five gates one by one, but one after another: they do not change places."""

    def run(m: Net, x: Tensor) -> Tensor:
        gates = m.router(x).sigmoid()
        for i, layer in enumerate(m.layers):
            x = x + gates[..., i : i + 1] * layer(x).tanh()
        return m.out(x)

    layers = nn.ModuleList(linear(4, 4) for _ in range(5))
    spec, _ = proven(Net(run, router=linear(4, 5), layers=layers, out=linear(4, 2)), 6, 4)
    assert not [s for s in spec.spaces.values() if s.stacks]
