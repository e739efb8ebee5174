"""Weight matching as Git Re-Basin describes it, said again in plain NumPy: the yardstick of the alignment benchmarks.

The units of every group are assigned one group at a time, in random order, by the similarity of all weights that they
carry while the other groups stay as they are, until a whole sweep gains nothing. Source: Ainsworth, Hayase and
Srinivasa 2022, arXiv:2209.04836, algorithm 1. A group is a name in a table `{tensor: (group or None for every axis)}`;
`order[group][i]` is the unit of B that comes to place i, and no group stands on two axes of one tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

State = Mapping[str, NDArray[np.float32]]
Table = Mapping[str, tuple[str | None, ...]]
Order = Mapping[str, NDArray[np.intp]]

SWEEPS = 100
SETTLED = 1e-12


@dataclass
class Matched:
    """The order found for every group, and what it took: sweeps, groups solved, seconds in the assignments."""

    order: dict[str, NDArray[np.intp]]
    sweeps: int = 0
    solved: int = 0
    gains: list[float] = field(default_factory=list)


def sizes(table: Table, state: State) -> dict[str, int]:
    """How many units each group has."""
    return {group: state[name].shape[axis] for name, axes in table.items() for axis, group in _acted(axes)}


def _acted(axes: tuple[str | None, ...]) -> list[tuple[int, str]]:
    return [(axis, group) for axis, group in enumerate(axes) if group is not None]


def reordered(table: Table, order: Order, name: str, tensor: NDArray, besides: int | None = None) -> NDArray:
    """One tensor of B in the order found so far, along all its axes but `besides`."""
    for axis, group in _acted(table[name]):
        if axis != besides:
            tensor = np.take(tensor, order[group], axis)
    return tensor


def applied(table: Table, order: Order, state: State) -> dict[str, NDArray]:
    """All tensors of B in the order found."""
    return {name: reordered(table, order, name, tensor) for name, tensor in state.items()}


def objective(table: Table, order: Order, a: State, b: State) -> float:
    """Σ ⟨A, order(B)⟩ over all tensors that a group moves."""
    moved = [name for name, axes in table.items() if _acted(axes)]
    return sum(float(np.vdot(a[name], reordered(table, order, name, b[name]))) for name in moved)


def similarity(group: str, table: Table, order: Order, a: State, b: State) -> NDArray[np.float32]:
    """C[i, j] = Σ over (tensor, axis) of the group of ⟨unit i of A, unit j of B, its other axes in order⟩."""
    total: NDArray[np.float32] | None = None
    for name, axes in table.items():
        for axis, other in _acted(axes):
            if other == group:
                mine, theirs = (
                    np.moveaxis(w, axis, 0).reshape(w.shape[axis], -1)
                    for w in (a[name], reordered(table, order, name, b[name], besides=axis))
                )
                total = mine @ theirs.T if total is None else total + mine @ theirs.T
    if total is None:
        raise KeyError(group)
    return total


def match(table: Table, a: State, b: State, seed: int = 0) -> Matched:
    """The order of B's units that brings it near A: coordinate ascent on the objective, one group at a time."""
    rng = np.random.default_rng(seed)
    found = Matched({group: np.arange(size) for group, size in sizes(table, a).items()})
    groups = list(found.order)
    while found.sweeps < SWEEPS:
        gained = [_solve(groups[i], table, found, a, b) for i in rng.permutation(len(groups))]
        found.sweeps += 1
        found.gains.append(sum(gained))
        if not max(gained, default=0.0) > SETTLED:
            break
    return found


def _solve(group: str, table: Table, found: Matched, a: State, b: State) -> float:
    """Give one group its best order; what that gains."""
    alike = similarity(group, table, found.order, a, b)
    rows, best = linear_sum_assignment(alike, maximize=True)
    gain = float(alike[rows, best].sum(dtype=np.float64) - alike[rows, found.order[group]].sum(dtype=np.float64))
    found.solved += 1
    if gain > SETTLED:
        found.order[group] = best
    return max(gain, 0.0)
