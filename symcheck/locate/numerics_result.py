"""The equivariance error of one claim at every precision, engine and batch size: plain frozen data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import Verdict, finite

SCHEMA = "symcheck.numerics/1"
PRECISIONS = ("float16", "bfloat16", "tf32", "float32", "float64")  # the cheapest first


@dataclass(frozen=True)
class Numbers:
    """One output in one cell, on the spread scale: the mean error with its interval, and the rounding floor."""

    error: float
    low: float
    high: float
    floor: float | None
    verdict: Verdict

    def meets(self, tolerance: float) -> bool:
        """Whether the whole interval lies within the tolerance; NaN never does."""
        return self.verdict is not Verdict.TRIVIAL and self.high <= tolerance


@dataclass(frozen=True)
class Cell:
    """One way to run the model; without outputs it was not measured, and `how` says why, or how it was emulated."""

    precision: str
    engine: str
    batch: int
    outputs: Mapping[str, Numbers]
    how: str = ""

    @property
    def measured(self) -> bool:
        """Whether there are numbers."""
        return bool(self.outputs)

    def meets(self, tolerance: float) -> bool:
        """Whether every output meets the tolerance."""
        return self.measured and all(one.meets(tolerance) for one in self.outputs.values())

    def __str__(self) -> str:
        return f"{self.precision}, {self.engine}, batch {self.batch}"


@dataclass(frozen=True)
class Numerics:
    """All cells of one claim, with the cheapest one that meets the tolerance: lowest precision, then largest batch.

    Reduced precisions are autocast, or arithmetic of that kind, on weights in float32.
    """

    claim: str
    part: str
    tolerance: float
    cells: tuple[Cell, ...]
    settings: Mapping[str, Any]
    environment: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    schema: str = SCHEMA

    @property
    def cheapest(self) -> Cell | None:
        """The cheapest cell that meets the tolerance; None where none does."""
        fitting = [cell for cell in self.cells if cell.meets(self.tolerance)]
        return min(fitting, key=_cost, default=None)

    def cell(self, precision: str, engine: str = "eager", batch: int | None = None) -> Cell | None:
        """One cell; of the largest batch unless one is named."""
        found = [c for c in self.cells if (c.precision, c.engine) == (precision, engine) and batch in (None, c.batch)]
        return max(found, key=lambda c: c.batch, default=None)

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN."""
        plain = asdict(self)
        cheapest = None if self.cheapest is None else str(self.cheapest)
        ordered: dict[str, Any] = finite({"schema": plain.pop("schema"), "cheapest": cheapest, **plain}, [0])
        return ordered

    def to_json(self) -> str:
        """The document as JSON, schema `symcheck.numerics/1`."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False, default=str) + "\n"


def _cost(cell: Cell) -> tuple[int, int, bool]:
    return PRECISIONS.index(cell.precision), -cell.batch, cell.engine != "eager"
