"""Which part of a group holds, as sections: what holds and breaks, lattices, spectra, curves, the worst elements."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from symcheck.report import numbers
from symcheck.report.entry import Entry, brief
from symcheck.report.html.figures.told import group_panels, node_name, tolerance_of
from symcheck.report.html.view import Easel, Facts, Section, Words, tables

_WORST = 3  # elements of an output
_HEAD = ("subgroup", "where", "order", "verdict", "error", "worst", "at")


def group_sections(found: Entry, easel: Easel) -> Iterator[Section]:
    """The part `group` of a symcheck.locate/1 document: first what holds, then every subgroup and curve."""
    group = found["group"]
    held = [(lattice["output"].text, _sentence(lattice)) for lattice in group["lattices"]]
    told = [*held, *_readings(group), *_curves(group), *_elements(group)]
    notes = [Words(note) for note in group["notes"].sentences]
    yield Section("Which part of the group holds", [*([Facts(told)] if told else []), *notes])
    blocks = easel.figures(group_panels(group, tolerance_of(found)))
    for lattice in group["lattices"]:
        nodes = [*lattice["nodes"]]
        rows = [_node(nodes[i]) for i in _order(lattice, nodes)]
        blocks += tables(_HEAD, rows, f"Subgroups, {lattice['output'].text}") if len(rows) > 1 else []
    if blocks:
        yield Section("Subgroups, spectra and curves", blocks)


def _sentence(lattice: Entry) -> str:
    """What holds and what breaks: in the words of the document, else by the names."""
    if "sentence" in lattice.named and lattice["sentence"]:
        return lattice["sentence"].whole
    names = {what: [node_name(lattice["nodes"].at(i)) for i in lattice[what].places] for what in ("holds", "breaks")}
    broken = f"; breaks: {', '.join(dict.fromkeys(names['breaks']))}" if names["breaks"] else ""
    return f"holds: {', '.join(dict.fromkeys(names['holds'])) or 'nothing but the identity'}{broken}"


def _order(lattice: Entry, nodes: Sequence[Entry]) -> list[int]:
    """The whole group, what holds, what stands above and what breaks, then the rest by size."""
    last = len(nodes) - 1
    first = [last, *(i for what in ("holds", "exact", "beyond", "breaks") for i in lattice[what].places)]
    if any(not 0 <= i <= last for i in first[1:]):
        lattice["holds"].refuse("places among its nodes")
    rest = sorted(range(last), key=lambda i: -_size(nodes[i]))
    return [*dict.fromkeys([*first, *rest])] if nodes else []


def _size(node: Entry) -> float:
    return math.inf if node["order"].value is None else node["order"].number


def _node(node: Entry) -> list[str]:
    order = "∞" if node["order"].value is None else str(node["order"].count)
    errors = [numbers.ratio(node[key].optional) for key in ("error", "worst_error")]
    where = node["where"].text
    place = "" if where.startswith("standard orientation") else brief(where, 40)
    worst = brief(node["worst"].text, 48)
    return [node_name(node), place, order, node["verdict"].text, *errors, worst]


def _readings(group: Entry) -> Iterator[tuple[str, str]]:
    titles = {"frequency": "turns", "degree": "turns of space", "character": "irreps"}
    for one in group["spectra"]:
        kind, note = titles.get(one["kind"].text, "spectrum"), one["note"].text
        name = f"{kind} of {one['factor'].text or group['group'].text}, {one['output'].text}"
        yield name, f"{one['reading'].whole}{f' ({note})' if note else ''}"


def _curves(group: Entry) -> Iterator[tuple[str, str]]:
    """How far along each flow the error stays within the tolerance, the worst first."""
    rows = []
    for one in group["curves"]:
        errors, extent = one["errors"].numbers, one["extent"].optional
        most = max(errors, key=lambda v: math.inf if math.isnan(v) else v, default=math.nan)
        reach = "within the tolerance all the way" if extent is None else f"within it up to {numbers.number(extent)}"
        far = f", {reach}" if len(errors) > 1 else ""
        rows.append((most, f"{one['name'].text}, {one['output'].text}", f"error up to {numbers.ratio(most)}{far}"))
    rows.sort(key=lambda row: -row[0] if row[0] == row[0] else -math.inf)
    return ((name, words) for _, name, words in rows)


def _elements(group: Entry) -> Iterator[tuple[str, str]]:
    """The worst elements of each output."""
    worst: dict[str, list[str]] = {}
    for one in group["elements"]:
        worst.setdefault(one["output"].text, []).append(f"{one['label'].text} {numbers.ratio(one['error'].number)}")
    return ((f"worst elements, {output}", "; ".join(words[:_WORST])) for output, words in worst.items())
