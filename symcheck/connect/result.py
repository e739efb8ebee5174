"""What was found between two checkpoints: plain frozen data, to JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from symcheck.connect.barrier import Barrier
from symcheck.report.model import finite

SCHEMA = "symcheck.connect/1"


@dataclass(frozen=True)
class Curve:
    """The mean loss at every t and its barrier; the same of the error rate, 1 − accuracy, where labels are classes."""

    samples: int
    loss: tuple[float, ...]
    barrier: Barrier
    error: tuple[float, ...] | None = None
    error_barrier: Barrier | None = None


@dataclass(frozen=True)
class Mechanism:
    """The equivariance error of one claim along a path, and how it rises above the line between the ends.

    `error` is the share, √(V/(V+D)), where `measure` says so: share² is the part of the output's variance that no
    equivariant model could produce; else the mean error relative to the output's spread. `barrier` is its maximum over
    the interior of the path minus the line between its ends, at `at`; `midpoint` is the same at ½.
    """

    claim: str
    output: str
    part: str
    measure: str
    t: tuple[float, ...]
    error: tuple[float, ...]
    barrier: float
    at: float
    midpoint: float


@dataclass(frozen=True)
class Variant:
    """One path with one treatment of the layers: a curve for each data set.

    `deviation` is, for each layer, the standard deviation of its outputs at the midpoint over the mean of the ends,
    summed over its channels: 1 where nothing collapses.
    """

    name: str
    path: str
    treatment: str
    curves: Mapping[str, Curve]
    deviation: Mapping[str, float] = field(default_factory=dict)
    mechanisms: tuple[Mechanism, ...] = ()


@dataclass(frozen=True)
class Connection:
    """The paths between two checkpoints: `variants` by name, on one grid `t`, naive first.

    `alignment` is what the alignment says of itself; `forwards` counts samples, all variants together.
    """

    t: tuple[float, ...]
    variants: Mapping[str, Variant]
    loss: str
    alignment: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forwards: int = 0
    schema: str = SCHEMA

    def ratio(self, name: str, data: str = "train") -> float | None:
        """The barrier of a variant over the naive one; None where that is within 2 standard errors of zero."""
        naive = self.variants["naive"].curves[data].barrier
        return self.variants[name].curves[data].barrier.value / naive.value if naive.value > 2 * naive.error else None

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN; each variant but the naive one with its `ratio` to that."""
        plain: dict[str, Any] = finite(asdict(self), [0])
        for name, variant in plain["variants"].items():
            for data, curve in variant["curves"].items():
                curve["ratio"] = None if name == "naive" else self.ratio(name, data)
        return {"schema": plain.pop("schema"), **plain}

    def to_json(self) -> str:
        """The document as JSON, schema `symcheck.connect/1`."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
