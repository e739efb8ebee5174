"""The barrier of a path: how far the loss rises above the line between its ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Barrier:
    """max_t L(t) − [(1 − t) L(0) + t L(1)] over the interior of the path, signed: below zero the path sags.

    `at` is the t of the maximum and `error` the standard error over the samples, the same for all t, so that what they
    share cancels; `midpoint` is L(½) − (L(0) + L(1))/2. In the unit of the loss. The maximum over t of a noisy curve is
    biased upwards, by less than its error.
    """

    value: float
    at: float
    error: float
    midpoint: float
    midpoint_error: float


def barrier(t: Sequence[float], values: Tensor) -> Barrier:
    """The barrier of a curve given sample by sample.

    Shapes: t has T entries from 0 to 1, `values` (T, n).
    Source: the line definition, Entezari et al. 2021 (arXiv:2110.06296); the midpoint, Jordan et al. 2022
    (arXiv:2211.08403).
    """
    times = torch.tensor(t, dtype=torch.float64, device=values.device)[:, None]
    excess = values.double() - ((1 - times) * values[:1] + times * values[-1:])
    means = excess.mean(1)
    top = 1 + int(means[1:-1].argmax())
    middle = list(t).index(0.5)
    return Barrier(
        float(means[top]), float(t[top]), _standard_error(excess[top]),
        float(means[middle]), _standard_error(excess[middle]),
    )  # fmt: skip


def _standard_error(samples: Tensor) -> float:
    """std / √n; one sample has none."""
    return float(samples.std() / math.sqrt(len(samples))) if len(samples) > 1 else math.nan
