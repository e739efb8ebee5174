"""What changed: decided on verdicts and intervals, never on the mean alone."""

import json
import re
from dataclasses import replace

import pytest
from reports import CLAIM, finding, gates, nan, outcome, report

from symcheck.errors import LoadError
from symcheck.report.diff import Kind, diff, render_diff_json, render_diff_markdown, tally
from symcheck.report.markdown import LIMIT
from symcheck.report.model import Finding, Verdict
from symcheck.report.outcome import Status


def kind(old: Finding, new: Finding) -> Kind:
    (change,) = diff(report(old), report(new, subject={"name": "another name", "sha256": "other"}))
    return change.kind


BROKEN, CLOSE = Verdict.BROKEN, Verdict.APPROXIMATE


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (finding(BROKEN, 0.05), finding(BROKEN, 0.05), Kind.SAME),
        (finding(BROKEN, 0.05), finding(BROKEN, 0.053), Kind.SAME),  # the intervals meet
        (finding(BROKEN, 0.05), finding(BROKEN, 0.07), Kind.WORSE),
        (finding(BROKEN, 0.07), finding(BROKEN, 0.05), Kind.BETTER),
        (finding(Verdict.EXACT, 1e-7), finding(Verdict.EXACT, 9e-7), Kind.SAME),  # both are rounding
        (finding(Verdict.EXACT, 1e-7), finding(CLOSE, 1e-7), Kind.WORSE),
        (finding(CLOSE, 1e-4), finding(Verdict.EXACT, 1e-7), Kind.BETTER),
        (finding(CLOSE, 1e-4), finding(CLOSE, 5e-4), Kind.WORSE),
        (finding(CLOSE, 9e-4), finding(Verdict.INCONCLUSIVE, 9e-4), Kind.WORSE),
        (finding(BROKEN, 0.5), finding(Verdict.TRIVIAL, 0.0, error=None), Kind.WORSE),
        (finding(BROKEN, 0.5), finding(CLOSE, 1e-4), Kind.BETTER),
        (finding(BROKEN, 0.05), nan(), None),
        (replace(nan(), claim=CLAIM), finding(BROKEN, 0.05), Kind.BETTER),
        (finding(BROKEN, 0.05), replace(nan(), claim=CLAIM), Kind.WORSE),
        (replace(nan(), claim=CLAIM), replace(nan(), claim=CLAIM), Kind.SAME),
    ],
)
def test_one_finding(old: Finding, new: Finding, expected: Kind | None) -> None:
    if expected is None:
        with pytest.raises(LoadError, match="in common"):
            kind(old, new)
    else:
        assert kind(old, new) is expected


def test_nan_intervals_decide_nothing() -> None:
    made = finding(BROKEN, float("nan"))
    assert kind(finding(BROKEN, 0.05), made) is Kind.SAME
    assert kind(made, finding(BROKEN, 0.05)) is Kind.SAME


def test_new_gone_and_the_order() -> None:
    old = report(*(finding(BROKEN, 0.05, output=name) for name in ("a", "b", "gone")))
    new = report(*(finding(BROKEN, mean, output=name) for name, mean in (("a", 0.05), ("b", 0.9), ("new", 0.1))))
    changes = diff(old, new)
    assert [change.kind for change in changes] == [Kind.WORSE, Kind.GONE, Kind.NEW, Kind.SAME]
    assert tally(changes) == "1 worse, 1 gone, 1 new, 1 same"
    assert changes[0].answers == ("broken 5.0 % [4.6, 5.4]", "broken 90 % [83, 97]")
    assert changes[1].new is None and changes[2].old is None


def test_gates_by_status_and_expectation() -> None:
    old = gates(outcome(Status.PASSED, gate="a"), outcome(Status.FAILED, gate="b", expect="broken"))
    new = gates(outcome(Status.WAIVED, gate="a"), outcome(Status.FAILED, gate="b", expect="broken", low=0.9, high=1.0))
    assert [(c.title[0], c.kind) for c in diff(old, new)] == [("a", Kind.WORSE), ("b", Kind.SAME)]


def test_two_subjects_are_told_apart() -> None:
    made = [outcome(subject="one"), outcome(Status.FAILED, subject="two")]
    assert {c.kind for c in diff(gates(*made), gates(*reversed(made)))} == {Kind.SAME}


def test_equal_questions_are_counted() -> None:
    assert len(diff(gates(outcome(), outcome()), gates(outcome(), outcome(), outcome()))) == 3


def test_reports_without_a_common_question_are_an_error() -> None:
    one, other = report(finding(BROKEN)), report(finding(BROKEN, claim="C4: x -> x"))
    for old, new in ((report(), report()), (report(), one), (one, report()), (one, other)):
        with pytest.raises(LoadError, match="in common"):
            diff(old, new)


def test_proposing_a_claim_or_stating_it_is_no_change() -> None:
    made = report(finding(BROKEN, 0.05), finding(Verdict.TRIVIAL, 0.0, error=None, output="b"))
    for old, new in ((made, replace(made, proposed=True)), (replace(made, proposed=True), made)):
        assert {change.kind for change in diff(old, new)} == {Kind.SAME}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (finding(BROKEN, 0.05), finding(CLOSE, 0.5, tolerance=1.0), Kind.WORSE),
        (finding(BROKEN, 0.05), finding(CLOSE, 0.05, tolerance=1.0), Kind.SAME),
        (finding(CLOSE, 0.5, tolerance=1.0), finding(BROKEN, 0.05), Kind.BETTER),
        (finding(BROKEN, 0.05), finding(Verdict.EXACT, 1e-7, tolerance=1.0), Kind.BETTER),
        (finding(Verdict.EXACT, 1e-7), finding(CLOSE, 0.5, tolerance=1.0), Kind.WORSE),
        (finding(BROKEN, 0.05), finding(Verdict.TRIVIAL, 0.0, error=None, tolerance=1.0), Kind.WORSE),
        (finding(Verdict.EXACT, 1e-7), finding(Verdict.EXACT, 9e-7, tolerance=1e-9), Kind.SAME),
    ],
)
def test_a_limit_that_moved_makes_nothing_better(old: Finding, new: Finding, expected: Kind) -> None:
    (change,) = diff(report(old), report(new))
    assert change.kind is expected
    if expected is Kind.SAME and old.verdict is not new.verdict:
        assert change.why == "mean error within 0.1 % of the spread before, mean error within 100 % of the spread now"
        assert change.why in render_diff_markdown([change])


def test_a_waiver_or_another_baseline_makes_nothing_better() -> None:
    bad, same = outcome(Status.FAILED), {"value": 0.05, "low": 0.04, "high": 0.06}
    assert diff(gates(bad), gates(replace(bad, status=Status.WAIVED)))[0].kind is Kind.SAME
    old, new = outcome(Status.FAILED, baseline=0.01, **same), outcome(baseline=0.06, verdict="broken", **same)
    assert diff(gates(old), gates(new))[0].kind is Kind.SAME
    assert diff(gates(old), gates(replace(new, baseline=0.01)))[0].kind is Kind.BETTER


def test_a_renamed_gate_and_another_number_of_subjects_are_followed() -> None:
    old = gates(outcome(gate="a"), outcome(gate="b", output="forces"), outcome(gate="w", check="weights", claim=""))
    new = gates(outcome(Status.FAILED, gate="z"), outcome(gate="b", output="forces"), outcome(gate="a", subject="two"))
    found = {(c.title, c.kind) for c in diff(old, new)}
    assert found == {
        ("z, energy, proper", Kind.WORSE), ("b, forces, proper", Kind.SAME), ("a, energy, proper", Kind.NEW),
        ("w, energy, proper", Kind.GONE),
    }  # fmt: skip


def test_equal_gates_are_told_apart_by_output_and_part() -> None:
    old = gates(*(outcome(output=name) for name in ("energy", "forces")))
    new = gates(*(outcome(Status.FAILED, output=name) for name in ("energy", "forces")))
    text = render_diff_markdown(diff(old, new))
    assert "rotations, energy, proper" in text
    assert "rotations, forces, proper" in text


def test_markdown_and_json() -> None:
    old = report(*(finding(CLOSE, 1e-4, output=f"o|{i}") for i in range(600)), nan())
    new = report(*(finding(BROKEN, 0.1, output=f"o|{i}", note="ä" * 500) for i in range(600)), nan())
    text = render_diff_markdown(diff(old, new))
    assert text.startswith("## symcheck: 600 worse, 1 same")
    assert len(text.encode()) <= LIMIT
    cells = [re.split(r"(?<!\\)\|", line) for line in text.splitlines() if line.startswith("| **")]
    assert {len(row) for row in cells} == {7}
    assert f"and {600 - len(cells)} more" in text
    plain = json.loads(render_diff_json(diff(old, new)))
    assert (plain["schema"], plain["tally"]["worse"], plain["tally"]["same"]) == ("symcheck.diff/1", 600, 1)
    assert plain["changes"][0]["old"]["verdict"] == "approximate"
    assert plain["changes"][0]["new"]["value"] == 0.1
