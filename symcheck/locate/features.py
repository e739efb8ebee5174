"""What an attribution knows of hidden actions, as declarations for layer certificates."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from symcheck.intertwiners.result import Certificate
from symcheck.locate.actions import Hidden
from symcheck.locate.certificates import Declared, certify_layers
from symcheck.locate.stations import Station
from symcheck.locate.terms import Attributed

_GRIDS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_SCALAR = "scalar"


def certificate_of(found: Attributed) -> Certificate | None:
    """The certificate of every layer whose features an attribution knows; None without a module."""
    module, group = found.course.runner.module, found.course.bound.group
    if module is None:
        return None
    paths = dict(module.named_modules())
    declared: dict[str, Declared] = {}
    for place, station in found.course.recording.stations.items():
        part = paths.get(station.path)
        if part is None or next(part.children(), None) is not None or station.path in declared:
            continue
        given, made = _given(found, place, part), _made(found, place, part)
        if given and made:
            declared[station.path] = (given, made)
    return certify_layers(module, group, declared)


def _made(found: Attributed, place: int, part: nn.Module) -> str:
    """How the group moves the channels of what a layer returns; empty where nobody knows."""
    if place in found.swept.unknown or len(found.chart.get(place, ())) != 1:
        return ""
    return _channels(found.chart[place][0], found.course.recording.values[place][0].dim(), isinstance(part, _GRIDS))


def _given(found: Attributed, place: int, part: nn.Module) -> str:
    """The same of what it reads, where that comes straight from one station or input of as many axes."""
    course, station = found.course, _before_padding(found, found.course.recording.stations[place])
    values, made = course.recording.values, course.recording.values[place][0]
    sources = [source for source in station.sources if source not in found.swept.unknown]
    grid = isinstance(part, _GRIDS)
    width = part.in_channels if isinstance(part, _GRIDS) else part.in_features if isinstance(part, nn.Linear) else None
    if len(sources) != len(station.sources) or len(sources) != 1:
        return ""
    if sources[0] == -1:
        inputs = [name for name, x in course.moved.tensors.items() if _fits(x.shape, made.dim(), width, grid)]
        actions = course.bound.inputs[inputs[0]].actions if len(inputs) == 1 else ()
        text = str(actions[0]) if len(actions) == 1 else ""
        return _SCALAR if not grid and text.startswith(("nodes", "image", "sequence", "shift")) else text
    (read, *rest) = values[sources[0]]
    if rest or not _fits(read.shape, made.dim(), width, grid):
        return ""
    return _channels(found.chart[sources[0]][0], read.dim(), grid)


def _before_padding(found: Attributed, station: Station) -> Station:
    """The station that reads what a layer reads: its `pad`, where it pads first, else itself."""
    read = [found.course.recording.stations.get(source) for source in station.sources]
    first = read[0] if len(read) == 1 else None
    return first if first is not None and first.function == "pad" and first.path == station.path else station


def _fits(shape: Sequence[int], axes: int, width: int | None, grid: bool) -> bool:
    return len(shape) == axes and (width is None or shape[1 if grid else -1] == width)


def _channels(hidden: Hidden | None, axes: int, grid: bool) -> str:
    """What an action does to the axis that a layer mixes: the second one on a grid, else the last."""
    if hidden is None or hidden.maps is not None or hidden.axis or hidden.fold > 1:
        return ""
    if not hidden.parts:
        return _SCALAR
    texts = []
    for part in hidden.parts:
        name, _, where = part.text.partition(" on ")
        if grid:
            texts.append(part.text if name.startswith(("image", "shift", "sequence")) and not where else "")
        elif name.startswith(("image", "shift", "sequence")):
            texts.append(_SCALAR if where else "")
        elif name == "nodes" or where.startswith(("axis", "axes")):
            texts.append(name if name == "nodes" and axes == 2 else _SCALAR)
        else:
            texts.append(name if not where or where.startswith("blocks") else "")
    kept = [text for text in texts if text != _SCALAR]
    return "" if "" in texts or len(kept) > 1 else (kept or [_SCALAR])[0]


