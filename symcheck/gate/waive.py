"""Waivers: a failure that is accepted, with its reason, until its day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from symcheck.gate.config import Waiver
from symcheck.gate.judge import parts_of
from symcheck.report.outcome import Outcome, Status


def waive(outcome: Outcome, waivers: Sequence[Waiver]) -> Outcome:
    """The outcome, waived where it failed and a waiver covers it."""
    if not may_be_waived(outcome):
        return outcome
    for waiver in waivers:
        if covers(waiver, outcome):
            words = f"{waiver.reason} (until {waiver.until})"
            return replace(outcome, status=Status.WAIVED, waiver=words)
    return outcome


def may_be_waived(outcome: Outcome) -> bool:
    """Whether something failed: what could not be measured, NaN, and a question that was empty are never waived."""
    return outcome.status in (Status.FAILED, Status.INCONCLUSIVE) and outcome.verdict not in ("invalid", "trivial")


def covers(waiver: Waiver, outcome: Outcome) -> bool:
    """Whether a waiver is for this outcome."""
    parts = ("", *parts_of(outcome.part))
    return waiver.gate == outcome.gate and waiver.output in ("", outcome.output) and waiver.part in parts


def idle(waivers: Sequence[Waiver], outcomes: Sequence[Outcome]) -> list[str]:
    """A note for every waiver that covers nothing, or nothing but what passes by itself."""
    notes = []
    for waiver in waivers:
        mine = [o for o in outcomes if o.gate == waiver.gate]
        covered = [o for o in mine if covers(waiver, o)]
        where = f"({waiver.place.file}:{waiver.place.line})"
        if mine and not covered:
            what = ", ".join(filter(None, (waiver.output, waiver.part)))
            notes.append(f"the waiver for '{waiver.gate}' covers nothing: there is no '{what}' {where}")
        elif covered and all(o.status is Status.PASSED for o in covered):
            notes.append(f"the waiver for '{waiver.gate}' is no longer needed {where}")
    return notes
