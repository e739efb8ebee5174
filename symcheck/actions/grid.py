"""Moving whole cells of a grid: turns, flips and circular shifts of every row of a batch in one gather.

Each row has its own element. Where a cell comes from is, for all these moves, a sum of one small table per axis,
so no loop over rows or elements is needed, and nothing waits for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd, prod

import torch
from torch import Tensor

from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws


def take(x: Tensor, tables: Sequence[Tensor], start: int) -> Tensor:
    """y[i, .., a, b, ..] = x[i, .., cell, ..] with the flat cell number tables[0][i, a] + tables[1][i, b] + ...

    Shapes: x (n, *S); table k (n, size of axis start + k), int64; the result has the shape of x.
    """
    index = tables[0]
    for table in tables[1:]:
        index = index.unsqueeze(-1) + table.view(len(table), *(1,) * (index.dim() - 1), -1)
    stop = start + len(tables)
    count, outer, inner = prod(x.shape[start:stop]), prod(x.shape[1:start]), prod(x.shape[stop:])
    flat, index = x.reshape(len(x), outer, count, inner), index.reshape(len(x), count)
    if outer == 1 and inner > 1:  # whole vectors are copied
        rows = torch.arange(len(x), device=x.device)[:, None]
        return flat[rows, 0, index].reshape(x.shape)
    return flat.gather(2, index[:, None, :, None].expand_as(flat)).reshape(x.shape)


def roll(x: Tensor, shift: Tensor, start: int) -> Tensor:
    """y[i, a + shift[i]] = x[i, a], circular, on as many axes from `start` on as `shift`, (n, axes) int64, has."""
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


def permute(x: Tensor, permutation: Tensor, axis: int) -> Tensor:
    """y[i, p(a)] = x[i, a] on one axis: the scatter by `permutation`, (n, size) int64."""
    slots = torch.arange(permutation.shape[1], device=x.device).expand_as(permutation)
    return take(x, (torch.empty_like(permutation).scatter_(1, permutation, slots),), axis)


def observed(group: Group, sizes: tuple[int, ...], crop: int) -> tuple[int, ...]:
    """The grid, as the model sees it, that a shift of `group` counts cells of; `sizes` itself for a canvas."""
    grid: tuple[int, ...] | None = getattr(group, "grid", None)
    if grid is None or (crop and sizes == grid):
        return sizes
    return tuple(size - 2 * reach_of(group) for size in grid)


def reach_of(group: Group) -> int:
    """How far cropped shifts go; 0 for circular ones."""
    reach: int | None = getattr(group, "reach", None)
    return reach or 0


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
    """Raise when the shifts of `group` do not fit a grid of these sizes, or wrapped content would be compared."""
    reach, probe = reach_of(group), group.face("shift", group.sample(64, Draws(0, "grid")))
    if probe.shape[1] != len(sizes):
        raise ClaimError(
            f"{group.name} shifts {probe.shape[1]} grid axes, but the action moves {len(sizes)}",
            where=what,
            hint="name one step per grid axis, or one for all: Shift(4), Shift(4,0)",
        )
    grid = observed(group, sizes, crop)
    if bool((probe * torch.tensor(sizes) % torch.tensor(grid)).any()):
        raise _uneven(group, sizes, grid, what)
    needed = max(-(-reach * out // into) for out, into in zip(sizes, grid, strict=True))
    if crop < needed:
        raise ClaimError(
            f"{group.name} shifts by up to {reach} cells of a larger canvas, but here wrapped cells would be compared",
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


def window(sizes: Sequence[int], crop: int, disc: bool = False) -> Tensor | None:
    """1 where cells count, 0 in the border of `crop` cells and outside the inscribed disc; None: all count.

    The disc has radius ½ min(observed sizes) − 1 about the centre, so that no rotation brings in a corner.
    """
    if not crop and not disc:
        return None
    inner = torch.ones(tuple(sizes), dtype=torch.float64)
    square = torch.zeros(())
    for axis, size in enumerate(sizes):
        offset = (torch.arange(size) - (size - 1) / 2).view(-1, *(1,) * (len(sizes) - 1 - axis))
        inner = inner * (offset.abs() < size / 2 - crop)
        square = square + offset.square()
    radius = max(min(sizes) / 2 - crop - 1, 0.5)
    return inner * (square <= radius**2) if disc else inner


def cut(x: Tensor, crop: int, start: int, axes: int) -> Tensor:
    """x without `crop` cells at both ends of each of `axes` axes from `start` on."""
    for axis in range(start, start + axes):
        x = x.narrow(axis, crop, x.shape[axis] - 2 * crop)
    return x


def whole(name: str, options: dict[str, str], key: str, default: int = 0, least: int = 0) -> int:
    """Take the integer option `key` out of `options`; anything else is a ClaimError."""
    text = options.pop(key, str(default))
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if value < least:
        raise ClaimError(
            f"'{key}={text}' is not understood by the action '{name}'",
            where=f"{name}({key}={text})",
            hint=f"give a whole number of at least {least}, e.g. {name}({key}={max(least, 1)})",
        )
    return value


def check_crop(name: str, sizes: Sequence[int], crop: int, what: str) -> None:
    """Raise when the crop leaves nothing of a grid."""
    if min(sizes) <= 2 * crop:
        raise ClaimError(
            f"'{name}' cuts {crop} cells from both ends of a grid of {tuple(sizes)}: nothing is left",
            where=what,
            hint=f"crop at most {(min(sizes) - 1) // 2} cells",
        )


def spelled(name: str, *parts: str) -> str:
    """The text of an action with its arguments, empty ones left out."""
    given = [part for part in parts if part]
    return f"{name}({','.join(given)})" if given else name
