"""Signed bars by name: what each part adds to a whole."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import brief
from symcheck.report.html.figures.canvas import Panel, colour, note
from symcheck.report.html.plain import clean, drawable

_ROW, _LETTERS = 18, 30  # px of one bar, and letters of a name
_TOLD = 8  # bars that are named to those who do not see them


def bars_panel(title: str, rows: Sequence[tuple[str, float, str]]) -> Panel:
    """One bar a row, (name, value, words), from zero: to the right what adds, to the left what takes away."""
    names = [brief(clean(name).replace("\n", " "), _LETTERS) for name, _, _ in rows]
    values = [drawable(value) for _, value, _ in rows]
    known = [value for value in values if math.isfinite(value)]
    room = min(max(map(len, names)) * 5.8 + 12, 186)
    low, high = min([0.0, *known]), max([0.0, *known])
    reach = (high - low) or 1.0

    def draw(axes: Any) -> None:
        places = range(len(rows))
        tones = [colour("b" if value > 0 else "a") for value in values]
        axes.barh(places, [value if math.isfinite(value) else 0 for value in values], 0.66, color=tones)
        axes.axvline(0, color=colour("muted"), lw=0.8)
        axes.set_yticks(places, names)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.spines[["top", "right", "bottom", "left"]].set_visible(False)
        axes.set_xlim(low - (0.42 * reach if low < 0 else 0), high + 0.42 * reach)
        axes.set_xticks([])
        for place, value, (_, _, words) in zip(places, values, rows, strict=True):
            left = value < 0
            at = (value if math.isfinite(value) else 0.0) + (-0.02 if left else 0.02) * reach
            note(axes, (at, place), brief(words, 18), va="center", ha="right" if left else "left")

    told = "; ".join(f"{name} {words or numbers.number(value)}" for name, value, words in rows[:_TOLD])
    more = f"; and {len(rows) - _TOLD} more" if len(rows) > _TOLD else ""
    return Panel(title, f"{told}{more}.", draw, 340, _ROW * len(rows) + 12, (room, 6, 4, 8))
