"""The sweep: one run on g·x in which every operation is compared with g·h(x), and replaced where it differs.

A station that is equivariant up to rounding keeps what it returns, so that a decision which hangs on rounding (a
cut-off, a sort) shows where it is taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from symcheck.errors import ConfigError, SymcheckError
from symcheck.locate.actions import Hidden, candidates, declared, irreps_of
from symcheck.locate.fitted import LOSS
from symcheck.locate.gaps import apart, rms
from symcheck.locate.hybrids import Chart, Course, Swept, Values, led
from symcheck.locate.stations import Call, Recording, put
from symcheck.locate.undecided import CLEAR, Tried, decided, inherited

NEAR = 0.2  # a reading is taken for good when it is this near, and CLEAR times nearer than the next


def sweep(course: Course, chart: Chart, hidden: Mapping[str, str], eps: float) -> Swept:
    """One run on g·x in which each station is compared with g·h(x) and replaced; `chart` is filled on the way.

    `hidden` declares actions by the path of a module; `eps` is what rounding explains. A station that no reading fits
    is fitted, or left alone where all that reads it is exact again. Else its readings are tried to the end of the
    network, the first such station first, and the run is made again with what is known by then.
    """
    found = Swept()
    while True:
        found.unknown.clear()
        course.run(walk := _Sweep(course, chart, hidden, eps, found))
        for place, (own, readings) in walk.undecided.items():
            lost, chart[place] = _lost(course.recording, found, place), (None,) * len(readings)
            chart[place] = tuple(
                decided(course, found, chart, place, part, own, one, eps, lost) if isinstance(one, list) else one
                for part, one in enumerate(readings)
            )
            if None not in chart[place]:
                found.ends.clear()
                for known in (chart, found.local, found.own, found.values):
                    for later in [later for later in known if later > place]:
                        del known[later]
                break
        else:
            return found


def _lost(recording: Recording, found: Swept, place: int) -> bool:
    """Whether what a station of unknown action returns reaches the outputs, or a defect, past all exact stations."""
    readers: dict[int, list[int]] = {}
    for station in recording.stations.values():
        for source in station.sources:
            readers.setdefault(source, []).append(station.place)
    left = [place]
    while left:
        here = left.pop()
        if here in recording.ends or here in found.values:
            return True
        left += [reader for reader in readers.pop(here, ()) if reader not in found.local or reader in found.values]
    return False


@dataclass
class _Sweep:
    """What a sweep does at each call."""

    course: Course
    chart: Chart
    hidden: Mapping[str, str]
    eps: float
    found: Swept
    undecided: dict[int, tuple[Values, list[Hidden | Tried | None]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        module, stations = self.course.runner.module, self.course.recording.stations
        self.said = [*irreps_of(module)]
        self.lasts = {station.path: place for place, station in stations.items()}

    def __call__(self, call: Call) -> Any:
        """Run the call, find how its results are moved, and replace them."""
        place, found, recording = call.place, self.found, self.course.recording
        if place in found.values:
            return self.course.replaced(call, found.values[place])
        result = call()
        if place not in recording.stations or place in found.local:
            return result
        own, recorded = call.made(result), recording.values[place]
        if place not in self.chart:
            readings = [self._reading(place, part, own[part]) for part in range(len(own))]
            if any(isinstance(one, list) for one in readings):
                self.undecided[place] = (tuple(y.detach().clone() for y in own), readings)
                found.unknown.append(place)
                return result
            self.chart[place] = tuple(one for one in readings if not isinstance(one, list))
        moved = [self.course.moved_value(place, k, one) for k, one in enumerate(self.chart[place]) if one is not None]
        if len(moved) < len(own) or any(y.shape != h.shape for y, h in zip(own, recorded, strict=True)):
            found.unknown.append(place)
            return result
        gaps = [apart(y, z, len(self.course.index_of(y.shape))) for y, z in zip(own, moved, strict=True)]
        found.local[place] = max(gaps, key=rms)
        fitted = any(one is not None and one.maps is not None for one in self.chart[place])
        if not rms(found.local[place]) > self.eps * (LOSS if fitted else 1):
            return result
        found.own[place], found.values[place] = tuple(y.detach().clone() for y in own), tuple(moved)
        return put(call, recording.results[place], [led(y, z) for y, z in zip(own, moved, strict=True)])

    def _reading(self, place: int, part: int, y: Tensor) -> Hidden | Tried | None:
        """How one result of a station is moved: declared; the first reading that fits; else all that there are."""
        course, station = self.course, self.course.recording.stations[place]
        h, pairs = course.recording.values[place][part], len(course.index_of(y.shape))
        if h.shape != y.shape or not y.numel():
            return None
        if self.lasts[station.path] == place and (said := self.hidden.get(station.path)):
            known = declared(course.bound, said, h.shape, pairs)
            if known is None and part == 0:
                raise ConfigError(
                    f"'{said}' does not act on what '{station.path}' returns, of shape {tuple(h.shape)}",
                    where=f"--hidden {station.path}={said}",
                    hint="write an action of the claim's group that fits it, such as image, nodes, vector or 'scalar'",
                )
            return known
        texts = inherited(course, self.chart, place)
        tried: Tried = []
        for hidden in candidates(course.bound, h.shape, pairs, texts, self.said):
            try:
                gap = rms(apart(y, course.moved_value(place, part, hidden), pairs))
            except (SymcheckError, RuntimeError, IndexError):
                continue
            if not gap > self.eps:
                return replace(hidden, source="inherited" if hidden.text in texts else "found")
            tried.append((gap, hidden))
        tried.sort(key=lambda one: one[0])
        if tried and tried[0][0] <= NEAR and (len(tried) == 1 or tried[1][0] >= CLEAR * tried[0][0]):
            return replace(tried[0][1], source="near")
        return tried or None
