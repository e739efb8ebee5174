"""Irreps, tensors and multivectors against their definitions, plain geometry and e3nn."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product
from types import ModuleType

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.geometric import CartesianTensor
from symcheck.actions.multivector import blades, outermorphism
from symcheck.actions.plain import make_action
from symcheck.actions.wigner import spherical_harmonics, wigner
from symcheck.grammar import parse_term
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group

DEGREES = range(12)


@pytest.fixture
def o3() -> Iterator[ModuleType]:
    """e3nn, with generators built in float64; its Euler angles lose digits near their poles."""
    module = pytest.importorskip("e3nn.o3")
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield module
    torch.set_default_dtype(before)


def bound(group: str, action: str) -> Bound:
    return Bound((make_action(parse_term(action)),), make_group(group))


def rotations(n: int, key: str = "g") -> Tensor:
    group = make_group("SO(3)")
    return group.face("linear", group.sample(n, Draws(1, key)))


def directions(n: int) -> Tensor:
    return torch.nn.functional.normalize(Draws(2, "u").normal(n, 3), dim=-1)


@pytest.mark.parametrize("degree", DEGREES)
def test_wigner_matrices_are_an_orthogonal_representation(degree: int) -> None:
    a, b = rotations(40), rotations(40, "h")
    d = wigner(degree, a)
    assert float((wigner(degree, a @ b) - d @ wigner(degree, b)).abs().max()) < 1e-13
    assert float((d @ d.mT - torch.eye(2 * degree + 1)).abs().max()) < 1e-13


@pytest.mark.parametrize("degree", DEGREES)
def test_harmonics_turn_with_their_matrix(degree: int) -> None:
    r, u = rotations(10), directions(30)
    before, after = spherical_harmonics(degree, u), spherical_harmonics(degree, u @ r.mT)
    assert float((after - before @ wigner(degree, r).mT).abs().max()) < 1e-12
    assert torch.allclose(before.square().sum(-1), torch.tensor(2.0 * degree + 1, dtype=torch.float64))
    if degree:
        assert float((after - before @ wigner(degree, r)).abs().max()) > 0.1


def test_harmonics_have_e3nn_components() -> None:
    u = directions(20)
    x, y, z = u.unbind(-1)
    assert torch.allclose(spherical_harmonics(1, u), math.sqrt(3) * u)
    quadratic = torch.stack(
        [x * z, x * y, (2 * y**2 - x**2 - z**2) / math.sqrt(12), y * z, (z**2 - x**2) / 2], dim=-1
    )
    assert torch.allclose(spherical_harmonics(2, u), math.sqrt(15) * quadratic)


@pytest.mark.parametrize("degree", DEGREES)
def test_wigner_matrices_are_those_of_e3nn(o3: ModuleType, degree: int) -> None:
    r = rotations(20)
    theirs = o3.Irrep(degree, 1).D_from_matrix(r)
    assert float((wigner(degree, r) - theirs).abs().max()) < 1e-9


def test_irreps_have_the_layout_of_e3nn(o3: ModuleType) -> None:
    text = "3x0e+2x1o+1e+2x2e+0o+1o"
    group = make_group("O(3)")
    g, x = group.sample(20, Draws(3, "g")), Draws(3, "x").normal(20, o3.Irreps(text).dim)
    theirs = torch.einsum("nij,nj->ni", o3.Irreps(text).D_from_matrix(group.face("linear", g)), x)
    assert float((bound("O(3)", f"irreps({text})")(g, x) - theirs).abs().max()) < 1e-9


SAME = [
    ("irreps(0e)", "scalar", (1,)),
    ("irreps(0o)", "pseudoscalar", (1,)),
    ("irreps(1o)", "vector", (3,)),
    ("irreps(1e)", "pseudovector", (3,)),
    ("irreps( 2x1o + 1x1o )", "vector", (3, 3)),
]


def agreement(irreps: str, plain: str, shape: tuple[int, ...]) -> float:
    """The largest difference between an irrep and the plain action that it should be, under O(3)."""
    group = make_group("O(3)")
    g, x = group.sample(30, Draws(4, "g")), Draws(4, "x").normal(30, *shape)
    return float((bound("O(3)", irreps)(g, x.flatten(1)) - bound("O(3)", plain)(g, x).flatten(1)).abs().max())


@pytest.mark.parametrize(("irreps", "plain", "shape"), SAME)
def test_irreps_are_the_plain_actions(irreps: str, plain: str, shape: tuple[int, ...]) -> None:
    assert agreement(irreps, plain, shape) < 1e-12


WRONG_PARITY = [("irreps(1e)", "vector", (3,)), ("irreps(0e)", "pseudoscalar", (1,))]


@pytest.mark.parametrize(("irreps", "plain", "shape"), WRONG_PARITY)
def test_a_missing_parity_is_found(irreps: str, plain: str, shape: tuple[int, ...]) -> None:
    assert agreement(irreps, plain, shape) > 0.1


def test_symmetric_tensors_are_0e_and_2e() -> None:
    group = make_group("O(3)")
    g, u = group.sample(10, Draws(5, "g")), directions(200)
    s = Draws(5, "s").normal(10, 3, 3)
    moved = bound("O(3)", "tensor(ij)")(g, s)

    def project(tensor: Tensor) -> Tensor:
        form = torch.einsum("mi,nij,mj->nm", u, tensor, u)
        both = torch.cat([spherical_harmonics(0, u), spherical_harmonics(2, u)], dim=-1)
        return torch.linalg.lstsq(both, form.mT).solution.mT

    assert torch.allclose(bound("O(3)", "irreps(0e+2e)")(g, project(s)), project(moved), atol=1e-12)


def test_tensors_turn_every_index() -> None:
    group = make_group("O(3)")
    g, stress = group.sample(10, Draws(5, "g")), Draws(5, "s").normal(10, 2, 3, 3)
    turn = group.face("linear", g)[:, None]
    assert torch.allclose(bound("O(3)", "tensor(ij)")(g, stress), turn @ stress @ turn.mT, atol=1e-12)
    v = Draws(5, "v").normal(10, 3, 3)
    cube = Draws(5, "t").normal(10, 3, 3, 3)
    moved, tensor = bound("O(3)", "vector")(g, v), bound("O(3)", "tensor(ijk)")(g, cube)
    contract = "nijk,ni,nj,nk->n"
    before = torch.einsum(contract, cube, *v.unbind(1))
    assert torch.allclose(torch.einsum(contract, tensor, *moved.unbind(1)), before, atol=1e-11)
    swapped = torch.einsum(contract, tensor.transpose(1, 3), *moved.unbind(1))
    assert not torch.allclose(swapped, before, atol=0.1)


def test_the_antisymmetric_tensor_is_pseudo() -> None:
    volume = torch.zeros(3, 3, 3, dtype=torch.float64)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        volume[i, j, k], volume[j, i, k] = 1, -1
    g = make_group("O(3)").sample(20, Draws(5, "g"))
    many = volume.expand(20, 3, 3, 3)
    assert torch.allclose(bound("O(3)", "tensor(ijk,pseudo)")(g, many), many, atol=1e-12)
    assert not torch.allclose(bound("O(3)", "tensor(ijk)")(g, many), many, atol=0.1)


def test_symmetry_defect_reads_the_formula() -> None:
    x = Draws(6, "x").normal(5, 3, 3)
    even, odd = CartesianTensor("ij=ji"), CartesianTensor("ij=-ji")
    assert float(even.symmetry_defect(x + x.mT).max()) == 0 < float(even.symmetry_defect(x).min())
    assert float(odd.symmetry_defect(x - x.mT).max()) == 0 < float(odd.symmetry_defect(x + x.mT).min())
    assert float(even.symmetry_defect(torch.zeros(2, 3, 3)).max()) == 0
    cycle = CartesianTensor("ijk=jki")
    a, b, c = Draws(6, "v").normal(3, 5, 3).unbind(0)
    terms = [torch.einsum("ni,nj,nk->nijk", *vs) for vs in ((a, b, c), (b, c, a), (c, a, b))]
    assert float(cycle.symmetry_defect(sum(terms, torch.zeros(1))).max()) < 1e-14
    assert float(cycle.symmetry_defect(terms[0]).min()) > 0.1


def geometric_product(a: Tensor, b: Tensor, metric: list[float]) -> Tensor:
    """a b from the metric alone: merge the blades, one sign per swap, one metric factor per shared index."""
    names = blades(len(metric))
    result = torch.zeros_like(a)
    for (i, first), (j, second) in product(enumerate(names), enumerate(names)):
        sign = (-1.0) ** sum(p > q for p in first for q in second)
        for index in set(first) & set(second):
            sign *= metric[index]
        merged = tuple(sorted(set(first) ^ set(second)))
        result[:, names.index(merged)] += sign * a[:, i] * b[:, j]
    return result


ALGEBRAS = [
    ("SO(2)", "multivector(2)", [1, 1]),
    ("O(3)", "multivector(3)", [1, 1, 1]),
    ("SO(1,3)", "multivector(1,3)", [1, -1, -1, -1]),
    ("E(3)", "multivector(3,0,1)", [0, 1, 1, 1]),
    ("SE(2)", "multivector(2,0,1)", [0, 1, 1]),
]


@pytest.mark.parametrize(("group", "action", "metric"), ALGEBRAS)
def test_the_geometric_product_is_respected(group: str, action: str, metric: list[float]) -> None:
    slot = bound(group, action)
    g = slot.group.sample(6, Draws(6, "g"))
    a, b = Draws(6, "x").normal(6, 2, 2 ** len(metric)).unbind(1)
    moved = slot(g, geometric_product(a, b, metric))
    gap = moved - geometric_product(slot(g, a), slot(g, b), metric)
    assert float(gap.abs().max() / moved.abs().max()) < 1e-11
    euclidean = geometric_product(slot(g, a), slot(g, b), [1.0] * len(metric))
    assert (min(metric) == 1) == torch.allclose(moved, euclidean, atol=1e-3)


def test_grades_do_not_mix_and_vectors_move_plainly() -> None:
    group = make_group("O(3)")
    g = group.sample(20, Draws(7, "g"))
    (matrix,) = make_action(parse_term("multivector(3)")).represent(group, g)
    assert torch.equal(matrix[:, 1:4, 1:4], group.face("linear", g))
    assert torch.allclose(matrix[:, 7, 7], torch.linalg.det(group.face("linear", g)))
    grade = torch.tensor([len(blade) for blade in blades(3)])
    assert float(matrix[:, grade[:, None] != grade].abs().max()) == 0


def test_outermorphisms_extend_any_matrix() -> None:
    a, b = Draws(8, "m").normal(5, 2, 4, 4).unbind(1)
    whole = outermorphism(a)
    assert torch.allclose(outermorphism(a @ b), whole @ outermorphism(b), atol=1e-10)
    assert not torch.allclose(outermorphism(a @ b), outermorphism(b) @ whole, atol=0.1)
    assert torch.allclose(whole[:, -1, -1], torch.linalg.det(a))


def plane(normal: Tensor, point: Tensor) -> Tensor:
    """The plane through a point as a projective vector: n·e - (n·p) e_0."""
    whole = torch.zeros(len(normal), 16, dtype=normal.dtype)
    whole[:, 1] = -(normal * point).sum(-1)
    whole[:, 2:5] = normal
    return whole


def point_blade(p: Tensor) -> Tensor:
    """A point as a trivector: e_123 - x e_023 + y e_013 - z e_012."""
    whole = torch.zeros(len(p), 16, dtype=p.dtype)
    whole[:, 11:15] = torch.stack([-p[:, 2], p[:, 1], -p[:, 0], torch.ones(len(p), dtype=p.dtype)], dim=-1)
    return whole


@pytest.mark.parametrize("name", ["SE(3)", "E(3)", "T(3)"])
def test_projective_planes_and_points_move_as_in_space(name: str) -> None:
    group = make_group(name)
    slot, points, vector = (bound(name, action) for action in ("multivector(3,0,1)", "points", "vector"))
    g = group.sample(30, Draws(9, "g"))
    n, p = Draws(9, "x").normal(30, 2, 3).unbind(1)
    assert torch.allclose(slot(g, plane(n, p)), plane(vector(g, n), points(g, p)), atol=1e-11)
    assert not torch.allclose(slot(g, plane(n, p)), plane(vector(g, n), p), atol=0.1)
    orientation = torch.linalg.det(group.face("linear", g))[:, None]
    assert torch.allclose(slot(g, point_blade(p)), orientation * point_blade(points(g, p)), atol=1e-11)


def test_boosts_keep_the_interval_and_not_the_norm() -> None:
    slot = bound("SO(1,3)", "multivector(1,3)")
    g, x = slot.group.sample(20, Draws(10, "g")), Draws(10, "x").normal(20, 16)
    y = slot(g, x)
    metric = torch.tensor([1.0, -1, -1, -1], dtype=torch.float64)
    interval = [(metric * v[:, 1:5].square()).sum(-1) for v in (x, y)]
    assert torch.allclose(*interval, atol=1e-9)
    assert not slot.isometric
    assert not torch.allclose(x.norm(dim=1), y.norm(dim=1), atol=0.1)
