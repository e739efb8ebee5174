"""Exact attribution of an equivariance error to the operations of a network: signed shares that sum to one."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.claim import Claim
from symcheck.errors import ConfigError
from symcheck.locate.gaps import rms, size
from symcheck.locate.hybrids import Chart, Course, Swept
from symcheck.locate.sweeps import sweep
from symcheck.locate.undecided import reconsider
from symcheck.measure.audit import Audit
from symcheck.measure.defect import Slot, ready, slot_for, widest
from symcheck.measure.laws import check_law
from symcheck.measure.plan import strata
from symcheck.registry import suggest

PAIRS = 61
ROUNDING, SILENT = 512, 4096  # units in the last place that one operation, and a whole network, may lose
_MUCH, _LITTLE = 0.1, 0.2  # shares of the error
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
    station, or END, answers for; `runs` counts passes of the batch.
    """

    course: Course
    chart: Chart
    swept: Swept
    terms: dict[str, Terms]
    error: dict[str, float]
    groups: dict[int, tuple[int, ...]]
    runs: int
    notes: tuple[str, ...]

    def path(self, place: int) -> str:
        """The module that a term is told of: the one where what is known of the action ends, or that of the station."""
        first = self.groups.get(place, ())
        if place == END and not first:
            return ""
        return self.course.recording.stations[first[0] if first else place].path


def attribute(audit: Audit, claim: Claim, hidden: Mapping[str, str], pairs: int = PAIRS) -> Attributed:
    """Attribute f(g·x) − g·f(x) to the operations of the network; ConfigError where a declared path is none of it."""
    course, notes = course_of(audit, claim, pairs)
    _check_paths(course, hidden)
    eps = ROUNDING * torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps
    chart: Chart = {}
    tries: set[int] = set()
    while True:
        swept = sweep(course, chart, hidden, eps)
        found = _terms(course, chart, swept, notes)
        anew = _read_anew(found, tries)
        if anew is None:
            return found
        tries.add(anew)
        chart = {place: readings for place, readings in chart.items() if place <= anew}


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


def course_of(audit: Audit, claim: Claim, pairs: int = PAIRS) -> tuple[Course, tuple[str, ...]]:
    """A batch of pairs: a few elements of every part of the group that needs no resampling, with a few samples."""
    evaluator = audit.evaluator
    bound = claim.bind(evaluator.samples.shapes())
    if bound.relation is not None:
        raise ConfigError(
            f"'{claim}' is a relation, and no group acts inside the network",
            where="--claim",
            hint="a claim of a group can be located: C4, SO(3), S, Shift, …",
        )
    base = evaluator.base(bound)
    outputs = bound.outputs({n: s for n, s in base.shapes().items() if n != base.owner_name})
    parts = strata(bound, outputs, audit.options.elements, audit.options.seed)
    exact = [part for part in parts if not part.resampled] or parts
    resampled = exact[0].resampled
    spread = torch.Generator().manual_seed(audit.options.seed)  # neighbours in a list are alike: shifts along one axis
    drawn = [part.g[torch.randperm(len(part.g), generator=spread)] for part in exact]
    g = torch.cat([one[: max(1, pairs // 8 // len(exact))] for one in drawn])
    laws = {name: check_law(action, g, base.example(name)) for name, action in outputs.items()}
    slots: dict[str, Slot] = {
        name: slot_for(name, bound, action, base, laws[name].isometric, resampled) for name, action in outputs.items()
    }
    count = min(evaluator.samples.count, max(2, pairs // min(len(g), pairs)))
    place = torch.arange(_prime(min(pairs, len(g) * count)), device=evaluator.runner.device)
    index, picks = place % len(g), (place // len(g)) % count
    elements = ready(bound, slots, g, evaluator.runner.device)
    course = Course(evaluator.runner, bound, slots, elements, index, evaluator.samples.take(picks))
    left = [part for part in parts if part.resampled] if not resampled else []
    notes = ("the elements are resampled: every number holds what resampling adds",) if resampled else ()
    return course, notes + (("elements that need resampling are left out",) if left else ())


def _prime(count: int) -> int:
    """The largest prime up to `count`: a number of pairs that no other axis of the network is likely to have."""
    return next((n for n in range(count, 1, -1) if all(n % k for k in range(2, int(n**0.5) + 1))), count)


def _check_paths(course: Course, hidden: Mapping[str, str]) -> None:
    paths = sorted({station.path for station in course.recording.stations.values()})
    for path in hidden:
        if path not in paths:
            raise ConfigError(
                f"no operation of the network runs in '{path}'", where="--hidden", hint=suggest(path, paths)
            )


def _inner(term: Tensor, total: Tensor) -> Tensor:
    """⟨term, δ⟩ of each leading row, float64."""
    return (term * total.conj()).reshape(len(term), -1).real.sum(1)
