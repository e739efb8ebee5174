"""The connection of two checkpoints for the terminal: a table of paths for each data set, layers, mechanisms."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from symcheck.cli.connect_run import Found
from symcheck.connect.barrier import Barrier
from symcheck.connect.result import Connection, Curve, Variant
from symcheck.report.numbers import count, duration, number, ratio
from symcheck.report.page import INDENT, Page

_HEAD = ("", "loss A", "½", "B", "barrier", "at", "ratio", "error A, ½, B, %", "barrier, %")
_LAYERS, _LABEL = 5, 12  # how many layers are shown; the labels of the lines below the tables


def show(found: Found, console: Console) -> None:
    """Print what was found."""
    page, connection = Page(console), found.connection
    page.line(" and ".join(found.names), "bold")
    page.line(" · ".join(_facts(connection)), "dim", INDENT)
    for data in connection.variants["naive"].curves:
        _curves(page, found, data)
    _layers(page, connection)
    _mechanisms(page, connection)
    page.line()
    for label, words, style in _lines(found):
        page.labelled(Text(label, "dim"), page.text(words, style), _LABEL)
    for path in found.written:
        page.whole(Text.assemble(("wrote ", "bold"), page.text(str(path))))


def _facts(connection: Connection) -> Iterator[str]:
    """What was measured."""
    settings = connection.settings
    yield connection.loss
    yield f"{settings['path']} path of {len(connection.t)} points"
    yield f"{connection.environment['dtype']} on {connection.environment['device']}"


def _curves(page: Page, found: Found, data: str) -> None:
    """One row for each path: loss at the ends and halfway, barrier, error rate."""
    page.line()
    connection = found.connection
    curves = {name: variant.curves[data] for name, variant in connection.variants.items()}
    first = next(iter(curves.values()))
    page.line(f"{found.data if data == 'train' else data}, {count(first.samples, 'sample')}", "bold")
    rows = [_row(connection, name, data, curve) for name, curve in curves.items()]
    head = _HEAD if first.error is not None else _HEAD[:-2]
    page.table(head, rows)


def _row(connection: Connection, name: str, data: str, curve: Curve) -> list[str]:
    middle, top = connection.t.index(0.5), curve.barrier
    share = None if name == "naive" else connection.ratio(name, data)
    ends = [number(curve.loss[i]) for i in (0, middle, -1)]
    cells = [name, *ends, _signed(top), f"{top.at:.2f}", "" if share is None else f"{100 * share:.0f} %"]
    if curve.error is None or curve.error_barrier is None:
        return cells
    wrong = [f"{100 * curve.error[i]:.1f}" for i in (0, middle, -1)]
    return [*cells, " → ".join(wrong), _signed(curve.error_barrier, scale=100)]


def _signed(top: Barrier, *, scale: float = 1.0) -> str:
    """`0.548 ± 0.036`: as many decimals as the error has with two digits; `-1.2e-09 ± 4.0e-09` where both are small."""
    value, error = scale * top.value, number(scale * top.error)
    if not top.error or "e" in error:
        return f"{number(value)} ± {error}"
    return f"{value:.{len(error.partition('.')[2])}f} ± {error}"


def _layers(page: Page, connection: Connection) -> None:
    """The layers whose outputs vary least at the midpoint of the last plain path, under every treatment."""
    variants = connection.variants
    plain = [variant for variant in variants.values() if variant.treatment == "plain"][-1]
    shrunk = sorted((value, name) for name, value in plain.deviation.items() if value == value)[:_LAYERS]
    if not shrunk:
        return
    page.line()
    page.line("Deviation of a layer's outputs at the midpoint, relative to the ends", "bold")
    rows = [[layer, *(number(v.deviation.get(layer)) for v in variants.values())] for _, layer in shrunk]
    page.table(("", *variants), rows)


def _mechanisms(page: Page, connection: Connection) -> None:
    """Equivariance error along every path, one table for each claim, output and part."""
    variants = connection.variants
    for i, first in enumerate(variants["naive"].mechanisms):
        page.line()
        slot = ", ".join(filter(None, (first.output, first.part)))
        page.line(f"{first.claim} ({slot})", "bold")
        what = "share" if first.measure == "share" else "error"
        head = ("", f"{what} A", f"{what} B", "midpoint", "barrier", "at", "loss barrier on moved data")
        page.table(head, [_mechanism(name, variant, i) for name, variant in variants.items()])


def _mechanism(name: str, variant: Variant, i: int) -> list[str]:
    one = variant.mechanisms[i]
    ends = [ratio(one.error[k]) for k in (0, -1, one.t.index(0.5))]
    curve = variant.curves.get(one.claim)
    loss = "" if curve is None else f"{_signed(curve.barrier)} at {curve.barrier.at:.2f}"
    return [name, *ends, ratio(one.barrier), f"{one.at:.2f}", loss]


def _lines(found: Found) -> Iterator[tuple[str, str, str]]:
    """Labelled lines below the tables."""
    connection = found.connection
    how = connection.alignment["how"]
    if "outputs" in connection.alignment:
        how += f"; its outputs are those of B to {number(connection.alignment['outputs'])} of their spread"
    yield "alignment", how, ""
    aligned = [v.curves["train"].barrier for v in connection.variants.values() if v.name.startswith("aligned")]
    if aligned and (least := min(aligned, key=lambda top: top.value)).value > 2 * least.error:
        where = "the train data" if found.data == "train" else found.data
        words = f"a barrier of {_signed(least)} on {where} is left by this alignment"
        yield "note", f"{words}; that does not show that there is no path", ""
    for note in connection.notes:
        yield "note", note, ""
    yield "cost", f"{count(connection.forwards, 'sample')} forward in {duration(connection.seconds)}", "dim"
