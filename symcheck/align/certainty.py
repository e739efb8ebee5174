"""Assignments that are certain before all columns have been multiplied.

The first columns give part of every gain. What the others can add is bounded by Cauchy and Schwarz: where the best unit
of every slot is its own, and none can overtake, the assignment is the best one for the gains in full.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor

from symcheck.align.assign import different_in, row_maxima
from symcheck.align.problem import Use
from symcheck.align.products import Products, rest
from symcheck.weights.spec import Space

WORTH = 512  # units from which on looking early costs less than multiplying
_FIRST = 128  # columns before the first look at whether they decide
_HELD = 2**26  # entries of A that are kept in rows while a space is looked at
_AT_ONCE = 2**22  # entries that are multiplied at once
_SAMPLE = 128  # rows that are looked at before all
_ROUNDING = 1e-6  # of squared norms: what is left after more has been taken away is not known
_UNSURE = 0.5  # share of rows with a best column of their own below which looking again does not pay


def certain(products: Products, space: Space) -> Tensor | None:
    """The sources that are best beyond doubt, from as few columns as that takes; None where gains must decide."""
    problem = products.problem
    twice = space.name in problem.neighbours[space.name]
    if space.over or space.size < WORTH or problem.signs(space) or products.kept(space) or twice:
        return None
    total, best = searched(products, space, problem.uses(space))
    if best is None and total is not None:
        products.put(space, {frozenset(): total}, frozenset(problem.uses(space)))
    return best


def searched(products: Products, space: Space, uses: Sequence[Use]) -> tuple[Tensor | None, Tensor | None]:
    """G of these uses, in full or as far as it takes to be certain, and the sources that are then certain.

    Large tensors are taken use by use, and again when they are needed again.
    """
    known = {use: squares(products, use) for use in uses}
    uses = sorted(uses, key=lambda use: -float(known[use][0].sum()) / rest(use))
    held = sum(math.prod(use.block.shape) for use in uses) <= _HELD
    matrices = partial(products.matrices, space)
    pieces = _Pieces(uses, cache(matrices) if held else matrices)
    whole = [sum((known[use][k] for use in uses), torch.zeros(())) for k in (0, 1)]
    seen = [torch.zeros_like(side) for side in whole]
    total, step, looking, columns = None, _FIRST, True, 0
    for a, b in pieces:
        start = 0
        while start < a.shape[1]:
            stop = min(start + step, a.shape[1]) if looking else a.shape[1]
            x, y = a[:, start:stop], b[:, start:stop]
            total = x @ y.mT if total is None else total.addmm_(x, y.mT)
            products.multiplied += total.numel() * (stop - start)
            columns += stop - start
            start, step = stop, 2 * step
            if not looking:
                continue
            seen = [side + torch.linalg.vector_norm(z, dim=1).square() for side, z in zip(seen, (x, y), strict=True)]
            best = row_maxima(total)
            different = different_in(best)
            looking = columns < _FIRST or different > _UNSURE * space.size
            if different == space.size and _decided(total, best, pieces, whole, seen):
                return total, best
        del a, b  # before the next ones are read
    return total, None


def squares(products: Products, use: Use) -> tuple[Tensor, Tensor]:
    """‖row‖² of A's slots and of B's units, (n,), computed once: no turn and no order changes them."""
    if use not in products.squares:
        block, problem = use.block, products.problem
        others = [dim for dim in range(len(block.shape)) if dim != use.dim]
        views = [block.view(side[block.tensor]) for side in (problem.a, problem.b)]
        sizes = [torch.linalg.vector_norm(view, dim=others) if others else view.abs() for view in views]
        products.squares[use] = sizes[0].square(), sizes[1].square()
    return products.squares[use]


@dataclass(frozen=True)
class _Pieces:
    """A's and B's rows of every use, kept or made again each time."""

    uses: Sequence[Use]
    made: Callable[[Use], tuple[Tensor, Tensor]]

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for use in self.uses:
            yield self.made(use)


def _decided(total: Tensor, best: Tensor, pieces: _Pieces, whole: list[Tensor], seen: list[Tensor]) -> bool:
    """Whether no column can overtake: own gain in full >= gain so far + ‖rest of row‖ ‖rest of column‖.

    The own gains need all columns: they are computed only if they would do, were the rest like what was seen.
    """
    left = [torch.maximum(w - s, _ROUNDING * w).sqrt() for w, s in zip(whole, seen, strict=True)]
    sizes = [(side[0] * side[1].index_select(0, best)).sqrt() for side in (whole, seen)]
    likely = total.gather(1, best[:, None])[:, 0] * sizes[0] / sizes[1].clamp_min(1e-30)
    if not _ahead(total[:_SAMPLE], best[:_SAMPLE], (left[0][:_SAMPLE], left[1]), likely[:_SAMPLE]):
        return False
    own = torch.zeros_like(whole[0])
    for a, b in pieces:
        own += _dots(a, b, best)
        del a, b  # before the next ones are read
    return _ahead(total, best, (left[0], left[1]), own)


def _ahead(total: Tensor, best: Tensor, left: tuple[Tensor, Tensor], own: Tensor) -> bool:
    """Whether own >= total + rest · rest in all other columns, a part of the rows at a time."""
    for rows in torch.split(torch.arange(len(best), device=best.device), max(1, _AT_ONCE // len(left[1]))):
        part = slice(int(rows[0]), int(rows[-1]) + 1)
        others = torch.addr(total[part], left[0][part], left[1])
        others.scatter_(1, best[part, None], -torch.inf)
        if not bool((others.amax(1) <= own[part]).all()):
            return False
    return True


def _dots(a: Tensor, b: Tensor, order: Tensor) -> Tensor:
    """⟨row of a, row of b⟩, (n,), for the rows of b in this order; a part of the columns at a time."""
    found = torch.zeros(len(a), dtype=a.dtype, device=a.device)
    step = max(1, _AT_ONCE // max(1, len(a)))
    for x, y in zip(torch.split(a, step, 1), torch.split(b, step, 1), strict=True):
        found += (x * y.index_select(0, order)).sum(-1)
    return found

