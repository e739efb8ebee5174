"""The figures of what symcheck locate and symcheck discover write: shares, subgroups, spectra, singular values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import Entry
from symcheck.report.html.figures.bars import bars_panel
from symcheck.report.html.figures.canvas import Panel, note
from symcheck.report.html.figures.flows import flow_panel
from symcheck.report.html.figures.hasse import Node, hasse_panel
from symcheck.report.html.figures.singular import singular_panel

_BARS = 14  # modules with a bar of their own
_TITLES = {"Ci": "Ci (inversion)", "Cs": "Cs (mirror)", "D1": "D1 (mirror)"}
Rows = list[tuple[str, float, str]]


def located_rows(data: Mapping[str, Any]) -> list[tuple[str, list[Panel]]]:
    """The figure of symcheck.locate/1: bars of shares by output; without any, what was seen of the group."""
    found = Entry(data)
    shares = [bars_panel(title, rows) for title, rows in share_bars(found["attribution"])]
    panels = shares or [*group_panels(found["group"], tolerance_of(found))]
    if not panels and (found["attribution"] or found["group"]):
        panels = [_sentence(_nothing(found))]
    return _in_pairs(found["claim"].text, panels)


def _nothing(found: Entry) -> str:
    """Why a location has no bars and no subgroups, in a sentence."""
    if found["attribution"]:
        return "Layer by layer, nothing but rounding."
    return "Nothing was seen of the group that can be drawn."


def _sentence(words: str) -> Panel:
    """A panel that only says something."""

    def draw(axes: Any) -> None:
        axes.set_axis_off()
        note(axes, (0.0, 0.5), words, va="center", ha="left")

    return Panel("Where the error is made", words, draw, 340, 30, (6, 6, 4, 8))


def discovered_rows(data: Mapping[str, Any]) -> list[tuple[str, list[Panel]]]:
    """The figure of symcheck.discover/1: the singular values of each search."""
    found = Entry(data)
    return _in_pairs(found["subject"]["name"].text, [*singular_panels(found)])


def _in_pairs(title: str, panels: list[Panel]) -> list[tuple[str, list[Panel]]]:
    return [(title if i == 0 else "", panels[i : i + 2]) for i in range(0, len(panels), 2)]


def share_bars(attribution: Entry) -> Iterator[tuple[str, Rows]]:
    """For each output the signed share of every module, the largest first, and of the others together."""
    if not attribution:
        return
    modules = [*attribution["modules"]]
    for output in dict.fromkeys(name for one in modules for name in one["share"].named):
        rows = [(module_name(one), one["share"][output].number) for one in modules]
        rest = sum(share for _, share in rows[_BARS:])
        told = rows[:_BARS] + ([(f"{len(rows) - _BARS} more", rest)] if len(rows) > _BARS else [])
        error = attribution["error"].named.get(output)
        size = "" if error is None else f", error {numbers.ratio(error.number)} of the spread"
        yield f"Shares of the error: {Entry(output).text}{size}", [(n, share, percent(share)) for n, share in told]


def module_name(one: Entry) -> str:
    """`7 (Linear)`; `at the outputs` for what no module adds."""
    path, kind = one["path"].text, one["kind"].text
    return f"{path} ({kind})" if path and kind else path or kind or "at the outputs"


def percent(share: float) -> str:
    """A signed share with one decimal."""
    return f"{100 * share:.1f} %"


def lattice_nodes(lattice: Entry) -> list[Node]:
    """Name, verdict, error and parents of every subgroup of a lattice."""
    nodes: list[Node] = []
    for one in lattice["nodes"]:
        nodes.append((node_name(one), one["verdict"].text, one["error"].optional, one["parents"].places))
    return nodes


def node_name(one: Entry) -> str:
    """The name of a subgroup in words, with its factor and how many of its kind there are."""
    name, factor, many = one["name"].text, one["factor"].text, one["conjugates"].count
    kind = f"{_TITLES.get(name, name)}{f' ×{many}' if many > 1 else ''}"
    return f"{factor}: {kind}" if factor and factor != name else kind


def group_panels(group: Entry, tolerance: float) -> Iterator[Panel]:
    """Lattices, then what each spectrum holds, then curves along flows."""
    if not group:
        return
    for lattice in group["lattices"]:
        panel = hasse_panel(f"Subgroups: {lattice['output'].text}", lattice_nodes(lattice))
        if panel is not None:
            yield panel
    for title, rows in spectrum_bars(group):
        yield bars_panel(title, rows)
    flows: dict[str, list[tuple[str, list[float], list[float]]]] = {}
    for one in group["curves"]:
        curve = (one["name"].text, one["at"].numbers, one["errors"].numbers)
        flows.setdefault(one["output"].text, []).append(curve)
    for output, curves in flows.items():
        drawn = flow_panel(f"Error along flows: {output}", curves, tolerance)
        if drawn is not None:
            yield drawn


def spectrum_bars(group: Entry) -> Iterator[tuple[str, Rows]]:
    """For each spectrum the part of the variance that is of each kind, where it is above its floor."""
    titles = {"frequency": "Turns of", "degree": "Turns of space of", "character": "Irreps of"}
    for one in group["spectra"]:
        rows = []
        size = one["variance"].number
        powers, floors = one["powers"].numbers, one["floors"].numbers
        for label, power, floor in zip(one["labels"].texts, powers, floors, strict=False):
            share = power / size if size > 0 else 0.0
            if power > floor and share >= 1e-3:
                rows.append((label, share, numbers.ratio(share)))
        if rows:
            kind = titles.get(one["kind"].text, "Spectrum of")
            name = one["factor"].text or group["group"].text
            yield f"{kind} {name}: {one['output'].text}, share of the variance", rows[:_BARS]


def singular_panels(found: Entry) -> Iterator[Panel]:
    """The directions of the space of generators, and those of the motions of each image."""
    spectrum = [_direction(one) for one in found["continuous"]["spectrum"]] if found["continuous"] else []
    if spectrum:
        yield singular_panel("Directions of the space of generators", spectrum)
    for one in found["motions"]:
        motions = [_direction(motion["direction"]) for motion in one["directions"]]
        if motions:
            yield singular_panel(f"Motions of the image {one['input'].text}", motions)


def _direction(one: Entry) -> tuple[float, float, float, str]:
    return one["sigma"].number, one["floor"].number, one["held_out"].number, one["kind"].text



def tolerance_of(found: Entry) -> float:
    """The tolerance that was asked for; NaN where the document names none."""
    return found["settings"]["tolerance"].number if found["settings"] else float("nan")
