"""Which entries of the weights scales could shrink to nothing, so that their sum of squares has no least value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from scipy.optimize import linprog
from torch import Tensor

from symcheck.weights.slots import places
from symcheck.weights.spec import Spec


def loose_entries(
    spec: Spec, names: Sequence[str], state: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> dict[str, Tensor]:
    """For every entry of the tensors, whether some combination of these spaces shrinks it and enlarges nothing.

    With P the powers of the classes of entries by the spaces (one common scale each), the entries that stay are those
    with w > 0 in a solution of Pᵀ w = 0, w ≥ 0; a solution with as many of them as possible is a linear program.
    """
    classes: dict[str, tuple[Tensor, int]] = {}  # of every entry the class, and the first class of the tensor
    rows: list[Tensor] = []
    powers = _powers(spec, names, state, sizes)
    for name, tensor in state.items():
        start = sum(len(block) for block in rows)
        columns = powers.get(name, {})
        code = torch.zeros(tensor.shape, dtype=torch.float64)
        for k, power in columns.items():
            code += power * (0.5 + (k + 1) * 0.6180339887498949 % 1)
        values, index = torch.unique(code, return_inverse=True)
        first = torch.zeros(len(values), dtype=torch.int64)
        first.scatter_(0, index.flatten(), torch.arange(code.numel()))
        block = torch.zeros(len(values), len(names), dtype=torch.float64)
        for k, power in columns.items():
            block[:, k] = power.flatten()[first]
        rows.append(block)
        classes[name] = index, start
    table = torch.cat(rows) if rows else torch.zeros(0, len(names), dtype=torch.float64)
    loose = torch.from_numpy(_loose(table.numpy()))
    return {name: loose[index + start] for name, (index, start) in classes.items()}


def _powers(
    spec: Spec, names: Sequence[str], state: Mapping[str, Tensor], sizes: Mapping[str, int]
) -> dict[str, dict[int, Tensor]]:
    """By tensor and space, the power with which a common scale of the space enters every entry."""
    found: dict[str, dict[int, Tensor]] = {}
    for k, name in enumerate(names):
        zeros = {tensor: torch.zeros(t.shape, dtype=torch.float64) for tensor, t in state.items()}
        for place in places(spec, spec.spaces[name], zeros, sizes):
            if place.exponent:
                place.view.add_(float(place.exponent))
                found.setdefault(place.tensor, {})[k] = zeros[place.tensor]
    return found


def _loose(table: np.ndarray) -> np.ndarray:
    """The rows of P that vanish in some direction in which no row grows."""
    rows, inverse = np.unique(table, axis=0, return_inverse=True)
    n = len(rows)
    if not n or not rows.any():
        return np.zeros(len(table), dtype=bool)
    balance = np.concatenate([rows.T, np.zeros((rows.shape[1], n))], axis=1)
    below = np.concatenate([-np.eye(n), np.eye(n)], axis=1)  # t <= w
    cost = np.concatenate([np.zeros(n), -np.ones(n)])
    bounds = [(0, None)] * n + [(0, 1)] * n
    found = linprog(cost, below, np.zeros(n), balance, np.zeros(rows.shape[1]), bounds)
    kept = np.ones(n) if found.x is None else found.x[n:]
    loose: np.ndarray = (kept < 0.5)[inverse.reshape(-1)]
    return loose
