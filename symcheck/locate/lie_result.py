"""What every operation adds to a Lie derivative, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import finite


@dataclass(frozen=True)
class LieTerm:
    """One operation: RMS ||T_(l-1) − T_l|| at every output, and its signed share of L_X f; all shares sum to 1.

    `local` is ||L_X f_l|| relative to the tangents themselves, None for what is left at the outputs (path and function
    are empty there). `group` names the operations of unknown action that it answers for, the first one first.
    """

    path: str
    function: str
    line: str
    action: str
    local: float | None
    size: Mapping[str, float]
    share: Mapping[str, float]
    group: tuple[str, ...] = ()


@dataclass(frozen=True)
class LieLayers:
    """The terms of a Lie derivative over all generators; `error` is RMS ||L_X f||, `closure` how far terms miss it.

    `modules` holds RMS of the sum of the terms of one module, by output and path; `runs` counts forward-mode runs of
    all samples.
    """

    claim: str
    flows: tuple[str, ...]
    terms: tuple[LieTerm, ...]
    modules: Mapping[str, Mapping[str, float]]
    error: Mapping[str, float]
    closure: Mapping[str, float]
    samples: int
    runs: int

    def ranked(self, output: str) -> tuple[LieTerm, ...]:
        """The terms of one output, the largest first."""
        return tuple(sorted(self.terms, key=lambda term: -term.size[output]))

    def to_dict(self) -> dict[str, Any]:
        """Plain data; what is not finite becomes None."""
        return {key: finite(value, [0]) for key, value in asdict(self).items()}
