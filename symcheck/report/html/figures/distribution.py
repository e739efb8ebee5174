"""The distribution of the error over all pairs: how many lie below what."""

from __future__ import annotations

import math
from typing import Any

from symcheck.report import numbers
from symcheck.report.html.figures.canvas import Panel, colour, note, plain, ratios
from symcheck.report.html.plain import drawable
from symcheck.report.model import Finding


def distribution_panel(finding: Finding) -> Panel | None:
    """The cumulative distribution on a log axis, with floor, tolerance and the mean in its interval.

    Errors of exactly zero have no place on a log axis: they stand at its left end, and their share is named.
    """
    values = [v for v in map(drawable, finding.distribution) if v == v]
    if len(values) < 2:
        return None
    floors = (finding.floor.rounding, finding.floor.action, finding.floor.batch)
    floor = max((v for v in map(drawable, (v for v in floors if v is not None)) if v == v), default=0.0)
    zeros = sum(v <= 0 for v in values)
    share = 100 * zeros / len(values)

    def draw(axes: Any) -> None:
        plain(axes)
        levels = [100 * i / (len(values) - 1) for i in range(len(values))]
        marks = [v for v in (*values, floor, drawable(finding.tolerance)) if v > 0] or [1.0]
        low, high = min(marks) / 2, max(marks) * 2
        axes.set_xscale("log")
        axes.set_xlim(low, high)
        axes.set_ylim(0, 104)
        _lines(axes, finding, floor)
        shown = [max(v, low) for v in values]
        axes.plot(shown, levels, color=colour("a"), lw=1.8, solid_joinstyle="round")
        if share:
            high_up = share > 12  # then there is room below the curve
            at = (low * 1.15, share - 3 if high_up else share + 3)
            note(axes, at, f"{share:.0f} % are zero", va="top" if high_up else "bottom")
        _ticks(axes, low, high)
        axes.set_yticks(range(0, 101, 25), [f"{level} %" for level in range(0, 101, 25)])
        axes.set_xlabel("error / spread")
        axes.set_ylabel("pairs with a smaller error")

    middle, top = values[len(values) // 2], values[-1]
    words = f"Half of the pairs have an error of at most {numbers.ratio(middle)} of the spread"
    words += f", none above {numbers.ratio(top)}"
    words += f"; {share:.0f} % are zero" if share else ""
    return Panel("Distribution of the error", words + ".", draw, 320, 230, (56, 14, 26, 40))


def _lines(axes: Any, finding: Finding, floor: float) -> None:
    """The floor, the tolerance, and the mean with its interval."""
    above = axes.get_xaxis_transform()
    if finding.error is not None and finding.error.spread.mean > 0:
        scale = finding.error.spread
        if scale.low > 0 and scale.high > scale.low:
            axes.axvspan(scale.low, scale.high, color=colour("a"), alpha=0.16, lw=0)
        axes.axvline(scale.mean, color=colour("a"), lw=1)
        note(axes, (scale.mean, 1.015), "mean", transform=above, ha="center", color=colour("a"))
    for name, value, style, raised in (("floor", floor, ":", 0.075), ("tolerance", finding.tolerance, "--", 0.075)):
        if value > 0:
            axes.axvline(value, color=colour("ink"), lw=1, ls=style)
            note(axes, (value, 1.015 + raised), name, transform=above, ha="center", color=colour("ink"))


def _ticks(axes: Any, low: float, high: float) -> None:
    """A tick at a power of ten every so often, so that the labels do not touch."""
    first, last = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, math.ceil((last - first) / 5))
    places = [10.0**k for k in range(first, last + 1, step)]
    if len(places) < 2:
        places = [m * 10.0**k for k in range(first - 1, last + 1) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    axes.set_xticks(places)
    axes.minorticks_off()
    ratios(axes.xaxis)
