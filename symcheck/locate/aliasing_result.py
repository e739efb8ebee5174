"""What sampling breaks of the symmetry of an image network, and what its weights do: plain frozen data."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from symcheck.report.model import Verdict, finite


@dataclass(frozen=True)
class Control:
    """The error at elements that need resampling, of f and of f̄, f averaged over the lattice (root mean squares).

    f̄ has every lattice symmetry whatever the weights, so that its error comes from sampling alone; what f has above
    it, `excess` = √(E_f² − E_f̄²) with its 95 % interval, belongs to the weights. `lattice` is the error of f at lattice
    elements, `floor` the round trip of the action. All but the floor on the spread of f.
    """

    output: str
    resampled: float
    control: float
    excess: float
    low: float
    high: float
    lattice: float
    floor: float
    elements: int
    averaged: int


@dataclass(frozen=True)
class Phase:
    """The mean error of one shift (rows, columns), on the spread."""

    shift: tuple[int, int]
    error: float
    verdict: Verdict


@dataclass(frozen=True)
class Phases:
    """The error of one output under shifts, which is periodic in the stride.

    `along` are shifts of rows alone and of columns alone; `stride` (rows, columns) is the smallest shift of which all
    multiples are exact, or, where none is but they are clearly least, `least`; None: no period was seen. `phases` are
    all shifts below the stride, identity left out.
    """

    output: str
    along: tuple[Phase, ...]
    stride: tuple[int, int] | None
    least: bool
    phases: tuple[Phase, ...]


@dataclass(frozen=True)
class Size:
    """The error at lattice elements for images of another size; without a verdict the network takes none, and why."""

    size: tuple[int, int]
    output: str
    error: float | None
    verdict: Verdict | None
    why: str = ""


@dataclass(frozen=True)
class Aliasing:
    """Control, phases and sizes, as far as they apply; notes say why another does not."""

    claim: str
    controls: tuple[Control, ...]
    phases: tuple[Phases, ...]
    sizes: tuple[Size, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data without NaN."""
        plain: dict[str, Any] = finite(asdict(self), [0])
        return plain
