"""Moving whole cells of a grid: turns, flips and circular shifts of every row of a batch in one gather.

Each row has its own element. Where a cell comes from is, for all these moves, a sum of one small table per
axis, so no loop over rows or elements is needed, and nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

import torch
from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.groups.shifts import CroppedShifts, Shifts


def take(x: Tensor, tables: Sequence[Tensor], start: int) -> Tensor:
    """y[i, .., a, b, ..] = x[i, .., cell, ..] with the cell number tables[0][i, a] + tables[1][i, b] + ...

    Shapes: x (n, *S); table k (n, size of axis start + k), int64; the result has the shape of x.
    """
    index = tables[0]
    for table in tables[1:]:
        index = index.unsqueeze(-1) + table.view(len(table), *(1,) * (index.dim() - 1), -1)
    stop = start + len(tables)
    count, outer, inner = prod(x.shape[start:stop]), prod(x.shape[1:start]), prod(x.shape[stop:])
    index = index.reshape(len(x), 1, count)
    if inner == 1:
        return x.reshape(len(x), outer, count).gather(2, index.expand(-1, outer, -1)).reshape(x.shape)
    vectors = x.reshape(len(x) * outer * count, inner)
    first = torch.arange(len(x) * outer, device=x.device).view(len(x), outer, 1) * count
    return vectors.index_select(0, (first + index).flatten()).reshape(x.shape)


def roll(x: Tensor, shift: Tensor, start: int) -> Tensor:
    """y[i, a + shift[i]] = x[i, a], circular, on axes start, start + 1, ..: `shift` is (n, axes) int64."""
    sizes = x.shape[start : start + shift.shape[1]]
    tables, stride = [], prod(sizes)
    for axis, size in enumerate(sizes):
        stride //= max(size, 1)
        cells = torch.arange(size, device=x.device)
        tables.append((cells - shift[:, axis, None]) % max(size, 1) * stride)
    return take(x, tables, start)


def turn(x: Tensor, signed: Tensor) -> Tensor:
    """Rotate and flip the last two axes about their centre by signed permutation matrices.

    Shapes: x (n, .., H, W); signed (n, 2, 2) int64 on (x to the right, y up), so that [[0, -1], [1, 0]] is a
    counter-clockwise quarter turn, `torch.rot90(x, 1, (-2, -1))`. Odd quarter turns need H = W.
    """
    height, width = x.shape[-2:]
    (a, b), (c, d) = signed[:, 0].unbind(1), signed[:, 1].unbind(1)
    twice = width * ((height - 1) * (1 - d) + b * (width - 1)) + (width - 1) * (1 - a) + c * (height - 1)
    rows = torch.arange(height, device=x.device) * (width * d - c)[:, None] + twice[:, None] // 2
    columns = torch.arange(width, device=x.device) * (a - width * b)[:, None]
    return take(x, (rows, columns), x.dim() - 2)


def reverse(x: Tensor, flip: Tensor, axis: int) -> Tensor:
    """Reverse one axis of the rows where `flip`, (n,) int64, is 1."""
    size = x.shape[axis]
    cells = torch.arange(size, device=x.device)
    return take(x, (torch.where(flip[:, None] == 1, size - 1 - cells, cells),), axis)


def permute(x: Tensor, permutation: Tensor, axis: int, axes: int = 1) -> Tensor:
    """y[i, p(a), p(b), ..] = x[i, a, b, ..] on `axes` axes: the scatter by `permutation`, (n, size) int64."""
    slots = torch.arange(permutation.shape[1], device=x.device).expand_as(permutation)
    origin = torch.empty_like(permutation).scatter_(1, permutation, slots)
    strides = [permutation.shape[1] ** k for k in reversed(range(axes))]
    return take(x, [origin * stride for stride in strides], axis)


def observed(group: Group, sizes: tuple[int, ...], crop: int) -> tuple[int, ...]:
    """The grid whose cells a shift of `group` counts, as the model sees it; a canvas counts its own."""
    grid = group.grid if isinstance(group, Shifts) else None
    if grid is None or (crop and sizes == grid):
        return sizes
    return tuple(size - 2 * reach_of(group) for size in grid)


def reach_of(group: Group) -> int:
    """How far cropped shifts go; 0 for circular ones."""
    return group.reach if isinstance(group, CroppedShifts) else 0


def scaled(group: Group, shift: Tensor, sizes: tuple[int, ...], crop: int) -> Tensor:
    """The shift on a grid of another size than the input's: s · size_out / size_in, (n, axes) int64.

    A shift that is no whole number of output cells is a DataError that names a step that is (told by
    `check_shift` before anything is measured; here on the CPU only, since asking a device would stall it).
    """
    grid = observed(group, sizes, crop)
    if grid == sizes:
        return shift
    out, into = shift.new_tensor(sizes), shift.new_tensor(grid)
    if shift.device.type == "cpu" and bool((shift * out % into).any()):
        raise _uneven(group, sizes, grid, group.name)
    return torch.div(shift * out, into, rounding_mode="floor")


def check_shift(group: Group, sizes: tuple[int, ...], crop: int, what: str) -> None:
    """Raise when the shifts of `group` do not fit this grid, or wrapped cells would be compared."""
    axes = group.face("shift", group.identity(1)).shape[1]
    if axes != len(sizes):
        raise ClaimError(
            f"{group.name} shifts {axes} grid axes, but the action moves {len(sizes)}",
            where=what,
            hint="name one step per grid axis, or one for all: Shift(4), Shift(4,0)",
        )
    grid, reach = observed(group, sizes, crop), reach_of(group)
    steps = group.steps if isinstance(group, Shifts) else (0,) * axes
    if any(step * out % into for step, out, into in zip(steps, sizes, grid, strict=True)):
        raise _uneven(group, sizes, grid, what)
    needed = max(-(-reach * out // into) for out, into in zip(sizes, grid, strict=True))
    if crop < needed:
        raise ClaimError(
            f"{group.name} shifts a canvas by up to {reach} cells, but here wrapped cells would be compared",
            where=f"{what}, grid {sizes}",
            hint=f"leave the border out here too: crop={needed}",
        )


def _uneven(group: Group, sizes: tuple[int, ...], grid: tuple[int, ...], what: str) -> DataError:
    steps = [into // gcd(out, into) for out, into in zip(sizes, grid, strict=True)]
    step = str(steps[0]) if len(set(steps)) == 1 else ",".join(map(str, steps))
    return DataError(
        f"a shift of {group.name} on the grid {grid} is no whole number of cells on the grid {sizes}",
        where=what,
        hint=f"use the group Shift({step}), or a multiple of it",
    )


def window(
    sizes: Sequence[int], crop: int, disc: bool = False, device: torch.device | None = None
) -> Tensor | None:
    """1 where cells count, 0 in the border of `crop` cells and outside the inscribed disc; None: all count.

    The disc has radius ½ min(observed sizes) - 1 about the centre, so that no rotation brings in a corner.
    """
    if not crop and not disc:
        return None
    inner = torch.ones(tuple(sizes), dtype=torch.float64, device=device)
    square = torch.zeros_like(inner)
    for axis, size in enumerate(sizes):
        offset = torch.arange(size, device=device) - (size - 1) / 2
        offset = offset.view(-1, *(1,) * (len(sizes) - 1 - axis))
        inner = inner * (offset.abs() < size / 2 - crop)
        square = square + offset.square()
    radius = max(min(sizes) / 2 - crop - 1, 0.5)
    return inner * (square <= radius**2) if disc else inner


def cut(x: Tensor, crop: int, start: int, axes: int) -> Tensor:
    """x without `crop` cells at both ends of each of `axes` axes from `start` on."""
    for axis in range(start, start + axes):
        x = x.narrow(axis, crop, x.shape[axis] - 2 * crop)
    return x


def check_crop(name: str, sizes: Sequence[int], crop: int, what: str) -> None:
    """Raise when the crop leaves nothing of a grid."""
    if min(sizes) <= 2 * crop:
        raise ClaimError(
            f"'{name}' cuts {crop} cells from both ends of a grid of {tuple(sizes)}: nothing is left",
            where=what,
            hint=f"crop at most {(min(sizes) - 1) // 2} cells",
        )


def check_degree(group: Group, name: str, size: int, what: str) -> None:
    """Raise when the permutations of a group are of another degree than the axis they act on."""
    degree = group.face("permutation", group.identity(1)).shape[1]
    if degree != size:
        raise ClaimError(
            f"{group.name} permutes {degree} slots, but '{name}' acts on an axis of {size}",
            where=what,
            hint="leave the degree out and it is read from the data: S",
        )
