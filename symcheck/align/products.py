"""How well every unit of A and every unit of B fit: G[i, u] = Σ over blocks ⟨row i of A, row u of g·B⟩.

G of one space depends on the sources of its neighbours alone. It is kept, and when few units of a neighbour have moved
since, only their columns are multiplied again. Where the first columns leave no doubt the others are never multiplied:
what they can add is bounded by Cauchy and Schwarz.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial

import torch
from torch import Tensor

from symcheck.align.assign import different_in
from symcheck.align.problem import Problem, Sources, Use
from symcheck.weights.act import exponent_of
from symcheck.weights.spec import Space

Classes = dict[frozenset[str], Tensor]  # by the sign spaces that are odd there: the gains of those blocks
_FIRST = 128  # columns before the first look at whether they decide
_HELD = 2**26  # entries of A that are kept in rows while a space is looked at
_AT_ONCE = 2**22  # entries that are multiplied at once
_ROUNDING = 1e-6  # of squared norms: what is left after more has been taken away is not known
_UNSURE = 0.5  # share of rows with a best column of their own below which looking again does not pay


@dataclass
class Products:
    """The gains of the spaces of a problem; `keep` is how many entries of them are kept at once."""

    problem: Problem
    keep: int
    _kept: dict[str, tuple[Classes, Sources, dict[str, int]]] = field(default_factory=dict)
    _squares: dict[Use, tuple[Tensor, Tensor]] = field(default_factory=dict)
    multiplied: float = 0.0  # multiplications so far

    def gains(self, space: Space) -> Classes:
        """G by classes of blocks, shape (*over, n, n): rows are slots of A, columns units of B."""
        kept = self._kept.pop(space.name, None)
        classes = self._updated(space, *kept) if kept is not None else None
        if classes is None:
            del kept
            classes = self._full(space)
        self._keep(space, classes)
        return classes

    def certain(self, space: Space) -> Tensor | None:
        """The sources that are best beyond doubt, from as few columns as that takes; None where G must decide."""
        if space.over or self.problem.signs(space) or space.name in self._kept or self._twice(space):
            return None
        total, best = self.searched(space, self.problem.uses(space))
        if best is None and total is not None:
            self._keep(space, {frozenset(): total})
        return best

    def searched(self, space: Space, uses: Sequence[Use]) -> tuple[Tensor | None, Tensor | None]:
        """G of these uses, in full or as far as it takes to be certain, and the sources that are then certain.

        Large tensors are taken use by use, and again when they are needed again.
        """
        uses = sorted(uses, key=lambda use: -float(self.squares(space, use)[0].sum()) / _rest(use))
        held = sum(math.prod(use.block.shape) for use in uses) <= _HELD
        matrices = partial(self._matrices, space)
        pieces = _Pieces(uses, cache(matrices) if held else matrices)
        whole = [torch.stack([self.squares(space, use)[k] for use in uses] or [torch.zeros(0)]).sum(0) for k in (0, 1)]
        seen = [torch.zeros_like(side) for side in whole]
        total, step, looking, columns = None, _FIRST, True, 0
        for a, b in pieces:
            start = 0
            while start < a.shape[1]:
                stop = min(start + step, a.shape[1]) if looking else a.shape[1]
                x, y = a[:, start:stop], b[:, start:stop]
                total = x @ y.mT if total is None else total.addmm_(x, y.mT)
                self.multiplied += total.numel() * (stop - start)
                columns += stop - start
                start, step = stop, 2 * step
                if not looking:
                    continue
                seen = [side + _dots(z, z) for side, z in zip(seen, (x, y), strict=True)]
                best = total.argmax(1)
                different = different_in(best)
                looking = columns < _FIRST or different > _UNSURE * space.size
                if different == space.size and _decided(total, best, pieces, whole, seen):
                    return total, best
            del a, b  # before the next ones are read
        return total, None

    def squares(self, space: Space, use: Use) -> tuple[Tensor, Tensor]:
        """‖row‖² of A's slots and of B's units, (n,) in float64: no turn and no order changes them."""
        if use not in self._squares:
            block, problem = use.block, self.problem
            sides = (_matrix(block.view(side[block.tensor]), space, use) for side in (problem.a, problem.b))
            a2, b2 = (_dots(side, side) for side in sides)
            self._squares[use] = a2, b2
        return self._squares[use]

    def _full(self, space: Space) -> Classes:
        found: Classes = {}
        for use in self.problem.uses(space):
            a, b = self._matrices(space, use)
            self._add(found, self.odd(space, use), a, b)
        return found

    def _updated(self, space: Space, classes: Classes, seen: Sources, versions: dict[str, int]) -> Classes | None:
        """The gains brought up to date; None where computing them anew costs less."""
        problem, uses = self.problem, self.problem.uses(space)
        if any(versions.get(u.block.tensor, 0) != problem.version.get(u.block.tensor, 0) for u in uses):
            return None
        moved = {t: (seen[t] != problem.source[t]).flatten().nonzero()[:, 0] for t in seen}
        moved = {t: rows for t, rows in moved.items() if len(rows)}
        plain = not space.over and all(not problem.spec.spaces[t].over for t in seen)
        if moved and not plain:
            return None
        affected = [(t, u, dims) for t in moved for u in uses if (dims := self._others(u, t))]
        cost = sum(2 * len(moved[t]) * _rest(u) / u.block.shape[dims[0]] for t, u, dims in affected)
        if any(len(dims) > 1 for _, _, dims in affected) or cost >= sum(_rest(u) for u in uses):
            return None
        now = dict(seen)
        for t, rows in moved.items():
            for use in (u for other, u, _ in affected if other == t):
                self._exchange(space, classes, use, now, t, rows)
            now[t] = problem.source[t]
        return classes

    def _exchange(self, space: Space, classes: Classes, use: Use, now: Sources, t: str, rows: Tensor) -> None:
        """Add what the slots `rows` of the neighbour t contribute now, less what they did."""
        problem = self.problem
        (dim,) = self._others(use, t)
        a = _matrix(problem.view_a(use.block).index_select(dim, rows), space, use)
        new, old = problem.source[t][rows], now[t][rows]
        key = self.odd(space, use)
        views = [problem.view_b(use.block, {**now, t: source}, but=[use.dim]) for source in (new, old)]
        self._add(classes, key, a, _matrix(views[0] - views[1], space, use))

    def _others(self, use: Use, t: str) -> list[int]:
        atom = self.problem.spec.spaces[t].on
        return [dim for dim, other in enumerate(use.block.atoms) if other == atom and dim != use.dim]

    def _twice(self, space: Space) -> bool:
        return space.name in self.problem.neighbours[space.name]

    def _matrices(self, space: Space, use: Use) -> tuple[Tensor, Tensor]:
        """A's and B's rows along the space, (*over, n, rest); all else in the order of A's slots."""
        view = self.problem.view_b(use.block, but=[use.dim])
        return _matrix(self.problem.view_a(use.block), space, use), _matrix(view, space, use)

    def _add(self, classes: Classes, key: frozenset[str], a: Tensor, b: Tensor) -> None:
        self.multiplied += a.numel() * b.shape[-2]
        if key not in classes:
            classes[key] = a @ b.mT
        elif a.dim() == 2:
            classes[key].addmm_(a, b.mT)
        else:
            classes[key] += a @ b.mT

    def odd(self, space: Space, use: Use) -> frozenset[str]:
        """The sign spaces of the same units that flip this occurrence."""
        return frozenset(sign.name for sign in self.problem.signs(space) if flips(self.problem, sign, use))

    def _keep(self, space: Space, classes: Classes) -> None:
        """Keep these gains, and those used last as far as there is room."""
        problem = self.problem
        seen = {t: problem.source[t].clone() for t in problem.neighbours[space.name] if t in problem.source}
        versions = {u.block.tensor: problem.version.get(u.block.tensor, 0) for u in problem.uses(space)}
        self._kept[space.name] = (classes, seen, versions)
        room = self.keep
        for name in reversed([*self._kept]):
            room -= sum(gains.numel() for gains in self._kept[name][0].values())
            if room < 0 and name != space.name:
                del self._kept[name]


def flips(problem: Problem, sign: Space, use: Use) -> bool:
    """Whether a sign of the space changes the sign of the block at this occurrence."""
    name = use.block.tensor
    where = problem.spec.places[sign.on or ""][name][use.block.marks[use.dim]]
    return exponent_of(sign, name, use.block.marks[use.dim], where) % 2 == 1


def _matrix(view: Tensor, space: Space, use: Use) -> Tensor:
    lead = [use.block.atoms.index(atom) for atom in space.over]
    moved = view.movedim((*lead, use.dim), tuple(range(len(lead) + 1)))
    return moved.reshape(*moved.shape[: len(lead) + 1], -1)


def _rest(use: Use) -> float:
    return math.prod(use.block.shape) / use.block.shape[use.dim]


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
    rest = [torch.maximum(w - s, _ROUNDING * w).sqrt() for w, s in zip(whole, seen, strict=True)]
    sizes = [(side[0] * side[1].index_select(0, best)).sqrt() for side in (whole, seen)]
    likely = total.gather(1, best[:, None])[:, 0] * sizes[0] / sizes[1].clamp_min(1e-300)
    if not _ahead(total, best, rest, likely):
        return False
    own = torch.zeros_like(whole[0])
    for a, b in pieces:
        own += _dots(a, b, best)
        del a, b  # before the next ones are read
    return _ahead(total, best, rest, own)


def _ahead(total: Tensor, best: Tensor, rest: list[Tensor], own: Tensor) -> bool:
    """Whether own >= total + rest · rest in all other columns, a part of the rows at a time."""
    for rows in torch.split(torch.arange(len(best), device=best.device), max(1, _AT_ONCE // len(best))):
        others = torch.outer(rest[0][rows], rest[1]).to(total.dtype).add_(total[rows])
        others.scatter_(1, best[rows, None], -torch.inf)
        if not bool((others.amax(1) <= own[rows]).all()):
            return False
    return True


def _dots(a: Tensor, b: Tensor, order: Tensor | None = None) -> Tensor:
    """⟨row of a, row of b⟩, (n,) in float64, for the rows of b in this order; a part of the columns at a time."""
    found = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    step = max(1, _AT_ONCE // max(1, len(a)))
    for x, y in zip(torch.split(a, step, 1), torch.split(b, step, 1), strict=True):
        found += (x * (y if order is None else y.index_select(0, order))).sum(-1, dtype=torch.float64)
    return found
