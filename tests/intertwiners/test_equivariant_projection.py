"""ΠW is the group average, every method finds the same subspace, and a planted fault of 1e-8 is seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.irreps import parse_irreps
from symcheck.actions.plain import UserAction
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.groups.rotations import about_axis
from symcheck.intertwiners.dimension import dimension
from symcheck.intertwiners.features import Features, space
from symcheck.intertwiners.generating import generating
from symcheck.intertwiners.projection import project, spanned, subspace
from symcheck.intertwiners.representation import Representation, given, of, power, trivial
from symcheck.intertwiners.symplectic import Symplectic
from symcheck.intertwiners.within import kernel, on_grid


def weight(*sizes: int, key: str = "weight") -> Tensor:
    return Draws(7, key).normal(1, *sizes)[0]


def by_elements(w: Tensor, out: Representation, into: Representation) -> Tensor:
    """The plain group average over all elements, one matrix product at a time."""
    elements = out.group.elements()
    assert elements is not None
    back = into.matrices(out.group.inverse(elements))
    return (out.matrices(elements) @ w @ back).mean(0)


def euler(count: int) -> tuple[Tensor, Tensor]:
    """Rotations and weights that integrate polynomials of degree < count over SO(3) exactly."""
    heights, shares = np.polynomial.legendre.leggauss(count)
    circle = torch.arange(count, dtype=torch.float64) * (2 * math.pi / count)
    z, y = about_axis((0, 0, 1), circle), about_axis((0, 1, 0), torch.from_numpy(np.arccos(heights)))
    g = (z[:, None, None] @ y[None, :, None] @ z[None, None, :]).reshape(-1, 3, 3)
    return g, torch.from_numpy(shares / 2).repeat_interleave(count).repeat(count) / count**2


FINITE = (
    ("C4", "regular", 4, "vector", 4),
    ("D3", "regular", 12, "vector", 2),
    ("D4", "regular", 8, "regular", 8),
    ("S(4)", "pairs", 16, "nodes", 4),
    ("A(4)", "nodes", 4, "pairs", 16),
    ("Sign(3)", "channels", 3, "channels", 3),
    ("O", "irreps(1x0e+1x1o+1x2e)", 9, "irreps(2x1o+1x3o)", 13),
    ("Oh", "tensor(ij)", 9, "irreps(1x0e+1x4e)", 10),
    ("C3 x S(3)", "regular*channels(permute)", 9, "nodes", 3),
)


@pytest.mark.parametrize(("name", "a", "n", "b", "m"), FINITE)
def test_finite_groups_project_to_the_average_over_their_elements(name: str, a: str, n: int, b: str, m: int) -> None:
    group = make_group(name)
    out, into = space(group, a, n), space(group, b, m)
    w = weight(n, m)
    truth = by_elements(w, out, into)
    found = project(w, out, into)
    assert found.method in ("orbits", "mean over elements")
    assert (found.value - truth).abs().max() < 1e-12
    assert found.level == pytest.approx(float((w - truth).norm() / w.norm()), abs=1e-12)
    for method in ("null space", "krylov", "mean"):
        other = project(w, out, into, method=method)
        assert (other.value - truth).abs().max() < 1e-12
        assert other.allowed == found.allowed
    assert found.allowed == dimension(out, into, method="characters")


CONTINUOUS = (
    ("SO(3)", "irreps(3x0e+2x1o+1x2e)", "irreps(2x0e+1x1e+2x2o)"),
    ("O(3)", "irreps(3x0e+2x1o+1x2e)", "irreps(2x0e+1x1e+2x2e)"),
    ("SO(3)", "tensor(ij)", "tensor(ij)"),
    ("O(3)", "tensor(ij)", "tensor(ij)"),
    ("SO(3)", "tensor(ijk)", "vector"),
    ("SO(3)", "tensor(ijk)", "tensor(ij)"),
)


def sized(group: Group, text: str) -> Representation:
    if text.startswith("irreps"):
        return space(group, text, sum(b.size for b in parse_irreps(text[7:-1])))
    return power(group, {"vector": 1, "tensor(ij)": 2, "tensor(ijk)": 3}[text])


@pytest.mark.parametrize(("name", "a", "b"), CONTINUOUS)
def test_rotations_project_to_the_integral_over_an_exact_quadrature(name: str, a: str, b: str) -> None:
    group = make_group(name)
    out, into = sized(group, a), sized(group, b)
    w = weight(out.size, into.size)
    g, share = euler(8)
    signs = (1.0, -1.0) if name == "O(3)" else (1.0,)
    terms = [share[:, None, None] * (out.matrices(s * g) @ w @ into.matrices(s * g).mT) for s in signs]
    truth = torch.stack(terms).sum((0, 1)) / len(signs)
    found = project(w, out, into)
    assert found.method == ("Schur blocks" if a.startswith("irreps") else "Brauer diagrams")
    assert (found.value - truth).abs().max() < 1e-12
    for method in ("null space", "krylov"):
        other = project(w, out, into, method=method)
        assert (other.value - truth).abs().max() < 1e-12
        assert other.allowed == found.allowed


@pytest.mark.parametrize("legs", [(1, 1), (2, 2), (3, 1), (3, 2)])
@pytest.mark.parametrize("group", [make_group("O(2)"), make_group("SO(2)"), make_group("SO(4)"), Symplectic(2)])
def test_diagrams_span_the_null_space(group: Group, legs: tuple[int, int]) -> None:
    out, into = power(group, legs[0]), power(group, legs[1])
    w = weight(out.size, into.size)
    found, truth = project(w, out, into, method="brauer"), project(w, out, into, method="null space")
    assert found.allowed == truth.allowed
    assert (found.value - truth.value).abs().max() < 1e-12


def symmetrised(name: str, a: str, n: int, b: str, m: int) -> tuple[Tensor, Representation, Representation]:
    group = make_group(name)
    out, into = space(group, a, n), space(group, b, m)
    return by_elements(weight(n, m), out, into), out, into


@pytest.mark.parametrize("size", [1e-3, 1e-8])
@pytest.mark.parametrize("case", [case for case in FINITE if case[0] != "Sign(3)"], ids=lambda case: case[0])
def test_a_planted_fault_is_found_and_the_healthy_passes(case: tuple[str, str, int, str, int], size: float) -> None:
    healthy, out, into = symmetrised(*case)
    for method in ("auto", "null space", "krylov"):
        assert project(healthy, out, into, method=method).level < 1e-12
        faulty = healthy.clone()
        faulty[1, 2 if into.size > 2 else 0] += size
        found = project(faulty, out, into, method=method).level * float(faulty.norm())
        assert 0.1 * size < found <= 1.0001 * size


@pytest.mark.parametrize("size", [1e-3, 1e-8])
@pytest.mark.parametrize(("name", "a", "b"), CONTINUOUS[:4])
def test_a_planted_fault_in_a_rotation_layer_is_found(name: str, a: str, b: str, size: float) -> None:
    group = make_group(name)
    out, into = sized(group, a), sized(group, b)
    healthy = project(weight(out.size, into.size), out, into, method="null space").value
    assert project(healthy, out, into).level < 1e-12
    faulty = healthy.clone()
    faulty[-1, 0] += size
    assert 0.1 * size < project(faulty, out, into).level * float(faulty.norm()) <= 1.0001 * size


@pytest.mark.parametrize("size", [0.0, 1e-3, 1e-8])
def test_biases_and_kernels_take_the_same_way(size: float) -> None:
    group = make_group("C4")
    out, into = space(group, "regular", 8), space(group, "image(fiber=vector)", 2)
    grid = kernel(on_grid(group, 2), (3, 3))
    spaces = replace(out, group=grid.group), replace(into, group=grid.group)
    found = project(weight(8, 2, 9), *spaces, grid)
    elements = group.elements()
    assert elements is not None
    matrices = [space.matrices(elements) for space in (out, into, grid)]
    turned = torch.einsum("kab,kcd,kef,bdf->kace", *matrices, weight(8, 2, 9))
    assert (found.value - turned.mean(0)).abs().max() < 1e-12
    faulty = found.value.reshape(8, 2, 3, 3).clone()
    faulty[3, 1, 0, 2] += size
    level = project(faulty, *spaces, grid).level
    assert level < 1e-12 if size == 0 else level > 0.1 * size / float(faulty.norm())
    bias = torch.tensor([1.0, 1, 1, 1, 2, 2, 2, 2], dtype=torch.float64)
    bias[2] += size
    assert (project(bias, out).level > 0.1 * size) == (size > 0)


def test_a_kernel_turns_as_an_image_does() -> None:
    for name in ("C4", "D4"):
        group = make_group(name)
        elements = group.elements()
        assert elements is not None
        mine = kernel(on_grid(group, 2), (3, 3)).matrices(elements)
        assert torch.equal(mine, space(group, Features("image", (1, 3, 3)), 9).matrices(elements))


def test_groups_without_a_mean_have_a_null_space() -> None:
    group = make_group("SO(1,3,1)")
    vector, covector = space(group, "vector", 4), space(group, "covector", 4)
    assert dimension(vector, vector) == 1
    metric = torch.diag(torch.tensor([1.0, -1, -1, -1], dtype=torch.float64))
    assert project(metric, covector, vector).level < 1e-12
    assert project(torch.eye(4, dtype=torch.float64), covector, vector).level > 0.1
    assert project(torch.eye(4, dtype=torch.float64), vector, vector).level < 1e-12


def test_generators_reach_every_element() -> None:
    for name in ("D6", "I", "Oh", "A(5)", "S(5)", "Sign(4)", "Perm((0 1 2 3),(0 2))", "C6 x C4"):
        group = make_group(name)
        found = generating(group).elements
        reached = {tuple(row) for row in group.identity(1).double().flatten(1).round(decimals=6).tolist()}
        frontier = group.identity(1)
        while len(frontier):
            products = torch.cat([group.compose(g[None].expand_as(frontier), frontier) for g in found])
            rows = [tuple(r) for r in (products.double().flatten(1).round(decimals=6) + 0.0).tolist()]
            fresh = {row: i for i, row in enumerate(rows) if row not in reached}
            reached |= set(fresh)
            frontier = products[sorted(fresh.values())]
        assert len(reached) == group.order, name


def test_one_of_fifteen_directions_is_counted() -> None:
    pairs = power(make_group("S(4)"), 2)
    assert project(torch.eye(16, dtype=torch.float64), pairs, pairs).used == 2  # (i,j) -> (i,j): i = j and i ≠ j
    only = torch.zeros(16, 16, dtype=torch.float64)
    only[::5, ::5] = torch.eye(4, dtype=torch.float64)
    found = project(only, pairs, pairs)
    assert (found.used, found.allowed) == (1, 15)
    assert found.participation == pytest.approx(1.0)
    within = subspace(pairs, pairs)
    layer = torch.stack([k * only for k in (1.0, 2.0, -0.5)])
    assert spanned(layer, within) == 1
    assert spanned(torch.stack([weight(16, 16, key=str(k)) for k in range(20)]), within) == 15


def test_bad_input_is_never_a_silent_pass() -> None:
    nodes = power(make_group("S(4)"), 1)
    with pytest.raises(DataError, match="not finite"):
        project(torch.full((4, 4), float("nan")), nodes, nodes)
    with pytest.raises(DataError, match="does not fit"):
        project(weight(3, 4), nodes, nodes)
    with pytest.raises(ClaimError, match="different groups"):
        project(weight(4, 4), nodes, power(make_group("A(4)"), 1))
    with pytest.raises(ClaimError, match="does not apply"):
        project(weight(4, 4), nodes, nodes, method="schur")
    with pytest.raises(ClaimError, match="not linear"):
        space(make_group("SE(3)"), "points", 3)
    assert project(torch.zeros(4, 4), nodes, nodes).level == 0.0


def test_a_users_matrices_are_a_representation() -> None:
    group = make_group("C3")

    def companion(g: Tensor) -> Tensor:
        step = torch.tensor([[0.0, -1.0], [1.0, -1.0]], dtype=torch.float64)  # of order 3, and not orthogonal
        return torch.stack([torch.linalg.matrix_power(step, int(k)) for k in g])

    space = given(group, companion, 2)
    assert dimension(space, space) == dimension(space, space, method="characters") == 2
    step = companion(torch.tensor([1]))[0]
    assert project(step, space, space).level < 1e-12
    assert project(step.T, space, space).level > 1e-3
    act: Callable[[Tensor, Tensor], Tensor] = lambda g, x: torch.einsum("nij,nj->ni", companion(g.long()), x)  # noqa: E731
    user = of(Bound((UserAction("user", act),), group), (2,))
    assert (user.matrices(torch.tensor([0, 1, 2])) - companion(torch.tensor([0, 1, 2]))).abs().max() == 0


@pytest.mark.parametrize(("name", "text"), [("SO(4)", "vector"), ("GL+(2)", "vector"), ("I", "tensor(ij)")])
def test_channels_are_projected_pair_by_pair(name: str, text: str) -> None:
    group = make_group(name)
    unit = space(group, text, {"SO(4)": 4, "GL+(2)": 2, "I": 9}[name])
    out, into = space(group, text, 3 * unit.size), space(group, text, 2 * unit.size)
    w = weight(out.size, into.size)
    found, truth = project(w, out, into), project(w, out, into, method="null space")
    assert found.allowed == truth.allowed == 6 * dimension(unit, unit)
    assert (found.value - truth.value).abs().max() < 1e-12
    bias = project(w[:, 0], out)
    assert (bias.value - project(w[:, 0], out, method="null space").value).abs().max() < 1e-12


def test_sums_of_representations_stack() -> None:
    group = make_group("SO(3)")
    both = space(group, "2x0e", 2) + power(group, 1)
    assert dimension(both, both) == 5
    assert dimension(both, trivial(group, 3), method="null space") == 6
