"""An alignment for the terminal: the spaces, and the controls without which its cosine says nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from symcheck.align.alignment import Alignment
from symcheck.align.controls import Matched
from symcheck.align.streamed import Streamed
from symcheck.cli.align_run import Found
from symcheck.report.numbers import count, duration, number
from symcheck.report.page import Page
from symcheck.weights.folding import rows

_HEAD = ("", "units", "moved", "cosine", "margin", "doubles")
_LABEL = 12


def show(found: Found, console: Console, *, every: bool = False) -> None:
    """Print what was found."""
    page = Page(console)
    names = [Path(source["path"]).name or "?" for source in found.checkpoints.sources]
    for k, one in enumerate(found.alignments):
        page.line(f"{names[k + 1]} onto {names[0]}", "bold")
        table = _rows(found, one, every)
        if table:
            page.line()
            page.table(_HEAD, table)
        page.line()
        for label, words, style in _lines(found, k):
            page.labelled(Text(label, "dim"), page.text(words, style), _LABEL)
        page.line()
    for cycle in found.cycles:
        letters = [chr(ord("A") + i) for i in cycle.models]
        a, b, c = letters
        words = f"P_{a}{b} P_{b}{c} P_{c}{a} leaves {100 * cycle.kept:.1f} % of {count(cycle.units, 'unit')} in place"
        page.labelled(Text("cycle", "dim"), page.text(words), _LABEL)
    for what, path in found.written.items():
        page.whole(Text.assemble((f"{what}: ", "bold"), page.text(str(path))))


def _rows(found: Found, one: Alignment, every: bool) -> list[list[str]]:
    """A row for every space, those of numbered layers together."""
    by_name = {m.space: m for m in one.matched}
    if not by_name:
        return []
    table = []
    for row in rows(found.spec.only(spaces=[*by_name]), folded=not every):
        title = row.name + (f" ×{len(row.spaces)}" if len(row.spaces) > 1 else "")
        table.append(_row(title, [by_name[space.name] for space in row.spaces]))
    return table


def _row(title: str, group: Sequence[Matched]) -> list[str]:
    units, moved = sum(m.units for m in group), sum(m.moved for m in group)
    before, after = (sum(values) / len(group) for values in ([m.before for m in group], [m.after for m in group]))
    margins = [m.margin for m in group if m.margin is not None]
    doubles = sum(m.ambiguous or 0 for m in group)
    margin = f"{min(margins):.2f}" if margins else ""
    return [title, f"{units:,}", f"{moved:,}", f"{before:.2f} → {after:.2f}", margin, f"{doubles:,}" if doubles else ""]


def _lines(found: Found, k: int) -> Iterator[tuple[str, str, str]]:
    one, proof = found.alignments[k], found.proofs[k]
    before, after = one.cosine
    null = "" if one.null is None else f"; matching alone finds {one.null:.3f} in shuffled weights"
    chance = one.null is not None and not after > one.null
    yield "cosine", f"{before:.3f} → {after:.3f} in one gauge{null}", "yellow" if chance else ""
    if one.stored is not None:
        yield "", f"{one.stored[0]:.3f} → {one.stored[1]:.3f} as stored", ""
    if before > 0.9:
        yield "", "the checkpoints are close as they are: fine-tuned from one another, or from one start", ""
    for run in one.runs:
        path = " → ".join(f"{value:.3f}" for value in _thinned(run.cosine))
        rest = "" if run.settled else ", stopped before it came to rest"
        yield f"{run.start}", f"{path} in {count(run.solved, 'assignment')}{rest}", "dim"
    for note in dict.fromkeys(note for run in one.runs for note in run.notes):
        yield "note", note, "yellow"
    if len(one.runs) > 1:
        yield "agreement", f"{100 * one.agreement:.0f} % of the units are in one place from every start", ""
    if one.planted is not None:
        good, units = one.planted.recovered, one.planted.units
        style = "" if good == units else "yellow"
        yield "planted", f"{good:,} of {count(units, 'unit')} of A re-labelled were recovered", style
    if found.streamed is not None:
        yield from _on_disk(found.streamed)
    elif proof is None:
        yield "function", "not run: give --model and inputs to prove that it is the same", "yellow"
    elif proof.same:
        rounded = "" if proof.stored is None else f", {number(proof.stored)} as stored"
        equal = f"the same as before: outputs equal to {number(proof.distance)} of their spread{rounded}"
        yield "function", equal, "green"
    else:
        yield "function", f"NOT the same: outputs differ by {number(proof.distance)} of their spread", "red"
    for reason in dict.fromkeys(one.left.values()):
        names = [name for name, why in one.left.items() if why == reason]
        yield "left alone", f"{count(len(names), 'space')}: {reason} ({', '.join(names[:3])}" + (
            ", …)" if len(names) > 3 else ")"
        ), "dim"
    yield "time", duration(found.seconds), "dim"


def _on_disk(streamed: Streamed) -> Iterator[tuple[str, str, str]]:
    before = f"; {count(streamed.resumed, 'space')} had been solved before" if streamed.resumed else ""
    mean, most = streamed.reads
    yield "on disk", f"every tensor was read {mean:.1f} times, {most} at most{before}", "dim"
    yield "", "gauges and controls were left out; the spec is taken at its word", "yellow"


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """The first three values and the last."""
    return values if len(values) <= 4 else [*values[:3], values[-1]]
