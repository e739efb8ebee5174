"""Hybrid runs: the network finished from g·h_l(x) where h_l(g·x) would stand, for every operation l up to one.

With H_l the outputs of the run on g·x in which all stations up to l are replaced, H_0 = f(g·x), and the differences
H_(l-1) − H_l are what each station adds to the error: they sum to f(g·x) − g·f(x). A station that is equivariant up to
rounding keeps what it returns, so that a decision which hangs on rounding (a cut-off, a sort) shows where it is taken.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.errors import SymcheckError
from symcheck.locate.actions import Hidden, candidates, declared
from symcheck.locate.fitted import LOSS, fit
from symcheck.locate.gaps import apart, rms, size
from symcheck.locate.recorder import record
from symcheck.locate.stations import Call, Recording, passing, put, same_way, tensors_in
from symcheck.measure.defect import Slot, defect, widest
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Elements, move_batch, observe_batch

Values = tuple[Tensor, ...]
Chart = dict[int, tuple[Hidden | None, ...]]  # how each result of each station is moved, None where it is not known
NEAR, CLEAR = 0.2, 5.0  # a reading is taken for good when it is this near, and so much nearer than the next
_FINISHED = 6  # readings that are tried by finishing the network
_LAYERED = re.compile(r"conv|linear|pool|norm|interpolate|upsample")  # maps of channels, place by place
_LOOSE = 2.0  # how much worse a reading may end that is kept from what a station reads


@dataclass
class Course:
    """One batch of pairs on its way through the network: x at rest, recorded, and everything needed to move it."""

    runner: Runner
    bound: BoundClaim
    slots: Mapping[str, Slot]
    elements: Elements
    index: Tensor
    batch: Batch
    recording: Recording = field(default_factory=Recording)
    moved: Batch = field(init=False)

    def __post_init__(self) -> None:
        self.recording = record(self.runner, observe_batch(self.bound, self.batch))
        self.moved = move_batch(self.bound, self.elements, self.index, self.batch)

    def run(self, visit: Callable[[Call], Any]) -> dict[str, Tensor]:
        """The outputs of one run on g·x, its calls seen by `visit`; it must take the recorded way."""

        def checked(call: Call) -> Any:
            same_way(self.recording, call)
            return visit(call)

        return {name: y.detach() for name, y in passing(self.runner, checked).kept(self.moved).items()}

    def hybrid(self, values: Mapping[int, Values]) -> dict[str, Tensor]:
        """H: the outputs of the run on g·x with the results of these stations in the place of its own."""
        return self.run(lambda call: self.replaced(call, values[call.place]) if call.place in values else call())

    def replaced(self, call: Call, values: Values) -> Any:
        """What a station gives when it is replaced; where gradients are taken its own way to the inputs is kept."""
        recorded = self.recording.results[call.place]
        if any(t.requires_grad for t in tensors_in(recorded)):
            values = tuple(_led(mine, value) for mine, value in zip(call.made(call()), values, strict=True))
        return put(call, recorded, values)

    def moved_value(self, place: int, part: int, hidden: Hidden) -> Tensor:
        """g·h(x) of one result of a station."""
        return hidden(self.bound.group, self.elements.g, self.index, self.recording.values[place][part])

    def delta(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """δ of these outputs against f(x), for every slot of the claim."""
        rest = self.recording.outputs
        return {
            name: widest(defect(slot, self.elements, self.index, outputs, rest, self.batch))
            for name, slot in self.slots.items()
        }


@dataclass
class Swept:
    """One sweep: every station is compared with g·h(x) and replaced where it differs by more than rounding.

    `local` is ||h(g·) − g·h|| / ||h|| of each station whose action is known, (pairs,), its inputs being equivariant;
    `values` what stands in the place of those that differ, `own` what they returned; `unknown` are the stations whose
    action nobody knows.
    """

    local: dict[int, Tensor] = field(default_factory=dict)
    own: dict[int, Values] = field(default_factory=dict)
    values: dict[int, Values] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)


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
                _decided(course, found, chart, place, part, own, one, eps, lost) if isinstance(one, list) else one
                for part, one in enumerate(readings)
            )
            if None not in chart[place]:
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


Tried = list[tuple[float, Hidden]]


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
        self.modules = dict(module.named_modules()) if module is not None else {}
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
        gaps = [apart(y, z, len(self.course.index)) for y, z in zip(own, moved, strict=True)]
        found.local[place] = torch.stack(gaps).amax(0)
        fitted = any(one is not None and one.maps is not None for one in self.chart[place])
        if not rms(found.local[place]) > self.eps * (LOSS if fitted else 1):
            return result
        found.own[place], found.values[place] = tuple(y.detach().clone() for y in own), tuple(moved)
        return put(call, recording.results[place], [_led(y, z) for y, z in zip(own, moved, strict=True)])

    def _reading(self, place: int, part: int, y: Tensor) -> Hidden | Tried | None:
        """How one result of a station is moved: declared; the first reading that fits; else all that there are."""
        course, station = self.course, self.course.recording.stations[place]
        h, pairs = course.recording.values[place][part], len(course.index)
        if h.shape != y.shape or not y.numel():
            return None
        if self.lasts[station.path] == place and (said := self.hidden.get(station.path)):
            return declared(course.bound, said, h.shape, pairs)
        known = inherited(course, self.chart, place)
        tried: Tried = []
        for hidden in candidates(course.bound, h.shape, pairs, known, self.modules.get(station.path)):
            try:
                gap = rms(apart(y, course.moved_value(place, part, hidden), pairs))
            except (SymcheckError, RuntimeError, IndexError):
                continue
            if not gap > self.eps:
                return replace(hidden, source="inherited" if hidden.text in known else "found")
            tried.append((gap, hidden))
        tried.sort(key=lambda one: one[0])
        if tried and tried[0][0] <= NEAR and (len(tried) == 1 or tried[1][0] >= CLEAR * tried[0][0]):
            return replace(tried[0][1], source="near")
        return tried or None


def _decided(
    course: Course, found: Swept, chart: Chart, place: int, part: int, own: Values, tried: Tried, eps: float, lost: bool
) -> Hidden | None:
    """How a result is moved that no reading fits: as the network ends best where it is lost, else by fitted maps.

    A fit to what is lost would take the fault for a part of the action: weights of its own for each slot are a twist.
    """
    if lost:
        return _by_the_end(course, found, chart, place, part, own, tried)

    def moved(hidden: Hidden) -> Tensor:
        return course.moved_value(place, part, hidden)

    readings = [hidden for _, hidden in tried]
    return fit(own[part], moved, course.index, len(course.elements.g), readings, eps)


def _by_the_end(
    course: Course, found: Swept, chart: Chart, place: int, part: int, own: Sequence[Tensor], tried: Tried,
    least: float = math.inf,
) -> Hidden | None:  # fmt: skip
    """The reading from which the rest of the network ends nearest to g·f(x), where that is nearer than without it.

    To stand still is no reading here: where f(x) is invariant, a network that is cut anywhere ends there. What moves
    places (pixels, nodes) is kept by layers, and by what keeps the shape, unless that ends far off; another reading
    must explain what follows, not only lessen the error.
    """
    moving = [hidden for gap, hidden in tried if hidden.parts][:_FINISHED]
    known = {p: value for p, value in found.values.items() if p < place}
    texts = inherited(course, chart, place)
    least = min(least, size(course.delta(course.hybrid(known))))
    best, end = None, least
    layered = _LAYERED.search(course.recording.stations[place].function) is not None
    same = inherited(course, chart, place, own[part].shape)
    for hidden in moving:
        values = [course.moved_value(place, part, hidden) if i == part else y for i, y in enumerate(own)]
        ends = size(course.delta(course.hybrid({**known, place: tuple(values)})))
        kept = _LOOSE if hidden.places and best is None and (layered or hidden.text in same) else 0.999
        if ends < (end * kept if hidden.text in texts else end / CLEAR):
            best, end = hidden, min(end, ends)
    return None if best is None else replace(best, source="assumed")


def inherited(course: Course, chart: Chart, place: int, shape: Sequence[int] | None = None) -> set[str]:
    """How that is moved which a station reads, in words; with a `shape`, of what has this shape alone."""
    sources, values = course.recording.stations[place].sources, course.recording.values
    texts = {
        one.text
        for source in sources
        for one, value in zip(chart.get(source, ()), values.get(source, ()), strict=False)
        if one is not None and shape in (None, value.shape)
    }
    if -1 in sources:
        moved = {name: x for name, x in course.moved.tensors.items() if shape in (None, x.shape)}
        texts |= {str(action) for name in moved for action in course.bound.inputs[name].actions}
    return texts


def reconsider(course: Course, found: Swept, chart: Chart, unknown: int, least: float) -> int | None:
    """Another handedness of what a station of unknown action reads, from which the network ends below `least`.

    A cross product is a pseudovector, or a vector that mirrors break: the reading that explains the rest is taken.
    The place of the station that is read anew, None where there is none.
    """
    for place in sorted((p for p in course.recording.stations[unknown].sources if p in found.local), reverse=True):
        own, readings = course.recording.values[place], chart[place]
        for part, reading in enumerate(readings):
            texts = inherited(course, chart, place)
            others = candidates(course.bound, own[part].shape, len(course.index), texts, None)
            tried = [(0.0, one) for one in others if reading is not None and _mirrored(one.text, reading.text)]
            best = _by_the_end(course, found, chart, place, part, own, tried, least)
            if best is not None:
                chart[place] = tuple(best if i == part else one for i, one in enumerate(readings))
                return place
    return None


def _mirrored(one: str, other: str) -> bool:
    one_hand, other_hand = (text.replace("pseudo", "").replace("points", "vector") for text in (one, other))
    return one != other and one_hand == other_hand


def _led(own: Tensor, value: Tensor) -> Tensor:
    """`value`, with the derivatives of `own`."""
    return own + (value - own).detach() if own.requires_grad and value.is_floating_point() else value
