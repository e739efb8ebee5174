"""Axes of a hidden tensor read in another way, so that an action finds them where it expects them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class View:
    """Axes of a sample read in another way: reshape to `first`, permute by `order`, reshape to `last`; and back.

    The first `apart` entries of the axis `along` are kept as they are (a class token).
    """

    first: tuple[int, ...] = ()
    order: tuple[int, ...] = ()
    last: tuple[int, ...] = ()
    apart: int = 0
    along: int = 0

    def through(self, x: Tensor, act: Callable[[Tensor], Tensor]) -> Tensor:
        """`act` on the other reading of rows x, (n, *S), brought back to the shape of x."""
        axis = self.along + 1
        kept, x = x.narrow(axis, 0, self.apart), x.narrow(axis, self.apart, x.shape[axis] - self.apart)
        if not self.first:
            y = act(x)
        else:
            order = (0, *(axis + 1 for axis in self.order))
            read = x.reshape(len(x), *self.first).permute(order)
            y = act(read.reshape(len(x), *(self.last or read.shape[1:]))).reshape(read.shape)
            y = y.permute([order.index(axis) for axis in range(len(order))]).reshape(x.shape)
        return torch.cat([kept, y], axis) if self.apart else y

    def shape(self, sample: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape that the action sees; None where this is no reading of such a sample."""
        if self.apart:
            sample = tuple(size - self.apart if i == self.along else size for i, size in enumerate(sample))
        if not self.first:
            return sample
        if math.prod(self.first) != math.prod(sample):
            return None
        return self.last or tuple(self.first[axis] for axis in self.order)
