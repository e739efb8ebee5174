"""Numbers that contradict each other: no measurement gives them, so a document that holds them is not believed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from symcheck.report.model import (
    Certificate,
    Counts,
    Curve,
    Finding,
    Flips,
    FlipsAt,
    Floor,
    Report,
    Scale,
    Share,
    Worst,
)
from symcheck.report.outcome import GateReport, Outcome

_SLACK = 1e-6  # relative: what rounding may do
_NOT_NEGATIVE: Mapping[type, tuple[str, ...]] = {
    Scale: ("mean", "low", "high", "q50", "q95", "q99", "max", "q95_low", "q95_high", "q99_low", "q99_high"),
    Share: ("value", "low", "high"),
    Floor: ("rounding", "action", "batch", "repeat", "low", "high"),
    Counts: ("elements", "samples", "pairs"),
    Worst: ("value", "searched"),
    Curve: ("errors",),
    Certificate: ("limit", "confidence", "fraction", "draws", "violations"),
    Flips: ("rate", "low", "high", "pairs", "effective"),
    FlipsAt: ("least", "most", "samples", "rate", "low", "high"),
    Finding: ("tolerance", "advantage", "size", "spread", "component", "by_sample", "distribution"),
    Report: ("seconds", "forwards"),
    GateReport: ("seconds",),
}
_ASCENDING: Mapping[type, tuple[tuple[str, ...], ...]] = {
    Scale: (("low", "mean", "high"), ("q50", "q95", "q99", "max"), ("mean", "max"),
            ("q95_low", "q95", "q95_high"), ("q99_low", "q99", "q99_high")),
    Share: (("low", "value", "high"),),
    Certificate: (("violations", "draws"),),
    Flips: (("low", "rate", "high"), ("effective", "pairs")),
    FlipsAt: (("low", "rate", "high"), ("least", "most")),
    Outcome: (("low", "value", "high"),),
}  # fmt: skip
_FRACTIONS: Mapping[type, tuple[str, ...]] = {
    Share: ("value", "low", "high"), Certificate: ("confidence", "fraction"), Flips: ("rate", "low", "high"),
    FlipsAt: ("rate", "low", "high"),
}  # fmt: skip
_DISTANCES = ("spread", "relative", "absolute", "share", "fraction", "flips")  # metrics that are never negative


def contradiction(thing: Any) -> tuple[str, str] | None:
    """The place of the first number that cannot be, and why not; None where all can. NaN and None contradict nothing.

    Errors, counts and seconds are not negative, low <= mean <= high, quantiles ascend, shares are at most 1.
    """
    return next(_faults(thing), None)


def negative_error(data: Any, place: str = "") -> str:
    """The place of a negative number that is called `error` in nested plain data; empty where there is none."""
    items = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    for key, value in items:
        inner = f"{place}[{key}]" if isinstance(key, int) else f"{place}.{key}" if place else str(key)
        if key == "error" and any(map(_negative, value if isinstance(value, list) else [value])):
            return inner
        if found := negative_error(value, inner):
            return found
    return ""


def _faults(thing: Any) -> Iterator[tuple[str, str]]:
    kind = type(thing)
    names = _NOT_NEGATIVE.get(kind, ())
    if kind is Outcome and thing.metric in _DISTANCES:
        names = ("value", "low", "high", "limit", "baseline")
    for name, value in _values(thing, names):
        if _negative(value):
            yield name, f"is {value:g}, and cannot be negative"
    for name, value in _values(thing, _FRACTIONS.get(kind, ())):
        if value is not None and value > 1 + _SLACK:
            yield name, f"is {value:g}, and cannot be above 1"
    for row in _ASCENDING.get(kind, ()):
        known = [(name, value) for name, value in _values(thing, row) if value is not None and value == value]
        yield from _descents(known)
    if kind is Finding:
        yield from _descents([*_values(thing, ("distribution",))])


def _descents(row: list[tuple[str, float]]) -> Iterator[tuple[str, str]]:
    for (name, value), (next_name, next_value) in pairwise((n, v) for n, v in row if v == v):
        if value > next_value + _SLACK * max(abs(value), abs(next_value)):
            yield name, f"is {value:g}, and cannot be above {next_name}, {next_value:g}"


def _values(thing: Any, names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """The numbers of these names with their places; those of a list one by one."""
    for name in names:
        value = getattr(thing, name)
        if isinstance(value, tuple):
            yield from ((f"{name}[{i}]", one) for i, one in enumerate(value))
        else:
            yield name, value


def _negative(value: Any) -> bool:
    return isinstance(value, int | float) and value < 0
