"""Waivers: a failure that is accepted, with its reason, until its day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symcheck.gate.config import Waiver
from symcheck.report.outcome import Outcome, Status


def waive(outcome: Outcome, waivers: Sequence[Waiver]) -> Outcome:
    """The outcome, waived where it failed and a waiver covers it.

    What could not be measured, NaN, and a question that was empty are never waived: a gate allows these by itself.
    """
    if outcome.status not in (Status.FAILED, Status.INCONCLUSIVE) or outcome.verdict in ("invalid", "trivial"):
        return outcome
    for waiver in waivers:
        if covers(waiver, outcome):
            words = f"{waiver.reason} (until {waiver.until})"
            return replace(outcome, status=Status.WAIVED, waiver=words)
    return outcome


def covers(waiver: Waiver, outcome: Outcome) -> bool:
    """Whether a waiver is for this outcome."""
    parts = (outcome.part, *outcome.part.split(", "))
    return waiver.gate == outcome.gate and waiver.output in ("", outcome.output) and waiver.part in ("", *parts)


def idle(waivers: Sequence[Waiver], outcomes: Sequence[Outcome]) -> list[str]:
    """A note for every waiver that covers nothing but what passes by itself."""
    return [
        f"the waiver for '{waiver.gate}' is no longer needed ({waiver.place.file}:{waiver.place.line})"
        for waiver in waivers
        if (mine := [o for o in outcomes if covers(waiver, o)]) and all(o.status is Status.PASSED for o in mine)
    ]
