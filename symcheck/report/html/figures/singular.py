"""The singular values of a search for generators: what is left of each direction, its floor, and the gap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.figures.canvas import Panel, colour, note, plain, ratios
from symcheck.report.html.plain import drawable

_TONES = {"exact": ("o", "c"), "near": ("s", "e"), "other": ("D", "muted")}
_LOWEST = 1e-18  # relative: below it there is nothing but zero
_SHOWN = 400
Direction = tuple[float, float, float, str]


def singular_panel(title: str, found: Sequence[Direction]) -> Panel:
    """Every direction (σ, floor, held out, kind) on a log axis: 1 is an ordinary direction."""
    rows = [(_drawn(one[0]), _drawn(one[1]), _drawn(one[2]), one[3]) for one in found[:_SHOWN]]

    def draw(axes: Any) -> None:
        from matplotlib.ticker import MaxNLocator

        plain(axes)
        axes.set_yscale("log")
        places = range(1, len(rows) + 1)
        axes.plot(places, [row[1] for row in rows], color=colour("ink"), lw=1, ls=":", drawstyle="steps-mid",
                  label="floor")  # fmt: skip
        axes.plot(places, [row[2] for row in rows], "_", color=colour("a"), ms=7, mew=1.4, label="held out")
        for kind, (marker, tone) in _TONES.items():
            own = [(place, row[0]) for place, row in zip(places, rows, strict=True) if row[3] == kind]
            if own:
                axes.plot(*zip(*own, strict=True), marker, color=colour(tone), ms=5, label=kind)
        axes.axhline(1, color=colour("muted"), lw=0.8)
        inside = sum(row[3] != "other" for row in rows)
        if 0 < inside < len(rows):
            axes.axvline(inside + 0.5, color=colour("muted"), lw=0.8, ls=(0, (4, 3)))
            note(axes, (inside + 0.5, 0.4), " gap", transform=axes.get_xaxis_transform())
        known = [v for row in rows for v in (row[0], row[1], row[2]) if v == v]
        axes.set_ylim(min([*known, 1.0]) / 5, 10 * max([*known, 1.0]))
        axes.set_xlim(0.4, len(rows) + 0.6)
        axes.minorticks_off()
        axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
        ratios(axes.yaxis)
        axes.set_xlabel("direction")
        axes.set_ylabel("size; 1 is ordinary")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 0.99), ncols=5, columnspacing=0.9, handletextpad=0.3,
                    handlelength=1.2)  # fmt: skip

    kinds = [row[3] for row in rows]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in _TONES if kind in kinds)
    span = " to ".join(numbers.number(found[i][0]) for i in (0, -1))
    more = f" The first {_SHOWN} of {len(found)} are drawn." if len(found) > _SHOWN else ""
    words = f"{counts}; sizes from {span}.{more}"
    return Panel(title, words, draw, 420, 250, (60, 10, 26, 40))


def _drawn(value: float) -> float:
    """The number, of which a log axis has room down to the lowest; NaN where there is none."""
    known = drawable(value)
    return known if math.isnan(known) else max(known, _LOWEST)
