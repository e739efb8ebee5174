"""What an outcome says: the bound that decided, what to do next, and a headline that tells it from the others."""

from __future__ import annotations

import math

import pytest
from reports import CLAIM, finding, outcome

from symcheck.report import numbers, wording
from symcheck.report.model import Verdict, Worst
from symcheck.report.outcome import Outcome, Status

FRACTION = {"metric": "fraction", "value": 0.0, "low": 0.0, "high": 0.049, "limit": 0.05}
RATCHET = {"value": 0.84, "low": 0.8, "high": 0.9, "limit": 2.0, "baseline": 0.676}


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (outcome(**FRACTION), "at most 4.9 % of pairs, limit 5 %"),
        (outcome(Status.FAILED, **{**FRACTION, "low": 0.3, "value": 0.4, "high": 0.5}),
         "at least 30 % of pairs, limit 5 %"),
        (outcome(Status.FAILED, **RATCHET), "84 % [80, 90], baseline 68 %"),
        (outcome(**RATCHET), "84 % [80, 90], limit 200 %"),
        (outcome(Status.FAILED, **{**RATCHET, "low": 2.5, "value": 3.0, "high": 3.5}), "300 % [250, 350], limit 200 %"),
        (outcome(limit=1e-4), "3.6e-07 [3.3e-07, 3.9e-07], limit 1e-04"),
        (outcome(value=None), ""),
    ],
)  # fmt: skip
def test_the_number_stands_against_what_decided(made: Outcome, words: str) -> None:
    assert wording.against(made) == words


def test_a_failure_without_advice_says_what_to_do_next() -> None:
    for verdict in ("broken", "approximate", "trivial", "invalid"):
        assert dict(wording.details(outcome(Status.FAILED, verdict=verdict, advice="")))["next"]
    assert dict(wording.details(outcome(Status.FAILED, advice="mend it")))["next"] == "mend it"
    for silent in (outcome(verdict="broken"), outcome(Status.FAILED, verdict="exact", advice="", expect="breaks")):
        assert "next" not in dict(wording.details(silent))


def test_a_name_stands_apart_from_the_claim_that_it_repeats() -> None:
    long = outcome(gate=f"tests/test_net.py::test_turns: {CLAIM}, energy, proper")
    assert wording.headline(long) == "tests/test_net.py::test_turns, energy, proper"
    assert dict(wording.details(long))["claim"] == CLAIM
    audit = outcome(gate=f"{CLAIM}, energy, proper")
    assert wording.headline(audit) == audit.gate
    assert "claim" not in dict(wording.details(audit))
    assert wording.headline(outcome()) == "rotations, energy, proper"


def test_a_trivial_finding_has_no_worst_element() -> None:
    lost = Worst("rotation", 3, math.nan)
    assert numbers.worst(finding(Verdict.TRIVIAL, 0.0, error=None, worst=lost)) == "-"
    assert numbers.worst(finding(Verdict.INVALID, 0.0, error=None, worst=lost)) == "nan at rotation, sample 3"


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ((0.0, 2.5e-4, 7.5e-4, 1e-3), ["0 %", "0.025 %", "0.075 %", "0.1 %"]),
        ((0.0, 0.5, 1.0), ["0 %", "50 %", "100 %"]),
        ((0.0, 2e-7, 4e-7), ["0", "2e-7", "4e-7"]),
        ((1e-7, 1e-5, 1e-3, 0.1, 10.0), ["1e-7", "1e-5", "1e-3", "0.1", "10"]),
        ((0.0,), ["0"]),
        ((), []),
    ],
)
def test_the_labels_of_an_axis_are_in_one_style(values: tuple[float, ...], labels: list[str]) -> None:
    assert numbers.ticks(values) == labels
