"""Sequences and other grids: circular shifts of any number of axes, reversal and permutation in time."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options, split_options
from symcheck.actions.grid import (
    check_crop,
    check_degree,
    check_shift,
    cut,
    permute,
    reverse,
    roll,
    scaled,
    window,
)
from symcheck.actions.options import listens, spelled, whole
from symcheck.errors import ClaimError
from symcheck.groups.base import Extents, Group


class Shifted(Action):
    """(g·x)[.., a + s] = x[.., a], circular, on the last `axes` axes; channels come first.

    Shapes: samples (.., *grid). Shifts count input cells and are scaled on outputs of another size.
    With `crop` the model sees the stored canvas without a border; on an output the border is not compared.
    """

    uses = frozenset({"shift"})

    def __init__(self, axes: int = 1, crop: int = 0) -> None:
        self.axes, self.crop = axes, crop
        self.name = spelled("shift", str(axes) if axes > 1 else "", f"crop={crop}" if crop else "")

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The shifts, (n, axes) int64."""
        return (group.face("shift", g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather for all axes."""
        start = x.dim() - self.axes
        return roll(x, scaled(group, rep[0], tuple(x.shape[start:]), self.crop), start)

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The stored grid, and how far shifts may go before they leave the canvas."""
        return Extents(grid=tuple(shape[-self.axes :]), reach=self.crop or None)

    def observe(self, x: Tensor) -> Tensor:
        """The canvas without its border."""
        return cut(x, self.crop, x.dim() - self.axes, self.axes)

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """y - z, zero in the border."""
        part = window(y.shape[y.dim() - self.axes :], self.crop, device=y.device)
        return y - z if part is None else (y - z) * part.to(y)

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the sample has the grid axes that the group shifts."""
        if len(shape) < self.axes:
            raise ClaimError(
                f"'{self.name}' moves the last {self.axes} axes, but the sample has the shape {tuple(shape)}",
                where=what,
                hint="write shift, shift(2) or shift(3) for one, two or three grid axes",
            )
        sizes = tuple(shape[-self.axes :])
        check_crop(self.name, sizes, self.crop, what)
        check_shift(group, sizes, self.crop, what)


class Sequence(Action):
    """Positions of a sequence along one axis: shifts roll them, permutations scatter them, C2 reverses them.

    (g·x)[t + s] = x[t], (g·x)[p(t)] = x[t], (g·x)[T - 1 - t] = x[t]. Shapes: samples (T, ..), or any `axis`.
    `sequence(shift)`, `sequence(permute)` and `sequence(reverse)` listen to one kind of group only, so that
    `SO(2) x Shift: sequence(shift)*vector` leaves the rotation to the vectors.
    """

    kinds: ClassVar = {"shift": "shift", "permute": "permutation", "reverse": "linear"}

    def __init__(self, words: list[str] | None = None, axis: int = 0, crop: int = 0) -> None:
        self.axis, self.crop, words = axis, crop, words or []
        self.uses = listens("sequence", words, self.kinds)
        options = (f"axis={axis}" if axis else "", f"crop={crop}" if crop else "")
        self.name = spelled("sequence", *words, *options)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The shift (n, 1), the permutation (n, T) or the reversal (n,), int64."""
        kind = self._kind(group)
        if kind == "linear":
            return ((group.face("linear", g)[:, 0, 0] < 0).to(torch.int64),)
        return (group.face(kind, g),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One gather along the axis."""
        kind, axis = self._kind(group), self._place(x)
        if kind == "shift":
            return roll(x, scaled(group, rep[0], (x.shape[axis],), self.crop), axis)
        return permute(x, rep[0], axis) if kind == "permutation" else reverse(x, rep[0], axis)

    def _kind(self, group: Group) -> str:
        return next(kind for kind in ("shift", "permutation", "linear") if kind in self.uses & group.faces)

    def _place(self, x: Tensor) -> int:
        return self.axis + 1 if self.axis >= 0 else x.dim() + self.axis

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """The length: a grid for shifts, a degree for permutations."""
        if not -len(shape) <= self.axis < len(shape):
            return Extents()
        length = shape[self.axis]
        return Extents(
            degree=length if "permutation" in self.uses else None,
            grid=(length,) if "shift" in self.uses else None,
            reach=self.crop or None,
        )

    def observe(self, x: Tensor) -> Tensor:
        """The canvas without its border."""
        return cut(x, self.crop, self._place(x), 1)

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """y - z, zero in the border."""
        axis = self._place(y)
        part = window((y.shape[axis],), self.crop, device=y.device)
        return y - z if part is None else (y - z) * part.to(y).view(-1, *(1,) * (y.dim() - 1 - axis))

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """Raise unless the sample has the axis and the group can move it."""
        if not -len(shape) <= self.axis < len(shape):
            raise ClaimError(
                f"'{self.name}' moves axis {self.axis}, but the sample has the shape {tuple(shape)}",
                where=what,
                hint="name an axis of the sample, without the batch: sequence(axis=-1)",
            )
        length, kind = shape[self.axis], self._kind(group)
        check_crop(self.name, (length,), self.crop, what)
        if kind == "shift":
            check_shift(group, (length,), self.crop, what)
        elif kind == "permutation":
            check_degree(group, self.name, length, what)
        elif not _reverses(group):
            raise ClaimError(
                f"'{self.name}' cannot be moved by {group.name}",
                where=what,
                hint="it understands Shift, S and C2 (reversal); write sequence(shift) to leave rotations "
                "to another action of this slot",
            )


def _reverses(group: Group) -> bool:
    listed = group.elements()
    if listed is None or len(listed) != 2:
        return False
    matrix = group.face("linear", listed[1:])[0]
    return matrix.shape == (2, 2) and bool(torch.allclose(matrix, -torch.eye(2, dtype=matrix.dtype)))


@actions.register("shift")
def shift(*args: str) -> Shifted:
    """`shift`, `shift(2)` for two grid axes, `shift(crop=4)`."""
    plain, options = split_options(args)
    axes = 1
    if plain and plain[0] in ("1", "2", "3"):
        axes, plain = int(plain[0]), plain[1:]
    no_options("shift", plain)
    made = Shifted(axes, whole("shift", options, "crop"))
    no_options("shift", options)
    return made


@actions.register("sequence")
def sequence(*args: str) -> Sequence:
    """`sequence`, `sequence(axis=-1)`, `sequence(crop=4)`, `sequence(shift)`."""
    plain, options = split_options(args)
    made = Sequence(plain, whole("sequence", options, "axis", least=-3), whole("sequence", options, "crop"))
    no_options("sequence", options)
    return made
