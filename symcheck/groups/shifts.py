"""Shifts of grids of one to three axes: circular, or cropped from a larger canvas."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.arguments import whole
from symcheck.groups.base import Extents, Group, groups, per_row
from symcheck.groups.draws import Draws
from symcheck.groups.finite import LISTED


class Shifts(Group):
    """What circular and cropped shifts share: elements (K, axes) int64, `steps` and `grid` by axis."""

    faces = frozenset({"shift"})
    grid: tuple[int, ...] | None = None
    steps: tuple[int, ...]

    def identity(self, n: int) -> Tensor:
        """n rows of zeros."""
        return torch.zeros(n, len(self.steps), dtype=torch.int64)

    def face(self, kind: str, g: Tensor) -> Tensor:
        """`shift`: the elements themselves."""
        return g if kind == "shift" else super().face(kind, g)

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Independent uniform multiples of the step on every axis."""
        return torch.stack([self._axis(n, axis, rng) for axis in range(len(self.steps))], 1)

    def nearby(self, g: Tensor, size: float | Tensor, rng: Draws) -> Tensor:
        """Up to a fraction `size` of the reach away, and at least one step on some axis."""
        counts = torch.tensor(self._room())
        far = (per_row(size, 1) * counts).round().clamp(min=1.0).minimum(counts)
        delta = ((2 * far + 1) * rng.uniform(len(g), len(counts))).floor() - far
        delta[(delta == 0).all(1), int(counts.argmax())] = 1
        return self._inside(g + delta.long() * torch.tensor(self.steps))

    def label(self, g: Tensor, i: int) -> str:
        """`shift (3, -5)`."""
        return f"shift ({', '.join(map(str, self._signed(g[i].tolist())))})"

    @abstractmethod
    def _axis(self, n: int, axis: int, rng: Draws) -> Tensor:
        """n uniform shifts of one axis."""

    @abstractmethod
    def _room(self) -> list[int]:
        """How many steps away from the identity an element may be on each axis; 0 where it stays."""

    @abstractmethod
    def _inside(self, g: Tensor) -> Tensor:
        """The shifts brought back to where elements live."""

    def _signed(self, row: list[int]) -> list[int]:
        return row


class CircularShifts(Shifts):
    """Shifts modulo the grid: on an axis of n cells a step s generates the multiples of gcd(s, n)."""

    def __init__(self, name: str, steps: tuple[int, ...], grid: tuple[int, ...]) -> None:
        self.name, self.grid = name, grid
        self.steps = tuple(math.gcd(step, size) for step, size in zip(steps, grid, strict=True))
        self.counts = [size // step for step, size in zip(self.steps, grid, strict=True)]
        self.order = math.prod(self.counts)
        shape = " x ".join(map(str, grid))
        moving = tuple(step if count > 1 else 0 for step, count in zip(self.steps, self.counts, strict=True))
        self.law = f"uniform circular multiples of {_steps(moving)} on a grid of {shape}"

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b modulo the grid."""
        return self._inside(a + b)

    def inverse(self, a: Tensor) -> Tensor:
        """-a modulo the grid."""
        return self._inside(-a)

    def elements(self) -> Tensor | None:
        """All shifts, up to 5040 of them."""
        if math.prod(self.counts) > LISTED:
            return None
        rows = list(itertools.product(*map(range, self.counts)))
        return torch.tensor(rows, dtype=torch.int64) * torch.tensor(self.steps)

    def _axis(self, n: int, axis: int, rng: Draws) -> Tensor:
        return rng.integers(n, high=self.counts[axis]) * self.steps[axis]

    def _room(self) -> list[int]:
        return [count // 2 for count in self.counts]

    def _inside(self, g: Tensor) -> Tensor:
        return g % torch.tensor(self.grid)

    def _signed(self, row: list[int]) -> list[int]:
        return [v - n if 2 * v > n else v for v, n in zip(row, self.grid or (), strict=True)]


class CroppedShifts(Shifts):
    """Integer shifts of a canvas that is larger than what is seen: no wrapping, so an infinite group.

    Elements are drawn within +-`reach`; products may leave it.
    """

    compact = False

    def __init__(self, name: str, steps: tuple[int, ...], grid: tuple[int, ...], reach: int) -> None:
        self.name, self.grid, self.steps, self.reach = name, grid, steps, reach
        self.most = [reach // step if step else 0 for step in steps]
        if not any(self.most):
            raise ClaimError(
                f"{name} moves by {min(s for s in steps if s)} or more, but the crop leaves room for {reach}",
                where=f"the group {name}",
                hint="crop more, or take a smaller step",
            )
        self.law = f"uniform multiples of {_steps(steps)} within +-{reach}"

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """a + b."""
        return a + b

    def inverse(self, a: Tensor) -> Tensor:
        """-a."""
        return -a

    def _axis(self, n: int, axis: int, rng: Draws) -> Tensor:
        return (rng.integers(n, high=2 * self.most[axis] + 1) - self.most[axis]) * self.steps[axis]

    def _room(self) -> list[int]:
        return self.most

    def _inside(self, g: Tensor) -> Tensor:
        edge = torch.tensor(self.most) * torch.tensor(self.steps)
        return torch.minimum(torch.maximum(g, -edge), edge)


@groups.register("Shift")
class Shift(Group):
    """Multiples of a step on a grid not yet known: `bind` makes them circular or cropped.

    `Shift` is every shift, `Shift(8)` multiples of 8 on every axis, `Shift(4,0)` one step per axis
    (0: that axis stays).
    """

    examples = ("Shift", "Shift(4)", "Shift(3,2)", "Shift(4,0)")
    faces = frozenset({"shift"})
    grid: tuple[int, ...] | None = None

    def __init__(self, *steps: str) -> None:
        self.steps = tuple(whole(step, "Shift", 0) for step in steps) or (1,)
        self.name = f"Shift({','.join(map(str, self.steps))})" if steps else "Shift"
        if not any(self.steps) or len(self.steps) > 3:
            raise ClaimError(
                f"{self.name} has " + ("more than three axes" if any(self.steps) else "no axis that moves"),
                where=self.name,
                hint="write Shift, Shift(8), or one step per axis as in Shift(4,0)",
            )

    def bind(self, extents: Extents) -> Group:
        """Circular shifts of the grid, or cropped ones when the data says how far they reach."""
        grid = extents.grid
        if grid is None:
            return self
        steps = self.steps * len(grid) if len(self.steps) == 1 else self.steps
        if len(steps) != len(grid):
            raise ClaimError(
                f"{self.name} has {len(steps)} axes, but the data's grid has {len(grid)}: {grid}",
                where=f"the group {self.name}",
                hint=f"give one step for all axes, or {len(grid)} of them",
            )
        if extents.reach is None:
            return CircularShifts(self.name, steps, grid)
        return CroppedShifts(self.name, steps, grid, extents.reach)

    def identity(self, n: int) -> Tensor:
        """Unknown without a grid: a ClaimError."""
        raise self._unknown()

    def sample(self, n: int, rng: Draws) -> Tensor:
        """Unknown without a grid: a ClaimError."""
        raise self._unknown()

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """Unknown without a grid: a ClaimError."""
        raise self._unknown()

    def inverse(self, a: Tensor) -> Tensor:
        """Unknown without a grid: a ClaimError."""
        raise self._unknown()

    def _unknown(self) -> ClaimError:
        return ClaimError(
            f"the grid of {self.name} is unknown",
            where=f"the group {self.name}",
            hint="give an input an action on a grid (image, shift, sequence), which tells its size",
        )


def _steps(steps: tuple[int, ...]) -> str:
    return str(steps[0]) if len(set(steps)) == 1 else f"({', '.join(map(str, steps))})"
