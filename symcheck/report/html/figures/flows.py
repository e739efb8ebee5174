"""The error along one-parameter subgroups: one curve each, against the share of its length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from symcheck.report import numbers
from symcheck.report.entry import brief
from symcheck.report.html.figures.canvas import SERIES, Panel, colour, from_zero, plain
from symcheck.report.html.plain import drawable

_MOST = len(SERIES)
Flow = tuple[str, Sequence[float], Sequence[float]]  # name, parameters, errors


def flow_panel(title: str, flows: Sequence[Flow], tolerance: float) -> Panel | None:
    """The first few curves against their parameter; None where no curve has two points."""
    drawn = [(name, *_points(at, errors)) for name, at, errors in flows]
    drawn = [one for one in drawn if len(one[1]) > 1][:_MOST]
    if not drawn:
        return None

    def draw(axes: Any) -> None:
        plain(axes)
        for tone, (name, at, errors) in zip(SERIES[1:] + SERIES[:1], drawn, strict=False):
            axes.plot(at, errors, color=colour(tone), lw=1.5, marker="o", ms=2.5, label=brief(name, 24))
        from_zero(axes, [e for _, _, errors in drawn for e in errors], tolerance)
        axes.set_xlabel("parameter: radians or units")
        axes.set_ylabel("mean error")
        axes.legend(loc="lower left", bbox_to_anchor=(-0.14, 1.0), ncols=2, columnspacing=1.2, handlelength=1.8)

    lines = -(-len(drawn) // 2)
    told = "; ".join(f"{name} up to {numbers.ratio(max(errors))}" for name, _, errors in drawn)
    return Panel(title, f"{told}.", draw, 340, 226 + 16 * lines, (56, 10, 8 + 16 * lines, 40))


def _points(at: Sequence[float], errors: Sequence[float]) -> tuple[list[float], list[float]]:
    """The points that can be drawn, in the order of the parameter."""
    pairs = sorted(
        (t, e) for t, e in zip(map(drawable, at), map(drawable, errors), strict=False)
        if math.isfinite(t) and math.isfinite(e)
    )  # fmt: skip
    return [t for t, _ in pairs], [e for _, e in pairs]
