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
from symcheck.locate.stations import Call, Recording, passing, put, record, same_way, tensors_in
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

    `hidden` declares actions by the path of a module; `eps` is what rounding explains. Where no reading fits, the run
    is given up, the readings are tried to the end, and it starts again with what is known by then.
    """
    found = Swept()
    while True:
        try:
            found.unknown.clear()
            course.run(_Sweep(course, chart, hidden, eps, found))
            return found
        except _Undecided as undecided:
            place = undecided.place
            chart[place] = tuple(
                _by_the_end(course, found, chart, place, part, undecided.own, one) if isinstance(one, list) else one
                for part, one in enumerate(undecided.readings)
            )


Tried = list[tuple[float, Hidden]]


class _Undecided(SymcheckError):
    """Ends a sweep at a station that no reading fits."""

    def __init__(self, place: int, own: list[Tensor], readings: list[Hidden | Tried | None]) -> None:
        super().__init__(f"undecided at {place}")
        self.place, self.own, self.readings = place, own, readings


@dataclass
class _Sweep:
    """What a sweep does at each call."""

    course: Course
    chart: Chart
    hidden: Mapping[str, str]
    eps: float
    found: Swept

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
                raise _Undecided(place, [y.detach().clone() for y in own], readings)
            self.chart[place] = tuple(one for one in readings if not isinstance(one, list))
        moved = [self.course.moved_value(place, k, one) for k, one in enumerate(self.chart[place]) if one is not None]
        if len(moved) < len(own) or any(y.shape != h.shape for y, h in zip(own, recorded, strict=True)):
            found.unknown.append(place)
            return result
        gaps = [apart(y, z, len(self.course.index)) for y, z in zip(own, moved, strict=True)]
        found.local[place] = torch.stack(gaps).amax(0)
        if not rms(found.local[place]) > self.eps:
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


def _by_the_end(
    course: Course, found: Swept, chart: Chart, place: int, part: int, own: Sequence[Tensor], tried: Tried,
    least: float = math.inf,
) -> Hidden | None:  # fmt: skip
    """The reading from which the rest of the network ends nearest to g·f(x), where that is nearer than without it.

    To stand still is no reading here: where f(x) is invariant, a network that is cut anywhere ends there. What moves
    places (pixels, nodes) is kept by a layer from what it reads unless that ends far off; another reading must explain
    what follows, not only lessen the error.
    """
    moving = [hidden for gap, hidden in tried if hidden.parts][:_FINISHED]
    known = {p: value for p, value in found.values.items() if p < place}
    texts = inherited(course, chart, place)
    least = min(least, size(course.delta(course.hybrid(known))))
    best, end = None, least
    layered = _LAYERED.search(course.recording.stations[place].function) is not None
    for hidden in moving:
        values = [course.moved_value(place, part, hidden) if i == part else y for i, y in enumerate(own)]
        ends = size(course.delta(course.hybrid({**known, place: tuple(values)})))
        kept = _LOOSE if hidden.places and best is None and layered else 0.999
        if ends < (end * kept if hidden.text in texts else end / CLEAR):
            best, end = hidden, min(end, ends)
    return None if best is None else replace(best, source="assumed")


def inherited(course: Course, chart: Chart, place: int) -> set[str]:
    """How that is moved which a station reads, in words."""
    sources = course.recording.stations[place].sources
    texts = {one.text for source in sources for one in chart.get(source, ()) if one is not None}
    if -1 in sources:
        texts |= {str(action) for one in course.bound.inputs.values() for action in one.actions}
    return texts


def reconsider(course: Course, found: Swept, chart: Chart, unknown: int, least: float) -> int | None:
    """Another reading of what a station of unknown action reads, from which the network ends below `least`.

    A cross product may be a pseudovector, or a vector that mirrors break: the reading that explains the rest is taken.
    The place of the station that is read anew, None where there is none.
    """
    for place in sorted((p for p in course.recording.stations[unknown].sources if p in found.local), reverse=True):
        own, readings = course.recording.values[place], chart[place]
        for part, reading in enumerate(readings):
            texts = inherited(course, chart, place)
            others = candidates(course.bound, own[part].shape, len(course.index), texts, None)
            tried = [(0.0, one) for one in others if reading is not None and one.text != reading.text]
            best = _by_the_end(course, found, chart, place, part, own, tried, least)
            if best is not None:
                chart[place] = tuple(best if i == part else one for i, one in enumerate(readings))
                return place
    return None


def apart(y: Tensor, z: Tensor, pairs: int) -> Tensor:
    """||y − z|| / ||z|| of each pair, (pairs,) float64; of what is no number, the fraction of entries that differ."""
    y, z = y.detach(), z.detach()
    if not (y.is_floating_point() or y.is_complex()):
        gap, size = (y != z).double(), torch.ones_like(y, dtype=torch.float64)
    else:
        gap, size = (widest(y) - widest(z)).abs(), widest(z).abs()
        gap = torch.where(widest(y) == widest(z), 0.0, gap)  # masks hold infinities
        size = torch.where(size.isfinite(), size, 0.0)
    axis = next((i for i, n in enumerate(y.shape) if n % pairs == 0), None)
    if axis is None:
        return torch.full((pairs,), float(torch.linalg.vector_norm(gap)) / (float(torch.linalg.vector_norm(size)) or 1.0))
    gap, size = (torch.linalg.vector_norm(t.movedim(axis, 0).reshape(pairs, -1), dim=1) for t in (gap, size))
    least = torch.maximum(size, 0.01 * size.square().mean().sqrt())
    relative: Tensor = gap / torch.where(size > 0, least, torch.ones_like(size))
    return relative


def rms(terms: Tensor) -> float:
    """RMS of ||term|| over the rows; infinite where it is no number."""
    value = float((terms.abs().square().sum() / len(terms)).sqrt())
    return value if value == value else float("inf")


def size(deltas: Mapping[str, Tensor]) -> float:
    """The norm of all defects together."""
    return math.sqrt(sum(float(delta.abs().square().sum()) for delta in deltas.values()))


def _led(own: Tensor, value: Tensor) -> Tensor:
    """`value`, with the derivatives of `own`."""
    return own + (value - own).detach() if own.requires_grad and value.is_floating_point() else value
