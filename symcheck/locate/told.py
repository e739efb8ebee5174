"""An attribution as it is told: rows of modules and operations, and the most likely cause."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.locate.causes import Cause
from symcheck.locate.gaps import rms
from symcheck.locate.result import Attribution, Layer, Module, Operation
from symcheck.locate.terms import END, Attributed

_AGAIN = 200


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
        station = found.course.recording.stations.get(found.culprit(place))
        hidden = "" if members or place == END else found.text(place)[0]
        rows.append(
            Operation(
                path=station.path if station else "",
                kind=station.kind if station else "",
                function=station.function if station else "outputs",
                line=station.line if station else "",
                action=hidden,
                how="unknown" if members else "declared" if place == END else found.text(place)[1],
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
        text, how = found.text(place)
        local = rms(found.swept.local[place]) if place in found.swept.local else None
        rows.append(Layer(station.path, station.function, station.line, text, how, local))
    return rows


def _weight(shares: Mapping[str, float]) -> float:
    return sum(shares.values()) / len(shares)


def _cause(found: Attributed, operations: list[Operation]) -> Cause | None:
    """The most likely cause of the largest share."""
    if not operations:
        return None
    places = [p for p in (*found.swept.values, END) if found.path(p) == operations[0].path]
    place = max(places, key=lambda p: _weight({n: one.share(p) for n, one in found.terms.items()}))
    return found.blamed[place][1] if place in found.blamed else None
