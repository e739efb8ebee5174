"""Outputs that are gradients of others: their errors are made where those of the others are."""

from __future__ import annotations

import re
from collections.abc import Iterator

from symcheck.locate.terms import END, Attributed

_MUCH = 0.1  # of the error of an output
_DERIVATIVE = re.compile(r"d\(\s*([\w.]+)\s*\)\s*/\s*d\(")


def gradient_notes(found: Attributed) -> Iterator[str]:
    """What a reader must know of outputs that are gradients and owe much of their error to no operation of their own.

    Such an output is derived (`-d(energy)/d(pos)`), or made by a gradient that the network takes itself.
    """
    derive = found.course.runner.subject.derive
    inside = [name for name in found.terms if name not in derive and any(_taken(found, name))]
    for name, text in derive.items():
        of = _DERIVATIVE.search(text)
        if of and name in found.terms and abs(found.terms[name].share(END)) > _MUCH:
            yield _words(name, of[1])
    others = [name for name in found.course.slots if name not in inside and name not in derive]
    for name in inside:
        yield _words(name, others[0] if len(others) == 1 else "")


def _taken(found: Attributed, name: str) -> Iterator[bool]:
    """Of each place with much of the error of one output, whether a gradient stands in its group."""
    stations = found.course.recording.stations
    for place, group in found.groups.items():
        if abs(found.terms[name].share(place)) > _MUCH:
            yield any(stations[p].function == "grad" for p in (place, *group) if p != END)


def _words(name: str, of: str) -> str:
    what = f"'{of}'" if of else "another output"
    return (
        f"'{name}' is the gradient of {what}, and errs because {what} does: part of its error belongs to no operation "
        f"in the forward direction; to find the operation that makes it, claim {what} alone, without '{name}', and "
        f"add --output {of or 'NAME'}"
    )
