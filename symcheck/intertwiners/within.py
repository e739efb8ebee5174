"""The elements of a group that move a grid without resampling, as a group, and the kernels they move."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

from symcheck.actions.linear import linear_face
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import make_group
from symcheck.intertwiners.representation import Representation

_ROUNDING = 1e-9


class Listed(Group):
    """A finite subgroup given by its elements, identity first; everything else is asked of the whole group."""

    def __init__(self, whole: Group, elements: Tensor, name: str) -> None:
        self._whole, self._elements = whole, elements
        self.name, self.order, self.faces = name, len(elements), whole.faces

    def identity(self, n: int) -> Tensor:
        """The whole group's."""
        return self._whole.identity(n)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Uniform."""
        return self._elements[rng.integers(n, high=len(self._elements))]

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """The whole group's."""
        return self._whole.compose(a, b)

    def inverse(self, a: Tensor) -> Tensor:
        """The whole group's."""
        return self._whole.inverse(a)

    def elements(self) -> Tensor:
        """The listed elements."""
        return self._elements

    def face(self, kind: str, g: Tensor) -> Tensor:
        """The whole group's."""
        return self._whole.face(kind, g)

    def proper(self, g: Tensor) -> Tensor:
        """The whole group's."""
        return self._whole.proper(g)

    @property
    def has_improper(self) -> bool:
        """Whether a mirror is among the elements."""
        return not bool(self.proper(self._elements).all())


def on_grid(group: Group, dimension: int) -> Listed:
    """The elements whose matrices permute the axes of a grid, up to signs.

    Raises ClaimError where the group has no matrices of this dimension.
    """
    if "linear" not in group.faces:
        raise ClaimError(
            f"{group.name} does not turn a grid of {dimension} axes",
            where=f"a convolution under {group.name}",
            hint="use a group of rotations or mirrors",
        )
    listed = group.elements()
    if listed is not None:
        matrix = linear_face(group, listed, dimension)
        near = ((matrix - matrix.round()).abs() <= _ROUNDING).all(2).all(1)
        name = group.name if bool(near.all()) else f"the {int(near.sum())} grid elements of {group.name}"
        return Listed(group, listed[near], name)
    turns = _grid_elements(group, dimension)
    return Listed(group, turns, f"the {len(turns)} grid elements of {group.name}")


def kernel(group: Group, sizes: Sequence[int]) -> Representation:
    """(g k)(p) = k(g⁻¹ p) on kernels of these sizes, about the centre; the group must keep the grid.

    One axis is x; two are rows and columns, x to the right and y up; three are x, y, z in this order.
    Raises ClaimError where an element leaves the kernel (other sizes of the axes).
    """
    d = len(sizes)
    places = torch.cartesian_prod(*[torch.arange(s, dtype=torch.float64) - (s - 1) / 2 for s in sizes])
    places = places.reshape(-1, d)
    change = torch.eye(d, dtype=torch.float64)
    if d == 2:
        change = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)  # (x, y) = (column, -row)
    half = (torch.tensor(sizes, dtype=torch.float64) - 1) / 2
    stride = torch.tensor([prod(sizes[i + 1 :]) for i in range(d)])

    def act(g: Tensor, x: Tensor) -> Tensor:
        matrix = change.T @ linear_face(group, g, d) @ change
        index = ((places @ matrix.mT + half).round() * stride).sum(2).to(torch.int64)
        return torch.zeros_like(x).scatter_(2, index[:, None].expand(x.shape), x)

    corners = (places @ (change.T @ linear_face(group, _all(group), d) @ change).mT + half).round()
    if not bool(((corners >= 0) & (corners < torch.tensor(sizes))).all()):
        raise ClaimError(
            f"{group.name} does not keep a kernel of {' x '.join(map(str, sizes))}",
            where="a convolution",
            hint="axes that change places need kernels of one size",
        )
    return Representation(group, prod(sizes), f"{'x'.join(map(str, sizes))} kernel", act)


def _all(group: Group) -> Tensor:
    listed = group.elements()
    return group.identity(1) if listed is None else listed


def _grid_elements(group: Group, dimension: int) -> Tensor:
    """Turns and mirrors of the square or the cube that belong to a group of matrices: exact multiples of a quarter."""
    finer = make_group("D4" if dimension == 2 else "Oh")
    listed = finer.elements()
    if listed is None or group.identity(1).dim() != 3:
        raise ClaimError(
            f"{group.name} lists no turns of a grid",
            where=f"a convolution under {group.name}",
            hint="use C4, D4, O or Oh",
        )
    matrices = finer.face("linear", listed)
    if group.identity(1).shape[-1] != dimension:
        raise ClaimError(
            f"{group.name} does not act on grids of {dimension} axes",
            where=f"a convolution under {group.name}",
            hint="use C4 or D4 in the plane, O or Oh in space",
        )
    return matrices if group.has_improper else matrices[torch.linalg.det(matrices) > 0]
