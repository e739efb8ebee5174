"""What an attribution is made of: the terms of every operation, and the sweep that they come from."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from torch import Tensor

from symcheck.locate.causes import Cause
from symcheck.locate.gaps import rms
from symcheck.locate.hybrids import Chart, Course, Swept

END = sys.maxsize  # the place after all stations: the outputs


@dataclass
class Terms:
    """What each station adds to the error δ, seen at one output.

    `along` is ⟨term, δ⟩ of each pair by station: signed, its sum over all stations is ||δ||²; `size` is RMS ||term||
    of stations, and `by_path` of the modules in whose forward they run. What the outputs add themselves, or stations
    that nobody knows how to move, stands at the place END.
    """

    total: Tensor
    along: dict[int, Tensor] = field(default_factory=dict)
    size: dict[int, float] = field(default_factory=dict)
    by_path: dict[str, Tensor] = field(default_factory=dict)

    @property
    def squared(self) -> float:
        """Σ ||δ||² over the pairs."""
        return float(_inner(self.total, self.total).sum())

    @property
    def closure(self) -> float:
        """|Σ shares − 1|: how far the attribution is from closing."""
        summed = float(sum(t.sum() for t in self.along.values()))
        return abs(summed - self.squared) / self.squared if self.squared else 0.0

    def share(self, place: int) -> float:
        """The signed share of one station: Σ ⟨term, δ⟩ / Σ ||δ||²."""
        return float(self.along[place].sum()) / self.squared if self.squared and place in self.along else 0.0

    def add(self, place: int, path: str, term: Tensor) -> None:
        """The term of one station, which is told of the module `path`."""
        self.along[place] = _inner(term, self.total)
        self.size[place] = rms(term)
        self.by_path[path] = self.by_path[path] + term if path in self.by_path else term


@dataclass
class Attributed:
    """The attribution of one batch of pairs: terms of the outputs with an error, and the sweep that they come from.

    `error` is RMS ||δ|| of every output, rounding included; `groups` are the stations of unknown action that a
    station, or END, answers for, `blamed` the one of them that is the likely culprit, with the cause; `runs` counts
    passes of the batch.
    """

    course: Course
    chart: Chart
    swept: Swept
    terms: dict[str, Terms]
    error: dict[str, float]
    groups: dict[int, tuple[int, ...]]
    runs: int
    notes: tuple[str, ...]
    blamed: dict[int, tuple[int, Cause]] = field(default_factory=dict)

    def culprit(self, place: int) -> int:
        """The station that a term is told of: the likely one of its group, else the first; END where there is none."""
        group = self.groups.get(place, ())
        likely, cause = self.blamed.get(place, (place, None))
        return group[0] if group and (cause is None or cause.key == "unknown") else likely

    def path(self, place: int) -> str:
        """The module that a term is told of."""
        at = self.culprit(place)
        return "" if at == END else self.course.recording.stations[at].path

    def text(self, place: int) -> tuple[str, str]:
        """The hidden action of a station, and how it is known."""
        readings = [one for one in self.chart.get(place, ()) if one is not None]
        if not readings or place in self.swept.unknown:
            return "", "unknown"
        return ", ".join(dict.fromkeys(one.text for one in readings)), readings[0].source


def _inner(term: Tensor, total: Tensor) -> Tensor:
    """⟨term, δ⟩ of each leading row, float64."""
    return (term * total.conj()).reshape(len(term), -1).real.sum(1)
