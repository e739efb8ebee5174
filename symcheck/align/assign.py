"""Linear assignment: the permutation with the largest sum, by whichever solver is installed."""

from __future__ import annotations

import importlib.util
from functools import cache

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

_LAPJV_FROM = 256  # units; below, scipy has no overhead worth saving


def assign(gains: Tensor) -> Tensor:
    """The sources s that maximise Σ_i gains[i, s(i)], copy by copy.

    Where the largest entries of the rows lie in different columns they are the answer; else the solver is lapjv where
    that is installed, or scipy's. Shapes: (*copies, n, n) to (*copies, n), int64, on the device of the gains.
    """
    best = row_maxima(gains)
    flat, found = gains.reshape(-1, *gains.shape[-2:]), best.reshape(-1, best.shape[-1])
    for k in range(len(flat)):
        if different_in(found[k]) < found.shape[-1]:
            found[k] = torch.from_numpy(_solve(flat[k].cpu().numpy())).to(found.device)
    return found.reshape(best.shape)


def row_maxima(gains: Tensor) -> Tensor:
    """The column of the largest entry of every row; numpy finds them several times faster on a CPU."""
    return torch.from_numpy(gains.numpy().argmax(-1)) if gains.device.type == "cpu" else gains.argmax(-1)


def different_in(numbers: Tensor) -> int:
    """How many different values there are, 0 <= value < n, in n numbers."""
    return int(torch.zeros_like(numbers).scatter_(0, numbers, 1).sum())


def solver(n: int) -> str:
    """The name of the solver for n units."""
    return "lapjv" if n >= _LAPJV_FROM and _has_lapjv() else "scipy"


@cache
def _has_lapjv() -> bool:
    return importlib.util.find_spec("lapjv") is not None


def _solve(gains: np.ndarray) -> np.ndarray:
    if solver(len(gains)) == "lapjv":
        import lapjv

        rows: np.ndarray = lapjv.lapjv(-np.ascontiguousarray(gains))[0]
        return rows.astype(np.int64)
    columns: np.ndarray = linear_sum_assignment(gains, maximize=True)[1]
    return columns


def margins(gains: Tensor, source: Tensor) -> Tensor:
    """How much exchanging a unit with the best other one would cost: min over j of g_ii + g_jj − g_ij − g_ji.

    Zero: the unit has a double. Shapes: gains (n, n), source (n,) to (n,).
    """
    arranged = gains.index_select(1, source)
    own = arranged.diagonal()
    cost = own[:, None] + own[None, :] - arranged - arranged.mT
    cost.fill_diagonal_(torch.inf)
    result: Tensor = cost.amin(1)
    return result
