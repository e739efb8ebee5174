"""A point group together with the shifts of the same grid: turns move the shifts too."""

from __future__ import annotations

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Flow, Group
from symcheck.groups.draws import Draws
from symcheck.groups.products import Product
from symcheck.groups.shifts import Shifts


class Semidirect(Group):
    """H ⋉ shifts with (h, s)(k, t) = (hk, s + h·t): x is turned by h first and then shifted by s.

    Elements are packed as in the direct product. A turn moves a shift (rows, columns) as the vector
    (columns, −rows); on one axis the element of order two reverses the shift.
    """

    def __init__(self, product: Product, point: int, shift: int) -> None:
        self._product, self._point, self._shift = product, point, shift
        self.name, self.order, self.compact = product.name, product.order, product.compact
        self.law = f"{product.law} (turns move the shifts)"

    def factors(self) -> tuple[Group, ...]:
        """The point group, then the shifts."""
        factors = self._product.factors()
        return factors[self._point], factors[self._shift]

    def split(self, g: Tensor) -> tuple[Tensor, ...]:
        """The turn and the shift."""
        parts = self._product.split(g)
        return parts[self._point], parts[self._shift]

    def identity(self, n: int) -> Tensor:
        """No turn, no shift."""
        return self._product.identity(n)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Turn and shift independently: Haar, since the shifts are a normal subgroup."""
        return self._product.sample(n, rng)

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """(hk, s + h·t)."""
        point, shift = self.factors()
        (h, s), (k, t) = self.split(a), self.split(b)
        return self._pack(point.compose(h, k), shift.compose(s, self._turned(h, t)))

    def inverse(self, a: Tensor) -> Tensor:
        """(h⁻¹, −h⁻¹·s)."""
        point, shift = self.factors()
        h, s = self.split(a)
        back = point.inverse(h)
        return self._pack(back, shift.inverse(self._turned(back, s)))

    def elements(self) -> Tensor | None:
        """All of them, identity first, when the product lists them."""
        return self._product.elements()

    def flows(self) -> tuple[Flow, ...]:
        """Those of the product: the turns alone, and the shifts alone, are subgroups here too."""
        return self._product.flows()

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Both parts moved."""
        return self._product.nearby(g, size, rng)

    def proper(self, g: Tensor) -> Tensor:
        """(K,) bool: shifts keep orientation, so the point group decides."""
        return self._product.proper(g)

    @property
    def has_improper(self) -> bool:
        """Whether the point group has improper elements."""
        return self._product.has_improper

    def label(self, g: Tensor, i: int) -> str:
        """The labels of the turn and the shift."""
        return self._product.label(g, i)

    def pack(self, parts: list[Tensor]) -> Tensor:
        """The elements with these turns and shifts: the inverse of `split`."""
        return self._pack(*parts)

    def _pack(self, h: Tensor, s: Tensor) -> Tensor:
        return self._product.pack([h, s] if self._point < self._shift else [s, h])

    def _turned(self, h: Tensor, s: Tensor) -> Tensor:
        matrix = self.factors()[0].face("linear", h).round().to(torch.int64)
        if s.shape[1] == 1:
            return s * matrix[:, 0, :1]
        vector = torch.stack([s[:, 1], -s[:, 0]], 1)
        x, y = (matrix @ vector[:, :, None])[:, :, 0].unbind(1)
        return torch.stack([-y, x], 1)


def intertwined(product: Group) -> Group:
    """The semidirect product where one action turns and shifts the same grid; other products stay as they are.

    Raises ClaimError when the turns do not carry the grid and its shifts onto themselves.
    """
    factors = product.factors()
    shifts = [i for i, f in enumerate(factors) if "shift" in f.faces]
    points = [i for i, f in enumerate(factors) if "linear" in f.faces]
    if not isinstance(product, Product) or len(factors) != 2 or len(shifts) != 1 or len(points) != 1:
        return product
    point, shift = factors[points[0]], factors[shifts[0]]
    turns = point.elements()
    if turns is None or not _fits(point.face("linear", turns), shift):
        raise ClaimError(
            f"{point.name} does not carry the grid and its shifts onto themselves",
            where=f"the group {product.name}",
            hint="quarter turns and flips of a square grid do (C4 x Shift(4)); for other angles claim SE(2)",
        )
    return Semidirect(product, points[0], shifts[0])


def _fits(matrices: Tensor, shift: Group) -> bool:
    """Whether all matrices are signed permutations, and swap only axes of equal size and step."""
    axes = shift.identity(1).shape[1]
    rounded = matrices.round()
    if matrices.shape[-1] != 2 or bool((matrices - rounded).abs().max() > 1e-9) or axes not in (1, 2):
        return False
    swaps = bool(rounded[:, 0, 1].any())
    if axes == 1:
        return not swaps and bool((rounded[:, 0, 0] == rounded[:, 1, 1]).all())
    even = isinstance(shift, Shifts) and len({*zip(shift.grid or (), shift.steps, strict=True)}) == 1
    return even or not swaps
