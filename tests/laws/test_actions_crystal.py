"""Cells and fractional coordinates: what they describe stays the same, or moves as the crystal does."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from symcheck.actions.base import Action, Bound, Rep
from symcheck.actions.plain import make_action
from symcheck.errors import SymcheckError
from symcheck.grammar import parse_term
from symcheck.groups import make_group
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.unimodular import Unimodular
from symcheck.testing import check_action


def bound(group: str, action: str) -> Bound:
    return Bound((make_action(parse_term(action)),), make_group(group))


def crystals(n: int) -> tuple[Tensor, Tensor]:
    """Cells (n, 3, 3) and fractional coordinates (n, 5, 3)."""
    draws = Draws(1, "crystals")
    cell = 4 * torch.eye(3, dtype=torch.float64) + 0.5 * draws.normal(n, 3, 3)
    return cell, draws.uniform(n, 5, 3)


def distances(cell: Tensor, frac: Tensor) -> Tensor:
    """Sorted distances to all images within three cells, shorter than 3: the crystal itself, whatever its cell."""
    steps = torch.cartesian_prod(*[torch.arange(-8.0, 9.0, dtype=torch.float64)] * 3)
    gaps = frac[:, :, None, None] - frac[:, None, :, None] + steps
    lengths = (gaps @ cell[:, None, None]).norm(dim=-1).flatten(1).sort(dim=1).values
    return lengths[:, :40]


def test_another_basis_describes_the_same_crystal() -> None:
    cell, frac = crystals(6)
    u = make_group("GL(3,Z)").sample(6, Draws(0, "u"))
    moved, there = bound("GL(3,Z)", "lattice")(u, cell), bound("GL(3,Z)", "fractional")(u, frac)
    assert float((there @ moved - frac @ cell).abs().max()) > 0.1  # back in the cell, so other images of the atoms
    assert torch.allclose(distances(moved, there), distances(cell, frac), atol=1e-9)
    assert not torch.allclose(distances(moved, frac), distances(cell, frac), atol=0.1)
    assert bool(((there >= 0) & (there < 1)).all())
    assert torch.allclose(moved.det().abs(), cell.det().abs())


def test_rotations_turn_the_rows_of_a_cell_and_leave_fractions() -> None:
    cell, frac = crystals(6)
    group = make_group("O(3)")
    g = group.sample(6, Draws(0, "g"))
    moved = bound("O(3)", "lattice")(g, cell)
    assert torch.allclose(frac @ moved, bound("O(3)", "vector")(g, frac @ cell))
    assert bound("O(3)", "fractional").trivial


def test_translations_are_in_units_of_the_cell() -> None:
    cell, frac = crystals(6)
    t = make_group("T(3)").sample(6, Draws(0, "t"))
    slot = bound("T(3)", "fractional")
    assert torch.allclose(distances(cell, slot(t, frac)), distances(cell, frac), atol=1e-9)
    there = slot(t, frac)
    assert torch.allclose((there - frac - t[:, None]).round(), there - frac - t[:, None], atol=1e-12)
    assert float(slot.difference(slot(torch.ones_like(t), frac), frac).abs().max()) < 1e-12
    assert torch.equal(bound("T(3)", "lattice")(t, cell), cell)


def test_differences_go_to_the_nearest_image() -> None:
    slot = bound("T(3)", "fractional")
    y, z = torch.tensor([[[0.98, 0.5, 0.1]]]), torch.tensor([[[0.01, 0.3, 0.1]]])
    assert torch.allclose(slot.difference(y, z), torch.tensor([[[-0.03, 0.2, 0.0]]]), atol=1e-6)


@pytest.mark.parametrize(
    ("group", "action", "shape", "says"),
    [
        ("E(3)", "fractional", (4, 3), "rotates its translations"),
        ("T(2)", "fractional", (4, 3), r"trailing axes \(2,\)"),
        ("GL(2,Z)", "fractional", (4, 3), r"trailing axes \(2,\)"),
        ("GL(3,Z)", "lattice", (2, 3), r"trailing axes \(3, 3\)"),
        ("GL(3,Z)", "lattice", (), "trailing axes"),
        ("O(3)", "lattice", (3, 4), "3 components"),
    ],
)
def test_what_is_no_cell_is_refused(group: str, action: str, shape: tuple[int, ...], says: str) -> None:
    with pytest.raises(SymcheckError, match=says) as error:
        make_action(parse_term(action)).check(make_group(group), shape, "here")
    assert error.value.where and error.value.hint


class Transposed(Action):
    """Planted fault: coordinates by U⁻¹ from the wrong side."""

    name, uses = "transposed", frozenset({"unimodular"})

    def represent(self, group: Group, g: Tensor) -> Rep:
        return (group.face("unimodular", group.inverse(g)),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        return torch.einsum("nij,n...j->n...i", rep[0].to(x.dtype), x)

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        return y - z - (y - z).round()


def test_the_wrong_side_of_a_basis_is_found() -> None:
    cell, frac = crystals(6)
    u = make_group("GL(3,Z)").sample(6, Draws(0, "u"))
    wrong = Bound((Transposed(),), make_group("GL(3,Z)"))(u, frac)
    with pytest.raises(AssertionError, match=r"\(gh\)x is not g\(hx\)"):
        check_action(Transposed(), "GL(3,Z)", (4, 3))
    assert not torch.allclose(distances(bound("GL(3,Z)", "lattice")(u, cell), wrong), distances(cell, frac), atol=0.1)


def test_small_entries_and_both_orientations_are_drawn() -> None:
    group = Unimodular("3", "Z")
    u = group.sample(400, Draws(0, "u"))
    assert int(u.abs().max()) <= 3
    assert torch.equal(torch.linalg.det(u.double()).round().abs(), torch.ones(400, dtype=torch.float64))
    assert len(u.flatten(1).unique(dim=0)) > 300
    assert torch.equal(group.compose(u, group.inverse(u)), group.identity(400))


@pytest.mark.parametrize("text", ["GL(3)", "GL(3,R)", "GL(1,Z)", "GL(x,Z)"])
def test_other_general_linear_groups_are_refused(text: str) -> None:
    with pytest.raises(SymcheckError) as error:
        make_group(text)
    assert error.value.where and error.value.hint
