"""Derivatives of every action: against finite differences, textbook matrices, and the bracket of the Lie algebra."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.derivative import EXACT, FINITE, generator, lattice_steps, velocity
from symcheck.actions.plain import make_actions, user_action
from symcheck.actions.smooth import cubic, spectral
from symcheck.errors import ClaimError, DataError
from symcheck.grammar import parse_claim
from symcheck.groups import make_group
from symcheck.groups.base import Extents, Flow
from symcheck.groups.draws import Draws

CASES = {
    "SO(3): vector": (4, 3),
    "SE(3): points": (5, 3),
    "E(3): points*vector": (3,),
    "O(3): pseudovector": (3,),
    "SO(3): tensor(ij)": (3, 3),
    "O(3): tensor(ijk,pseudo)": (3, 3, 3),
    "SO(3): irreps(2x0e+1x1o+1x2e+2x3o+1x5o)": (2 + 3 + 5 + 14 + 11,),
    "O(3): irreps(1x1e+1x4o)": (12,),
    "SO(2): irreps(1x1o+1x2e)": (8,),
    "GL+(3): covector": (3,),
    "GL+(2): tensor(ij)": (2, 2),
    "Scale(0.5,2): covector": (3,),
    "Scale(0.5,2): homogeneous(1.5)": (3,),
    "SO(3): multivector(3)": (8,),
    "SE(3): multivector(3,0,1)": (16,),
    "SO(1,3): multivector(1,3)": (16,),
    "SO(5): multivector(5)": (32,),
    "SO(6): multivector(6)": (64,),
    "SO(1,3): vector": (4,),
    "SO(3): lattice": (3, 3),
    "T(3): fractional": (3,),
    "T(1): level": (4,),
    "Scale(0.5,2): level": (4,),
    "SO(3): rotation": (3, 3),
    "SO(3): rotation(quaternion)": (4,),
    "SO(3): rotation(quaternion,conjugate)": (4,),
    "SO(3): rotation(6d,conjugate)": (6,),
    "SE(2): intrinsics(8x8)": (3, 3),
    "Scale(0.5,2): intrinsics(8x8)": (4,),
    "O(4): pseudoscalar": (2,),
    "O(4): axes(h .)": (4, 2),
    "SO(3) x S(5): points*nodes": (5, 3),
    "SO(3) x Scale(0.5,2): vector": (3,),
    "O(3): scalar": (2,),
}


def bound(text: str) -> Bound:
    claim = parse_claim(f"{text} -> invariant")
    actions = tuple(one.among(n for a in make_actions(claim.inputs[0]) for n in a.names)
                    for one in make_actions(claim.inputs[0]))  # fmt: skip
    return Bound(actions, make_group(claim.group))


def rows(shape: tuple[int, ...], n: int = 3) -> Tensor:
    return Draws(0, "rows").normal(n, *shape)


def differences(action: Bound, flow: Flow, x: Tensor, h: float = 1e-3) -> Tensor:
    a, b, c, d = (action(flow.at(torch.full((len(x),), t * h, dtype=torch.float64)), x) for t in (1, -1, 2, -2))
    return (8 * (a - b) - (c - d)) / (12 * h)


@pytest.mark.parametrize("text", CASES)
def test_agrees_with_finite_differences(text: str) -> None:
    action, x = bound(text), rows(CASES[text])
    assert action.group.flows()
    for flow in action.group.flows():
        found = velocity(action, flow, x)
        wanted = differences(action, flow, x)
        assert float((found.value - wanted).abs().max()) <= 3e-10 * (1 + float(wanted.abs().max()))
        assert found.method == (EXACT if bool(wanted.any()) or found.method else "")


LINEAR = [text for text in CASES if not any(word in text for word in ("points", "fractional", "level", "intrinsics"))]


@pytest.mark.parametrize("text", [t for t in LINEAR if "6d" not in t])
def test_a_linear_action_is_still_at_zero(text: str) -> None:
    action = bound(text)
    for flow in action.group.flows():
        assert not generator(action, flow, torch.zeros(2, *CASES[text], dtype=torch.float64)).any()


@pytest.mark.parametrize("text", ["SO(3): irreps(1x1o+1x2e+1x3o)", "SO(3): tensor(ij)", "SO(1,3): multivector(1,3)"])
def test_commutators_follow_the_algebra(text: str) -> None:
    action = bound(text)
    size = math.prod(CASES.get(text, (15,)))
    shape = CASES.get(text, (15,))
    eye = torch.eye(size, dtype=torch.float64).reshape(size, *shape)
    x, y, z = ([generator(action, flow, eye).reshape(size, size).T for flow in action.group.flows()])[:3]
    assert float((x @ y - y @ x - z).abs().max()) < 1e-12 * size  # [X, Y] = Z for the turns about x, y and z
    assert float((y @ z - z @ y - x).abs().max()) < 1e-12 * size


def test_the_first_degree_is_the_vector() -> None:
    known = torch.tensor([[[0, 0, 0], [0, 0, -1], [0, 1, 0]], [[0, 0, 1], [0, 0, 0], [-1, 0, 0]],
                          [[0, -1, 0], [1, 0, 0], [0, 0, 0]]], dtype=torch.float64)  # fmt: skip
    action = bound("SO(3): irreps(1x1o)")
    for flow, wanted in zip(action.group.flows(), known, strict=True):
        assert float((generator(action, flow, torch.eye(3, dtype=torch.float64)).T - wanted).abs().max()) < 1e-14


@pytest.mark.parametrize("degree", [1, 2, 3, 6])
def test_wigner_generators_are_those_of_so3(degree: int) -> None:
    """About the polar axis y: m sin ↔ cos of each order m; the Casimir operator is -l (l + 1)."""
    size = 2 * degree + 1
    action = bound(f"SO(3): irreps(1x{degree}e)")
    x, y, z = (generator(action, flow, torch.eye(size, dtype=torch.float64)).T for flow in action.group.flows())
    eye = torch.eye(size, dtype=torch.float64)
    assert float((x @ x + y @ y + z @ z + degree * (degree + 1) * eye).abs().max()) < 1e-12 * degree**2
    wanted = torch.zeros(size, size, dtype=torch.float64)
    for m in range(1, degree + 1):
        wanted[degree + m, degree - m], wanted[degree - m, degree + m] = -m, m
    assert float((y - wanted).abs().max()) < 1e-12 * degree


@pytest.mark.parametrize("size", [7, 8, 31, 32])
def test_spectral_derivative_of_waves(size: int) -> None:
    place = torch.arange(size, dtype=torch.float64) * (2 * math.pi / size)
    for k in range(1, (size + 1) // 2):
        wave, slope = (k * place + 0.3).sin(), (2 * math.pi / size) * k * (k * place + 0.3).cos()
        assert float((spectral(size) @ wave - slope).abs().max()) < 1e-12 * size
    if size % 2 == 0:
        assert float((spectral(size) @ (torch.arange(size).double() * math.pi).cos()).abs().max()) < 1e-12 * size
    assert not cubic(2).any()


def test_cubic_derivative_is_of_third_order_up_to_the_ends() -> None:
    place = torch.arange(9, dtype=torch.float64)
    for power in (0, 1, 2, 3):
        slope = power * place ** max(power - 1, 0)
        assert float((cubic(9) @ place**power - slope).abs().max()) < 1e-10
    assert float((cubic(9) @ place**5 - 5 * place**4).abs().max()) > 1e-3


def blob(x: Tensor, y: Tensor) -> Tensor:
    return torch.exp(-((x - 3) ** 2 + 2 * (y + 2) ** 2) / 18) + 0.5 * torch.exp(-((x + 4) ** 2 + (y - 1) ** 2) / 15)


def plane(size: int) -> tuple[Tensor, Tensor]:
    across = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return across.expand(size, size), -across[:, None].expand(size, size)


def off_the_flow(text: str, size: int) -> list[float]:
    """How far each generator is from the moved blob f(g⁻¹p) of an image of this size, relative, by differences."""
    action, scale, errors = bound(f"{text}: image"), size / 32, []
    x, y = (part / scale for part in plane(size))
    for flow in action.group.flows():

        def at(t: float, flow: Flow = flow) -> Tensor:
            g = flow.at(torch.tensor([t], dtype=torch.float64))
            matrix = g[:, None, None] * torch.eye(2) if g.dim() == 1 else action.group.face("linear", g)
            shift = action.group.face("translation", g)[0] if text == "SE(2)" else torch.zeros(2).double()
            there = torch.linalg.inv(matrix.double()[0]) @ (torch.stack([x, y]).reshape(2, -1) - shift[:, None] / scale)
            return blob(*there.reshape(2, size, size))

        h = 1e-3
        wanted = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
        found = velocity(action, flow, blob(x, y)[None, None])
        assert found.method == "cubic spline derivative"
        errors.append(float((found.value[0, 0] - wanted).abs().max() / wanted.abs().max()))
    return errors


@pytest.mark.parametrize("text", ["SO(2)", "SE(2)", "Scale(0.5,2)", "GL+(2)"])
def test_images_move_along_the_flow_to_fourth_order(text: str) -> None:
    for coarse, fine in zip(off_the_flow(text, 32), off_the_flow(text, 64), strict=True):
        assert coarse < 0.01
        assert fine < coarse / 12


def test_translations_of_the_torus_are_spectral() -> None:
    action = bound("T(2): image")
    place = torch.arange(9, dtype=torch.float64)
    wave = torch.cos(2 * math.pi * (2 * place[None, :] + place[:, None]) / 9)
    right, up = (velocity(action, flow, wave[None]) for flow in action.group.flows())
    slope = 2 * math.pi / 9 * torch.sin(2 * math.pi * (2 * place[None, :] + place[:, None]) / 9)
    assert right.method == "spectral derivative"
    assert float((right.value[0] - 2 * slope).abs().max()) < 1e-12
    assert float((up.value[0] + slope).abs().max()) < 1e-12
    even = velocity(action, action.group.flows()[0], wave[None, :8, :8])
    assert even.method == "spectral derivative, the Nyquist frequency left out"


def test_a_vector_field_turns_its_components_too() -> None:
    action, (x, y) = bound("SO(2): image(fiber=vector)"), plane(21)
    field = torch.stack([x, y])[None]  # equivariant: what turns it leaves it as it is
    (flow,) = action.group.flows()
    assert float(generator(action, flow, field).abs().max()) < 1e-9
    assert float(generator(bound("SO(2): image"), flow, field).abs().max()) > 1
    mixed = torch.stack([x * x + y * y, x, y, x * x + y * y])[None]
    action = bound("SO(2): image(fiber=trivial+vector+sign)")
    assert float(generator(action, flow, mixed).abs().max()) < 1e-8


def test_integers_and_discrete_parts() -> None:
    action = bound("SO(2): image")
    with pytest.raises(DataError, match="no derivative"):
        generator(action, action.group.flows()[0], torch.ones(1, 4, 4, dtype=torch.int64))
    vectors = bound("SO(3): vector")
    with pytest.raises(ClaimError, match="no derivative"):
        generator(vectors, vectors.group.flows()[0], torch.ones(1, 3, dtype=torch.int64))
    still = bound("SO(3): scalar")
    assert not generator(still, still.group.flows()[0], torch.ones(2, 3, dtype=torch.int64)).any()


def test_user_actions_without_a_derivative_take_differences() -> None:
    group = make_group("SO(3)")
    turned, lost, drops = (
        Bound((user_action("mine:act", function),), group)
        for function in (
            lambda g, x: (g @ x[..., None])[..., 0],
            lambda g, x: torch.from_numpy((g.numpy() @ x[..., None].numpy())[..., 0]),
            lambda g, x: (g.detach() @ x[..., None])[..., 0],
        )
    )
    x = rows((3,))
    for flow in group.flows():
        wanted = generator(bound("SO(3): vector"), flow, x)
        for action, method in ((turned, EXACT), (lost, FINITE), (drops, FINITE)):
            found = velocity(action, flow, x)
            assert found.method == method
            assert float((found.value - wanted).abs().max()) < 1e-9


def test_lattices_have_steps() -> None:
    grid = Extents(grid=(12, 8))
    steps = lattice_steps(make_group("Shift(3,2)").bind(grid))
    assert [step.name for step in steps] == ["shift by 3 along axis 1", "shift by 2 along axis 2"]
    assert [step.there.tolist() for step in steps] == [[[3, 0]], [[0, 2]]]
    assert [step.back.tolist() for step in steps] == [[[9, 0]], [[0, 6]]]
    (step,) = lattice_steps(make_group("SO(2) x Shift(4,0)").bind(grid))
    assert step.there.shape == (1, 6)
    assert lattice_steps(make_group("SO(3)")) == ()
