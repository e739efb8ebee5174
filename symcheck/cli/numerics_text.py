"""What numerics and aliasing explain of an error, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console

from symcheck.locate.aliasing_result import Aliasing, Control, Phases
from symcheck.locate.numerics_result import Cell, Numerics
from symcheck.report.numbers import number, ratio
from symcheck.report.page import INDENT, Page

_HEAD = ("", "error / spread", "floor", "verdict", "tolerance")


def show_numerics(found: Numerics, console: Console) -> None:
    """One row for each arithmetic, engine, batch size and output, and the cheapest that will do."""
    page, several = Page(console), len({name for cell in found.cells for name in cell.outputs}) > 1
    page.line(f"{found.claim}, in other arithmetic", "bold")
    page.table(_HEAD, [row for cell in found.cells if cell.measured for row in _rows(cell, found.tolerance, several)])
    cheapest = found.cheapest
    words = f"the cheapest within {ratio(found.tolerance)}: {cheapest}" if cheapest else "no arithmetic here will do"
    page.line(words, "" if cheapest else "yellow", INDENT)
    for why, cells in _missing(found).items():
        page.line(f"{'; '.join(cells)}: {why}", "dim", INDENT)
    for note in found.notes:
        page.line(note, "", INDENT)


def _rows(cell: Cell, tolerance: float, several: bool) -> Iterator[list[str]]:
    for name, one in cell.outputs.items():
        label = f"{cell}, {name}" if several else str(cell)
        within = "within" if one.meets(tolerance) else "above"
        yield [label, number(one.error), number(one.floor), str(one.verdict), within]


def _missing(found: Numerics) -> dict[str, list[str]]:
    """The cells without numbers and those that were emulated, by what is to be told of them."""
    told: dict[str, list[str]] = {}
    for cell in found.cells:
        if not cell.measured or "emulated" in cell.how:
            told.setdefault(cell.how, []).append(str(cell))
    return told


def show_aliasing(found: Aliasing, console: Console) -> None:
    """What sampling explains, what the weights, the stride, and the sizes."""
    page = Page(console)
    page.line(f"{found.claim}, sampling apart from weights", "bold")
    for words in (*map(control_words, found.controls), *map(phase_words, found.phases), *_sizes(found), *found.notes):
        page.line(words, "", INDENT)


def control_words(one: Control) -> str:
    """One sentence on the control."""
    own = f"{ratio(one.excess)} [{ratio(one.low)}, {ratio(one.high)}]"
    return (
        f"{one.output}: {ratio(one.resampled)} of the spread at {one.elements} elements that need resampling; averaged "
        f"over {one.averaged} lattice elements the network leaves {ratio(one.control)}, which is sampling; {own} "
        f"belongs to the weights; exact elements show {ratio(one.lattice)}"
    )


def phase_words(one: Phases) -> str:
    """One sentence on shifts."""
    if one.stride is None:
        worst = max(one.along, key=lambda phase: phase.error, default=None)
        most = "" if worst is None else f", up to {ratio(worst.error)} of the spread at {worst.shift}"
        return f"{one.output}: no stride is seen in the errors of shifts{most}"
    rows, columns = one.stride
    how = "least wrong" if one.least else "exact"
    if (rows, columns) == (1, 1):
        return f"{one.output}: every shift is {how}"
    wrong = sum(not phase.verdict.holds for phase in one.phases)
    return (
        f"{one.output}: shifts are {how} at multiples of {rows} × {columns}, the stride; "
        f"of its {rows * columns} phases {wrong} are broken"
    )


def _sizes(found: Aliasing) -> Iterator[str]:
    measured = [one for one in found.sizes if one.verdict is not None]
    holds = [f"{one.size[0]} × {one.size[1]}" for one in measured if one.verdict is not None and one.verdict.holds]
    broken = [f"{one.size[0]} × {one.size[1]}" for one in measured if one.verdict is not None and not one.verdict.holds]
    if holds and broken:
        yield f"by size: holds at {', '.join(holds)}; broken at {', '.join(broken)}"
    elif len({one.size for one in measured}) == 1:
        yield "the network takes images of no other size"
    elif measured:
        yield f"{'holds' if holds else 'broken'} at every size from {measured[-1].size[0]} to {measured[0].size[0]}"
