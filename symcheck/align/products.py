"""How well every unit of A and every unit of B fit: G[i, u] = Σ over blocks ⟨row i of A, row u of g·B⟩.

G of one space depends on the sources of its neighbours alone. It is kept, and when few units of a neighbour have moved
since, only their columns are multiplied again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from symcheck.align.problem import Problem, Sources, Use, rows
from symcheck.weights.spec import Space

Classes = dict[frozenset[str], Tensor]  # by the sign spaces that are odd there: the gains of those blocks
_MATRICES, _ROOM = 3, 2**22  # what is kept: gains of so many of the largest space, or so many entries


@dataclass(frozen=True)
class _Kept:
    """Gains over some places of a space, and how its neighbours and B stood then."""

    classes: Classes
    uses: frozenset[Use]
    sources: Sources
    versions: dict[str, int]


@dataclass
class Products:
    """The gains of the spaces of a problem; `keep` is how many entries of them are kept at once."""

    problem: Problem
    keep: int
    multiplied: float = 0.0  # multiplications so far
    squares: dict[Use, tuple[Tensor, Tensor]] = field(default_factory=dict)  # of the rows of A and of B, where known
    _kept: dict[str, _Kept] = field(default_factory=dict)

    @classmethod
    def of(cls, problem: Problem) -> Products:
        """With room for the gains of a few spaces."""
        sizes = [problem.source[name].numel() * problem.spec.spaces[name].size for name in problem.matched]
        return cls(problem, max(_MATRICES * max(sizes, default=0), _ROOM))

    def gains(self, space: Space, uses: Sequence[Use] | None = None) -> Classes:
        """G by classes of blocks, shape (*over, n, n): rows are slots of A, columns units of B.

        `uses` are the places that count, all of them by default.
        """
        wanted = frozenset(self.problem.uses(space) if uses is None else uses)
        kept = self._kept.pop(space.name, None)
        classes: Classes = {}
        done: frozenset[Use] = frozenset()
        if kept is not None and kept.uses <= wanted and self._updated(space, kept):
            classes, done = kept.classes, kept.uses
        for use in (use for use in self.problem.uses(space) if use in wanted - done):
            self._add(classes, self.odd(space, use), *self.matrices(space, use))
        self.put(space, classes, wanted)
        return classes

    def put(self, space: Space, classes: Classes, uses: frozenset[Use]) -> None:
        """Keep these gains, and those used last as far as there is room."""
        problem = self.problem
        seen = {t: problem.source[t].clone() for t in problem.neighbours[space.name] if t in problem.source}
        versions = {u.block.tensor: problem.version.get(u.block.tensor, 0) for u in uses}
        self._kept[space.name] = _Kept(classes, uses, seen, versions)
        room = self.keep
        for name in reversed([*self._kept]):
            room -= sum(gains.numel() for gains in self._kept[name].classes.values())
            if room < 0 and name != space.name:
                del self._kept[name]

    def kept(self, space: Space) -> bool:
        """Whether gains of the space are kept."""
        return space.name in self._kept

    def _updated(self, space: Space, kept: _Kept) -> bool:
        """Bring kept gains up to date; False where computing them anew costs less."""
        problem, uses, seen = self.problem, kept.uses, kept.sources
        if any(kept.versions.get(u.block.tensor, 0) != problem.version.get(u.block.tensor, 0) for u in uses):
            return False
        moved = {t: (seen[t] != problem.source[t]).flatten().nonzero()[:, 0] for t in seen}
        moved = {t: slots for t, slots in moved.items() if len(slots)}
        plain = not space.over and all(not problem.spec.spaces[t].over for t in seen)
        if moved and not plain:
            return False
        affected = [(t, u, dims) for t in moved for u in uses if (dims := self._others(u, t))]
        cost = sum(2 * len(moved[t]) * rest(u) / u.block.shape[dims[0]] for t, u, dims in affected)
        if any(len(dims) > 1 for _, _, dims in affected) or cost >= sum(rest(u) for u in uses):
            return not affected
        now = dict(seen)
        for t, slots in moved.items():
            for use in (u for other, u, _ in affected if other == t):
                self._exchange(space, kept.classes, use, now, t, slots)
            now[t] = problem.source[t]
        return True

    def _exchange(self, space: Space, classes: Classes, use: Use, now: Sources, t: str, slots: Tensor) -> None:
        """Add what the slots of the neighbour t contribute now, less what they did."""
        problem = self.problem
        (dim,) = self._others(use, t)
        a = rows(space, use, problem.view_a(use.block).index_select(dim, slots))
        new, old = problem.source[t][slots], now[t][slots]
        key = self.odd(space, use)
        views = [problem.view_b(use.block, {**now, t: source}, but=[use.dim]) for source in (new, old)]
        self._add(classes, key, a, rows(space, use, views[0] - views[1]))

    def _others(self, use: Use, t: str) -> list[int]:
        atom = self.problem.spec.spaces[t].on
        return [dim for dim, other in enumerate(use.block.atoms) if other == atom and dim != use.dim]

    def matrices(self, space: Space, use: Use) -> tuple[Tensor, Tensor]:
        """A's and B's rows along the space, (*over, n, rest); all else in the order of A's slots."""
        view = self.problem.view_b(use.block, but=[use.dim])
        return rows(space, use, self.problem.view_a(use.block)), rows(space, use, view)

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
        return frozenset(sign.name for sign in self.problem.signs(space) if self.problem.exponent(sign, use) % 2)


def rest(use: Use) -> float:
    """How many entries of a block each unit has."""
    return math.prod(use.block.shape) / use.block.shape[use.dim]
