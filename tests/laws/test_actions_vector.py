"""Laws of the vector-like actions: left action, isometry, and the geometry that each one stands for."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Action, Bound, Rep, actions
from symcheck.actions.plain import make_action
from symcheck.actions.rotation import Rotation, orthonormal, quaternion
from symcheck.grammar import parse_term
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.testing import check_action
from symcheck.testing.action_laws import case, stretch
from symcheck.testing.group_laws import mixed_elements

CASES = [
    ("SO(3)", "scalar", (4,)),
    ("SO(3)", "vector", (4, 3)),
    ("SO(4)", "vector", (4,)),
    ("SO(2)", "vector", (5, 2)),
    ("C4", "vector", (3,)),
    ("GL+(3)", "vector", (2, 3)),
    ("SO(1,3)", "vector", (2, 4)),
    ("Scale(0.5,2)", "vector", (2, 3)),
    ("SE(3)", "vector", (2, 3)),
    ("O(3)", "pseudoscalar", (2,)),
    ("O(3)", "pseudovector", (2, 5, 3)),
    ("GL+(3)", "covector", (2, 3)),
    ("Scale(0.5,2)", "covector", (2, 3)),
    ("SE(3)", "points", (4, 3)),
    ("E(3)", "points", (3,)),
    ("SE(2)", "points", (4, 3)),
    ("T(3)", "points", (4, 3)),
    ("T(1)", "level", (5, 2)),
    ("Scale(0.5,2)", "level", (7,)),
    ("Scale(0.5,2)", "points", (4, 3)),
    ("SO(3) x Scale(0.5,2)", "points", (4, 3)),
    ("O(3)", "tensor(ij=ji)", (2, 3, 3)),
    ("O(3)", "tensor(ij,pseudo)", (2, 3, 3)),
    ("C4", "tensor(ij)", (3, 3)),
    ("GL+(2)", "tensor(ijk)", (2, 2, 2)),
    ("O(3)", "rotation", (2, 3, 3)),
    ("SO(3)", "rotation(quaternion)", (2, 4)),
    ("SO(3)", "rotation(6d)", (2, 6)),
    ("O(3)", "rotation(conjugate)", (3, 3)),
    ("SO(3)", "rotation(quaternion,conjugate)", (2, 4)),
    ("C4", "rotation(6d,conjugate)", (2, 6)),
    ("O(3)", "irreps(4x0e+0o+2x1o+1e+2x2e+3o)", (2, 31)),
    ("Oh", "irreps(1o+1o+11e)", (29,)),
    ("SE(2)", "irreps(2e)", (4, 5)),
    ("O(3)", "multivector(3)", (2, 8)),
    ("SO(2)", "multivector(2)", (4,)),
    ("C4", "multivector(3)", (8,)),
    ("SO(1,3)", "multivector(1,3)", (2, 16)),
    ("E(3)", "multivector(3,0,1)", (2, 16)),
    ("T(3)", "multivector(3,0,1)", (16,)),
    ("SE(2)", "multivector(2,0,1)", (8,)),
    ("SE(2)", "multivector(3,0,1)", (16,)),
    ("Scale(0.5,2)", "homogeneous(-2)", (3,)),
    ("C4", "tokens", (5,)),
    ("C4", "mask", (5,)),
    ("C4", "mask(padded)", (5,)),
    ("C4", "positions", (5,)),
    ("C4", "variant", (5,)),
    ("T(3)", "extensive", (1,)),
    ("O(3)", "lattice", (3, 3)),
    ("SO(2)", "lattice", (2, 3)),
    ("E(3)", "lattice", (3, 3)),
    ("Scale(0.5,2)", "lattice", (3, 3)),
    ("GL(3,Z)", "lattice", (3, 3)),
    ("GL(2,Z)", "lattice", (2, 3)),
    ("T(3)", "fractional", (4, 3)),
    ("GL(3,Z)", "fractional", (4, 3)),
    ("T(3) x GL(2,Z)", "lattice", (2, 3)),
]
MINE = {f"symcheck.actions.{name}" for name in ("plain", "geometric", "rotation", "irreps", "multivector", "crystal")}
STRETCHING = ("GL", "Scale", "SO(1,3)")
RIGID = [case for case in CASES if not any(word in case[0] for word in STRETCHING)]


def bound(group: str, action: str) -> Bound:
    return Bound((make_action(parse_term(action)),), make_group(group))


def elements(group: Group, n: int, key: str = "g") -> Tensor:
    return mixed_elements(group, n, key)


def data(action: Action, n: int, shape: tuple[int, ...], key: str = "x") -> Tensor:
    """Samples; rotations where the action moves rotations."""
    x = Draws(2, key).normal(n, *shape)
    if not isinstance(action, Rotation):
        return x
    if action.form == "quaternion":
        return torch.nn.functional.normalize(x, dim=-1)
    return orthonormal(x[..., :2, :].flatten(-2)) if action.form == "matrix" else x


def example(action: str, shape: tuple[int, ...]) -> Tensor:
    return data(make_action(parse_term(action)), 12, shape)


@pytest.mark.parametrize(("group", "action", "shape"), CASES)
def test_the_laws_are_obeyed(group: str, action: str, shape: tuple[int, ...]) -> None:
    check_action(action, group, shape, example=example(action, shape))
    slot = bound(group, action)
    assert slot(slot.group.sample(0, Draws(1, "g")), torch.zeros(0, *shape)).shape == (0, *shape)


@pytest.mark.parametrize(("group", "action", "shape"), RIGID)
def test_keeps_distances_where_declared(group: str, action: str, shape: tuple[int, ...]) -> None:
    found = case(action, group, shape, example(action, shape))
    assert (stretch(found) < 1e-10) == found.bound.isometric


def test_every_registered_name_has_a_case() -> None:
    words = {case[1].partition("(")[0] for case in CASES} | {"ignore", "owner"}
    for name in actions.names():
        maker = actions.get(name)
        if maker.__module__ in MINE:
            aliases = {other for other in actions.names() if actions.get(other) is maker}
            assert aliases & words, name


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex128, torch.int64])
def test_other_dtypes_follow_the_float64_action(dtype: torch.dtype) -> None:
    slot = bound("SO(3)", "vector")
    g, x = elements(slot.group, 6), (10 * Draws(0, "x").normal(6, 2, 3)).round()
    assert torch.allclose(slot(g, x.to(dtype)).to(torch.complex128), slot(g, x) + 0j, atol=1e-5)


class Transposed(Action):
    """Planted fault: the inverse matrix, which involutions would not show."""

    name, uses = "transposed", frozenset({"linear"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        return (group.face("linear", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return torch.einsum("nji,n...j->n...i", rep[0], x)


class ShiftFirst(Transposed):
    """Planted fault: R (x + t)."""

    def represent(self, group: Group, g: Tensor) -> Rep:
        return group.face("linear", g), group.face("translation", g)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return torch.einsum("nij,n...j->n...i", rep[0], x + rep[1][:, None])


@pytest.mark.parametrize(("group", "fault"), [("SO(3)", Transposed()), ("SE(3)", ShiftFirst())])
def test_planted_faults_break_the_law(group: str, fault: Action) -> None:
    with pytest.raises(AssertionError, match=r"left action: \(gh\)x is not g\(hx\): off by"):
        check_action(fault, group, (4, 3))


def test_planar_elements_turn_about_the_third_axis() -> None:
    group = make_group("SE(2)")
    g, x = elements(group, 8), Draws(3, "x").normal(8, 4, 3)
    flat, solid = bound("SE(2)", "points"), bound("SE(2)", "points")
    moved = solid(g, x)
    assert torch.allclose(moved[..., :2], flat(g, x[..., :2]), atol=1e-13)
    assert torch.equal(moved[..., 2], x[..., 2])
    assert not torch.allclose(moved[..., :2], x[..., :2], atol=0.1)


def test_mirror_signs() -> None:
    group = make_group("O(3)")
    g = elements(group, 40)
    a, b, c = Draws(4, "v").normal(40, 3, 3).unbind(1)
    vector, axial, chirality = (bound("O(3)", name) for name in ("vector", "pseudovector", "pseudoscalar"))
    cross = torch.linalg.cross(vector(g, a), vector(g, b))
    assert torch.allclose(cross, axial(g, torch.linalg.cross(a, b)), atol=1e-12)
    assert not torch.allclose(cross, vector(g, torch.linalg.cross(a, b)), atol=0.1)
    triple = (cross * vector(g, c)).sum(-1)
    before = (torch.linalg.cross(a, b) * c).sum(-1)
    assert torch.allclose(triple, chirality(g, before), atol=1e-12)
    assert not torch.allclose(triple, before, atol=0.1)


def test_covectors_pair_with_vectors() -> None:
    for name in ("GL+(3)", "Scale(0.5,2)"):
        g = elements(make_group(name), 10)
        v, w = Draws(7, "v").normal(10, 2, 3).unbind(1)
        moved = bound(name, "vector")(g, v)
        assert torch.allclose((bound(name, "covector")(g, w) * moved).sum(-1), (v * w).sum(-1), atol=1e-12)
        assert not torch.allclose((bound(name, "vector")(g, w) * moved).sum(-1), (v * w).sum(-1), atol=1e-2)


@pytest.mark.parametrize("degree", [3, -2, 0.5])
def test_degree_of_homogeneity(degree: float) -> None:
    slot = bound("Scale(0.5,2)", f"homogeneous({degree})")
    s = elements(slot.group, 6)
    assert torch.allclose(slot(s, torch.ones(6, 2, dtype=torch.float64)), (s**degree)[:, None].expand(6, 2))
    assert not slot.isometric


def turned(q: Tensor, v: Tensor) -> Tensor:
    """v turned by the unit quaternion q: v + 2w (u x v) + 2 u x (u x v)."""
    w, u = q[:, :1], q[:, 1:]
    once = torch.linalg.cross(u, v)
    return v + 2 * w * once + 2 * torch.linalg.cross(u, once)


def as_form(q: Tensor, form: str) -> Tensor:
    """A unit quaternion as itself, as a matrix, or as two columns that are not orthonormal yet."""
    if form == "quaternion":
        return q
    axes = torch.eye(3, dtype=q.dtype)
    matrix = torch.stack([turned(q, axis.expand(len(q), 3)) for axis in axes], dim=-1)
    if form == "matrix":
        return matrix
    return torch.cat([2 * matrix[:, :, 0], 3 * matrix[:, :, 1] + matrix[:, :, 0]], dim=-1)


def unit(n: int, size: int, key: str) -> Tensor:
    return torch.nn.functional.normalize(Draws(8, key).normal(n, size), dim=-1)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-8, 1e-4, 1.0, 3.0, math.pi - 1e-8, math.pi])
@pytest.mark.parametrize("form", ["matrix", "quaternion", "6d"])
def test_angles_are_accurate_everywhere(angle: float, form: str) -> None:
    axis, start = unit(20, 3, "axis"), unit(20, 4, "q")
    w, v = math.cos(angle / 2), math.sin(angle / 2) * axis
    real = w * start[:, :1] - (v * start[:, 1:]).sum(-1, keepdim=True)
    rest = w * start[:, 1:] + start[:, :1] * v + torch.linalg.cross(v, start[:, 1:])
    end = -torch.cat([real, rest], dim=-1)  # a quaternion is free in its sign
    measured = Rotation(form).difference(as_form(start, form), as_form(end, form))
    assert measured.shape == (20, 1)
    assert float((measured - angle).abs().max()) < 1e-12


@pytest.mark.parametrize("option", ["", "conjugate"])
def test_the_forms_of_a_rotation_agree(option: str) -> None:
    group, q = make_group("SO(3)"), unit(20, 4, "q")
    g = elements(group, 20)
    moved = {}
    for form in ("matrix", "quaternion", "6d"):
        words = ",".join(word for word in (form, option) if word)
        moved[form] = bound("SO(3)", f"rotation({words})")(g, as_form(q, form))
    expected = group.face("linear", g) @ as_form(q, "matrix")
    if option:
        expected = expected @ group.face("linear", g).mT
    assert torch.allclose(moved["matrix"], expected, atol=1e-12)
    assert torch.allclose(as_form(moved["quaternion"], "matrix"), expected, atol=1e-12)
    assert torch.allclose(orthonormal(moved["6d"]), expected, atol=1e-12)


def test_quaternions_of_half_turns() -> None:
    axes = torch.cat([torch.eye(3, dtype=torch.float64), unit(20, 3, "axis")])
    half_turns = 2 * axes[:, :, None] * axes[:, None, :] - torch.eye(3, dtype=torch.float64)
    assert torch.allclose(as_form(quaternion(half_turns), "matrix"), half_turns, atol=1e-12)
