"""What symcheck locate found, as sections: cause, shares, operations, weights, generators."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import Entry
from symcheck.report.html.conditions import conditions
from symcheck.report.html.figures.told import module_name, percent, share_bars
from symcheck.report.html.subgroups import group_sections
from symcheck.report.html.view import Bars, Block, Easel, Section, Words, tables

_HOW = {"assumed": "assumed", "near": "nearest", "unknown": "unknown", "declared": "declared", "fitted": "fitted"}
_UNKNOWN = (
    "unknown: nobody knows how the group acts in between, so that the error may come from any operation of the group; "
    "declare it with --hidden PATH=ACTION"
)
_REASONS, _OUTPUTS = 20, 6  # reasons below a table, and outputs with a column
_ORDER = ("broken", "approximate", "exact", "trivial", "unknown")


def locate_sections(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    """The parts of a symcheck.locate/1 document; LoadError names the place of what does not fit."""
    found = Entry(data)
    if found["attribution"]:
        yield from _attribution(found["attribution"], easel)
    if found["group"]:
        yield from group_sections(found, easel)
    if found["certificates"]:
        yield _certificates(found["certificates"])
    if found["lie"]:
        yield from _lie(found["lie"], easel)
    yield from conditions(found)
    notes = [*found["notes"].sentences, *(found["attribution"]["notes"].sentences if found["attribution"] else ())]
    if notes:
        yield Section("Notes", [Words(note) for note in notes])


def _attribution(found: Entry, easel: Easel) -> Iterator[Section]:
    """The cause, bars of shares for each output, the operations; then all layers, folded."""
    layers = [*found["layers"]]
    known = len(layers) - found["unknown"].count
    about = [
        f"{known} of {len(layers)} operations have a known action",
        f"closes to {numbers.number(found['closure'].number, 1)}",
        f"{numbers.count(found['pairs'].count, 'pair')}, {found['runs'].count} passes",
    ]
    if not found["operations"]:
        words = [Words("Layer by layer, nothing but rounding."), Words(_joined(about))]
        yield Section("Where the error is made", words)
    else:
        yield Section("Most likely cause", [Words(found["sentence"].whole or "unknown")])
        blocks = easel.bars(Bars(title, rows) for title, rows in share_bars(found))
        first = next(iter(found["modules"]), None)
        again = [f"{module_name(first)} is first in {100 * first['again'].number:.0f} % of redraws"] if first else []
        operations = [*found["operations"]]
        outputs = [*dict.fromkeys(name for one in operations for name in one["share"].named)][:_OUTPUTS]
        rows = [_operation(one, outputs) for one in operations]
        many = [f"share, {Entry(name).text}" for name in outputs] if len(outputs) > 1 else ["share"]
        head = ("operation", "at", "hidden action", "own defect", "at the output", *many)
        blocks += [Words("Signed shares, which sum to 100 %."), *tables(head, rows, "Operations")]
        blocks += [Words(_UNKNOWN)] if any(one["group"] for one in operations) else []
        yield Section("Where the error is made", [*blocks, Words(_joined([*again, *about]))])
    if layers:
        every = tables(("operation", "at", "hidden action", "own defect"), [_layer(one) for one in layers])
        yield Section("Every operation", every, folded=True)


def _joined(pieces: Sequence[str]) -> str:
    return " · ".join(pieces)


def _operation(one: Entry, outputs: Sequence[str]) -> list[str]:
    group = one["group"].texts
    many = f" … {group[-1].rpartition(': ')[2]}" if len(group) > 1 else ""
    sizes, shares = [*one["size"].by_name.values()], one["share"].by_name
    how = one["how"].text
    action = " ".join(filter(None, (one["action"].text, f"({_HOW[how]})" if how in _HOW else "")))
    return [
        f"{one['path'].text or one['kind'].text or 'outputs'}: {one['function'].text}{many}",
        one["line"].text,
        action,
        ratio(one["local"].optional),
        ratio(max(sizes, key=lambda v: math.inf if math.isnan(v) else v, default=None)),
        *(percent(shares[name]) if name in shares else "" for name in outputs),
    ]


def _layer(one: Entry) -> list[str]:
    action = f"{one['action'].text or '?'} ({one['how'].text})"
    name = f"{one['path'].text or '.'}: {one['function'].text}"
    return [name, one["line"].text, action, ratio(one["local"].optional)]


def ratio(value: float | None) -> str:
    """A ratio, empty where there is none."""
    return "" if value is None else numbers.ratio(value)


def _certificates(found: Entry) -> Section:
    """One row for each layer that could be certified, the worst first; why it is broken."""
    rows = [*found["rows"]]
    known = [row for row in rows if row["verdict"].text != "unknown"]
    known.sort(key=lambda row: _ORDER.index(row["verdict"].text) if row["verdict"].text in _ORDER else 0)
    head = ("layer", "representations", "s_G", "used", "verdict")
    blocks: list[Block] = [*tables(head, [_certificate(row) for row in known])]
    broken = [row for row in known if row["verdict"].text == "broken" and row["reason"]]
    blocks += [Words(f"{row['layer'].text}: {row['reason'].whole}") for row in broken[:_REASONS]]
    missing = len(rows) - len(known)
    if missing:
        words = "layers are not certified: nobody knows how the group acts on their features"
        blocks.append(Words(f"{missing} of {len(rows)} {words}."))
    return Section("Layers by their weights alone, without data", blocks)


def _certificate(row: Entry) -> list[str]:
    source, target, allowed, used = row["source"].text, row["target"].text, row["allowed"], row["used"]
    some = "" if allowed.value is None else f"{'?' if used.value is None else used.count} of {allowed.count}"
    types = source if source == target else f"{source} → {target}"
    verdict = row["verdict"].text
    level = numbers.number(row["level"].optional)
    return [f"{row['layer'].text} ({row['kind'].text})", types, level, some, verdict]


def _lie(found: Entry, easel: Easel) -> Iterator[Section]:
    """One row for each generator and output; what each operation adds."""
    rows = [
        [flow["name"].text, one["output"].text, _size(flow), flow["scale"].text, flow["method"].text]
        for one in found["whole"] for flow in one["flows"]
    ]  # fmt: skip
    blocks: list[Block] = [Words("The error of infinitesimal elements, per radian or unit.")]
    blocks += tables(("generator", "output", "error", "relative to", "derivative"), rows)
    layers = found["layers"]
    if layers:
        terms = [*layers["terms"]]
        for output in layers["error"].named if terms else ():
            blocks += _terms(terms, output, easel)
        closed = max(layers["closure"].by_name.values(), default=math.nan)
        about = [f"closes to {numbers.number(closed, 1)}", numbers.count(layers["samples"].count, "sample")]
        about += [numbers.count(layers["runs"].count, "forward-mode run")]
        blocks += [] if terms else [Words("Layer by layer, nothing but rounding.")]
        blocks.append(Words(_joined(about)))
    yield Section("Lie derivative", blocks)


def _size(flow: Entry) -> str:
    return f"{numbers.number(flow['error'].number)} ± {numbers.number(flow['deviation'].number, 1)}"


def _terms(terms: Sequence[Entry], output: str, easel: Easel) -> Iterator[Block]:
    ranked = sorted(terms, key=lambda term: -_known(term["size"][output].number))
    rows, bars = [], []
    for term in ranked:
        name = f"{term['path'].text or 'outputs'}: {term['function'].text or 'rest'}"
        share, size = term["share"][output].number, term["size"][output].number
        rows.append([name, term["line"].text, term["action"].text or "?", numbers.number(size), percent(share)])
        bars.append((name, share, percent(share)))
    shown = Entry(output).text
    yield from easel.bars([Bars(f"Shares of the derivative: {shown}", bars[:14])])
    yield from tables((f"operation, {shown}", "at", "hidden action", "RMS", "share"), rows)


def _known(value: float) -> float:
    """What is no number is largest."""
    return math.inf if math.isnan(value) else value
