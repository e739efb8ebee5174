"""How alike e(g·x) and g·e(x) are, pair by pair: the cosine, and how many of the largest entries they share.

Source: Crabbé & van der Schaar 2023, arXiv:2304.06715.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from symcheck.measure.defect import Slot
from symcheck.measure.samples import Elements
from symcheck.measure.statistics import Interval, crossed_interval

TOP = 0.1  # the fraction of the entries that counts as largest
_TIE = 1e-5  # entries this close to the last of the largest, relatively, are tied with it


@dataclass
class Grid:
    """The scores of one output under the elements g, cell by cell (K, B); NaN where not measured."""

    g: Tensor
    output: str
    cosine: np.ndarray
    shared: np.ndarray
    k: int = 0
    ties: int = 0
    blank: int = 0


@dataclass(frozen=True)
class Score:
    """Mean cosine and mean share of the `k` largest entries in common, each with its 95 % interval.

    `ties` of the `pairs` have no k largest entries, as others are as large; each of those counts in part. `blank`
    pairs have an attribution that is zero throughout: 1 where both are, else 0.
    """

    cosine: Interval
    shared: Interval
    k: int
    ties: int
    blank: int
    pairs: int

    def __str__(self) -> str:
        text = f"mean cosine {_shown(self.cosine)}, the {self.k} largest entries agree to "
        text += _shown(self.shared)
        told = [f"ties among them in {self.ties} of {self.pairs} pairs"] if self.ties else []
        told += [f"zero throughout in {self.blank}"] if self.blank else []
        return text + (f" ({'; '.join(told)})" if told else "")


@dataclass
class Scores:
    """Watches an evaluator: hears of every block of pairs and keeps its scores."""

    grids: list[Grid] = field(default_factory=list)
    samples: int = 0

    def __call__(
        self, slot: Slot, elements: Elements, place: tuple[slice, slice], delta: Tensor, moved: Tensor, rest: Tensor
    ) -> None:
        """Both sides follow from δ: pulled back they are f(x) + δ and f(x), else f(g·x) and f(g·x) − δ."""
        whole = rest if slot.pulled else moved
        one = (whole if slot.mask is None else whole * slot.mask.to(whole)).reshape(len(whole), -1).double()
        step = delta.reshape(len(delta), -1).double()
        a, b = (one + step, one) if slot.pulled else (one, one - step)
        grid = self._grid(elements.g, slot.name)
        grid.k = max(1, round(TOP * a.shape[1]))
        shape = place[0].stop - place[0].start, place[1].stop - place[1].start
        cosine, blank = cosines(a, b)
        shared, tied = common(a, b, grid.k)
        grid.cosine[place] = cosine.reshape(shape).cpu().numpy()
        grid.shared[place] = shared.reshape(shape).cpu().numpy()
        grid.ties, grid.blank = grid.ties + tied, grid.blank + blank

    def of(self, g: Tensor, output: str, exhaustive: bool) -> Score:
        """The scores of one output under these elements."""
        grid = self._grid(g, output)
        cosine, shared = (crossed_interval(cells, exhaustive=exhaustive) for cells in (grid.cosine, grid.shared))
        return Score(cosine, shared, grid.k, grid.ties, grid.blank, grid.cosine.size)

    def _grid(self, g: Tensor, output: str) -> Grid:
        known = next((one for one in self.grids if one.g is g and one.output == output), None)
        if known is None:
            cells = np.full((len(g), self.samples), np.nan)
            known = Grid(g, output, cells, cells.copy())
            self.grids.append(known)
        return known


def cosines(a: Tensor, b: Tensor) -> tuple[Tensor, int]:
    """The cosine of each pair of rows, and how many have a row that is zero: 1 where both are, else 0."""
    sizes = a.norm(dim=1), b.norm(dim=1)
    empty = [size == 0 for size in sizes]
    found = (a * b).sum(1) / torch.where(empty[0] | empty[1], 1.0, sizes[0] * sizes[1])
    return torch.where(empty[0] & empty[1], 1.0, found), int((empty[0] | empty[1]).sum())


def common(a: Tensor, b: Tensor, k: int) -> tuple[Tensor, int]:
    """The share of the k entries of largest size that two rows have in common, and how many pairs of rows have ties.

    Entries tied for the last places count as the fraction of the places that are left to them.
    """
    (one, tied), (two, tied_too) = _members(a.abs(), k), _members(b.abs(), k)
    return torch.minimum(one, two).sum(1) / k, int((tied | tied_too).sum())


def _members(size: Tensor, k: int) -> tuple[Tensor, Tensor]:
    last = size.topk(k, dim=1).values[:, -1:]
    slack = _TIE * last
    above, level = size > last + slack, (size - last).abs() <= slack
    left = k - above.sum(1, keepdim=True)
    count = level.sum(1, keepdim=True).clamp(min=1)
    members = above.to(size) + level.to(size) * (left / count)
    return torch.where(size.isfinite(), members, torch.nan), (left != count)[:, 0]


def _shown(found: Interval) -> str:
    return f"{found.mean:.4f} [{max(found.low, -1.0):.4f}, {min(found.high, 1.0):.4f}]"
