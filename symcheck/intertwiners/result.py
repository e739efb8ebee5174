"""What is certified of one layer: plain frozen data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from symcheck.report.model import finite

SCHEMA = "symcheck.certificate/1"


class Certified(StrEnum):
    """Nothing beyond rounding; below the stated tolerance; above it; nothing to test; not decided, with the reason."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    BROKEN = "broken"
    TRIVIAL = "trivial"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class LayerRow:
    """One weight, bias, activation or normalisation of a network.

    `level` is s_G(W) = ||W − ΠW||/||W||; of the `allowed` directions `used` are in use, and `free` numbers were
    trained. None where there is no such number.
    """

    layer: str
    kind: str
    source: str
    target: str
    verdict: Certified
    reason: str
    level: float | None = None
    used: int | None = None
    allowed: int | None = None
    free: int | None = None
    method: str = ""


@dataclass(frozen=True)
class Certificate:
    """The rows of a network for one group, in the order of its modules, and what no row can say."""

    group: str
    rows: tuple[LayerRow, ...]
    notes: tuple[str, ...] = ()

    @property
    def verdict(self) -> Certified:
        """The worst of the rows; unknown where one is, or where there is none; trivial where nothing was tested."""
        found = {row.verdict for row in self.rows}
        for word in (Certified.BROKEN, Certified.UNKNOWN, Certified.APPROXIMATE, Certified.EXACT, Certified.TRIVIAL):
            if word in found:
                return word
        return Certified.UNKNOWN

    def broken(self) -> Iterable[LayerRow]:
        """The rows that cannot be exact, worst first; those without a number lead."""
        rows = [row for row in self.rows if row.verdict is Certified.BROKEN]
        return sorted(rows, key=lambda row: -(row.level if row.level is not None else float("inf")))

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready data under `symcheck.certificate/1`."""
        plain = {"schema": SCHEMA, "verdict": self.verdict, **asdict(self)}
        found: dict[str, Any] = finite(plain, [0])
        return found
