"""What Lie derivatives found, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import finite


@dataclass(frozen=True)
class FlowError:
    """One generator: sqrt(E||L_X f||² / scale²) with its standard error over samples, and the size sqrt(E||L_X f||²).

    `scale` says what it is relative to: `generator`, sqrt(E||dρ_out(X) f||²), or `spread`, where that is zero.
    `floor` is what the pixels of an image leave open, at which an equivariant network may stand, zero where the
    derivative is exact; `samples` holds the error of each sample.
    """

    name: str
    error: float
    deviation: float
    size: float
    scale: str
    method: str
    floor: float = 0.0
    samples: tuple[float, ...] = ()


@dataclass(frozen=True)
class LieDerivative:
    """The Lie derivative of one output under all generators of the group; `passes` counts samples × forward passes."""

    claim: str
    output: str
    flows: tuple[FlowError, ...]
    spread: float
    samples: int
    passes: int
    dtype: str

    @property
    def error(self) -> float:
        """The root mean square of the errors over the generators."""
        return math.sqrt(sum(flow.error**2 for flow in self.flows) / len(self.flows))

    @property
    def worst(self) -> FlowError:
        """The generator with the largest error; what is no number is largest."""
        return max(self.flows, key=lambda flow: math.inf if math.isnan(flow.error) else flow.error)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; what is not finite becomes None."""
        return {"error": finite(self.error, [0]), **{k: finite(v, [0]) for k, v in asdict(self).items()}}
