"""The report: measured facts as frozen data, to JSON and back. No torch, no numpy.

All errors are dimensionless unless named: `absolute` is in the output's unit (root mean square per component),
`relative` is divided by the output's size, `spread` by the output's spread between samples (the slot scale
S = sqrt(V + D): variance over the group plus variance between samples). Floors are on the `spread` scale.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from symcheck.errors import LoadError

SCHEMA = "symcheck.report/1"
_AGAIN = "write it again with symcheck audit -o FILE.json"


class Verdict(StrEnum):
    """The answer to one claim, worst first."""

    INVALID = "invalid"
    TRIVIAL = "trivial"
    BROKEN = "broken"
    INCONCLUSIVE = "inconclusive"
    APPROXIMATE = "approximate"
    EXACT = "exact"

    @property
    def holds(self) -> bool:
        """Whether the claim may be relied on."""
        return self in (Verdict.EXACT, Verdict.APPROXIMATE)


@dataclass(frozen=True)
class Share:
    """share = sqrt(V / (V + D)): share² is the fraction of output variance no equivariant model could produce."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Scale:
    """The error over all pairs on one scale: mean with its 95 % interval, quantiles (two with intervals), maximum."""

    mean: float
    low: float
    high: float
    q50: float
    q95: float
    q99: float
    max: float
    q95_low: float | None = None
    q95_high: float | None = None
    q99_low: float | None = None
    q99_high: float | None = None


@dataclass(frozen=True)
class Error:
    """The same errors on three scales."""

    absolute: Scale
    relative: Scale
    spread: Scale


@dataclass(frozen=True)
class Floor:
    """What rounding, the action itself, batch-mates and repetition alone produce; None: not measured.

    `slope` is 1 when the error falls with machine epsilon between the two precisions, 0 when it stays;
    `low` and `high` are the error at the lower and at the higher precision (spread scale).
    """

    rounding: float | None
    action: float | None
    batch: float | None
    repeat: float | None
    low: float | None = None
    high: float | None = None
    slope: float | None = None
    how: str = ""


@dataclass(frozen=True)
class Counts:
    """How much was measured; `exhaustive` when every element of the group was."""

    elements: int
    samples: int
    pairs: int
    exhaustive: bool


@dataclass(frozen=True)
class Worst:
    """The worst pair: its element in words, its sample, its error (spread scale), and the file to replay it."""

    element: str
    sample: int
    value: float
    file: str = ""
    searched: float | None = None  # what a search over the group found (spread scale)


@dataclass(frozen=True)
class Curve:
    """The error against the group element: the mean over samples under each one (spread scale).

    `kind` says what `at` holds for each element: `angle` (radians, 1 if mirrored else 0), `rotation` (axis times
    angle, 3 numbers, then 1 if it reverses orientation else 0), `number` (one parameter), `listed` (nothing: labels).
    """

    kind: str
    labels: tuple[str, ...]
    errors: tuple[float, ...]
    at: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Certificate:
    """With confidence `confidence` at most the fraction `fraction` of data × group has an error above `limit`.

    `draws` independent pairs (x, g) were drawn from `law`, of which `violations` had an error above the limit
    (spread scale); `fraction` is the Clopper-Pearson bound BetaInv(confidence; v + 1, n - v).
    """

    limit: float
    confidence: float
    fraction: float
    draws: int
    violations: int
    law: str


@dataclass(frozen=True)
class Split:
    """The errors of some of the pairs (spread scale): those on the same neighbour graph, those where it changed."""

    name: str
    pairs: int
    mean: float
    max: float


@dataclass(frozen=True)
class FlipsAt:
    """The flips of the samples whose margin lies between `least` and `most`, in the unit of the logits."""

    least: float
    most: float
    samples: int
    rate: float
    low: float
    high: float


@dataclass(frozen=True)
class Flips:
    """How often a label changes: the share of pairs (of entries in them) with Wilson's 95 % interval.

    `effective` is how many independent pairs the `pairs` are worth, which share samples and elements; `margins` are
    quarters of the samples by top1 − top2 of f(x), where that is known.
    """

    rate: float
    low: float
    high: float
    pairs: int
    effective: float
    margins: tuple[FlipsAt, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One output under one part of one claim's group."""

    claim: str
    output: str
    part: str
    verdict: Verdict
    share: Share | None
    error: Error | None
    floor: Floor
    counts: Counts
    worst: Worst | None
    law: str
    tolerance: float
    note: str
    advice: str = ""
    advantage: float | None = None
    size: float | None = None
    spread: float | None = None
    component: float | None = None  # largest error of one number of an invariant output, on its own spread
    curve: Curve | None = None
    by_sample: tuple[float, ...] = ()  # mean error of each sample over the elements (spread scale)
    distribution: tuple[float, ...] = ()  # quantiles of the error at evenly spaced levels 0..1 (spread scale)
    certificate: Certificate | None = None
    by_graph: tuple[Split, ...] = ()  # with a neighbour graph that is watched
    flips: Flips | None = None  # of an output that is a label


@dataclass(frozen=True)
class Report:
    """Everything one run found, with what is needed to repeat it."""

    subject: Mapping[str, Any]
    environment: Mapping[str, Any]
    settings: Mapping[str, Any]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0
    forwards: int = 0
    proposed: bool = False  # the claims were proposed from the input shapes, not stated by the user
    schema: str = field(default=SCHEMA)

    @property
    def holds(self) -> bool:
        """Whether there are findings and every one holds."""
        return bool(self.findings) and all(f.verdict.holds for f in self.findings)

    @property
    def worst(self) -> Verdict:
        """The worst verdict; `invalid` when nothing was measured."""
        order = list(Verdict)
        return min((f.verdict for f in self.findings), key=order.index, default=Verdict.INVALID)

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all findings."""
        return self.worst

    def __str__(self) -> str:
        from symcheck.report.text import text_of

        return text_of(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers that are not finite become None and are counted under `nonfinite`."""
        counter = [0]
        plain: dict[str, Any] = {"schema": self.schema, "verdict": str(self.worst)}
        plain |= {k: v for k, v in finite(asdict(self), counter).items() if k != "schema"}
        plain["nonfinite"] = counter[0]
        return plain

    def to_json(self) -> str:
        """The report as JSON, schema `symcheck.report/1`, without NaN."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str, where: str = "report") -> Report:
        """Read what `to_json` wrote; null numbers come back as NaN."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise LoadError(f"the report cannot be read: {error}", where=where, hint=_AGAIN) from error
        return cls.from_dict(data, where)

    @classmethod
    def from_dict(cls, data: Any, where: str = "report") -> Report:
        """Read what `to_dict` made; null numbers come back as NaN, keys of a later version pass."""
        from symcheck.report.reading import read_as

        return read_as(cls, data, where, _AGAIN)


def finite(value: Any, counter: list[int]) -> Any:
    """Plain data: what is not a finite number becomes None and is counted."""
    if isinstance(value, float) and not math.isfinite(value):
        counter[0] += 1
        return None
    if isinstance(value, dict):
        return {str(k): finite(v, counter) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v, counter) for v in value]
    return str(value) if isinstance(value, StrEnum) else value
