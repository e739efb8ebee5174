"""What symcheck locate and symcheck discover measured as rows of CSV: shares, spectra, curves, singular values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from symcheck.report.entry import Entry
from symcheck.report.html.figures.told import module_name, node_name

Point = tuple[Any, ...]  # subject, claim, output, part, series, kind, index, label, where, value


def told_points(data: Mapping[str, Any]) -> Iterator[Point]:
    """The numbers of a symcheck.locate/1 or symcheck.discover/1 document; LoadError names what does not fit."""
    found = Entry(data)
    subject = found["subject"]["name"].text if found["subject"] else ""
    yield from _located(found, subject) if data["schema"] == "symcheck.locate/1" else _discovered(found, subject)


def _located(found: Entry, subject: str) -> Iterator[Point]:
    claim = found["claim"].text
    shared = found["attribution"]
    for what in ("modules", "operations") if shared else ():
        for i, one in enumerate(shared[what]):
            name = module_name(one) if what == "modules" else f"{one['path'].text}: {one['function'].text}"
            for output, share in one["share"].by_name.items():
                yield subject, claim, output, "", "share", what, i, name, (), share
    if found["group"]:
        yield from _group(found["group"], subject, claim)
    layers = found["lie"]["layers"] if found["lie"] else Entry(None)
    for i, one in enumerate(layers["terms"] if layers else ()):
        name = f"{one['path'].text}: {one['function'].text}"
        for output, share in one["share"].by_name.items():
            yield subject, claim, output, "", "derivative", "share", i, name, (), share


def _group(group: Entry, subject: str, claim: str) -> Iterator[Point]:
    for lattice in group["lattices"]:
        for i, one in enumerate(lattice["nodes"]):
            head = (subject, claim, lattice["output"].text, "", "subgroup", one["verdict"].text)
            yield *head, i, node_name(one), (), one["error"].optional
    for one in group["spectra"]:
        head = (subject, claim, one["output"].text, one["factor"].text, "spectrum", one["kind"].text)
        for i, (label, power) in enumerate(zip(one["labels"].texts, one["powers"].numbers, strict=False)):
            yield *head, i, label, (), power
    for one in group["curves"]:
        head = (subject, claim, one["output"].text, "", "flow", one["name"].text)
        for i, (t, error) in enumerate(zip(one["at"].numbers, one["errors"].numbers, strict=False)):
            yield *head, i, "", (t,), error


def _discovered(found: Entry, subject: str) -> Iterator[Point]:
    spectra = {"generators": [*found["continuous"]["spectrum"]]} if found["continuous"] else {}
    spectra |= {one["input"].text: [motion["direction"] for motion in one["directions"]] for one in found["motions"]}
    for name, directions in spectra.items():
        for i, one in enumerate(directions):
            for what in ("sigma", "floor", "held_out"):
                yield subject, "", "", name, "direction", one["kind"].text, i, what, (), one[what].number
    for i, one in enumerate(found["discrete"]["groups"] if found["discrete"] else ()):
        head = (subject, one["claim"].text, one["output"].text, "", "finite group", one["verdict"].text)
        yield *head, i, one["name"].text, (), one["error"].optional
