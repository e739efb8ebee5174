"""What `symcheck locate` found: plain frozen data, to JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.intertwiners.result import Certificate
from symcheck.locate.aliasing_result import Aliasing
from symcheck.locate.lie_result import LieLayers
from symcheck.locate.numerics_result import Numerics
from symcheck.locate.subgroups.result import GroupPart
from symcheck.measure.lie_result import LieDerivative
from symcheck.report.model import Finding, finite

SCHEMA = "symcheck.locate/1"


@dataclass(frozen=True)
class Operation:
    """One operation that adds to the error.

    `path` is the module in whose forward it runs, `line` the place in the user's code, `action` how the group acts on
    what it returns and `how` that is known: declared, found (it fits up to rounding), inherited, near (it fits better
    than all others), assumed (the rest of the network is right with it), or fitted. `local` is its own defect,
    ||h(g·) − g·h|| / ||h||, on inputs that are equivariant; `size` is RMS ||H_(l-1) − H_l|| at each output, on its
    spread, and `share` the signed part of the error: all shares sum to 1. `group` names the operations of unknown
    action that it answers for, the first one first; then the error may come from any of them.
    """

    path: str
    kind: str
    function: str
    line: str
    action: str
    how: str
    local: float | None
    size: Mapping[str, float]
    share: Mapping[str, float]
    group: tuple[str, ...] = ()


@dataclass(frozen=True)
class Module:
    """What the operations in the forward of one module add together.

    `again` is how often it ranks first when the pairs are drawn again.
    """

    path: str
    kind: str
    size: Mapping[str, float]
    share: Mapping[str, float]
    local: float | None
    operations: int
    again: float = 0.0


@dataclass(frozen=True)
class Layer:
    """How the group acts on what one operation returns, and its own defect; None where nobody knows."""

    path: str
    function: str
    line: str
    action: str
    how: str
    local: float | None


@dataclass(frozen=True)
class Attribution:
    """Where the error of one claim is made: modules and operations, the largest first.

    `error` is RMS ||δ|| of each output on its spread, over `pairs` pairs; `closure` |Σ shares − 1|; `layers` are all
    operations in order, of which `unknown` have no known action; `runs` counts forward passes of the batch.
    """

    claim: str
    error: Mapping[str, float]
    modules: tuple[Module, ...]
    operations: tuple[Operation, ...]
    layers: tuple[Layer, ...]
    closure: float
    pairs: int
    unknown: int
    runs: int
    cause: str = ""
    sentence: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Infinitesimal:
    """The Lie derivative by generator, end to end, and by operation where the subject has any."""

    whole: tuple[LieDerivative, ...]
    layers: LieLayers | None = None


@dataclass(frozen=True)
class Located:
    """The findings of the claim, and where it breaks; parts that were not asked for, or do not apply, are None.

    `group` is which part of the group holds, `lie` the Lie derivative by generator and layer, `certificates` the
    linear layers without data, `aliasing` and `numerics` what resampling and precision explain.
    """

    claim: str
    findings: tuple[Finding, ...]
    subject: Mapping[str, Any]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    attribution: Attribution | None = None
    group: GroupPart | None = None
    lie: Infinitesimal | None = None
    certificates: Certificate | None = None
    aliasing: Aliasing | None = None
    numerics: Numerics | None = None
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forwards: int = 0
    schema: str = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN."""
        parts = {name: getattr(self, name) for name in ("group", "certificates", "aliasing", "numerics")}
        plain = asdict(self) | {name: part.to_dict() for name, part in parts.items() if part is not None}
        ordered: dict[str, Any] = finite({"schema": plain.pop("schema"), **plain}, [0])
        return ordered

    def to_json(self) -> str:
        """The document as JSON, schema `symcheck.locate/1`."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, default=str) + "\n"

