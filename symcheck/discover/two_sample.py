"""Whether data and moved data have one distribution: an exact randomisation test, or a kernel test on split halves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from symcheck.discover.discrete_result import TwoSample
from symcheck.errors import DataError

Move = Callable[[Tensor, int], Tensor]
Block = Callable[[Tensor], Tensor]
LEVEL = 0.05
_PERMUTATIONS, _SPLITS, _MOST, _FEWEST = 199, 5, 600, 16
_FEATURES, _WIDTHS, _COPIES = 32, (0.3, 0.7, 1.5), 8  # random features for each width, of the median distance
_MONOMIALS = 150  # of one degree; more are left out


@dataclass(frozen=True)
class Rows:
    """Data as rows of numbers, (B, d), with columns that do not move beside them, (B, k): labels, other inputs."""

    x: Tensor
    beside: Tensor

    @classmethod
    def of(cls, x: Tensor, *beside: Tensor) -> Rows:
        """Flattened samples; labels in whole numbers become one column for each class, others are standardised."""
        columns = [_columns(one) for one in beside]
        empty = torch.zeros(len(x), 0, dtype=torch.float64)
        return cls(x.reshape(len(x), -1).double().cpu(), torch.cat([empty, *columns], 1))


def two_sample(
    data: Rows, move: Move, what: str, *, haar: bool = False, seed: int = 0, level: float = LEVEL
) -> TwoSample:
    """Test whether g·x is distributed as x: `move(rows, seed)` moves each row by a random g and keeps its shape.

    `haar`: g is uniform on a compact group. Then x given its orbit is uniform on it, and the discrepancy of x from the
    moved samples is one among those of freshly moved samples: an exact test on all samples. Else, for several splits,
    one half is compared with the other half moved, p by permutation, and p = min(1, 2 median) (Rüschendorf 1982). The
    control is the same test of data that lean to one side: of every sample what lies further along one direction, x or
    g·x. Raises DataError for few samples.
    """
    if len(data.x) < _FEWEST or not bool(torch.isfinite(data.x).all()):
        raise DataError(
            f"{len(data.x)} samples are too few for a two-sample test, or they are not finite",
            where=what,
            hint=f"give at least {_FEWEST} samples, better some hundreds",
        )
    leaning = Rows(_leaning(data.x, move, seed), data.beside)
    p, seen = ((randomised if haar else _over_splits)(one, move, seed) for one in (data, leaning))
    verdict = "differ" if p <= level else "alike" if seen <= level else "inconclusive"
    return TwoSample(what, verdict, p, seen, level, 1 if haar else _SPLITS, len(data.x))


def randomised(data: Rows, move: Move, seed: int = 0) -> float:
    """The exact p-value of invariance under a compact group: how far mean features of x are from those of g·x.

    The statistic is the largest ‖mean φ(x) − mean φ(g·x)‖² of blocks of features (see `_blocks`), each in units of its
    spread among freshly moved samples (randomisation over a group, Hoeffding 1952).
    """
    scale, columns = _scales(data)
    x, columns, base = data.x[: 4 * _MOST], columns[: 4 * _MOST], 10_000 * (seed + 1)
    # features from moved samples, so that those of x are no better known than others
    blocks = _blocks(torch.cat([move(x, base - 1) / scale, columns], 1), np.random.default_rng([seed, 2]))

    def means(one: Tensor) -> list[Tensor]:
        whole = torch.cat([one / scale, columns], 1)
        return [block(whole).mean(0) for block in blocks]

    copies = [means(move(x, base - 1 - k)) for k in range(_COPIES)]
    drawn = [means(x), *(means(move(x, base + k)) for k in range(_PERMUTATIONS))]
    middles = [torch.stack([copy[k] for copy in copies]).mean(0) for k in range(len(blocks))]
    return _rank([torch.stack([one[k] for one in drawn]) - middle for k, middle in enumerate(middles)])


def discrepancy(a: Tensor, b: Tensor, seed: int = 0) -> float:
    """The permutation p-value of two sets of rows, (n, d) and (m, d), by the mean features of `randomised`."""
    pooled = torch.cat([a, b])
    weights = torch.cat([torch.full((len(a),), 1 / len(a)), torch.full((len(b),), -1 / len(b))]).double()
    rng = np.random.default_rng([seed, 1])
    orders = torch.from_numpy(np.stack([rng.permutation(len(pooled)) for _ in range(_PERMUTATIONS)]))
    shuffled = torch.cat([weights[None], weights[orders]])
    return _rank([shuffled @ block(pooled) for block in _blocks(pooled, rng)])


def _rank(deltas: list[Tensor]) -> float:
    """p of the first row among rows (1 + P, features) of each block: the largest standardised sum of squares."""
    values = []
    for one in deltas:
        sizes = (one / one.std(0).clamp(min=1e-12 * float(one.abs().max()) + 1e-300)).square().sum(1)
        values.append((sizes - sizes.mean()) / sizes.std().clamp(min=1e-300))
    largest = torch.stack(values).amax(0)
    return float((largest[1:] >= largest[0]).double().sum() + 1) / len(largest)


def _scales(data: Rows) -> tuple[Tensor, Tensor]:
    """What x is divided by, and what stands beside it, made to count as much as x does."""
    scale = data.x.var(0).sum().sqrt().clamp(min=1e-300)
    beside = data.beside
    return scale, beside / beside.var(0).sum().sqrt().clamp(min=1e-300) if beside.shape[1] else beside


def _blocks(rows: Tensor, rng: np.random.Generator) -> list[Block]:
    """Features by kind, each (n, d) -> (n, features)."""
    median = float(torch.pdist(rows[:: max(1, len(rows) // 200)]).median().clamp(min=1e-300))

    def cosines(width: float) -> Block:
        waves = torch.from_numpy(rng.standard_normal((_FEATURES, rows.shape[1]))) / (median * width)
        phases = torch.from_numpy(rng.uniform(0, 2 * math.pi, _FEATURES))
        return lambda one: torch.cos(one @ waves.T + phases)

    def monomials(picks: Tensor) -> Block:
        return lambda one: torch.prod(one[:, picks], 2)

    found = [cosines(width) for width in _WIDTHS]
    for degree in range(1, 5):
        if math.comb(rows.shape[1] + degree - 1, degree) <= _MONOMIALS:
            picks = itertools.combinations_with_replacement(range(rows.shape[1]), degree)
            found.append(monomials(torch.tensor(list(picks))))
    return found


def _over_splits(data: Rows, move: Move, seed: int) -> float:
    """min(1, 2 median) of the p-values of several splits into halves, the second of them moved."""
    found = []
    for split in range(_SPLITS):
        order = torch.from_numpy(np.random.default_rng([seed, split]).permutation(len(data.x)))[: 2 * _MOST]
        half = len(order) // 2
        a, b = order[:half], order[half : 2 * half]
        found.append(_split(data, a, b, move(data.x[b], seed + split), seed + split))
    return min(1.0, 2 * float(np.median(found)))


def _split(data: Rows, a: Tensor, b: Tensor, moved: Tensor, seed: int) -> float:
    """p for the rows a against the rows b that were moved; what stands beside counts as much as the data does."""
    scale, columns = _scales(data)
    left, right = ((one / scale, columns[rows]) for one, rows in ((data.x[a], a), (moved.double(), b)))
    return discrepancy(torch.cat(left, 1), torch.cat(right, 1), seed)


def _leaning(x: Tensor, move: Move, seed: int) -> Tensor:
    """Data that the group does not leave as they were, whatever the group, unless it moves nothing."""
    moved = move(x, seed + 777).double()
    v = torch.linalg.svd((moved - x)[:_MOST], full_matrices=False).Vh[0]
    return torch.where((moved @ v > x @ v)[:, None], moved, x)


def _columns(values: Tensor) -> Tensor:
    rows = values.reshape(len(values), -1).cpu()
    if not values.is_floating_point() and rows.shape[1] == 1:
        kinds, number = np.unique(rows[:, 0].numpy(), return_inverse=True)
        if len(kinds) <= math.isqrt(4 * len(rows)):
            return torch.nn.functional.one_hot(torch.from_numpy(number)).double()
    spread = rows.double().std(0)
    return (rows.double() - rows.double().mean(0)) / torch.where(spread > 0, spread, 1.0)
