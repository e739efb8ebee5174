"""A merge for the terminal: the models beside their baselines, the layers that fit worst, what was done."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from symcheck.cli.merge_run import Done
from symcheck.merge.evaluate import Score
from symcheck.merge.layers import Kept
from symcheck.merge.merge import MERGED
from symcheck.report.numbers import NOT_MEASURED, number
from symcheck.report.page import GAP, INDENT, Page

_WORST, _NAME, _LABEL = 8, 36, 10
_COLUMNS = (
    "cosine: between {} · conflict: entries of opposite signs · interference: change in the main directions of one, "
    "at most · subspace: share of one in the main directions of the merged, at least · size: merged over theirs"
)
Cells = Sequence[str]


def show(done: Done, console: Console, *, every: bool = False) -> None:
    """Print what was merged; `every` gives each layer a row."""
    page, merge = Page(console), done.merge
    page.line(f"{' + '.join(done.names)}", "bold")
    settings = [f"{name} {_setting(value)}" for name, value in merge.settings.items() if value not in ((), None)]
    page.line(" · ".join([merge.method, *settings]), "dim", INDENT)
    page.line()
    for i, data in enumerate(dict.fromkeys(score.data for score in merge.scores)):
        _scores(page, data if i else done.data, [score for score in merge.scores if score.data == data])
    _layers(page, merge.layers, every, "updates from the base" if done.base else "checkpoints")
    for label, words, style in _lines(done):
        page.labelled(Text(label, "dim"), page.text(words, style), _LABEL)
    for what, path in done.written.items():
        page.whole(Text.assemble((f"wrote {what}: ", "bold"), page.text(shlex.quote(str(path)))))


def _scores(page: Page, data: str, rows: Sequence[Score]) -> None:
    """Loss ± its standard error, accuracy, and how far the outputs are from the merged model's."""
    head = [f"model, on {data}", "loss", *(["accuracy"] if rows[0].accuracy is not None else []), "from merged"]
    table = [
        [
            row.model,
            f"{number(row.loss, 3)} ± {number(row.error, 1)}",
            *([f"{100 * row.accuracy:.2f} %"] if row.accuracy is not None else []),
            NOT_MEASURED if row.model == MERGED else number(row.distance),
        ]
        for row in rows
    ]
    _table(page, head, table, lambda row: "bold" if row[0] == MERGED else "")
    page.line()


def _layers(page: Page, layers: Sequence[Kept], every: bool, what: str) -> None:
    """The layers whose models agree least: with the worst interference first, then the lowest cosine."""
    order = sorted(layers, key=lambda kept: (-kept.worst_interference, kept.cosine if kept.cosine is not None else 2))
    shown = order if every else order[:_WORST]
    if not shown:
        return
    more = f", {len(shown)} of {len(order)}" if len(shown) < len(order) else ""
    head = [f"layer{more}", "cosine", "conflict", "interference", "subspace", "size"]
    table = [
        [
            _shortened(kept.name),
            _fraction(kept.cosine),
            f"{100 * kept.conflict:.0f} %",
            _fraction(max(kept.interference, default=None)),
            _fraction(min(kept.alignment, default=None)),
            _fraction(kept.size),
        ]
        for kept in shown
    ]
    _table(page, head, table)
    page.line(_COLUMNS.format(what), "dim", INDENT)
    page.line()


def _table(page: Page, head: Cells, rows: Sequence[Cells], style: Callable[[Cells], str] = lambda row: "") -> None:
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    room = page.width - INDENT - sum(widths[1:]) - GAP * len(widths)
    widths[0] = max(min(widths[0], room), 8)
    page.row([(page.text(word, "dim"), width) for word, width in zip(head, widths, strict=True)], INDENT)
    for row in rows:
        page.row([(page.text(word, style(row)), width) for word, width in zip(row, widths, strict=True)], INDENT)


def _lines(done: Done) -> Iterator[tuple[str, str, str]]:
    """Labelled lines below the tables."""
    merge = done.merge
    for pair, found in merge.relations.items():
        words = f"{pair}: cosine {_fraction(found.cosine)}, distance {_fraction(found.distance)} of the norm"
        words += f", {len(found.mixed)} of {len(found.orders)} tensors in no common order" if found.mixed else ""
        yield "weights", words, "yellow" if found.mixed else ""
    for name, record in merge.alignments.items():
        before, after, null = (record["cosine"][key] for key in ("before", "after", "null"))
        chance = "" if null is None else f"; {_fraction(null)} of shuffled weights"
        yield "aligned", f"{name}: cosine {_fraction(before)} → {_fraction(after)}{chance}", ""
    for note in merge.notes:
        yield "note", note, "yellow"


def _fraction(value: float | None) -> str:
    return NOT_MEASURED if value is None else f"{value:.2f}"


def _setting(value: object) -> str:
    return ", ".join(f"{x:g}" for x in value) if isinstance(value, tuple) else f"{value}"


def _shortened(name: str) -> str:
    """A long name without its middle."""
    head = _NAME // 3
    return name if len(name) <= _NAME else f"{name[:head]}…{name[head + 1 - _NAME :]}"
