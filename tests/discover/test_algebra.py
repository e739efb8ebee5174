"""Lie algebras by their invariants: brackets, Killing form, ideals, names, preserved forms, principal angles."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from symcheck.discover.algebra import cosines, reduced, structure
from symcheck.discover.forms import parse_form, preserved, preserving, signature
from symcheck.discover.naming import Known, abstract_name, known, one_parameter, simple_name

TIGHT = 1e-9


def table(width: int) -> dict[str, Known]:
    return {one.name: one for one in known(width, True)}


def scrambled(matrices: Tensor, seed: int = 0) -> Tensor:
    """Another basis of the conjugate by a random matrix."""
    g = torch.Generator().manual_seed(seed)
    k, d = len(matrices), matrices.shape[-1]
    s = torch.eye(d, dtype=torch.float64) + 0.4 * torch.randn(d, d, dtype=torch.float64, generator=g)
    mix = torch.randn(k, k, dtype=torch.float64, generator=g)
    return torch.einsum("ij,jab->iab", mix, torch.linalg.inv(s) @ matrices @ s)


# (width, name, Killing signature, centre, derived series, radical): the textbook values
INVARIANTS = [
    (3, "so(3)", (0, 3, 0), 0, (3,), 0),
    (3, "sl(3)", (5, 3, 0), 0, (8,), 0),
    (3, "gl(3)", (5, 3, 1), 1, (9, 8), 1),
    (4, "so(1,3)", (3, 3, 0), 0, (6,), 0),
    (4, "sp(4)", (6, 4, 0), 0, (10,), 0),
    (4, "so(4)", (0, 6, 0), 0, (6,), 0),
    (3, "e(3)", (0, 3, 3), 0, (6,), 3),
    (3, "sim(3)", (1, 3, 3), 0, (7, 6), 4),
    (2, "e(2)", (0, 1, 2), 0, (3, 2, 0), 3),
    (3, "t(3)", (0, 0, 3), 3, (3, 0), 3),
]


@pytest.mark.parametrize(("width", "name", "killing", "centre", "derived", "radical"), INVARIANTS)
def test_invariants_in_any_basis(
    width: int, name: str, killing: tuple[int, int, int], centre: int, derived: tuple[int, ...], radical: int
) -> None:
    for matrices in (table(width)[name].matrices, scrambled(table(width)[name].matrices)):
        found = structure(matrices, TIGHT)
        assert found.closed and found.closure < 1e-9
        assert found.killing_signature == killing
        assert (found.centre, found.derived, len(found.radical)) == (centre, derived, radical)


def test_boosts_alone_are_not_closed() -> None:
    lorentz = table(4)["so(1,3)"]
    boosts = lorentz.matrices[[i for i, name in enumerate(lorentz.names) if name.startswith("boost")]]
    assert len(boosts) == 3
    open_ = structure(boosts, TIGHT)
    assert not open_.closed and open_.closure == pytest.approx(1.0)
    assert structure(lorentz.matrices, TIGHT).closure < 1e-14


@pytest.mark.parametrize(
    ("width", "name", "expected"),
    [
        (3, "so(3)", "so(3)"),
        (4, "so(4)", "so(3) + so(3)"),
        (4, "so(1,3)", "so(1,3)"),
        (3, "sl(3)", "sl(3)"),
        (2, "sl(2)", "sl(2)"),
        (3, "so(1,2)", "so(1,2)"),
        (4, "sl(4)", "sl(4)"),
        (4, "sp(4)", "sp(4)"),
        (5, "so(5)", "so(5)"),
        (3, "gl(3)", "sl(3) + R"),
        (3, "e(3)", "so(3) with 3 translations"),
    ],
)
def test_names_up_to_conjugation(width: int, name: str, expected: str) -> None:
    matrices = scrambled(table(width)[name].matrices, seed=5)
    shifts = 3 if name == "e(3)" else 0
    assert abstract_name(structure(matrices, TIGHT), width, shifts) == expected


@pytest.mark.parametrize(
    ("invariants", "width", "name"),
    [
        ((3, 0, 3), 3, "so(3)"), ((3, 2, 1), 2, "sl(2)"), ((3, 2, 1), 3, "so(1,2)"), ((8, 0, 8), 6, "su(3)"),
        ((10, 6, 4), 5, "so(2,3)"), ((10, 6, 4), 4, "sp(4)"), ((15, 9, 6), 6, "so(3,3)"), ((15, 9, 6), 4, "sl(4)"),
        ((14, 0, 14), 7, "simple(14)"),
    ],
)  # fmt: skip
def test_simple_algebras_that_are_isomorphic(invariants: tuple[int, int, int], width: int, name: str) -> None:
    assert simple_name(*invariants, width) == name


def test_one_parameter() -> None:
    def lifted(a: list[list[float]], shift: tuple[float, float] = (0, 0)) -> Tensor:
        wide = torch.zeros((3, 3), dtype=torch.float64)
        wide[:2, :2], wide[:2, 2] = torch.tensor(a), torch.tensor(shift)
        return wide

    assert one_parameter(lifted([[0, -2], [2, 0]]), TIGHT) == "so(2)"
    assert one_parameter(lifted([[3, 0], [0, 3]]), TIGHT) == "scalings"
    assert one_parameter(lifted([[0, 1], [1, 0]]), TIGHT) == "so(1,1)"
    assert one_parameter(lifted([[0, 1], [0, 0]]), TIGHT) == "shear"
    assert one_parameter(lifted([[0, 0], [0, 0]], (1, 2)), TIGHT) == "translation"
    assert one_parameter(lifted([[1, -1], [1, 1]]), TIGHT) == "spiral"


@pytest.mark.parametrize(
    ("text", "width", "dimension"), [("skew", 4, 6), ("diag(1,-1,-1,-1)", 4, 6), ("symplectic", 4, 10), ("skew", 1, 0)]
)
def test_matrices_that_preserve_a_form(text: str, width: int, dimension: int) -> None:
    form = parse_form(text, width)
    basis = preserving(form)
    assert len(basis) == dimension
    assert not dimension or float((basis.mT @ form + form @ basis).abs().max()) < 1e-12


def test_preserved_forms() -> None:
    lorentz = table(4)["so(1,3)"].matrices[:, :-1, :-1]
    forms = preserved(lorentz, symmetric=True, tolerance=TIGHT)
    assert len(forms) == 1 and signature(forms[0])[:2] in ((1, 3), (3, 1))
    assert not len(preserved(lorentz, symmetric=False, tolerance=TIGHT))
    symplectic = table(4)["sp(4)"].matrices[:, :-1, :-1]
    assert len(preserved(symplectic, symmetric=False, tolerance=TIGHT)) == 1
    assert not len(preserved(symplectic, symmetric=True, tolerance=TIGHT))
    assert not len(preserved(table(3)["gl(3)"].matrices[:, :-1, :-1], symmetric=True, tolerance=TIGHT))


def test_principal_angles() -> None:
    turns, rigid = table(3)["so(3)"].matrices, table(3)["e(3)"].matrices
    assert torch.allclose(cosines(turns, rigid), torch.ones(3, dtype=torch.float64))
    stretches = torch.zeros((1, 4, 4), dtype=torch.float64)
    stretches[0, :3, :3] = torch.eye(3)
    assert float(cosines(turns, stretches).max()) < 1e-12
    tilted = turns[:1] + stretches
    expected = float(turns[0].norm() / tilted[0].norm())
    assert float(cosines(turns, tilted)[0]) == pytest.approx(expected)


def test_reduced_basis_is_sparse() -> None:
    mix = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    flat = table(3)["so(3)"].matrices.reshape(3, -1)
    sparse = reduced(mix @ flat, TIGHT)
    assert int((sparse != 0).sum()) == 6
    assert torch.allclose(sparse.abs().sort().values, flat.abs().sort().values)
