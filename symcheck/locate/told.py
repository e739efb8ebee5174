"""An attribution as it is told: rows of modules and operations, and the most likely cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from symcheck.locate.attribution import END, Attributed
from symcheck.locate.causes import Cause, most_likely
from symcheck.locate.evidence import Facts
from symcheck.locate.gaps import apart, rms
from symcheck.locate.result import Attribution, Layer, Module, Operation
from symcheck.measure.defect import widest

_AGAIN = 200
_PLAIN = (bool, int, float, str, tuple)
_PLACES = re.compile(r"\b(image|nodes|set|pairs|shift|sequence)\b")
_SILENT = 1e-3  # of the largest error: elements below it carry none


def told(found: Attributed, claim: str, spread: Mapping[str, float]) -> Attribution:
    """The rows of an attribution; `spread` is the scale of each output."""
    operations = _operations(found, spread)
    modules = _modules(found, spread, operations)
    cause = _cause(found, operations)
    return Attribution(
        claim=claim,
        error={name: error / (spread[name] or 1.0) for name, error in found.error.items()},
        modules=tuple(modules),
        operations=tuple(operations),
        layers=tuple(_layers(found)),
        closure=max((one.closure for one in found.terms.values()), default=0.0),
        pairs=len(found.course.index),
        unknown=len(found.swept.unknown),
        runs=found.runs,
        cause=cause.key if cause else "",
        sentence=cause.sentence if cause else "",
        notes=found.notes,
    )


def _operations(found: Attributed, spread: Mapping[str, float]) -> list[Operation]:
    """What adds to the error, the largest share first; rounding at the outputs is nothing to tell of."""
    rows = []
    for place in (*found.swept.values, END) if found.terms else ():
        shares = {name: one.share(place) for name, one in found.terms.items()}
        members = found.groups.get(place, ())
        if place == END and max(map(abs, shares.values())) < 1e-6:
            continue
        first = members[0] if members else place
        station = found.course.recording.stations.get(first)
        hidden = "" if members or place == END else _text(found, place)[0]
        rows.append(
            Operation(
                path=station.path if station else "",
                kind=station.kind if station else "",
                function=station.function if station else "outputs",
                line=station.line if station else "",
                action=hidden,
                how="unknown" if members else "declared" if place == END else _text(found, place)[1],
                local=None if members or place == END else rms(found.swept.local[place]),
                size={name: one.size[place] / (spread[name] or 1.0) for name, one in found.terms.items()},
                share=shares,
                group=tuple(str(found.course.recording.stations[p]) for p in members),
            )
        )
    return sorted(rows, key=lambda row: -_weight(row.share))


def _modules(found: Attributed, spread: Mapping[str, float], operations: list[Operation]) -> list[Module]:
    """The sums by module, the largest share first."""
    again = _again(found) if operations else {}
    rows = []
    for path in dict.fromkeys(row.path for row in operations):
        mine = [row for row in operations if row.path == path]
        local = [row.local for row in mine if row.local is not None]
        rows.append(
            Module(
                path=path,
                kind=mine[0].kind,
                size={n: rms(one.by_path[path]) / (spread[n] or 1.0) for n, one in found.terms.items()},
                share={name: sum(row.share[name] for row in mine) for name in found.terms},
                local=max(local, default=None),
                operations=len(mine),
                again=again.get(path, 0.0),
            )
        )
    return sorted(rows, key=lambda row: -_weight(row.share))


def _again(found: Attributed) -> dict[str, float]:
    """How often each module ranks first when the pairs are drawn again, with replacement."""
    paths = {place: found.path(place) for one in found.terms.values() for place in one.along}
    names = [*dict.fromkeys(paths.values())]
    pairs = len(found.course.index)
    draws = torch.randint(0, pairs, (_AGAIN, pairs), generator=torch.Generator().manual_seed(0))
    score = torch.zeros(_AGAIN, len(names), dtype=torch.float64)
    for one in found.terms.values():
        whole = _pairs(sum(one.along.values(), torch.zeros(())), pairs)[draws].sum(1)
        for place, term in one.along.items():
            share = _pairs(term, pairs)[draws].sum(1) / torch.where(whole == 0, 1.0, whole)
            score[:, names.index(paths[place])] += share
    first = score.argmax(1)
    return {name: float((first == i).double().mean()) for i, name in enumerate(names)}


def _pairs(term: Tensor, pairs: int) -> Tensor:
    """One number for each pair; of packed rows, equal parts of their sum."""
    term = term.detach().double().cpu().reshape(-1)
    return term if len(term) == pairs else (term.sum() / pairs).expand(pairs)


def _layers(found: Attributed) -> list[Layer]:
    """All operations in order, with how the group acts on what they return."""
    rows = []
    for place, station in found.course.recording.stations.items():
        text, how = _text(found, place)
        local = rms(found.swept.local[place]) if place in found.swept.local else None
        rows.append(Layer(station.path, station.function, station.line, text, how, local))
    return rows


def _text(found: Attributed, place: int) -> tuple[str, str]:
    """The hidden action of a station, and how it is known."""
    readings = [one for one in found.chart.get(place, ()) if one is not None]
    if not readings or place in found.swept.unknown:
        return "", "unknown"
    return ", ".join(dict.fromkeys(one.text for one in readings)), readings[0].source


def _weight(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares)


def _cause(found: Attributed, operations: list[Operation]) -> Cause | None:
    """The most likely cause of the largest share."""
    if not operations:
        return None
    places = [p for p in (*found.swept.values, END) if found.path(p) == operations[0].path]
    place = max(places, key=lambda p: _weight({n: one.share(p) for n, one in found.terms.items()}))
    return most_likely([_facts(found, p) for p in (*found.groups.get(place, ()), place) if p != END])


def _facts(found: Attributed, place: int) -> Facts:
    """What is known of one station."""
    course, stations = found.course, found.course.recording.stations
    station = stations[place]
    modules = dict(course.runner.module.named_modules()) if course.runner.module is not None else {}
    module = modules.get(station.path)
    own = {} if module is None else {k: v for k, v in vars(module).items() if isinstance(v, _PLAIN) and k[0] != "_"}
    numbers = [*found.terms.values()]
    error = max(
        rms(one.total) / (rms(widest(course.recording.outputs[name])) or 1.0) for name, one in found.terms.items()
    )
    return Facts(
        function=station.function,
        kind=station.kind,
        path=station.path,
        attributes={**own, **station.options},
        names=station.names,
        before=(*station.before, *(stations[p].function for p in station.sources if p in stations)),
        action=_text(found, place)[0],
        given=_given(found, place),
        faces=frozenset().union(*(factor.faces for factor in course.bound.group.factors())),
        only=_only(found, numbers[0].total),
        error=error,
        epsilon=torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps,
        inverse=_inverse(found, place),
        single=_single(found, place),
    )


def _given(found: Attributed, place: int) -> tuple[str, ...]:
    """The actions on what a station reads; past stations of unknown action, those that move places."""
    stations, unknown = found.course.recording.stations, {*found.swept.unknown}
    passed = found.course.recording.before(stations[place].sources, unknown)
    texts = []
    for here in (place, *passed):
        for source in stations[here].sources:
            if source not in stations:
                read = ["*".join(map(str, one.actions)) for one in found.course.bound.inputs.values()]
            else:
                read = [] if source in unknown else [_text(found, source)[0]]
            texts += [text for text in read if here == place or _PLACES.search(text)]
    return tuple(dict.fromkeys(filter(None, texts)))


def _single(found: Attributed, place: int) -> bool | None:
    """Whether the stored tensors that a station reads hold what single precision rounds; None where it reads none."""
    station, module = found.course.recording.stations[place], found.course.runner.module
    stored = {} if module is None else dict((*module.named_parameters(), *module.named_buffers()))
    read = [stored[name] for short in station.names for name in (short, f"{station.path}.{short}") if name in stored]
    numbers = [t.detach() for t in read if t.is_floating_point()]
    return all(bool((t.float().to(t.dtype) == t).all()) for t in numbers) if numbers else None


def _only(found: Attributed, total: Tensor) -> str:
    """Which elements alone carry an error: `improper`, `odd shifts`."""
    course = found.course
    if len(total) != len(course.index):
        return ""
    sizes = torch.linalg.vector_norm(total.reshape(len(total), -1), dim=1).cpu()
    loud, g = sizes > _SILENT * sizes.max(), course.elements.g[course.index.cpu()]
    proper = course.bound.group.proper(g)
    if bool(proper.any()) and bool((~proper).any()) and not bool((loud & proper).any()):
        return "improper"
    if "shift" in course.bound.group.faces:
        odd = (course.bound.group.face("shift", g) % 2 != 0).any(1)
        if bool(odd.any()) and bool((~odd).any()) and not bool((loud & ~odd).any()):
            return "odd shifts"
    return ""


def _inverse(found: Attributed, place: int) -> bool:
    """Whether what a station returns follows g⁻¹ where it should follow g."""
    readings, own = found.chart.get(place, ()), found.swept.own.get(place, ())
    if not own or len(readings) != 1 or readings[0] is None or not readings[0].parts:
        return False
    course, pairs = found.course, len(found.course.index)
    back = course.bound.group.inverse(course.elements.g)
    there: Any = readings[0](course.bound.group, back, course.index, course.recording.values[place][0])
    return rms(apart(own[0], there, pairs)) < 0.1 * rms(found.swept.local[place])
