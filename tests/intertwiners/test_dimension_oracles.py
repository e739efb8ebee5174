"""The table of dimensions: every route against characters and against numbers known from theory."""

from __future__ import annotations

import networkx as nx
import pytest
import torch

from symcheck.errors import ClaimError
from symcheck.groups.draws import Draws
from symcheck.groups.graphs import automorphism_group
from symcheck.groups.products import make_group
from symcheck.intertwiners.dimension import (
    alternating,
    blindness,
    dimension,
    orthogonal,
    rotations,
    stirling,
    symmetric,
    symplectic,
)
from symcheck.intertwiners.features import space
from symcheck.intertwiners.representation import Representation, power
from symcheck.intertwiners.symplectic import Symplectic

BELL = (1, 1, 2, 5, 15, 52)


def halves(group: str, m: int) -> tuple[Representation, Representation | None]:
    """m legs, split between output and input."""
    made = make_group(group)
    return power(made, m - m // 2), power(made, m // 2) if m > 1 else None


@pytest.mark.parametrize(("n", "known"), [(4, 15), (3, 14), (2, 8)])
def test_symmetric_groups_at_four_legs(n: int, known: int) -> None:
    assert symmetric(n, 4) == known
    assert dimension(*halves(f"S({n})", 4)) == known
    assert dimension(*halves(f"S({n})", 4), method="characters") == known


def test_bell_numbers_only_from_n_equal_m() -> None:
    assert [symmetric(m, m) for m in range(6)] == list(BELL)
    assert symmetric(4, 5) == BELL[5] - 1
    assert [stirling(4, t) for t in range(5)] == [0, 1, 7, 6, 1]


@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_alternating_groups_equal_symmetric_ones_below_order_n_less_one(n: int, m: int) -> None:
    known = alternating(n, m)
    assert (known == symmetric(n, m)) == (m < n - 1)
    assert dimension(*halves(f"A({n})", m)) == known
    assert dimension(*halves(f"A({n})", m), method="characters") == known


GRAPHS = (
    (nx.cycle_graph(4), 8, (1, 3, 10)),
    (nx.cycle_graph(5), 10, (1, 3, 13)),
    (nx.petersen_graph(), 120, (1, 3, 15)),
    (nx.path_graph(4), 2, (2, 8, 32)),
)


@pytest.mark.parametrize(("graph", "order", "known"), GRAPHS)
def test_graph_automorphisms(graph: nx.Graph, order: int, known: tuple[int, int, int]) -> None:
    group = automorphism_group(torch.from_numpy(nx.to_numpy_array(graph)))
    assert group.order == order
    for m, count in enumerate(known, start=1):
        assert dimension(power(group, m)) == count
        if len(graph) ** m < 200:
            assert dimension(power(group, m), method="characters") == count


VECTORS = (
    ("O(3)", orthogonal, 3, (1, 0, 1, 0, 3, 0, 15, 0)),
    ("SO(3)", rotations, 3, (1, 0, 1, 1, 3, 6, 15, 36)),
    ("O(2)", orthogonal, 2, (1, 0, 1, 0, 3, 0, 10)),
    ("SO(2)", rotations, 2, (1, 0, 2, 0, 6)),
)


@pytest.mark.parametrize(("name", "formula", "n", "known"), VECTORS)
def test_orthogonal_groups(name: str, formula: object, n: int, known: tuple[int, ...]) -> None:
    assert callable(formula)
    for m, count in enumerate(known):
        assert formula(n, m) == count
        assert dimension(*halves(name, m)) == count
        if m < 5:
            assert dimension(*halves(name, m), method="null space") == count
            assert dimension(*halves(name, m), method="characters") == count


@pytest.mark.parametrize(("n", "known"), [(2, (0, 1, 0, 2, 0, 5, 0)), (4, (0, 1, 0, 3))])
def test_symplectic_groups(n: int, known: tuple[int, ...]) -> None:
    for m, count in enumerate(known, start=1):
        out, into = power(Symplectic(n), m - m // 2), power(Symplectic(n), m // 2) if m > 1 else None
        assert symplectic(n, m) == dimension(out, into) == dimension(out, into, method="null space") == count


def test_symplectic_maps_keep_the_form() -> None:
    group = Symplectic(4)
    g = group.sample(5, Draws(0, "g"))
    assert (g.mT @ group.form @ g - group.form).abs().max() < 1e-12
    with pytest.raises(ClaimError, match="even"):
        Symplectic(3)


@pytest.mark.parametrize(("l_out", "l_in"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 4)])
def test_reduced_convolutions_have_2min_plus_one_paths_and_a_mirror_leaves_min_plus_one(l_out: int, l_in: int) -> None:
    for name, count in (("SO(2)", 2 * min(l_out, l_in) + 1), ("O(2)", min(l_out, l_in) + 1)):
        group = make_group(name)
        out, into = (
            space(group, f"1x{degree}{'eo'[degree % 2]}", 2 * degree + 1) for degree in (l_out, l_in)
        )
        assert dimension(out, into) == dimension(out, into, method="characters") == count


@pytest.mark.parametrize(("name", "count"), [("E(3,1)", 9), ("SE(3,1)", 16)])
def test_projective_geometric_algebra(name: str, count: int) -> None:
    algebra = space(make_group(name), "multivector(3,0,1)", 16)
    assert dimension(algebra, algebra) == dimension(algebra, algebra, method="krylov") == count


def test_the_elasticity_tensor_is_two_scalars_two_quadrupoles_and_one_of_degree_four() -> None:
    group = make_group("O(3)")
    symmetries = [(1, 0, 2, 3), (2, 3, 0, 1)]
    eye = torch.eye(81, dtype=torch.float64).reshape(-1, 3, 3, 3, 3)
    for _ in range(40):  # alternate the projections: the limit is the projection on both symmetries
        for order in symmetries:
            eye = (eye + eye.permute(0, *(1 + i for i in order))) / 2
    values, vectors = torch.linalg.eigh(eye.reshape(81, 81))
    basis = vectors[:, values > 0.5]
    assert basis.shape[1] == 21
    stiffness = power(group, 4).restricted(basis, "stiffness")
    found = {}
    for degree in range(6):
        for parity in "eo":
            irrep = space(group, f"1x{degree}{parity}", 2 * degree + 1)
            count = dimension(stiffness, irrep)
            assert count == dimension(stiffness, irrep, method="characters")
            if count:
                found[f"{degree}{parity}"] = count
    assert found == {"0e": 2, "2e": 2, "4e": 1}


def test_low_orders_cannot_tell_alternating_from_symmetric() -> None:
    found = blindness(make_group("S(5)"), make_group("A(5)"), 4)
    assert found.order == 4
    assert str(found) == "layers below order 4 cannot distinguish A(5) from S(5)"
    assert blindness(make_group("S(6)"), make_group("A(6)"), 3).order is None
    assert blindness(make_group("O(3)"), make_group("SO(3)"), 4).order == 3
    assert blindness(make_group("SO(3)"), make_group("O"), 5).order == 4
    with pytest.raises(ClaimError, match="not a subgroup"):
        blindness(make_group("A(4)"), make_group("S(4)"))


def test_a_mean_over_few_draws_is_refused() -> None:
    with pytest.raises(ClaimError, match="not compact"):
        dimension(power(make_group("GL+(2)"), 1), method="characters")


def test_weyls_integral_in_four_and_five_dimensions() -> None:
    assert [orthogonal(4, m) for m in (2, 4, 6, 8)] == [1, 3, 15, 105]  # (m-1)!! as long as m is at most 2n
    assert [orthogonal(5, m) for m in (2, 4, 5, 6)] == [1, 3, 0, 15]
    assert [rotations(4, m) for m in (2, 4)] == [1, 4]  # the Levi-Civita symbol is the fourth
    assert rotations(5, 5) == 1
