"""Exact attribution of an equivariance error to the operations of a network: signed shares that sum to one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from symcheck.claim import Claim
from symcheck.errors import ConfigError
from symcheck.locate.causes import most_likely
from symcheck.locate.facts import facts_of
from symcheck.locate.gaps import rms, size
from symcheck.locate.gradients import gradient_notes
from symcheck.locate.hybrids import Chart, Course, Swept
from symcheck.locate.pairs import PAIRS, course_of
from symcheck.locate.sweeps import sweep
from symcheck.locate.terms import END, Attributed, Terms
from symcheck.locate.undecided import reconsider
from symcheck.measure.audit import Audit
from symcheck.measure.defect import widest
from symcheck.registry import suggest

ROUNDING, SILENT = 512, 4096  # units in the last place that one operation, and a whole network, may lose
_MUCH, _LITTLE = 0.1, 0.2  # shares of the error
_CROSSED, _DROPPED = 3.0, 4  # the sum of |shares| from which a reading is doubted, and how many readings may be
_LINES = 3


def attribute(audit: Audit, claim: Claim, hidden: Mapping[str, str], pairs: int = PAIRS) -> Attributed:
    """Attribute f(g·x) − g·f(x) to the operations of the network; ConfigError where a declared path is none of it."""
    course, notes = course_of(audit, claim, pairs)
    _check_paths(course, hidden)
    eps = ROUNDING * torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps
    chart: Chart = {}
    tries: set[int] = set()
    while True:
        found = _terms(course, chart, sweep(course, chart, hidden, eps), notes)
        anew = _read_anew(found, tries)
        if anew is None:
            break
        tries.add(anew)
        chart = {place: readings for place, readings in chart.items() if place <= anew}
    for _ in range(_DROPPED):
        place = _doubtful(found)
        if place is None:
            break
        chart = {p: readings for p, readings in found.chart.items() if p < place}
        chart[place] = (None,) * len(found.chart[place])
        other = _terms(course, chart, sweep(course, chart, hidden, eps), notes)
        if not _crossing(other) < _crossing(found) / 2:
            break
        found = other
    return replace(found, notes=(*found.notes, *_notes(found)))


def _crossing(found: Attributed) -> float:
    """Σ |share|, 1 where no two operations work against each other."""
    return max((sum(map(abs, map(one.share, one.along))) for one in found.terms.values()), default=0.0)


def _doubtful(found: Attributed) -> int | None:
    """The guessed reading with the largest of several shares that cancel: a wrong one makes an error and unmakes it."""
    if not _crossing(found) > _CROSSED:
        return None
    guessed = [place for place in found.swept.values if found.text(place)[1] in ("near", "assumed")]
    return max(guessed, key=lambda p: max(abs(one.share(p)) for one in found.terms.values()), default=None)


def _notes(found: Attributed) -> list[str]:
    """What a reader must know of what could not be followed."""
    recording, notes = found.course.recording, []
    if recording.unseen:
        where = ", ".join(recording.unseen[:_LINES])
        notes.append(f"tensors that no operation is seen to make are read at {where} (TorchScript, vmap, …): "
                     "what makes them is told of what reads them, or of the outputs")  # fmt: skip
    if not recording.stations:
        notes.append("no operation between the inputs and the outputs can be seen: nothing can be told apart")
    return [*notes, *gradient_notes(found)]


def _terms(course: Course, chart: Chart, swept: Swept, notes: tuple[str, ...]) -> Attributed:
    """What every station adds whose defect is not rounding, one hybrid for each, and what is left at the outputs."""
    recording, unknown = course.recording, set(swept.unknown)
    guilty = sorted(swept.values)
    before = course.delta(course.hybrid({}))
    eps = torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps
    error = {name: rms(delta) for name, delta in before.items()}
    sizes = {name: rms(widest(y)) for name, y in course.recording.outputs.items()}
    terms = {n: Terms(delta) for n, delta in before.items() if not error[n] <= SILENT * eps * sizes[n]}
    if not terms:
        return Attributed(course, chart, swept, {}, error, {}, 3, notes)
    groups = {place: recording.before(recording.stations[place].sources, unknown) for place in guilty}
    groups[END] = recording.before(recording.ends, unknown)
    found = Attributed(course, chart, swept, terms, error, groups, 3 + len(guilty), notes)
    known = {place: facts_of(found, place) for place in {*groups, *(p for group in groups.values() for p in group)}}
    for place, group in groups.items():
        members = (*group, place) if place != END or not group else group
        likely = most_likely([known[member] for member in members])
        if likely is not None:
            found.blamed[place] = (members[likely[0]], likely[1])
    for place in guilty:
        after = course.delta(course.hybrid({p: v for p, v in swept.values.items() if p <= place}))
        for name, one in terms.items():
            one.add(place, found.path(place), before[name] - after[name])
        before = after
    for name, one in terms.items():
        one.add(END, found.path(END), before[name])
    return found


def _read_anew(found: Attributed, tries: set[int]) -> int | None:
    """The station that is read in another way, before one that much of the error is told of."""
    whole = size({name: one.total for name, one in found.terms.items()})
    for place, members in found.groups.items():
        blamed = max(one.share(place) for one in found.terms.values())
        first = members[0] if members else place
        if first != END and first not in tries and blamed > _MUCH:
            tries.add(first)
            anew = reconsider(found.course, found.swept, found.chart, first, _LITTLE * whole)
            if anew is not None and anew not in tries:
                return anew
    return None


def _check_paths(course: Course, hidden: Mapping[str, str]) -> None:
    paths = sorted({station.path for station in course.recording.stations.values()})
    for path in hidden:
        if path not in paths:
            raise ConfigError(
                f"no operation of the network runs in '{path}'", where="--hidden", hint=suggest(path, paths)
            )
