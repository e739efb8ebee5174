"""From an attribution to what is known of one operation of it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from symcheck.locate.evidence import Facts
from symcheck.locate.gaps import apart, rms
from symcheck.locate.symptoms import biased
from symcheck.locate.terms import END, Attributed
from symcheck.locate.unbiased import sound_without_bias
from symcheck.measure.defect import widest

_PLAIN = (bool, int, float, str, tuple)
_PLACES = re.compile(r"\b(image|nodes|set|pairs|shift|sequence)\b")
_GRID = re.compile(r"\b(image|shift|sequence)\b")
_SILENT = 1e-3  # of the largest error: elements below it carry none


def facts_of(found: Attributed, place: int) -> Facts:
    """What is known of one station; at END of the way from the last ones to the outputs."""
    course, stations = found.course, found.course.recording.stations
    if place == END:
        layout = course.recording.layout
        given = tuple(text for end in sorted(course.recording.ends) for text in _read(found, end))
        return Facts("outputs", before=layout, given=given, faces=_faces(found), picked=_picked(found, layout))
    station = stations[place]
    modules = dict(course.runner.module.named_modules()) if course.runner.module is not None else {}
    module = modules.get(station.path)
    own = {} if module is None else {k: v for k, v in vars(module).items() if isinstance(v, _PLAIN) and k[0] != "_"}
    numbers = [*found.terms.values()]
    error = max(
        rms(one.total) / (rms(widest(course.recording.outputs[name])) or 1.0) for name, one in found.terms.items()
    )
    facts = Facts(
        function=station.function,
        kind=station.kind,
        path=station.path,
        attributes={**own, **station.options},
        names=station.names,
        fixed=station.fixed,
        picked=_picked(found, station.layout),
        shape=station.shape,
        before=(*station.before, *(stations[p].function for p in station.sources if p in stations)),
        action=found.text(place)[0],
        given=_given(found, place),
        faces=_faces(found),
        only=_only(found, numbers[0].total),
        error=error,
        epsilon=torch.finfo(course.runner.dtype or torch.get_default_dtype()).eps,
        inverse=_inverse(found, place),
        single=_single(found, place),
    )
    if biased(facts) and "bias" in facts.names:
        return replace(facts, commutes=sound_without_bias(found, place))
    return facts


def _faces(found: Attributed) -> frozenset[str]:
    return frozenset[str]().union(*(factor.faces for factor in found.course.bound.group.factors()))


def _picked(found: Attributed, layout: tuple[str, ...]) -> bool:
    """Whether entries of an axis as long as the group has places, or an input that it moves, are taken out."""
    factors, moved = found.course.bound.group.factors(), found.course.moved.tensors
    slots = [one.face("permutation", one.identity(1)) for one in factors if "permutation" in one.faces]
    sizes = {int(one.shape[-1]) for one in slots}
    for name, action in found.course.bound.inputs.items():
        if any(_GRID.search(str(one)) for one in action.actions) and not sizes:
            sizes |= {*moved[name].shape[-2:]}
    return any(f"pick {size}" in layout for size in sizes)


def _given(found: Attributed, place: int) -> tuple[str, ...]:
    """The actions on what a station reads; past stations of unknown action, those that move places."""
    stations, unknown = found.course.recording.stations, {*found.swept.unknown}
    passed = found.course.recording.before(stations[place].sources, unknown)
    texts = []
    for here in (place, *passed):
        for source in stations[here].sources:
            read = () if source in unknown else _read(found, source)
            texts += [text for text in read if here == place or _PLACES.search(text)]
    return tuple(dict.fromkeys(filter(None, texts)))


def _read(found: Attributed, source: int) -> tuple[str, ...]:
    """The action on what a station returns; of the inputs, those of the claim."""
    if source in found.course.recording.stations:
        return (found.text(source)[0],)
    return tuple("*".join(map(str, one.actions)) for one in found.course.bound.inputs.values())


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
    course, h = found.course, found.course.recording.values[place][0]
    index, back = course.index_of(h.shape), course.bound.group.inverse(course.elements.g)
    there: Any = readings[0](course.bound.group, back, index, h)
    return rms(apart(own[0], there, len(index))) < 0.1 * rms(found.swept.local[place])
