"""Which operations make the Lie derivative of a network: the infinitesimal twin of the attribution by hybrid runs.

Tangents replace values: T_l is the derivative of the outputs along dρ_in(X) x, in a run on x in which the tangents of
all operations up to l are dρ_l(X) h_l(x). Since T_0 = J_f dρ_in(X) x, the differences T_(l-1) − T_l = J_(>l) (L_X f_l)
and what is left at the outputs sum to L_X f. Exact: no probes, one forward-mode run for each operation that adds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from symcheck.actions.derivative import velocity
from symcheck.actions.tangents import dual, level, tangent
from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import ClaimError, ModelError
from symcheck.groups.base import Flow, Group
from symcheck.locate.actions import Hidden, Part
from symcheck.locate.attribution import ROUNDING, attribute
from symcheck.locate.hybrids import Chart
from symcheck.locate.lie_result import LieLayers, LieTerm
from symcheck.locate.recorder import record
from symcheck.locate.stations import Call, Recording, passing, put, same_way
from symcheck.locate.terms import END, Attributed
from symcheck.measure.audit import Audit
from symcheck.measure.defect import Slot, widest
from symcheck.measure.dual import carrying
from symcheck.measure.lie import Lie
from symcheck.measure.runner import Runner

Tangents = dict[int, tuple[Tensor | None, ...]]  # dρ_l(X) h_l of each result of a station; None: of no number
SAMPLES = 64


@dataclass
class Tangential:
    """A network at rest on x, recorded, through which tangents are sent."""

    runner: Runner
    batch: Batch
    recording: Recording = field(init=False)
    runs: int = 0

    def __post_init__(self) -> None:
        self.runner = copy.copy(self.runner)
        self.runner.mode = max(self.runner.mode, 1)  # tensors of inference mode carry no derivatives
        self.runner.limit = None  # the tangents of one recording belong to one batch
        self.batch = self.runner.as_given(self.batch)
        with carrying():
            self.recording = record(self.runner, self.batch)

    def run(self, moving: Mapping[str, Tensor], visit: Callable[[Call], Any]) -> dict[str, Tensor]:
        """The tangents of the outputs where the inputs have these, every call seen by `visit`; it takes one way."""
        self.runs += 1

        def checked(call: Call) -> Any:
            same_way(self.recording, call)
            return visit(call)

        with carrying(), level():
            given = {n: dual(x.clone(), moving[n].to(x)) if n in moving else x.clone()
                     for n, x in self.batch.tensors.items()}  # fmt: skip
            outputs = passing(self.runner, checked)(self.batch.with_tensors(given))
            return {name: tangent(y).detach().clone() for name, y in outputs.items()}

    def local(self, moving: Mapping[str, Tensor], tangents: Tangents) -> dict[int, tuple[float, float]]:
        """One run in which each station gets its own tangent: RMS of its L_X f_l and of dρ_l(X) h_l."""
        found = {}

        def visit(call: Call) -> Any:
            result = call()
            if call.place not in tangents:
                return result
            pairs = list(zip(call.made(result), tangents[call.place], strict=True))
            gaps = [tangent(y).detach() - v for y, v in pairs if v is not None]
            sizes = [t for y, v in pairs if v is not None for t in (v, tangent(y).detach())]
            found[call.place] = _norm(gaps), _norm(sizes)
            return self.replaced(call, tangents, result)

        self.run(moving, visit)
        return found

    def hybrid(self, moving: Mapping[str, Tensor], tangents: Tangents, last: int) -> dict[str, Tensor]:
        """T_l: the stations up to `last` return what they returned at rest, with their own tangents.

        What the outputs read through none but these is run; the rest returns what it returned at rest.
        """
        skipped = {place for place in tangents if place <= last}
        read, left = set[int](), [*self.recording.ends]
        while left:
            place = left.pop()
            if place not in read and place in self.recording.stations:
                read.add(place)
                left += () if place in skipped else self.recording.stations[place].sources

        def visit(call: Call) -> Any:
            if call.place in skipped & read or (call.place in skipped and self.runner.gradients):
                return self.replaced(call, tangents, call() if self.runner.gradients else None)
            if call.place in read or call.place not in self.recording.values or self.runner.gradients:
                return call()
            return put(call, self.recording.results[call.place], self.recording.values[call.place])

        return self.run(moving, visit)

    def replaced(self, call: Call, tangents: Tangents, result: Any) -> Any:
        """What a station returned at rest with its own tangent; with gradients its own way to the inputs is kept."""
        recorded, given = self.recording.values[call.place], tangents[call.place]
        own = recorded if result is None else call.made(result)
        values = [_with(y, h, v) for y, h, v in zip(own, recorded, given, strict=True)]
        return put(call, self.recording.results[call.place], values)


def lie_layers(
    audit: Audit,
    claim: Claim,
    hidden: Mapping[str, str] | None = None,
    attributed: Attributed | None = None,
    most: int = SAMPLES,
) -> LieLayers:
    """What every operation adds to L_X f, over all generators X, on up to `most` samples.

    `hidden` declares actions by module path, `attributed` is an attribution of finite elements that has found them.
    Raises ClaimError for groups without infinitesimal elements, ModelError where the way through the network depends
    on values.
    """
    lie = Lie(audit, claim)
    flows = [one for one in lie.motions if isinstance(one, Flow)]
    if not flows:
        raise ClaimError(
            f"{lie.bound.group.name} is a lattice, whose elements are finite",
            where=f"'{claim}'",
            hint="the attribution of finite elements is exact for it",
        )
    samples = audit.evaluator.samples
    batch = samples.take(torch.arange(min(most, samples.count), device=lie.runner.device))
    course = Tangential(lie.runner, lie.velocities(flows[0], batch)[0])
    if attributed is None or attributed.course.recording.calls != course.recording.calls:
        with carrying():  # fused operations have no derivative, and others stand in their place
            attributed = attribute(audit, claim, hidden or {})
    _same_network(attributed.course.recording, course.recording)
    chart = attributed.chart
    known = {p: readings for p, readings in chart.items() if None not in readings and p in course.recording.values}
    unknown = set(course.recording.stations) - set(known)
    ways = {place: course.recording.before(course.recording.stations[place].sources, unknown) for place in known}
    ways[END] = course.recording.before(course.recording.ends, unknown)
    sums = {name: _Sums({place: _path(course.recording, place, way) for place, way in ways.items()})
            for name in lie.slots}  # fmt: skip
    locals_: dict[int, float] = {}
    for flow in flows:
        moving = lie.velocities(flow, batch)[1]
        tangents = {place: _tangents(readings, lie.bound.group, flow, course.recording.values[place])
                    for place, readings in known.items()}  # fmt: skip
        _one_flow(lie, course, flow, moving, tangents, sums, locals_)
    return _result(lie, course, chart, flows, sums, locals_, ways)


def _path(recording: Recording, place: int, way: tuple[int, ...]) -> str:
    """The module that a term is told of: that of the first operation of unknown action before it, or its own."""
    at = way[0] if way else place
    return recording.stations[at].path if at in recording.stations else ""


@dataclass
class _Sums:
    """Sums over generators and samples of one output: ||L_X f||², ⟨term, L_X f⟩ and ||term||² by station and path."""

    paths: Mapping[int, str]
    total: float = 0.0
    along: dict[int, float] = field(default_factory=dict)
    squared: dict[int, float] = field(default_factory=dict)
    modules: dict[str, float] = field(default_factory=dict)
    left: float = 0.0  # ||Σ terms − L_X f||²

    def add(self, terms: Mapping[int, Tensor], total: Tensor) -> None:
        """The terms of one generator."""
        self.total += float(total.abs().square().sum())
        self.left += float((sum(terms.values()) - total).abs().square().sum())
        for place, term in terms.items():
            self.along[place] = self.along.get(place, 0.0) + float((term * total.conj()).real.sum())
            self.squared[place] = self.squared.get(place, 0.0) + float(term.abs().square().sum())
        for path in {self.paths[place] for place in terms}:
            whole = torch.stack([term for place, term in terms.items() if self.paths[place] == path]).sum(0)
            self.modules[path] = self.modules.get(path, 0.0) + float(whole.abs().square().sum())


def _one_flow(
    lie: Lie, course: Tangential, flow: Flow, moving: Mapping[str, Tensor], tangents: Tangents,
    sums: Mapping[str, _Sums], locals_: dict[int, float],
) -> None:  # fmt: skip
    eps = ROUNDING * torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps
    local = course.local(moving, tangents)
    guilty = sorted(place for place, (gap, size) in local.items() if not gap <= eps * size)
    first = before = course.run(moving, lambda call: call())
    terms: dict[str, dict[int, Tensor]] = {name: {} for name in lie.slots}
    for place in guilty:
        after = course.hybrid(moving, tangents, place)
        for name, slot in lie.slots.items():
            terms[name][place] = _seen(slot, before[name], after[name])
        before = after
        gap, size = local[place]
        locals_[place] = max(locals_.get(place, 0.0), gap / size if size else math.inf)
    for name, slot in lie.slots.items():
        owed = lie.output_velocity(name, flow, course.recording.outputs[name]).value
        terms[name][END] = _seen(slot, before[name], owed)
        sums[name].add(terms[name], _seen(slot, first[name], owed))


def _tangents(
    readings: tuple[Hidden | None, ...], group: Group, flow: Flow, values: tuple[Tensor, ...]
) -> tuple[Tensor | None, ...]:
    """dρ_l(X) h_l(x) of every result of a station."""
    return tuple(
        hidden_velocity(hidden, group, flow, h) if hidden is not None and _number(h) else None
        for hidden, h in zip(readings, values, strict=True)
    )


def hidden_velocity(hidden: Hidden, group: Group, flow: Flow, x: Tensor) -> Tensor:
    """dρ(X)x of a hidden tensor as an attribution reads it: the sum over the factors that move it."""
    rows = x.movedim(hidden.axis, 0)
    whole = rows.reshape(len(rows) // hidden.fold, -1, *rows.shape[1:]) if hidden.fold > 1 else rows
    total = torch.zeros_like(widest(whole))
    for part in hidden.parts:
        total = total + _part_velocity(part, group, flow, whole)
    return total.reshape(rows.shape).movedim(0, hidden.axis).to(x.dtype)


def _part_velocity(part: Part, group: Group, flow: Flow, x: Tensor) -> Tensor:
    if part.factor >= 0 and len(group.factors()) > 1:
        flow = Flow(flow.name, lambda t, at=flow.at: group.split(at(t))[part.factor])  # type: ignore[misc]
    moved = part.view.through(x, lambda y: velocity(part.bound, flow, y).value.to(y.dtype))
    return torch.cat([torch.zeros_like(moved[:, : part.view.apart]), moved[:, part.view.apart :]], 1)


def _same_network(one: Recording, other: Recording) -> None:
    """Raise where the actions were found on another way through the network."""
    if one.calls != other.calls:
        raise ModelError(
            "the network takes another way for these samples than for those on which its actions were found",
            where=f"{len(one.calls)} operations there, {len(other.calls)} here",
            hint="a branch, or a loop over samples, depends on the input: take it out",
        )


def _with(y: Tensor, h: Tensor, v: Tensor | None) -> Tensor:
    """h with the tangent v; where gradients are taken, y with the tangent v, led by its own operation."""
    if v is None:
        return y
    if y.requires_grad:
        return y + dual(torch.zeros_like(v), v - tangent(y).detach())
    return dual(h, v)


def _seen(slot: Slot, y: Tensor, z: Tensor) -> Tensor:
    """The difference of two tangents of an output where it is compared."""
    delta = widest(y) - widest(z)
    return delta if slot.curved else widest(slot.gap(delta, torch.zeros_like(delta)))


def _result(
    lie: Lie, course: Tangential, chart: Chart, flows: list[Flow], sums: Mapping[str, _Sums],
    locals_: Mapping[int, float], groups: Mapping[int, tuple[int, ...]],
) -> LieLayers:  # fmt: skip
    count, stations = course.batch.count * len(flows), course.recording.stations
    found = []
    for place in (*sorted(locals_), END):
        at = groups[place][0] if groups[place] else place
        station = stations.get(at)
        known = [] if groups[place] else chart.get(place, ())  # of a group, nobody knows it at the first one
        action = ", ".join(one.text for one in known if one is not None)
        found.append(
            LieTerm(
                station.path if station else "", station.function if station else "", station.line if station else "",
                action, locals_.get(place),
                {n: math.sqrt(one.squared.get(place, 0.0) / count) for n, one in sums.items()},
                {n: one.along.get(place, 0.0) / one.total if one.total else 0.0 for n, one in sums.items()},
                tuple(str(stations[p]) for p in groups[place]),
            )
        )  # fmt: skip
    error = {n: math.sqrt(one.total / count) for n, one in sums.items()}
    closure = {n: math.sqrt(one.left / one.total) if one.total else 0.0 for n, one in sums.items()}
    names = tuple(flow.name for flow in flows)
    modules = {n: {path: math.sqrt(v / count) for path, v in one.modules.items()} for n, one in sums.items()}
    return LieLayers(str(lie.claim), names, tuple(found), modules, error, closure, course.batch.count, course.runs)


def _number(x: Tensor) -> bool:
    return x.is_floating_point() or x.is_complex()


def _norm(parts: list[Tensor]) -> float:
    return math.sqrt(sum(float(part.abs().square().sum()) for part in parts))
