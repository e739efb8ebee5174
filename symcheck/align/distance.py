"""Distances between checkpoints modulo the symmetries of their weights, and which of them are copies of one mode.

    d(A, B) = min over g of ‖A − g·B‖ / √(‖A‖ ‖B‖)        both in one gauge; independent trainings are near √2
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from torch import Tensor

from symcheck.align.alignment import align
from symcheck.errors import ConfigError, LoadError
from symcheck.weights.fingerprint import precision
from symcheck.weights.spec import Spec

CLOSE = 0.5  # below: fine-tuned from one another, or from one start
_FAR = 100  # how much further apart than their weights the outputs of copies may be
_COPY, _MARGIN = 1e-3, 64  # below: copies; machine epsilons of the stored precision
Outputs = Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], float]


@dataclass(frozen=True)
class Distances:
    """K×K matrices: `raw` as they are, `modulo` the symmetries, `outputs` of the functions (None: not run).

    `modes` numbers the clusters of checkpoints that are copies of one another, `families` those that are close.
    `null` is the distance that matching alone leaves between A and shuffled weights, for the first pair.
    """

    raw: tuple[tuple[float, ...], ...]
    modulo: tuple[tuple[float, ...], ...]
    outputs: tuple[tuple[float, ...], ...] | None
    modes: tuple[int, ...]
    families: tuple[int, ...]
    null: float
    notes: tuple[str, ...] = field(default=())

    @property
    def copies(self) -> float:
        """The share of apparent modes that are copies of another one."""
        return 1 - len(set(self.modes)) / len(self.modes)


def distances(
    states: Sequence[Mapping[str, Tensor]],
    spec: Spec,
    *,
    seed: int = 0,
    outputs: Outputs | None = None,
    tell: Callable[[str], None] | None = None,
    **options: Any,
) -> Distances:
    """All K(K − 1)/2 alignments, and what they say of the modes; `options` are those of `align`.

    `outputs(a, b)` is a distance of two functions. Raises LoadError when the checkpoints or the spec differ.
    """
    n = len(states)
    raw, modulo, run = (np.zeros((n, n)) for _ in range(3))
    null = math.nan
    for i, j in itertools.combinations(range(n), 2):
        if tell is not None:
            tell(f"checkpoint {j + 1} on checkpoint {i + 1}")
        first = (i, j) == (0, 1)
        found = align(states[i], states[j], spec, seed=seed, controls=first, **options)
        a, b = (math.sqrt(square) for square in found.problem.squares())
        for k, norm in ((i, a), (j, b)):
            if not norm:
                raise LoadError(
                    f"all weights of checkpoint {k + 1} are zero",
                    where="distance",
                    hint="there is no distance to it on any scale: leave it out",
                )
        for matrix, cosine in ((raw, found.cosine[0]), (modulo, found.cosine[1])):
            matrix[i, j] = matrix[j, i] = _distance(a, b, cosine)
        if first and found.null is not None:
            null = _distance(a, b, found.null)
        if outputs is not None:
            run[i, j] = run[j, i] = outputs(states[i], states[j])
    floor = max(_COPY, _MARGIN * max(precision(state) for state in states))
    modes, families = (_clusters(modulo, limit) for limit in (floor, CLOSE))
    notes = _judged(modulo, run, floor, modes) if outputs is not None else []
    plain = [tuple(tuple(float(x) for x in row) for row in matrix) for matrix in (raw, modulo, run)]
    return Distances(plain[0], plain[1], plain[2] if outputs else None, modes, families, null, tuple(notes))


def _judged(modulo: np.ndarray, run: np.ndarray, floor: float, modes: tuple[int, ...]) -> list[str]:
    """What the outputs say of the clusters; ConfigError where the spec joins different functions."""
    notes = []
    for i, j in itertools.combinations(range(len(modes)), 2):
        if modulo[i, j] <= floor < run[i, j] / _FAR:
            raise ConfigError(
                f"the spec brings checkpoint {j + 1} onto {i + 1}, but they are different functions: "
                f"their outputs are {run[i, j]:.1e} of their spread apart",
                where="the spec",
                hint="it is no symmetry of this network: derive it, or prove it with symcheck weights --spec",
            )
        if run[i, j] <= floor and modes[i] != modes[j]:
            notes.append(f"{i + 1} and {j + 1} are one function, but no element was found that joins them")
    return notes


def _distance(a: float, b: float, cosine: float) -> float:
    """‖A − B‖ / √(‖A‖ ‖B‖) from the norms and the cosine."""
    return math.sqrt(max(0.0, a / b + b / a - 2 * cosine))


def _clusters(matrix: np.ndarray, limit: float) -> tuple[int, ...]:
    """Single linkage: the number of the cluster of each, by first appearance."""
    if len(matrix) < 2:
        return (1,) * len(matrix)
    found = fcluster(linkage(squareform(matrix, checks=False), "single"), limit, "distance")
    order = list(dict.fromkeys(int(k) for k in found))
    return tuple(order.index(int(k)) + 1 for k in found)
