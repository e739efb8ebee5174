"""What images lose by sampling and numbers by precision, as sections."""

from __future__ import annotations

from collections.abc import Iterator

from symcheck.report import numbers
from symcheck.report.entry import Entry
from symcheck.report.html.view import Block, Section, Words, tables


def conditions(found: Entry) -> Iterator[Section]:
    """The parts `aliasing` and `numerics` of a symcheck.locate/1 document."""
    if found["aliasing"]:
        yield _aliasing(found["aliasing"])
    if found["numerics"]:
        yield _numerics(found["numerics"])


def _aliasing(found: Entry) -> Section:
    """The control, the stride, and sizes."""
    blocks: list[Block] = []
    controls = [
        [one["output"].text, _ratio(one["resampled"]), _ratio(one["control"]), _interval(one),
         _ratio(one["lattice"]), _ratio(one["floor"])]
        for one in found["controls"]
    ]  # fmt: skip
    head = ("output", "resampled", "of sampling", "of the weights", "at exact elements", "floor")
    blocks += tables(head, controls, "Elements that need resampling")
    for one in found["phases"]:
        blocks.append(Words(_stride(one)))
        rows = [_phase(phase) for phase in one["phases"]] or [_phase(phase) for phase in one["along"]]
        blocks += tables(("shift: rows, columns", "error", "verdict"), rows, f"Shifts, {one['output'].text}")
    sizes = [
        [_by(one["size"]), one["output"].text, numbers.ratio(one["error"].optional), one["verdict"].text,
         one["why"].text] for one in found["sizes"]
    ]  # fmt: skip
    blocks += tables(("size", "output", "error", "verdict", "why not"), sizes, "Images of other sizes")
    blocks += [Words(note) for note in found["notes"].sentences]
    return Section("Sampling apart from weights", blocks)


def _ratio(one: Entry) -> str:
    return numbers.ratio(one.number)


def _interval(one: Entry) -> str:
    return numbers.interval(one["excess"].number, one["low"].number, one["high"].number)


def _stride(one: Entry) -> str:
    output = one["output"].text
    if one["stride"].value is None:
        return f"{output}: no stride is seen in the errors of shifts."
    how = "least wrong" if one["least"].flag else "exact"
    return f"{output}: shifts are {how} at multiples of {_by(one['stride'])}, the stride."


def _phase(one: Entry) -> list[str]:
    shift = ", ".join(str(step.count) for step in one["shift"])
    return [shift, _ratio(one["error"]), one["verdict"].text]


def _by(size: Entry) -> str:
    return " × ".join(str(one.count) for one in size)


def _numerics(found: Entry) -> Section:
    """For each output a matrix: a row a precision, a column an engine and batch size; what was not measured."""
    cells, tolerance = [*found["cells"]], found["tolerance"].number
    ways = dict.fromkeys((cell["engine"].text, cell["batch"].count) for cell in cells)
    precisions = dict.fromkeys(cell["precision"].text for cell in cells)
    by_place = {(cell["precision"].text, cell["engine"].text, cell["batch"].count): cell for cell in cells}
    blocks: list[Block] = []
    for output in dict.fromkeys(name for cell in cells for name in cell["outputs"].named):
        rows = [
            [precision, *(_cell(by_place.get((precision, *way)), output, tolerance) for way in ways)]
            for precision in precisions
        ]
        head = ("precision", *(f"{engine}, batch {batch}" for engine, batch in ways))
        blocks += tables(head, rows, f"Error / spread, and its verdict: {Entry(output).text}")
    cheapest = found["cheapest"].text
    best = f"The cheapest within {numbers.stated(tolerance)}: {cheapest}."
    words = best if cheapest else "No arithmetic here will do."
    blocks += [Words(words)] if "cheapest" in found.named else []
    told: dict[str, list[str]] = {}
    for cell in cells:
        how = cell["how"].text
        if how and (not cell["outputs"] or "emulated" in how):
            name = f"{cell['precision'].text}, {cell['engine'].text}, batch {cell['batch'].count}"
            told.setdefault(how, []).append(name)
    blocks += [Words(f"{'; '.join(names)}: {how}") for how, names in told.items()]
    blocks += [Words(note) for note in found["notes"].sentences]
    return Section("In other arithmetic", blocks)


def _cell(cell: Entry | None, output: str, tolerance: float) -> str:
    """The error with its verdict; ✓ where the whole interval lies within the tolerance."""
    if cell is None or output not in cell["outputs"].named:
        return "not measured"
    one = cell["outputs"][output]
    verdict = one["verdict"].text
    within = verdict != "trivial" and one["high"].number <= tolerance
    return f"{numbers.ratio(one['error'].number)} {verdict}{', ✓ within' if within else ''}"
