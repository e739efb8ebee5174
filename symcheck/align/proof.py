"""The proof that an aligned network is the function that it was: both are run, in float64 where the network can be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from symcheck.weights.twin import Twin

_ROUNDING = 1e-9  # of the outputs' spread, in float64
_MARGIN = 64


@dataclass(frozen=True)
class SameFunction:
    """The distance of the outputs, relative to their spread, the rounding that was allowed, and whether that holds.

    `stored` is the distance once the weights are rounded to the precision in which they are stored.
    """

    distance: float
    rounding: float
    same: bool
    stored: float | None = None
    note: str = ""


def same_function(
    model: nn.Module,
    example: Any,
    b: Mapping[str, Tensor],
    aligned: Mapping[str, Tensor],
    seed: int = 0,
    *,
    stored: Mapping[str, Tensor] | None = None,
) -> SameFunction:
    """max |f_aligned − f_B| over the spread of f_B on the example and on an input like it.

    `aligned` should be in float64: what rounding to the precision of `stored` does is no fault of the alignment.
    """
    twin = Twin.of(model, example, seed, given=b)
    distance = twin.distance({name: t for name, t in aligned.items() if name in twin.state})
    rounding = max(_ROUNDING, _MARGIN * twin.floor)
    rounded = None if stored is None else twin.distance({name: t for name, t in stored.items() if name in twin.state})
    return SameFunction(distance, rounding, distance <= rounding, rounded, "; ".join(twin.notes))
