"""Hidden actions that nobody declared: for each element, the linear map of the channels that fits, if one does.

M_g is fitted on half of the pairs of each element, h(g·x) ≈ M_g h(x) along one axis, beside an action on places where
there is one, and counts only if it gives the other half up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import torch
from torch import Tensor

from symcheck.errors import SymcheckError
from symcheck.locate.actions import Hidden

_ROWS, _WIDEST = 2, 128  # rows for each unknown of a row of M, and channels
LOSS = 64  # how much more than one operation a fit may lose


def fit(
    y: Tensor, moved: Callable[[Hidden], Tensor], index: Tensor, count: int, tried: Iterable[Hidden], eps: float
) -> Hidden | None:
    """The first reading of places with a map of channels for each element that gives pairs which it was not fitted on.

    `y` is what the station returned, (pairs, ...), `moved` gives g·h(x) in each of the readings `tried`, none of which
    fits by itself; `index` is the element of each pair, of `count`.
    """
    if not y.is_floating_point():
        return None
    for hidden in [one for one in tried if (not one.parts or one.places) and not one.axis and one.fold == 1]:
        try:
            there = moved(hidden)
        except (SymcheckError, RuntimeError, IndexError):
            continue
        for axis in range(1, y.dim()):
            maps = _maps(y.movedim(axis, -1), there.movedim(axis, -1), index, count, eps)
            if maps is not None:
                return replace(hidden, source="fitted", maps=maps, channel=axis)
    return None


def _maps(y: Tensor, z: Tensor, index: Tensor, count: int, eps: float) -> Tensor | None:
    """(K, C, C) with y = z Mᵀ along the last axis, where held-out pairs agree; None where they do not."""
    width, found = y.shape[-1], []
    y, z = (t.detach().double().reshape(len(index), -1, width) for t in (y, z))
    for k in range(count):
        pairs = torch.nonzero(index == k).flatten()
        half = len(pairs) // 2
        if not half or width > _WIDEST or half * y.shape[1] < _ROWS * width:
            return None
        fitted, held = pairs[:half], pairs[half:]
        seen = z[fitted].reshape(-1, width)
        solution = torch.linalg.lstsq(seen, y[fitted].reshape(-1, width), driver="gelsd").solution
        gap = torch.linalg.vector_norm(z[held].reshape(-1, width) @ solution - y[held].reshape(-1, width))
        if not gap <= LOSS * eps * torch.linalg.vector_norm(y[held]):
            return None
        found.append(solution.mT)
    return torch.stack(found)
