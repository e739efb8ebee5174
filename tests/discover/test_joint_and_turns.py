"""Flips of several inputs at once, turns of vectors in the plane, exchanged inputs: found, named, and not invented."""

from __future__ import annotations

import math

import pytest
import torch
from planted_finite import mlp, normal, session
from torch import Tensor, nn

from symcheck.claim import Claim
from symcheck.discover.contained import without_contained
from symcheck.discover.discrete import find_discrete
from symcheck.discover.discrete_result import Discrete


class Minkowski(nn.Module):
    """A function of p·η·q, and with `alone` of the squares of every component."""

    def __init__(self, alone: bool = False) -> None:
        super().__init__()
        self.h, self.alone = mlp(8 if alone else 1, 1, 3), alone

    def forward(self, p: Tensor, q: Tensor, r: Tensor) -> Tensor:
        if self.alone:
            return self.h(torch.cat([p, q], 1) ** 2) * r.sum(1, keepdim=True).exp()
        metric = torch.tensor([1.0, -1, -1, -1], dtype=p.dtype)
        return self.h(0.5 * (p * metric * q).sum(1, keepdim=True)) * (r @ r.new_tensor([1.0, 2, 3, 4]))[:, None].exp()


class Turned(nn.Module):
    """A generic network on the plane, averaged over the turns of a regular polygon, and over its mirror images."""

    def __init__(self, n: int, mirror: bool = False, vector: bool = False) -> None:
        super().__init__()
        self.h, self.n, self.mirror, self.vector = mlp(2, 2, 5), n, mirror, vector

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros_like(x)
        for k in range(self.n):
            c, s = math.cos(2 * math.pi * k / self.n), math.sin(2 * math.pi * k / self.n)
            turn = x.new_tensor([[c, -s], [s, c]])
            for sign in (1.0, -1.0) if self.mirror else (1.0,):
                g = turn * x.new_tensor([1.0, sign])
                y = self.h(x @ g.mT)
                total = total + (y @ g if self.vector else y)
        return total / self.n


def found(model: nn.Module, inputs: Tensor | dict[str, Tensor]) -> Discrete:
    with session(model, inputs) as audit:
        return find_discrete(audit)


def momenta(seed: int = 0) -> dict[str, Tensor]:
    return {name: normal(40, 4, seed=seed + i).double() / 2 for i, name in enumerate("pqr")}


def test_flips_of_two_inputs_at_once_are_found_and_hold() -> None:
    result = found(Minkowski().double(), momenta())
    groups = {(g.name, g.input, g.action) for g in result.groups}
    assert ("Z2^4", "p, q", "invariant") in groups and not any("r" in g.input for g in result.groups)
    claim = "Signed(4,(0 -0),(1 -1),(2 -2),(3 -3)): p=axes(h), q=axes(h), r=scalar -> output=invariant"
    assert claim in result.claims
    with session(Minkowski().double(), momenta(9)) as audit:
        assert all(piece.finding.verdict.holds for piece in audit.measure(Claim.parse(claim)))


def test_flips_that_hold_for_each_input_are_not_told_again_for_both() -> None:
    result = found(Minkowski(alone=True).double(), momenta())
    flips = {g.input for g in result.groups if g.group.startswith("Signed")}
    assert flips == {"p", "q"}


@pytest.mark.parametrize(
    ("model", "name", "action"),
    [
        (Turned(5), "C5", "invariant"),
        (Turned(3, vector=True), "C3", "same"),
        (Turned(5, mirror=True), "D5", "invariant"),
        (Turned(6, mirror=True, vector=True), "D6", "same"),
    ],
)
def test_turns_of_the_plane_are_found(model: nn.Module, name: str, action: str) -> None:
    result = found(model, {"x": normal(40, 2)})
    turned = [g for g in result.groups if g.generators == (g.name,)]
    assert [(g.name, g.action, g.verdict) for g in turned] == [(name, action, "exact")]
    word = "vector" if action == "same" else "invariant"
    assert turned[0].claim == f"{name}: x=vector -> output={word}"
    with session(model, {"x": normal(24, 2, seed=9)}) as audit:
        assert all(piece.finding.verdict.holds for piece in audit.measure(Claim.parse(turned[0].claim)))


def test_a_generic_network_on_the_plane_has_no_turns() -> None:
    result = found(mlp(2, 2, 7), {"x": normal(40, 2)})
    assert not result.groups and not any(one.verdict == "exact" for one in result.tried)
    assert sum(one.origin == "turn of the plane" for one in result.tried) == 8  # each is listed, none is dropped


def test_points_in_the_plane_turn_together() -> None:
    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = Turned(3)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return self.own(x - 2 * y)

    result = found(Apart(), {"x": normal(40, 2), "y": normal(40, 2, seed=1)})
    assert {(g.name, g.input) for g in result.groups if g.generators == (g.name,)} == {("C3", "x, y")}


def test_mirrors_are_no_part_of_the_turns_alone() -> None:
    result = found(Turned(5, mirror=True), {"x": normal(40, 2)})
    for claim, left in (("SO(2): x=vector -> output=invariant", True), ("O(2): x=vector -> output=invariant", False)):
        kept = without_contained(result, [claim], {"x": (2,)})
        assert any(g.name == "D5" for g in kept.groups) is left


def test_only_the_inputs_that_change_places_are_named() -> None:
    class Swap(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.each, self.other, self.last = mlp(3, 8, 1), mlp(3, 8, 2), mlp(8, 2, 3)

        def forward(self, a: Tensor, b: Tensor, c: Tensor) -> Tensor:
            return self.last(self.each(a) + self.other(b) + self.each(c))

    result = found(Swap(), {name: normal(40, 3, seed=i) for i, name in enumerate("abc")})
    assert [(g.input, g.generators, g.claim) for g in result.groups] == [("a and c", ("(a c)",), "")]
    assert result.unsaid == ("no claim can say this: Z2 on a and c, generated by (a c): output invariant",)
