"""What was discovered for the terminal: the algebra with its spectrum and audit, the other parts, the claims."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from symcheck.cli.discover_parts_text import data_lines, discrete_lines, profile_lines, representation_lines
from symcheck.discover.result import Algebra, Continuous, Direction, Discovery, Generator, Motions, PreservedForm
from symcheck.report.model import Verdict
from symcheck.report.numbers import count, duration, number, ratio
from symcheck.report.page import INDENT, Page

_LABEL = 12
_BEYOND, _BASIS = 3, 12  # directions after the last that counts, and generators, that are shown


def show(found: Discovery, written: Sequence[Path], console: Console) -> None:
    """Print what was found."""
    page = Page(console)
    page.line(str(found.subject.get("name") or found.subject.get("path") or "?"), "bold")
    page.line(" · ".join(_facts(found)), "dim", INDENT)
    if found.continuous is not None:
        _continuous(page, found.continuous)
    for one in found.motions:
        _motions(page, one)
    _parts(page, found)
    page.line()
    if found.claims:
        page.line("Claims that hold, ready for audit and gate", "bold")
        for claim in found.claims:
            page.whole(Text.assemble("  ", page.text(claim)))
    else:
        page.line("No claim was found that holds.")
    for words in found.unsaid:
        page.labelled(Text("unsaid", "dim"), page.text(words), _LABEL)
    for note in dict.fromkeys(found.notes):
        page.labelled(Text("note", "dim"), page.text(note), _LABEL)
    page.labelled(Text("cost", "dim"), page.text(duration(found.seconds), "dim"), _LABEL)
    for path in written:
        page.whole(Text.assemble(("wrote ", "bold"), page.text(str(path))))


def _facts(found: Discovery) -> Iterator[str]:
    settings = found.settings
    yield f"{found.environment['dtype']} on {found.environment['device']}"
    yield f"{settings['samples']} samples"
    yield f"seed {settings['seed']}"


def _parts(page: Page, found: Discovery) -> None:
    """The parts that other searches found."""
    if found.discrete is not None:
        page.line()
        discrete_lines(page, found.discrete)
    if found.representations is not None:
        page.line()
        representation_lines(page, found.representations)
    for name, one in found.data.items():
        page.line()
        page.line(name, "bold")
        data_lines(page, one)
    if found.profile is not None:
        page.line()
        profile_lines(page, found.profile)


def _continuous(page: Page, found: Continuous) -> None:
    """The headline, the spectrum, the audit, the invariants and the generators."""
    page.line()
    page.line("Generators: J_f(x) X x = Y f(x), X on the inputs, Y on the outputs", "bold")
    _headline(page, found)
    if found.spectrum:
        _spectrum(page, found)
    page.line()
    for label, words in _lines(found):
        page.labelled(Text(label, "dim"), page.text(words), _LABEL)
    if found.algebra is not None:
        _basis(page, found.algebra)


def _motions(page: Page, found: Motions) -> None:
    """Every direction of the family of images, the one that changes the outputs least first."""
    page.line()
    page.line(f"Motions of the image {found.input} that leave the outputs alone, at first order", "bold")
    rows = [
        [", ".join(f"{share:.2f} {name}" for name, share in list(one.shares.items())[:3]), number(one.direction.sigma),
         number(one.direction.floor), number(one.direction.held_out), one.direction.kind]
        for one in found.directions
    ]  # fmt: skip
    page.table(("motion", "size", "floor", "held out", ""), rows)
    page.line(f"{found.how}; 1 is ordinary; finite elements are resampled: audit them", "dim", INDENT)


def _headline(page: Page, found: Continuous) -> None:
    judged = found.verdict in set(Verdict)
    mark = page.mark(Verdict(found.verdict)) if judged else Text(found.verdict, "bold")
    words = ""
    if found.algebra is not None:
        where = "" if found.algebra.standard else " up to a change of basis"
        kind = "" if found.dimension else "nearly "
        words = f"  {kind}{found.algebra.name}{where}, {count(found.algebra.dimension, 'generator')}"
        if found.nearly:
            words += f"; {found.near} more nearly: together {found.nearly}"
    elif found.verdict == "nothing":
        words = "  no generator, exact or near, in this family"
    page.whole(Text.assemble("  ", mark, page.text(words)))


def _spectrum(page: Page, found: Continuous) -> None:
    inside = found.dimension + found.near
    shown = found.spectrum[: inside + _BEYOND]
    rows = [_row(i, one) for i, one in enumerate(shown)]
    page.table(("direction", "size", "floor", "held out", ""), rows)
    if len(found.spectrum) > len(shown):
        rest = len(found.spectrum) - len(shown)
        page.line(f"and {rest} more, up to {number(found.spectrum[-1].sigma)}; 1 is ordinary", "dim", INDENT)


def _row(i: int, one: Direction) -> list[str]:
    return [str(i + 1), number(one.sigma), number(one.floor), number(one.held_out), one.kind]


def _lines(found: Continuous) -> Iterator[tuple[str, str]]:
    """Labelled lines."""
    if found.spectrum:
        low, high = found.interval
        extent = str(low) if low == high else f"{low} to {high}"
        gap = "" if found.gap is None else f"; the next direction is {number(found.gap)} times larger"
        yield "dimension", f"{found.dimension} exact, {found.near} near; {extent} over resampled samples{gap}"
        yield "equations", f"{found.equations} for {found.unknowns} unknowns; {found.how}"
    moving = "; ".join(f"{name} {acting}" for name, acting in found.outputs.items())
    forms = "".join(f"; {name} only {form}" for name, form in found.forms.items())
    yield "family", f"any linear map and shift of {', '.join(found.inputs)}{forms}; outputs: {moving}"
    for one in found.verified:
        error = "" if one.error is None else f", error {ratio(one.error)} of the spread"
        yield "audit", f"{one.what}, {one.output}: {one.verdict}{error} ({one.elements} elements, fresh samples)"
    if found.algebra is not None:
        yield from _invariants(found.algebra)
    for note in found.notes:
        yield "note", note


def _invariants(algebra: Algebra) -> Iterator[tuple[str, str]]:
    if len(algebra.images) > 1:
        yield "acts", "; ".join(f"{name}: {word}" for name, word in algebra.images.items())
    closed = "closed" if algebra.closed else "NOT closed"
    yield "brackets", f"{closed}, what leaves the span is {number(algebra.closure)}"
    up, down, zero = algebra.killing
    series = " > ".join(map(str, algebra.derived))
    yield "invariants", (f"Killing form +{up} -{down} 0:{zero}, centre {algebra.centre}, radical {algebra.radical}, "
                         f"derived series {series}")  # fmt: skip
    for form in algebra.forms:
        yield "preserves", _form(form)
    if algebra.nearest:
        yield "nearest", ", ".join(f"{n.name}{' (inside)' if n.contained else ''}" for n in algebra.nearest)


def _form(form: PreservedForm) -> str:
    if form.dimension > 1:
        return f"{form.dimension} {form.kind} forms on {form.input}"
    size = len(form.matrix)
    diagonal = all(abs(form.matrix[i][j]) < 1e-6 for i in range(size) for j in range(size) if i != j)
    words = f"a {form.kind} form on {form.input}"
    if diagonal and form.kind == "symmetric":
        words += f", diag({','.join(f'{round(form.matrix[i][i], 4) + 0.0:g}' for i in range(size))})"
    return words + (f", signature {form.signature}" if form.signature else "")


def _basis(page: Page, algebra: Algebra) -> None:
    """Every generator: its name, else its entries on each input."""
    for i, one in enumerate(algebra.basis[:_BASIS]):
        page.labelled(Text(f"X{i + 1}", "dim"), page.text(one.name or _entries(one)), _LABEL)
    if len(algebra.basis) > _BASIS:
        page.line(f"and {len(algebra.basis) - _BASIS} more generators in the file of -o", "dim", INDENT)


def _entries(one: Generator) -> str:
    """`x: [1,2] = 1, [2,1] = -1`; the last column is the shift."""
    pieces = []
    for name, matrix in one.inputs.items():
        found = [f"[{i + 1},{j + 1}] = {v:.4g}" for i, row in enumerate(matrix) for j, v in enumerate(row) if v]
        if found:
            pieces.append(f"{name}: {', '.join(found[:8])}{', …' if len(found) > 8 else ''}")
    return "; ".join(pieces)
