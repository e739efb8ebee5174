"""Where a space acts: every occurrence of its atom as a matrix of slots by other entries."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from symcheck.weights.act import exponent_of
from symcheck.weights.operate import powered
from symcheck.weights.spec import Space, Spec
from symcheck.weights.views import Pattern


@dataclass(frozen=True)
class Place:
    """One occurrence: the tensor, its exponent, its number, and a view of shape (*over, n, *rest)."""

    tensor: str
    exponent: Fraction
    j: int
    view: Tensor
    lead: int  # how many dimensions come before the slots

    @property
    def rows(self) -> Tensor:
        """Shape (copies, n, rest): the entries of every slot."""
        copies, n = math.prod(self.view.shape[: self.lead]), self.view.shape[self.lead]
        return self.view.reshape(copies, n, -1)


def places(
    spec: Spec, space: Space, state: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> Iterator[Place]:
    """Every occurrence of the space's atom in the tensors of `state`; whole tensors are one slot.

    Tensors on which the space does not act are left out.
    """
    if space.on is None:
        for name, powers in (space.exponents or {}).items():
            for view in Pattern(name, spec.axes[name], sizes).views(state[name], None, space.over):
                whole = view.unsqueeze(len(space.over))
                yield Place(name, powers[0], 0, whole, len(space.over))
        return
    for name, found in spec.places.get(space.on, {}).items():
        listed = space.exponents is None or name in space.exponents or space.kind == "tree"
        if name not in state or not listed:
            continue
        pattern = Pattern(name, spec.axes[name], sizes)
        for j, where in enumerate(found):
            for view in pattern.views(state[name], where, space.over):
                yield Place(name, exponent_of(space, name, j, where), j, view, len(space.over))


def basis(space: Space, place: Place, state: Mapping[str, Tensor]) -> Tensor | None:
    """The product of the gains in whose basis the space acts at this place, (copies, n); None without gains."""
    gains = space.gains.get(place.tensor, ())
    if not gains or not gains[place.j]:
        return None
    n = place.view.shape[place.lead]
    scale = torch.ones(1, n, dtype=torch.float64)
    for gain, power in gains[place.j].items():
        scale = scale * powered(state[gain].double(), power).reshape(-1, n)
    return scale


def effective(space: Space, place: Place, state: Mapping[str, Tensor]) -> Tensor:
    """The entries on which the space acts by its plain matrix: T^-1 x with the gains T, or T x at the exponent −1."""
    scale = basis(space, place, state)
    if scale is None:
        return place.rows
    rows: Tensor = place.rows / scale[..., None] if place.exponent > 0 else place.rows * scale[..., None]
    return rows
