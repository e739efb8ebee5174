"""Reproducible randomness: row i depends on (seed, key, i) alone, whatever the batch, shard or device."""

from __future__ import annotations

import zlib

import numpy as np
import torch
from torch import Tensor


class Draws:
    """A stream of random rows; row i of every draw comes from the counter-based generator (seed, key, start + i)."""

    def __init__(self, seed: int, key: str, start: int = 0) -> None:
        self.seed, self.key, self.start = seed, key, start
        self._word = (seed & 0xFFFFFFFFFFFFFFFF) | (zlib.crc32(key.encode()) << 64)
        self._rows: list[np.random.Generator] = []

    def _generators(self, n: int) -> list[np.random.Generator]:
        while len(self._rows) < n:
            index = self.start + len(self._rows)
            self._rows.append(np.random.Generator(np.random.Philox(key=self._word, counter=index << 128)))
        return self._rows[:n]

    def normal(self, n: int, *shape: int) -> Tensor:
        """Standard normal numbers, (n, *shape), float64."""
        return _stack([row.standard_normal(shape) for row in self._generators(n)], shape)

    def uniform(self, n: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high), (n, *shape), float64."""
        return _stack([row.uniform(low, high, shape) for row in self._generators(n)], shape)

    def integers(self, n: int, *shape: int, high: int) -> Tensor:
        """Uniform integers in 0..high-1, (n, *shape), int64."""
        rows = [row.integers(0, high, shape) for row in self._generators(n)]
        return _stack(rows, shape).to(torch.int64)

    def permutations(self, n: int, degree: int) -> Tensor:
        """Uniform permutations of 0..degree-1, (n, degree), int64."""
        rows = [row.permutation(degree) for row in self._generators(n)]
        return _stack(rows, (degree,)).to(torch.int64)


def _stack(rows: list[np.ndarray], shape: tuple[int, ...]) -> Tensor:
    if not rows:
        return torch.zeros((0, *shape), dtype=torch.float64)
    return torch.from_numpy(np.stack(rows).reshape(len(rows), *shape))
