"""Numbers: compact and honest."""

import math

import pytest
from reports import finding, report

from symcheck.report import numbers
from symcheck.report.model import Verdict


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0"), (-0.0, "0"), (math.nan, "nan"), (math.inf, "inf"), (0.052, "0.052"), (0.0996, "0.10"),
        (5.23, "5.2"), (9.96, "10"), (52.3, "52"), (152.0, "152"), (3.6e-7, "3.6e-07"), (5e-324, "4.9e-324"),
        (1.2e9, "1.2e+09"), (-0.052, "-0.052"),
    ],
)  # fmt: skip
def test_number(value: float | None, text: str) -> None:
    assert numbers.number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.0, "0"), (math.nan, "nan"), (math.inf, "inf"), (3.6e-7, "3.6e-07"), (9.9e-4, "9.9e-04"),
        (1e-3, "0.10 %"), (0.0523, "5.2 %"), (0.523, "52 %"), (1.98, "198 %"), (250.0, "2.5e+02"),
    ],
)  # fmt: skip
def test_ratio(value: float | None, text: str) -> None:
    assert numbers.ratio(value) == text


@pytest.mark.parametrize(
    ("ends", "text"),
    [
        ((0.0523, 0.0483, 0.0563), "5.2 % [4.8, 5.6]"),
        ((0.52, 0.48, 0.56), "52 % [48, 56]"),
        ((3.6e-7, 3.5e-7, 3.7e-7), "3.6e-07 [3.5e-07, 3.7e-07]"),
        ((0.52, 0.0004, 0.9), "52 % [0.040, 90]"),  # an end that would round to zero keeps its digits
        ((0.52, 0.0, 0.9), "52 % [0, 90]"),
        ((0.05, math.nan, math.nan), "5.0 % [nan, nan]"),
        ((0.0, 0.0, 0.0), "0 [0, 0]"),
    ],
)
def test_interval(ends: tuple[float, float, float], text: str) -> None:
    assert numbers.interval(*ends) == text


@pytest.mark.parametrize("exponent", range(-320, 300, 7))
def test_only_zero_prints_as_zero(exponent: int) -> None:
    value = 1.7 * 10.0**exponent
    for text in (numbers.number(value), numbers.ratio(value), numbers.stated(value), numbers.interval(value, value, 1)):
        assert float(text.split()[0]) != 0


def test_stated_keeps_the_digits_that_the_user_gave() -> None:
    assert [numbers.stated(v) for v in (1e-3, 0.0125, 1e-5, 0.0)] == ["0.1 %", "1.25 %", "1e-05", "0"]


def test_error_says_what_is_missing() -> None:
    assert numbers.error(finding(Verdict.INVALID, error=None)) == "nan"
    assert numbers.error(finding(Verdict.TRIVIAL, error=None)) == "-"
    assert "[" not in numbers.error(finding(Verdict.EXACT))
    assert "[" in numbers.error(finding(Verdict.APPROXIMATE))


def test_worst_first_ranks_verdicts_then_errors() -> None:
    found = [finding(Verdict.EXACT), finding(Verdict.BROKEN, 0.1), finding(Verdict.BROKEN, 0.2)]
    assert numbers.worst_first(found) == [found[2], found[1], found[0]]
    unknown = finding(Verdict.BROKEN, math.nan)
    assert numbers.worst_first([*found, unknown])[0] is unknown


def test_durations_counts_and_tally() -> None:
    assert [numbers.duration(s) for s in (0.04, 3.24, 59.4, 125, 3720)] == [
        "0.040 s", "3.2 s", "59 s", "2 min 05 s", "1 h 02 min",
    ]  # fmt: skip
    assert [numbers.count(n, "forward") for n in (1, 4160, 12345)] == ["1 forward", "4160 forwards", "12,345 forwards"]
    assert numbers.tally([finding(Verdict.BROKEN), finding(Verdict.EXACT)]) == "1 exact, 1 broken"
    assert numbers.tally([]) == "nothing was measured"


def test_facts_leave_out_what_is_unknown() -> None:
    assert numbers.facts(report(subject={}, environment={}, settings={})) == []
    assert numbers.facts(report())[0] == "12,345 parameters"
