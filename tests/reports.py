"""Reports that the renderers are tested on."""

from __future__ import annotations

import math
from dataclasses import replace

from symcheck.report.model import Counts, Error, Finding, Floor, Report, Scale, Share, Verdict, Worst
from symcheck.report.outcome import GateReport, Outcome, Place, Status

CLAIM = "O(3): pos=points, z=scalar -> energy=scalar, forces=vector"
TURN = "rotation 73.2 deg about (0.27, 0.53, 0.80)"


def scale(mean: float) -> Scale:
    return Scale(mean, mean * 0.923, mean * 1.077, mean * 0.9, mean * 1.8, mean * 2.1, mean * 3)


def finding(verdict: Verdict, mean: float = 3.6e-7, **changes: object) -> Finding:
    made = Finding(
        claim=CLAIM,
        output="energy",
        part="proper",
        verdict=verdict,
        share=Share(mean, mean * 0.9, mean * 1.1),
        error=Error(scale(mean * 40), scale(mean * 0.3), scale(mean)),
        floor=Floor(2e-7, 0.0, 0.0, 0.0, 3.6e-7, 6.6e-16, 1.0, "float32 against float64"),
        counts=Counts(32, 64, 2048, False),
        worst=Worst(TURN, 12, mean * 3, "out/report.worst.safetensors#0"),
        law="SO(3): Haar measure",
        tolerance=1e-3,
        note="",
        advantage=None,
        size=3.0,
        spread=1.0,
    )
    return replace(made, **changes)


def report(*findings: Finding, **changes: object) -> Report:
    made = Report(
        subject={"name": "potential", "parameters": 12345, "format": "safetensors", "path": "potential.safetensors"},
        environment={"torch": "2.13", "device": "cpu", "dtype": "float32"},
        settings={"samples": 64, "elements": 32, "seed": 0, "tolerance": 1e-3},
        findings=findings,
        seconds=3.24,
        forwards=4160,
    )
    return replace(made, **changes)


def full() -> Report:
    """Every verdict once."""
    return report(
        finding(Verdict.EXACT),
        finding(Verdict.BROKEN, 0.0523, output="forces", part="improper", advice="look for a cross product"),
        finding(Verdict.APPROXIMATE, 3.1e-5, claim="T(3): pos=points -> energy=scalar", part=""),
        finding(Verdict.INCONCLUSIVE, 1.1e-3, claim="S: pos=nodes -> energy=scalar", part="", note="near"),
        finding(Verdict.TRIVIAL, 0.0, claim="S: pos=nodes -> energy=scalar", part="", error=None, worst=None),
        nan(),
        notes=("not measured: C4: image -> invariant (no image)",),
    )


def nan() -> Finding:
    """A finding whose output was not finite."""
    claim = "SE(3): pos=points -> energy=scalar"
    return finding(Verdict.INVALID, math.nan, claim=claim, error=None, share=None, note="NaN in the output")


def outcome(status: Status = Status.PASSED, **changes: object) -> Outcome:
    """One judgement of a gate on a claim; not passed, it says why."""
    passed = status is Status.PASSED
    made = Outcome(
        gate="rotations",
        status=status,
        check="claim",
        subject="potential",
        claim=CLAIM,
        output="energy",
        part="proper",
        metric="spread",
        stat="mean",
        rule="mean error within 0.1 % of the spread",
        value=3.6e-7 if passed else 0.0523,
        low=3.3e-7 if passed else 0.0483,
        high=3.9e-7 if passed else 0.0563,
        limit=1e-3,
        verdict="exact" if passed else "broken",
        reason="" if passed else "the whole interval lies above the limit",
        advice="" if passed else "look for a cross product",
        worst=f"8.1 % at {TURN}, sample 12",
        replay="" if passed else "symcheck audit --replay out/report.worst.safetensors",
        waiver="known since March, until 2027-01-01" if status is Status.WAIVED else "",
        fingerprint=f"f{status}",
        place=Place("gates/symcheck.toml", 12),
    )
    return replace(made, **changes)


def gates(*outcomes: Outcome, **changes: object) -> GateReport:
    made = GateReport("gates/symcheck.toml", outcomes, (full(),), environment={"symcheck": "0.1.0"}, seconds=2.34)
    return replace(made, **changes)


def every_status() -> GateReport:
    """Every status once, one of them a barrier without a unit of its own."""
    barrier = outcome(
        Status.UNMEASURED, gate="barrier", check="barrier", claim="", output="", part="", metric="barrier", verdict="",
        value=None, low=None, high=None, limit=0.5, reason="the second checkpoint is missing", worst="", place=None,
    )  # fmt: skip
    others = [outcome(status, gate=f"gate-{status}") for status in Status if status is not Status.UNMEASURED]
    return gates(*others, barrier, notes=("two gates share a checkpoint",))
