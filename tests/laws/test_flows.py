"""Facts of Lie algebras: how many generators each group has, and textbook brackets with their signs."""

from __future__ import annotations

import pytest
import torch

from symcheck.groups import make_group
from symcheck.groups.base import Group
from symcheck.testing.flow_laws import bracket, generators

COUNTS = {"SO(2)": 1, "SO(3)": 3, "O(3)": 3, "SO(5)": 10, "SE(2)": 3, "SE(3)": 6, "E(1)": 1, "E(3)": 6, "T(3)": 3}
COUNTS |= {"SO(1,3)": 6, "SO(1,1)": 1, "Scale(0.5,2)": 1, "GL+(3)": 9, "GL+(1)": 1, "SO(3) x Scale(1,3)": 4}
COUNTS |= {"O(3) x T(2) x Sign(2)": 5, "C4": 0, "D5": 0, "S(5)": 0, "Oh": 0, "GL(3,Z)": 0, "C4 x D3": 0}


@pytest.mark.parametrize("text", COUNTS)
def test_every_group_has_the_dimension_of_its_algebra(text: str) -> None:
    assert len(make_group(text).flows()) == COUNTS[text]


def structure(group: Group) -> dict[tuple[str, str], dict[str, int]]:
    """The brackets that are not zero, as combinations of the generators."""
    flows, basis = group.flows(), generators(group.flows())
    found: dict[tuple[str, str], dict[str, int]] = {}
    for x in flows:
        for y in flows:
            made = torch.linalg.lstsq(basis.T, bracket(group, x, y)[:, None]).solution[:, 0]
            assert torch.equal(made.round(), (made * 1e8).round() / 1e8)
            terms = {flow.name: int(c) for flow, c in zip(flows, made.round().tolist(), strict=True) if c}
            found |= {(x.name, y.name): terms} if terms else {}
    return found


def test_rigid_motions_have_their_brackets() -> None:
    turn, move = "rotation about {}".format, "translation along {}".format
    made = structure(make_group("SE(3)"))
    assert made[turn("x"), turn("y")] == {turn("z"): 1}
    assert made[turn("y"), turn("x")] == {turn("z"): -1}
    assert made[turn("x"), move("y")] == {move("z"): 1}
    assert (move("x"), move("y")) not in made
    assert (turn("x"), move("x")) not in made
    assert len(made) == 18


def test_two_boosts_make_a_rotation() -> None:
    turn, boost = "rotation about {}".format, "boost along {}".format
    made = structure(make_group("SO(1,3)"))
    assert made[boost("x"), boost("y")] == {turn("z"): -1}
    assert made[turn("x"), boost("y")] == {boost("z"): 1}
    assert made[turn("x"), turn("y")] == {turn("z"): 1}


def test_factors_of_a_product_commute() -> None:
    made = structure(make_group("SO(3) x SE(2)"))
    assert {x.split(":")[0] for x, _ in made} == {"SO(3)", "SE(2)"}
    assert all(x.split(":")[0] == y.split(":")[0] for x, y in made)


@pytest.mark.parametrize("text", ["SO(4)", "O(3)", "SE(3)", "SO(1,3)"])
def test_flows_stay_in_the_identity_component(text: str) -> None:
    group = make_group(text)
    metric = getattr(group, "metric", None)
    for flow in group.flows():
        matrix = group.face("linear", flow.at(torch.linspace(-3, 3, 13, dtype=torch.float64)))
        kept = torch.eye(matrix.shape[1], dtype=torch.float64) if metric is None else metric
        assert float((matrix.mT @ kept @ matrix - kept).abs().max()) < 1e-12
        assert bool((torch.linalg.det(matrix) > 0).all())


def test_a_planar_turn_is_counter_clockwise() -> None:
    (flow,) = make_group("SO(2)").flows()
    quarter = flow.at(torch.tensor([torch.pi / 2], dtype=torch.float64))
    assert torch.allclose(quarter[0], torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64))
