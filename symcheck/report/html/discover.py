"""What symcheck discover found, as sections: claims, the spectrum, the algebra and its generators."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import Entry
from symcheck.report.html.discover_parts import data_section, discrete_section, profile_section, representation_section
from symcheck.report.html.figures.told import singular_panels
from symcheck.report.html.view import Block, Easel, Facts, Section, Words, tables

_HEAD = ("direction", "size", "floor", "held out", "kind")
_BEYOND = 3  # directions after the last that counts


def discover_sections(data: Mapping[str, Any], easel: Easel) -> Iterator[Section]:
    """The parts of a symcheck.discover/1 document; LoadError names the place of what does not fit."""
    found = Entry(data)
    claims = [Words(one.whole, "command") for one in found["claims"]]
    unsaid = [Words(words) for words in found["unsaid"].sentences]
    yield Section("Claims that hold", [*(claims or [Words("No claim was found that holds.")]), *unsaid])
    if found["continuous"]:
        yield from _continuous(found, easel)
    yield from _motions(found, easel)
    if found["discrete"]:
        yield discrete_section(found["discrete"])
    if found["representations"]:
        yield representation_section(found["representations"])
    for name, one in found["data"].named.items():
        yield data_section(Entry(name).text, one)
    if found["profile"]:
        yield profile_section(found["profile"])
    if found["notes"]:
        yield Section("Notes", [Words(note) for note in dict.fromkeys(found["notes"].sentences)])


def discovered(data: Mapping[str, Any]) -> str:
    """What was found in a few words: `e(3), 6 generators`; how many claims hold."""
    found, pieces = Entry(data), []
    continuous = found["continuous"]
    if continuous:
        algebra = continuous["algebra"]
        if algebra:
            where = "" if algebra["standard"].flag else " up to a change of basis"
            kind = "" if continuous["dimension"].count else "nearly "
            size = numbers.count(algebra["dimension"].count, "generator")
            pieces.append(f"{kind}{algebra['name'].text}{where}, {size}")
            nearly = continuous["nearly"].text
            pieces += [f"{continuous['near'].count} more nearly: together {nearly}"] if nearly else []
        elif continuous["verdict"].text == "nothing":
            pieces.append("no generator, exact or near, in this family")
        else:
            pieces.append(f"generators: {continuous['verdict'].text}")
    groups = [one["name"].text for one in found["discrete"]["groups"]] if found["discrete"] else []
    pieces += [f"finite groups: {', '.join([*dict.fromkeys(groups)][:6])}"] if groups else []
    many = len([*found["claims"]])
    return "; ".join([*pieces, f"{numbers.count(many, 'claim')} hold{'s' if many == 1 else ''}"])


def _continuous(found: Entry, easel: Easel) -> Iterator[Section]:
    one = found["continuous"]
    spectrum = [*one["spectrum"]]
    inside = one["dimension"].count + one["near"].count
    rows = [[str(i), *_direction(each)] for i, each in enumerate(spectrum, 1)]
    shown = max(inside, 0) + _BEYOND
    blocks: list[Block] = easel.figures([*singular_panels(found)][: 1 if spectrum else 0])
    blocks += tables(_HEAD, rows[:shown], "The smallest directions")
    if len(rows) > shown:
        last = numbers.number(spectrum[-1]["sigma"].number)
        blocks.append(Words(f"and {len(rows) - shown} more, up to {last}; 1 is ordinary"))
    notes = [("note", note) for note in one["notes"].sentences]
    told = Facts([("verdict", one["verdict"].text), *_extent(one), *notes])
    yield Section("Generators: J_f(x) X x = Y f(x), X on the inputs, Y on the outputs", [*blocks, told])
    audited = [
        [each["what"].text, each["output"].text, each["verdict"].text, numbers.ratio(each["error"].optional),
         numbers.stated(each["tolerance"].number), str(each["elements"].count), str(each["samples"].count)]
        for each in one["verified"]
    ]  # fmt: skip
    head = ("what", "output", "verdict", "error / spread", "tolerance", "elements", "fresh samples")
    if audited:
        yield Section("Audit of finite elements", tables(head, audited))
    if one["algebra"]:
        yield _algebra(one["algebra"])


def _direction(one: Entry) -> list[str]:
    return [*(numbers.number(one[key].number) for key in ("sigma", "floor", "held_out")), one["kind"].text]


def _extent(one: Entry) -> Iterator[tuple[str, str]]:
    """The dimension with its interval, the equations, and the family that was searched."""
    if one["spectrum"]:
        ends = [each.count for each in one["interval"]] or [one["dimension"].count]
        extent = " to ".join(map(str, dict.fromkeys([ends[0], ends[-1]])))
        gap = one["gap"].optional
        wide = "" if gap is None else f"; the next direction is {numbers.number(gap)} times larger"
        counted = f"{one['dimension'].count} exact, {one['near'].count} near"
        yield "dimension", f"{counted}; {extent} over resampled samples{wide}"
        yield "equations", f"{one['equations'].count} for {one['unknowns'].count} unknowns; {one['how'].text}"
    moving = "; ".join(f"{name} {acting.text}" for name, acting in one["outputs"].named.items())
    forms = "".join(f"; {name} only {form.text}" for name, form in one["forms"].named.items())
    yield "family", f"any linear map and shift of {', '.join(one['inputs'].texts)}{forms}; outputs: {moving}"


def _algebra(one: Entry) -> Section:
    """Its name, its invariants, the forms that it preserves, what it is next to, and its basis."""
    up, down, zero = _signature(one["killing"], 3)
    images = "; ".join(f"{name}: {word.text}" for name, word in one["images"].named.items())
    closed = "closed" if one["closed"].flag else "NOT closed"
    pairs = [
        ("name", one["name"].text + ("" if one["standard"].flag else " up to a change of basis")),
        ("dimension", str(one["dimension"].count)),
        ("acts", images),
        ("brackets", f"{closed}, what leaves the span is {numbers.number(one['closure'].number)}"),
        ("Killing form", f"+{up} -{down} 0:{zero}"),
        ("centre", str(one["centre"].count)),
        ("radical", str(one["radical"].count)),
        ("derived series", " > ".join(str(each.count) for each in one["derived"])),
        *(("preserves", _form(form)) for form in one["forms"]),
    ]
    near = [
        [each["name"].text, str(each["dimension"].count), numbers.number(min(each["cosines"].numbers, default=1.0), 3),
         "inside" if each["contained"].flag else ""] for each in one["nearest"]
    ]  # fmt: skip
    basis = [[f"X{i}", each["name"].text, _entries(each["inputs"])] for i, each in enumerate(one["basis"], 1)]
    blocks: list[Block] = [Facts([pair for pair in pairs if pair[1]])]
    blocks += tables(("algebra", "dimension", "least cosine", ""), near, "Compared in the coordinates of the data")
    blocks += tables(("generator", "name", "entries [row, column]; the last column is the shift"), basis, "Basis")
    return Section(f"The algebra: {one['name'].text}", blocks)


def _signature(one: Entry, size: int) -> list[int]:
    found = [each.count for each in one]
    if len(found) != size:
        one.refuse(f"{size} numbers")
    return found


def _form(form: Entry) -> str:
    """`a symmetric form on pos, diag(1,1,1), signature (3, 0)`."""
    kind, name = form["kind"].text, form["input"].text
    if form["dimension"].count > 1:
        return f"{form['dimension'].count} {kind} forms on {name}"
    rows = [row.numbers for row in form["matrix"]]
    square = all(len(row) == len(rows) for row in rows)
    diagonal = square and all(abs(v) < 1e-6 for i, row in enumerate(rows) for j, v in enumerate(row) if i != j)
    words = f"a {kind} form on {name}"
    if diagonal and kind == "symmetric":
        words += f", diag({','.join(f'{round(row[i], 4) + 0.0:g}' for i, row in enumerate(rows))})"
    signature = form["signature"]
    return words + (f", signature ({', '.join(map(str, _signature(signature, 2)))})" if signature else "")


def _entries(inputs: Entry) -> str:
    """`x: [1,2] = 1, [2,1] = -1`."""
    pieces = []
    for name, matrix in inputs.named.items():
        found = [(i, j, v) for i, row in enumerate(matrix, 1) for j, v in enumerate(row.numbers, 1) if v]
        words = ", ".join(f"[{i},{j}] = {numbers.number(v, 4)}" for i, j, v in found[:8])
        pieces += [f"{name}: {words}{', …' if len(found) > 8 else ''}"] if found else []
    return "; ".join(pieces)


def _motions(found: Entry, easel: Easel) -> Iterator[Section]:
    """Every direction of the family of images, the one that changes the outputs least first."""
    panels = [*singular_panels(found)][1 if found["continuous"] and found["continuous"]["spectrum"] else 0 :]
    for i, one in enumerate(found["motions"]):
        rows = []
        for motion in one["directions"]:
            shares = [f"{share:.2f} {name}" for name, share in [*motion["shares"].by_name.items()][:3]]
            rows.append([", ".join(shares), *_direction(motion["direction"])])
        title = f"Motions of the image {one['input'].text} that leave the outputs alone, at first order"
        words = Words(f"{one['how'].text}; 1 is ordinary; finite elements are resampled: audit them")
        yield Section(title, [*easel.figures(panels[i : i + 1]), *tables(("motion", *_HEAD[1:]), rows), words])
