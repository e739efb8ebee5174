"""Reproducible randomness: row i depends on (seed, key, i) alone, whatever the batch, shard or device."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor


class Draws:
    """A stream of random rows from one counter-based generator.

    Row i of the c-th draw starts at the counter (c, start + i) of the key (seed, key), so a row never depends on
    how many rows are drawn with it.
    """

    def __init__(self, seed: int, key: str, start: int = 0) -> None:
        self.seed, self.key, self.start = seed, key, start
        word = (seed & 0xFFFFFFFFFFFFFFFF) | (zlib.crc32(key.encode()) << 64)
        self._bits = np.random.Philox(key=word)
        self._generator = np.random.Generator(self._bits)
        self._state = self._bits.state
        self._calls = 0

    def _rows(self, n: int) -> Iterator[np.random.Generator]:
        counter = self._state["state"]["counter"]
        call, self._calls = self._calls, self._calls + 1
        for i in range(self.start, self.start + n):
            counter[:] = (0, call, i, 0)
            self._bits.state = self._state
            yield self._generator

    def normal(self, n: int, *shape: int) -> Tensor:
        """Standard normal numbers, (n, *shape), float64."""
        return _stack([row.standard_normal(shape) for row in self._rows(n)], shape)

    def uniform(self, n: int, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        """Uniform numbers in [low, high), (n, *shape), float64."""
        return _stack([row.uniform(low, high, shape) for row in self._rows(n)], shape)

    def integers(self, n: int, *shape: int, high: int) -> Tensor:
        """Uniform integers in 0..high-1, (n, *shape), int64."""
        return _stack([row.integers(0, high, shape) for row in self._rows(n)], shape).to(torch.int64)

    def permutations(self, n: int, degree: int) -> Tensor:
        """Uniform permutations of 0..degree-1, (n, degree), int64."""
        return _stack([row.permutation(degree) for row in self._rows(n)], (degree,)).to(torch.int64)


def _stack(rows: list[np.ndarray], shape: tuple[int, ...]) -> Tensor:
    if not rows:
        return torch.zeros((0, *shape), dtype=torch.float64)
    return torch.from_numpy(np.stack(rows).reshape(len(rows), *shape))
