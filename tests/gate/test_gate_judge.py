"""Gates decide on the interval; what tells nothing never passes; certificates, waivers and barriers likewise."""

from __future__ import annotations

import datetime
import math
from dataclasses import replace

import pytest

from symcheck.gate.config import Gate, Waiver
from symcheck.gate.intervals import samples_to_decide, student, widened
from symcheck.gate.judge import judge, judged_barrier, judged_proof
from symcheck.gate.waive import idle, waive
from symcheck.report.model import (
    Certificate,
    Counts,
    Error,
    Finding,
    Floor,
    Report,
    Scale,
    Share,
    Verdict,
)
from symcheck.report.outcome import Outcome, Place, Status

CLAIM = "O(3): points -> energy=scalar, forces=vector"
PASSED, FAILED, OPEN, UNMEASURED = Status.PASSED, Status.FAILED, Status.INCONCLUSIVE, Status.UNMEASURED


def scale(mean: float, low: float, high: float) -> Scale:
    return Scale(mean, low, high, mean, 2 * mean, 3 * mean, 4 * mean, 2 * low, 2 * high, 3 * low, None)


def finding(mean: float = 0.01, reach: float = 0.002, verdict: str = "approximate", **other: object) -> Finding:
    """A finding whose error is mean ± reach of the spread, ten times that of the size, and 100 times absolute."""
    ends = mean - reach, mean + reach
    scales = [scale(k * mean, k * ends[0], k * ends[1]) for k in (100, 10, 1)]
    known = Finding(
        claim=CLAIM, output="energy", part="proper", verdict=Verdict(verdict),
        share=Share(mean / 2, ends[0] / 2, ends[1] / 2), error=Error(*scales), floor=Floor(1e-7, 1e-7, 0.0, 0.0),
        counts=Counts(32, 64, 2048, False), worst=None, law="Haar", tolerance=0.01, note="a note", advice="an advice",
    )  # fmt: skip
    return replace(known, **other)  # type: ignore[arg-type]


def gate(limit: float | None = 0.01, **other: object) -> Gate:
    return replace(Gate("g", Place("symcheck.toml", 7), claim=CLAIM, limit=limit), **other)  # type: ignore[arg-type]


def report(*findings: Finding) -> Report:
    return Report({"name": "net"}, {}, {"seed": 0, "data": "d"}, findings)


def outcome(asked: Gate, *findings: Finding) -> Outcome:
    found = judge(asked, report(*findings), "net")
    assert len(found) == 1
    return found[0].outcome


@pytest.mark.parametrize(("mean", "reach", "status"), [
    (0.008, 0.002, PASSED), (0.008, 0.0019, PASSED), (0.0099, 0.002, OPEN), (0.0101, 0.002, OPEN),
    (0.0121, 0.002, FAILED), (0.5, 0.1, FAILED), (0.0, 0.0, PASSED)])  # fmt: skip
def test_the_interval_decides(mean: float, reach: float, status: Status) -> None:
    found = outcome(gate(), finding(mean, reach))
    assert found.status is status
    assert (found.value, found.low, found.high) == pytest.approx((mean, max(mean - reach, 0), mean + reach))
    assert found.place == Place("symcheck.toml", 7) and found.limit == 0.01


@pytest.mark.parametrize(("mean", "reach", "status"), [
    (0.05, 0.01, PASSED), (0.0121, 0.002, PASSED), (0.011, 0.002, OPEN), (0.005, 0.001, FAILED)])  # fmt: skip
def test_an_expected_break_is_the_other_way_round(mean: float, reach: float, status: Status) -> None:
    assert outcome(gate(expect="breaks"), finding(mean, reach)).status is status


def test_an_exact_model_does_not_break() -> None:
    found = outcome(gate(expect="breaks"), finding(1e-7, 1e-8, "exact"))
    assert found.status is FAILED and "exact" in found.reason
    assert outcome(gate(None, expect="breaks"), finding(0.5, 0.1, "broken")).status is PASSED


def test_one_part_that_breaks_is_enough_unless_another_is_empty() -> None:
    hand, mirror = finding(1e-7, 1e-8, "exact"), finding(0.5, 0.1, "broken", part="improper")
    asked = gate(expect="breaks")
    assert outcome(asked, hand, mirror).status is PASSED and outcome(asked, hand, mirror).part == "improper"
    assert outcome(replace(asked, part="proper"), hand, mirror).status is FAILED
    assert outcome(asked, hand).status is FAILED
    assert outcome(asked, hand, mirror, replace(hand, verdict=Verdict.INVALID, error=None)).status is FAILED


@pytest.mark.parametrize("verdict", ["invalid", "trivial"])
@pytest.mark.parametrize("asked", [gate(), gate(expect="breaks"), gate(None, verdict="exact"), gate(fraction=0.01)])
def test_what_tells_nothing_fails_unless_allowed(verdict: str, asked: Gate) -> None:
    empty = finding(0.0, 0.0, verdict)
    found = outcome(asked, empty)
    assert found.status is FAILED and verdict in found.reason
    allowed = outcome(replace(asked, allow=(verdict,)), empty)
    assert allowed.status is (FAILED if asked.expect == "breaks" else PASSED)  # it shows no break
    other = "trivial" if verdict == "invalid" else "invalid"
    assert outcome(replace(asked, allow=(other,)), empty).status is FAILED


@pytest.mark.parametrize("asked", [gate(), gate(expect="breaks"), gate(metric="share")])
def test_not_a_number_never_passes(asked: Gate) -> None:
    nan = math.nan
    bad = finding(0.001, error=None, share=None, verdict="broken")
    assert outcome(asked, bad).status is FAILED
    lost = finding(0.5, 0.1, error=Error(*[scale(nan, nan, nan)] * 3), share=Share(nan, nan, nan))
    assert outcome(asked, lost).status is FAILED
    no_end = finding(0.001, error=Error(*[scale(0.001, nan, nan)] * 3), share=Share(0.001, nan, nan))
    assert outcome(asked, no_end).status is OPEN


@pytest.mark.parametrize(("mean", "low", "high"), [
    (5.0, 0.0, 1.0), (0.001, 0.002, 0.003), (-0.004, -0.005, -0.003), (0.001, 0.0, 0.0005)])  # fmt: skip
def test_numbers_that_contradict_each_other_do_not_pass(mean: float, low: float, high: float) -> None:
    odd = finding(error=Error(*[scale(mean, low, high)] * 3))
    assert outcome(gate(), odd).status is FAILED
    assert outcome(gate(stat="max"), finding(error=Error(*[replace(scale(0, 0, 0), max=-5.0)] * 3))).status is FAILED


def test_exact_is_no_matter_of_the_tolerance() -> None:
    asked, raised = gate(None, verdict="exact"), Floor(1e-7, 1e-7, 0.0, 0.0, low=1e-3, high=1e-3)
    assert outcome(asked, finding(verdict="inconclusive")).status is OPEN  # the precision could not be raised
    assert outcome(asked, finding(verdict="inconclusive", floor=raised)).status is FAILED
    assert outcome(asked, finding(verdict="inconclusive", floor=raised, part="resampled")).status is OPEN


@pytest.mark.parametrize(("verdict", "status"), [
    ("exact", PASSED), ("approximate", FAILED), ("broken", FAILED), ("inconclusive", OPEN)])  # fmt: skip
def test_a_verdict(verdict: str, status: Status) -> None:
    assert outcome(gate(None, verdict="exact"), finding(verdict=verdict)).status is status


@pytest.mark.parametrize(("metric", "stat", "value"), [
    ("spread", "mean", 0.01), ("relative", "mean", 0.1), ("absolute", "mean", 1.0), ("share", "mean", 0.005),
    ("spread", "q95", 0.02), ("relative", "q99", 0.3), ("absolute", "max", 4.0)])  # fmt: skip
def test_metrics_and_statistics(metric: str, stat: str, value: float) -> None:
    asked = gate(1.25 * value, metric=metric, stat=stat)
    found = outcome(asked, finding(0.01, 0.002))
    assert found.value == pytest.approx(value)
    # the 99 % quantile has no upper end here, so it cannot pass
    assert found.status is (OPEN if stat == "q99" else PASSED)
    assert outcome(replace(asked, limit=value / 2), finding(0.01, 0.002)).status is FAILED


def test_inconclusive_says_how_many_samples_would_decide() -> None:
    found = outcome(gate(), finding(0.009, 0.002))
    assert f"about {samples_to_decide(0.009, 0.011, 0.01, 64)} samples" in found.advice
    assert "no number of samples" in outcome(gate(), finding(0.01, 0.002)).advice


def test_a_number_hidden_by_larger_ones_fails() -> None:
    assert outcome(gate(), finding(0.001, 0.0001, component=0.5)).status is FAILED
    assert outcome(gate(), finding(0.001, 0.0001, component=0.05)).status is PASSED


def test_resampling_is_not_held_against_the_model() -> None:
    blurred = finding(0.05, 0.001, "broken", part="resampled", floor=Floor(1e-7, 0.03, 0.0, 0.0))
    assert outcome(gate(), blurred).status is OPEN
    assert outcome(gate(expect="breaks"), blurred).status is OPEN
    assert outcome(gate(), replace(blurred, floor=Floor(1e-7, 0.01, 0.0, 0.0))).status is FAILED


def test_rounding_above_the_limit_points_to_the_verdict() -> None:
    found = outcome(gate(1e-9), finding(1e-7, 1e-8, "exact"))
    assert found.status is FAILED and 'verdict = "exact"' in found.advice
    lost_end = finding(1e-7, 1e-8, "exact", error=Error(*[scale(1e-7, math.nan, math.nan)] * 3))
    assert outcome(gate(), lost_end).status is PASSED


def test_selection() -> None:
    both = finding(), finding(output="forces")
    assert [j.outcome.output for j in judge(gate(), report(*both), "net")] == ["energy", "forces"]
    assert outcome(gate(output="forces"), *both).output == "forces"
    for asked in (gate(output="dipole"), gate(part="improper"), gate(claim="C4: image -> invariant")):
        found = outcome(asked, *both)
        assert found.status is UNMEASURED and found.reason and found.advice
    assert outcome(gate()).status is UNMEASURED
    ignoring = gate(claim="O(3): points, y=ignore -> energy=scalar, forces=vector".replace("points,", "x=points,"))
    named = replace(both[0], claim="O(3): x=points -> energy=scalar, forces=vector")
    assert outcome(ignoring, named).status is OPEN


def certificate(violations: int, draws: int = 299, limit: float = 0.01) -> Certificate:
    return Certificate(limit, 0.95, 0.0, draws, violations, "Haar")


@pytest.mark.parametrize(("violations", "draws", "status"), [
    (0, 299, PASSED), (0, 298, OPEN), (1, 299, OPEN), (1, 473, PASSED), (30, 299, FAILED), (299, 299, FAILED),
])  # fmt: skip
def test_certificates(violations: int, draws: int, status: Status) -> None:
    found = outcome(gate(fraction=0.01), finding(certificate=certificate(violations, draws)))
    assert found.status is status and f"{violations} of n = {draws}" in found.reason
    assert found.metric == "fraction" and found.limit == 0.01 and found.value == pytest.approx(violations / draws)
    assert found.low is not None and found.high is not None and found.low <= violations / draws <= found.high
    looked = judge(gate(fraction=0.01), report(finding(certificate=certificate(violations, draws))), "net", looks=3)
    assert (looked[0].outcome.high or 0.0) >= found.high  # more looks, more confidence


@pytest.mark.parametrize(("violations", "draws"), [(-1, 100), (200, 100), (0, 0)])
def test_a_certificate_that_contradicts_itself_fails(violations: int, draws: int) -> None:
    assert outcome(gate(fraction=0.01), finding(certificate=certificate(violations, draws))).status is FAILED


def test_many_violations_are_counted_quickly() -> None:
    many = certificate(10**7, 2 * 10**7)
    assert outcome(gate(fraction=0.6), finding(certificate=many)).status is PASSED


def test_a_certificate_for_another_limit_is_none() -> None:
    assert outcome(gate(fraction=0.01), finding()).status is UNMEASURED
    assert outcome(gate(fraction=0.01), finding(certificate=certificate(0, limit=0.02))).status is UNMEASURED
    assert outcome(gate(fraction=0.01, confidence=0.99), finding(certificate=certificate(0))).status is OPEN


def test_barriers() -> None:
    asked = replace(gate(0.1), check="barrier", claim="", against="b.pt")
    assert judged_barrier(asked, "net", 0.05, 0.01, "test").status is PASSED
    assert judged_barrier(asked, "net", -0.05, 0.01, "test").status is PASSED
    assert judged_barrier(asked, "net", 0.09, 0.01, "test").status is OPEN
    assert judged_barrier(asked, "net", 0.2, 0.01, "test").status is FAILED
    for value, error in ((math.nan, 0.01), (0.01, math.nan), (math.inf, 0.0), (0.05, -10.0)):
        found = judged_barrier(asked, "net", value, error, "test")
        assert found.status is FAILED and found.high is None


def test_proofs() -> None:
    asked = replace(gate(None), check="weights", claim="")
    good, bad = finding(verdict="exact", output="h"), finding(verdict="broken", output="heads")
    assert [j.outcome.status for j in judged_proof(asked, report(good, good), "net")] == [PASSED]
    found = judged_proof(asked, report(good, bad), "net")
    assert [(j.outcome.status, j.outcome.output) for j in found] == [(FAILED, "heads")]
    assert [j.outcome.status for j in judged_proof(asked, report(), "net")] == [UNMEASURED]


def test_waivers_cover_failures_only() -> None:
    waiver = Waiver("g", "known since May", datetime.date(2030, 1, 1), output="energy")
    failing = outcome(gate(), finding(0.5, 0.1))
    waived = waive(failing, [waiver])
    assert waived.status is Status.WAIVED and waived.waiver == "known since May (until 2030-01-01)"
    assert waive(replace(failing, status=OPEN), [waiver]).status is Status.WAIVED
    assert waive(replace(failing, status=UNMEASURED), [waiver]).status is UNMEASURED
    assert waive(replace(failing, output="forces"), [waiver]).status is FAILED
    assert waive(replace(failing, gate="h"), [waiver]).status is FAILED
    passing = outcome(gate(), finding(0.001, 0.0001))
    assert waive(passing, [waiver]) == passing
    assert idle([waiver], [passing])
    assert not idle([waiver], [failing]) and not idle([waiver], [replace(passing, gate="h")])
    assert "covers nothing" in idle([replace(waiver, output="energi")], [failing])[0]


def test_fingerprints_know_the_question_not_the_answer() -> None:
    one, two = outcome(gate(), finding(0.5, 0.1)), outcome(gate(0.7), finding(0.001, 0.0001))
    assert one.fingerprint == two.fingerprint
    marks = {outcome(g, finding()).fingerprint for g in (gate(), gate(metric="relative"), gate(stat="max"))}
    assert len(marks) == 3


@pytest.mark.parametrize(("freedom", "exact"), [(3, 3.18245), (5, 2.57058), (10, 2.22814), (63, 1.99834)])
def test_student(freedom: float, exact: float) -> None:
    assert student(0.95, freedom) == pytest.approx(exact, rel=0.01)
    assert widened(1) == pytest.approx(1.0) and widened(3) == pytest.approx(2.39398 / 1.95996, rel=1e-4)
