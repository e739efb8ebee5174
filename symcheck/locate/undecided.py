"""A station that no reading fits: how it is moved is told by how the rest of the network ends, or fitted."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from symcheck.locate.actions import Hidden, candidates, named
from symcheck.locate.fitted import fit
from symcheck.locate.gaps import size
from symcheck.locate.hybrids import Chart, Course, Swept, Values

Tried = list[tuple[float, Hidden]]  # readings of one result, each with its distance, the nearest first
CLEAR = 5.0  # how much better a reading must end than the last one
_FINISHED, _TRIES = 6, 120  # readings that are tried by finishing the network: of one result, of all
_LAYERED = re.compile(r"conv|linear|pool|norm|interpolate|upsample")  # maps of channels, place by place
_LOOSE = 2.0  # how much worse a reading may end that is kept from what a station reads


def decided(
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
    return fit(own[part], moved, course.index_of(own[part].shape), len(course.elements.g), readings, eps)


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
    if not moving or found.tries >= _TRIES:
        return None
    if (at := (len(known), max(known, default=-1))) not in found.ends:
        found.ends[at] = size(course.delta(course.hybrid(known)))
    least = min(least, found.ends[at])
    best, end = None, least
    layered = _LAYERED.search(course.recording.stations[place].function) is not None
    same = inherited(course, chart, place, own[part].shape)
    for hidden in moving:
        found.tries += 1
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
        actions = [str(action) for name in moved for action in course.bound.inputs[name].actions]
        texts |= {named(text, course.bound.group) for text in actions}
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
            others = candidates(course.bound, own[part].shape, len(course.index_of(own[part].shape)), texts)
            tried = [(0.0, one) for one in others if reading is not None and _mirrored(one.text, reading.text)]
            best = _by_the_end(course, found, chart, place, part, own, tried, least)
            if best is not None:
                chart[place] = tuple(best if i == part else one for i, one in enumerate(readings))
                return place
    return None


def _mirrored(one: str, other: str) -> bool:
    one_hand, other_hand = (text.replace("pseudo", "").replace("points", "vector") for text in (one, other))
    return one_hand == other_hand and ("pseudo" in one) != ("pseudo" in other)
