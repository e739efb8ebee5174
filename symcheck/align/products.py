"""How well every unit of A and every unit of B fit: G[i, u] = Σ over blocks ⟨row i of A, row u of g·B⟩.

G of one space depends on the sources of its neighbours alone. It is kept, and when few units of a neighbour have moved
since, only their columns are multiplied again. Where the first columns leave no doubt the others are never multiplied:
what they can add is bounded by Cauchy and Schwarz.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.align.assign import different_in
from symcheck.align.problem import Problem, Sources, Use
from symcheck.weights.act import exponent_of
from symcheck.weights.spec import Space

Classes = dict[frozenset[str], Tensor]  # by the sign spaces that are odd there: the gains of those blocks
_FIRST = 128  # columns before the first look at whether they decide
_UNSURE = 0.5  # share of rows with a best column of their own below which looking again does not pay


@dataclass
class Products:
    """The gains of the spaces of a problem; `keep` is how many entries of them are kept at once."""

    problem: Problem
    keep: int
    _kept: dict[str, tuple[Classes, Sources, dict[str, int]]] = field(default_factory=dict)
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
        pieces = [self._matrices(space, use) for use in self.problem.uses(space)]
        pieces.sort(key=lambda piece: -float(piece[0].square().sum()) / piece[0].shape[-1])
        a2, b2 = (sum(piece[k].square().sum(-1) for piece in pieces) for k in (0, 1))
        total, step, looking = None, _FIRST, True
        for a, b in pieces:
            start = 0
            while start < a.shape[1]:
                stop = min(start + step, a.shape[1]) if looking else a.shape[1]
                x, y = a[:, start:stop], b[:, start:stop]
                total = x @ y.mT if total is None else total.addmm_(x, y.mT)
                self.multiplied += total.numel() * (stop - start)
                a2, b2 = a2 - x.square().sum(-1), b2 - y.square().sum(-1)
                start, step = stop, 2 * step
                if not looking:
                    continue
                best = total.argmax(1)
                different = different_in(best)
                looking = different > _UNSURE * space.size
                if different == space.size and _decided(total, best, pieces, a2, b2):
                    return best
        if total is not None:
            self._keep(space, {frozenset(): total})
        return None

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


def _decided(
    total: Tensor, best: Tensor, pieces: list[tuple[Tensor, Tensor]], a2: Tensor, b2: Tensor
) -> bool:
    """Whether no column can overtake: own gain in full >= gain so far + ‖rest of row‖ ‖rest of column‖."""
    own = torch.zeros(len(best), dtype=total.dtype, device=total.device)
    for a, b in pieces:
        own += (a * b.index_select(0, best)).sum(-1)
    rest = a2.clamp_min(0).sqrt()[:, None] * b2.clamp_min(0).sqrt()
    rest += total
    rest.scatter_(1, best[:, None], -torch.inf)
    return bool((rest.amax(1) <= own).all())
