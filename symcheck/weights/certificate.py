"""What a proof by execution found, as data: one proof a space, the joint one, and what is needed to repeat them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import Verdict

SCHEMA = "symcheck.certificate/1"


@dataclass(frozen=True)
class Proof:
    """One space, or all of them jointly: was the function the same?

    `error` is max |f(g·θ, x) − f(θ, x)| over the spread of the output, `control` the same for a near miss (the
    element on one tensor only), which must be large. `together` says how many spaces moved at once: 1 is alone.
    `culprit` is the first tensor at fault (of the joint proof: the first space); `without_eps` the error where
    the normalisers' eps is 0, None where it
    was not asked for.
    """

    space: str
    kind: str
    verdict: Verdict
    error: float
    control: float
    together: int = 1
    culprit: str = ""
    note: str = ""
    without_eps: float | None = None


@dataclass(frozen=True)
class Certificate:
    """All proofs of one spec, with the seeds, inputs, precision and tolerance that they hold for.

    `spread` and `size` are those of the output whose spread is largest, in its own unit.
    `graph` is the hash of the traced graph as the caller gave it, `generic` the tensors that were constant and were
    drawn anew, `tolerance` the largest error that counts as rounding.
    """

    graph: str
    seed: int
    dtype: str
    inputs: tuple[str, ...]
    tolerance: float
    power: float
    proofs: tuple[Proof, ...]
    joint: Proof | None
    generic: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    spread: float = 0.0
    size: float = 0.0
    forwards: int = 0
    seconds: float = 0.0

    @property
    def failed(self) -> tuple[str, ...]:
        """The spaces that are broken or could not be judged."""
        return tuple(p.space for p in self.proofs if p.verdict in (Verdict.BROKEN, Verdict.INVALID))

    @property
    def powerless(self) -> tuple[str, ...]:
        """The spaces whose test proves nothing."""
        return tuple(p.space for p in self.proofs if p.verdict is Verdict.TRIVIAL)

    @property
    def holds(self) -> bool:
        """Whether every space holds, and all of them jointly."""
        proofs = [*self.proofs, *([self.joint] if self.joint else [])]
        return all(p.verdict.holds for p in proofs)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON: numbers that are not finite become None and are counted under `nonfinite`."""
        count = [0]
        plain = {"schema": SCHEMA, **_plain(asdict(self), count)}
        plain["failed"], plain["powerless"] = list(self.failed), list(self.powerless)
        plain["nonfinite"] = count[0]
        return plain


def _plain(value: Any, count: list[int]) -> Any:
    if isinstance(value, Verdict):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        count[0] += 1
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v, count) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v, count) for v in value]
    return value
