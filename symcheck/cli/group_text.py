"""Which part of a group holds, for the terminal: the verdict, the lattice, spectra, curves and the worst elements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from symcheck.locate.subgroups.result import Along, GroupPart, Lattice, Node, Spectrum
from symcheck.report.numbers import number, ratio
from symcheck.report.page import GAP, INDENT, Page

_ROWS, _PEAKS, _WORST, _WIDE = 14, 4, 3, 36
_HEAD = ("subgroup", "where", "order", "verdict", "error", "worst pair")


def show_group(page: Page, part: GroupPart, details: bool = False) -> None:
    """Print one claim's part of the group; `details`: every subgroup that was measured, and every curve."""
    page.line(part.claim, "bold")
    for lattice in part.lattices:
        page.line(f"{lattice.output}  {lattice.sentence}", indent=INDENT)
    for lattice in part.lattices:
        rows = [_row(lattice.nodes[i]) for i in _chosen(lattice, details)]
        if len(lattice.nodes) > 1:
            page.line()
            page.line(f"subgroups, {lattice.output}", "bold", INDENT)
            _table(page, rows)
            left = len(lattice.nodes) - len(rows)
            if left:
                page.line(f"and {left} more", "dim", INDENT)
    for words in (*_spectra(part), *_curves(part, details), *_elements(part), *part.notes):
        page.line(words, "dim", INDENT)


def _chosen(lattice: Lattice, details: bool) -> list[int]:
    """What is shown: the whole, what holds, what breaks and what stands above, then the rest by size."""
    last = len(lattice.nodes) - 1
    first = [last, *lattice.holds, *lattice.exact, *lattice.beyond, *lattice.breaks]
    rest = sorted(range(last), key=lambda i: -(lattice.nodes[i].order or 1_000_000))
    order = list(dict.fromkeys([*first, *rest]))
    return order if details else order[:_ROWS]


def _row(node: Node) -> list[str]:
    kind = f"{node.title} ×{node.conjugates}" if node.conjugates > 1 else node.title
    name = f"{node.factor}: {kind}" if node.factor and node.factor != node.name else kind
    order = "∞" if node.order is None else str(node.order)
    return [name, node.where, order, str(node.verdict), ratio(node.error), ratio(node.worst_error)]


def _table(page: Page, body: Sequence[Sequence[str]]) -> None:
    """A table whose names and places wrap, so that nothing is cut off; numbers to the right."""
    rows = [[page.text(word, "dim") for word in _HEAD], *([page.text(cell) for cell in row] for row in body)]
    sizes = [max(row[i].cell_len for row in rows) for i in range(len(_HEAD))]
    sizes[0], sizes[1] = min(sizes[0], _WIDE), min(sizes[1], _WIDE)
    room = page.width - INDENT - GAP * (len(sizes) - 1) - sum(sizes[2:])
    sizes[1] = max(min(sizes[1], room - sizes[0]), 12)
    sizes[0] = max(min(sizes[0], room - sizes[1]), 12)
    for row in rows:
        for cell, size in zip(row[2:], sizes[2:], strict=True):
            cell.align("right", size)
        page.row(list(zip(row, sizes, strict=True)), INDENT)


def _spectra(part: GroupPart) -> Iterator[str]:
    for one in part.spectra:
        title = {"frequency": "turns", "degree": "turns of space", "character": "irreps"}[one.kind]
        yield f"{title} of {one.factor or part.group}, {one.output}: {_peaks(one)}{one.reading}" + (
            f" ({one.note})" if one.note else ""
        )


def _peaks(one: Spectrum) -> str:
    """`m = 4: 92 %, m = 8: 7 %; ` of the variance, largest first."""
    seen = [(p, label) for p, f, label in zip(one.powers, one.floors, one.labels, strict=True) if p > f]
    if one.kind == "character" or not seen or not one.variance > 0:
        return ""
    top = sorted(seen, reverse=True)[:_PEAKS]
    letter = {"frequency": "m", "degree": "l"}[one.kind]
    return ", ".join(f"{letter} = {label}: {ratio(p / one.variance)}" for p, label in top) + "; "


def _curves(part: GroupPart, details: bool) -> Iterator[str]:
    rows = sorted(part.curves, key=lambda one: -max(one.errors, default=0.0))
    for one in rows if details else rows[:_PEAKS]:
        yield f"{one.name}, {one.output}: error up to {ratio(max(one.errors))}{_extent(one)}"


def _extent(one: Along) -> str:
    if one.extent is None or len(one.at) < 2:
        return "" if len(one.at) < 2 else ", within the tolerance all the way"
    return f", within the tolerance up to {number(one.extent)} {_unit(one)}"


def _unit(one: Along) -> str:
    """What the parameter of a flow is counted in."""
    if one.name.startswith("translation"):
        return "units of length"
    return "rad" if one.period is not None else "of rapidity" if one.name.startswith("boost") else "of its parameter"


def _elements(part: GroupPart) -> Iterator[str]:
    for output in dict.fromkeys(one.output for one in part.elements):
        own = [one for one in part.elements if one.output == output][:_WORST]
        words = "; ".join(f"{one.label} {ratio(one.error)}" for one in own)
        yield f"worst elements, {output} (mean of each over the samples): {words}"
