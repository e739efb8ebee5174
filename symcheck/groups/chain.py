"""Stabiliser chains: order, uniform samples and membership of a group of permutations given by generators."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

_TRIVIAL = 24  # random elements in a row that must be explained: a wrong chain survives with probability 2^-24
_WARM = 40  # steps at least, and _MIX for each generator, before elements count as random
_MIX = 10


@dataclass
class _Level:
    """One base point, the generators that fix the base points before it, and an element for each point of its orbit."""

    base: int
    generators: list[np.ndarray] = field(default_factory=list)
    reached: dict[int, np.ndarray] = field(default_factory=dict)


class Chain:
    """A base and strong generating set by the randomised Schreier-Sims method (Leon 1980); p, (n,), sends i to p[i]."""

    def __init__(self, generators: Sequence[np.ndarray], degree: int) -> None:
        self.degree, self._same = degree, np.arange(degree)
        self.levels: list[_Level] = []
        moving = [g for g in generators if not np.array_equal(g, self._same)]
        for g in moving:
            self._learn(g)
        rng, known = np.random.default_rng(0), 0
        pool = [moving[i % len(moving)] for i in range(max(10, len(moving)))] if moving else []
        for _ in range(max(_WARM, _MIX * len(pool)) if pool else 0):
            self._mix(pool, rng)
        while pool and known < _TRIVIAL:
            known = 0 if self._learn(self._mix(pool, rng)) else known + 1

    @property
    def order(self) -> int:
        """How many elements there are: the product of the lengths of the orbits."""
        return math.prod(len(level.reached) for level in self.levels)

    def contains(self, g: np.ndarray) -> bool:
        """Whether g is an element."""
        return bool(np.array_equal(self._sift(g)[0], self._same))

    def sample(self, draws: np.ndarray) -> np.ndarray:
        """One uniform element from one uniform number in [0, 1) for each level, (levels,)."""
        g = self._same
        for level, draw in zip(self.levels, draws, strict=True):
            choices = [*level.reached.values()]
            g = g[choices[min(int(draw * len(choices)), len(choices) - 1)]]
        return g

    def elements(self) -> np.ndarray:
        """All elements, (order, n), the identity first."""
        found = []
        for choice in itertools.product(*(level.reached.values() for level in self.levels)):
            g = self._same
            for u in choice:
                g = g[u]
            found.append(g)
        return np.stack(found) if found else self._same[None]

    def _mix(self, pool: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
        """Product replacement: one step of a random walk on generating tuples."""
        i, j = rng.choice(len(pool), 2, replace=False)
        other = pool[j] if rng.integers(2) else np.argsort(pool[j])
        pool[i] = pool[i][other] if rng.integers(2) else other[pool[i]]
        return np.asarray(pool[i])

    def _sift(self, g: np.ndarray) -> tuple[np.ndarray, int]:
        """What is left of g when elements of the chain are divided out, and the level where that ends."""
        for depth, level in enumerate(self.levels):
            u = level.reached.get(int(g[level.base]))
            if u is None:
                return g, depth
            g = np.argsort(u)[g]
        return g, len(self.levels)

    def _learn(self, g: np.ndarray) -> bool:
        """Add g to the chain unless it is an element already."""
        rest, depth = self._sift(g)
        if np.array_equal(rest, self._same):
            return False
        if depth == len(self.levels):
            base = int(np.nonzero(rest != self._same)[0][0])
            self.levels.append(_Level(base, [], {base: self._same}))
        for level in self.levels[: depth + 1]:  # rest fixes the base points before `depth`
            level.generators.append(rest)
            self._grow(level)
        return True

    def _grow(self, level: _Level) -> None:
        """The orbit of the base point under the generators of its level."""
        queue = [*level.reached]
        for point in queue:
            u = level.reached[point]
            for s in level.generators:
                image = int(s[point])
                if image not in level.reached:
                    level.reached[image] = s[u]
                    queue.append(image)
