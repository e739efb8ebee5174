"""Cells: what another basis of the same lattice changes is told from rounding."""

from __future__ import annotations

import torch
from torch import Tensor

import symcheck
from symcheck.groups.draws import Draws


def test_another_basis_of_a_cell_in_float32_is_made_in_double_precision() -> None:
    """The volume is that of every basis; single precision of the change itself would be an error of 1e-7."""
    cells = (4 * torch.eye(3) + 0.4 * Draws(0, "cells").normal(12, 3, 3)).float()
    places = Draws(0, "places").uniform(12, 5, 3).float()
    claim = "GL(3,Z): cell=lattice, places=fractional -> scalar"

    def volume(cell: Tensor, places: Tensor) -> Tensor:
        return torch.linalg.det(cell).abs()

    def longest(cell: Tensor, places: Tensor) -> Tensor:
        return cell.norm(dim=-1).amax(1)

    for model, wanted in ((volume, "exact"), (longest, "broken")):
        found = symcheck.audit(model, claim, {"cell": cells, "places": places}, elements=8).findings
        assert {str(finding.verdict) for finding in found} == {wanted}
