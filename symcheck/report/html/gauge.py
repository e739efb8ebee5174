"""A value with its interval against a limit, on an axis that many rows share: one row of a forest plot."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import NamedTuple, TypeGuard

from symcheck.report import numbers, wording
from symcheck.report.html.plain import drawable
from symcheck.report.model import Finding
from symcheck.report.outcome import Outcome

_DECADES = 1.5  # a wider span is drawn on a log axis


class _Values(NamedTuple):
    """What is drawn; `mark` is a floor or a baseline."""

    value: float | None
    low: float | None
    high: float | None
    limit: float | None
    mark: float | None


@dataclass(frozen=True)
class Axis:
    """From `low` to `high`; logarithmic where `log`."""

    low: float
    high: float
    log: bool

    @classmethod
    def over(cls, values: Iterable[float | None]) -> Axis:
        """An axis on which all of these have a place: from zero, or logarithmic where they span decades."""
        known = [v for v in (drawable(v) for v in values if v is not None) if v == v]
        above = [v for v in known if v > 0]
        if above and min(known) >= 0 and max(above) > 10**_DECADES * min(above):
            return cls(min(above) / 2, max(above) * 2, True)
        low, high = min([0.0, *known]), max([0.0, *known])
        room = 0.08 * (high - low) or 1.0
        return cls(low - room if low < 0 else 0.0, high + room, False)

    def place(self, value: float) -> float:
        """Where a value stands, in percent of the width; beyond the ends, at the end."""
        if self.log:
            span = math.log(self.high / self.low)
            share = math.log(max(value, self.low) / self.low) / span
        else:
            share = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(share, 0.0), 1.0), 2)

    def ticks(self, label: Callable[[Sequence[float]], Sequence[str]] = numbers.ticks) -> list[tuple[float, str]]:
        """At most five places with their labels: powers of ten on a log axis, else the ends of what is drawn."""
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((last - first) / 4))
            values = [10.0**k for k in range(first, last + 1, step)]
        else:
            low, high = (max(self.low, 0.0), self.high / 1.08) if self.low >= 0 else (self.low / 1.08, self.high / 1.08)
            values = [float(f"{v:.2g}") for v in dict.fromkeys((low, high))]
        return [(self.place(v), words) for v, words in zip(values, label(values), strict=True)]


def finding_axis(findings: Iterable[Finding]) -> Axis:
    """The axis of all errors, floors and tolerances (spread scale)."""
    values: list[float | None] = []
    for one in findings:
        values += [one.tolerance, _floor(one)]
        values += [one.error.spread.mean, one.error.spread.low, one.error.spread.high] if one.error else []
    return Axis.over(v for v in values if v != 0)


def finding_gauge(finding: Finding, axis: Axis, name: str) -> str:
    """The mean error with its interval, the floor and the tolerance."""
    scale = finding.error.spread if finding.error is not None else None
    words = f"error {numbers.error(finding)}, floor {numbers.floor(finding)}"
    words += f", tolerance {numbers.stated(finding.tolerance)}"
    mean, low, high = (None, None, None) if scale is None else (scale.mean, scale.low, scale.high)
    values = _Values(mean, low, high, finding.tolerance, _floor(finding))
    return _svg(axis, values, name, "Error against tolerance", words)


def outcome_gauge(outcome: Outcome, name: str) -> str:
    """The value with its interval, the limit and the baseline; nothing where there is no number."""
    if not _known(outcome.value):
        return ""
    values = _Values(outcome.value, outcome.low, outcome.high, outcome.limit, outcome.baseline)
    axis = Axis.over(values)
    label = numbers.ticks if wording.dimensionless(outcome) else _plain
    ends = _ends(axis.ticks(label))
    return _svg(axis, values, name, "Value against limit", wording.against(outcome), ends)


def _plain(values: Sequence[float]) -> list[str]:
    return [numbers.number(value) for value in values]


def _ends(ticks: Sequence[tuple[float, str]]) -> str:
    """The first and the last label below the axis, inside it."""
    parts = []
    for place, words in dict.fromkeys((ticks[0], ticks[-1])) if ticks else ():
        anchor = "start" if place < 15 else "end" if place > 85 else "middle"
        parts.append(f'<line x1="{place}%" x2="{place}%" y1="11" y2="15" class="tick"/>')
        parts.append(f'<text x="{place}%" y="33" text-anchor="{anchor}" class="end">{escape(words)}</text>')
    return "".join(parts)


def _floor(finding: Finding) -> float | None:
    floors = (finding.floor.rounding, finding.floor.action, finding.floor.batch)
    return max(filter(_known, floors), default=None)


def _known(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def _svg(axis: Axis, values: _Values, name: str, title: str, words: str, ends: str = "") -> str:
    """Positions are percentages, so that the drawing has the width of its place."""
    value, low, high, limit, mark = values
    parts = ['<line x1="0" x2="100%" y1="11" y2="11" class="track"/>', ends]
    if _known(mark):
        parts.append(f'<line x1="{axis.place(mark)}%" x2="{axis.place(mark)}%" y1="4" y2="18" class="mark"/>')
    if _known(limit):
        parts.append(f'<line x1="{axis.place(limit)}%" x2="{axis.place(limit)}%" y1="1" y2="21" class="limit"/>')
    if _known(low) and _known(high):
        left, right = axis.place(low), axis.place(high)
        parts.append(f'<rect x="{left}%" width="{round(right - left, 2)}%" y="8" height="6" rx="2" class="interval"/>')
    if _known(value):
        parts.append(f'<circle cx="{axis.place(value)}%" cy="11" r="4" class="value"/>')
    else:
        parts.append('<text x="50%" y="15" text-anchor="middle">not measured</text>')
    head = (
        f'<svg class="gauge" role="img" aria-labelledby="{name}-t {name}-d" height="{36 if ends else 22}">'
        f'<title id="{name}-t">{escape(title)}</title><desc id="{name}-d">{escape(words)}</desc>'
    )
    return head + "".join(parts) + "</svg>"
