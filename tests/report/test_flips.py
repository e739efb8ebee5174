"""Flips of a label in every format, back from JSON, and before a gate, which judges their interval."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
import torch
from reports import finding as made
from reports import report as reported

import symcheck
from symcheck.errors import LoadError
from symcheck.gate.config import Gate
from symcheck.gate.judge import judge
from symcheck.report import numbers
from symcheck.report.csv_ import render_csv
from symcheck.report.html import render_html
from symcheck.report.markdown import render_markdown
from symcheck.report.model import Flips, FlipsAt, Report, Verdict
from symcheck.report.outcome import Outcome, Place, Status

FLIPS = Flips(0.1, 0.08, 0.13, 2048, 600.0, (FlipsAt(0.1, 0.4, 16, 0.3, 0.2, 0.4), FlipsAt(0.5, 2.0, 16, 0, 0, 0.05)))


def test_flips_come_back_and_are_shown_everywhere() -> None:
    torch.manual_seed(0)
    images = torch.randn(64, 16)
    model = torch.nn.Linear(16, 3)
    report = symcheck.audit(model, "Shift: sequence -> output=invariant, label=invariant", images)
    label = report.findings[1]
    assert label.flips is not None and len(label.flips.margins) == 4
    assert Report.from_json(report.to_json()).findings[1].flips == label.flips
    words = numbers.flips(label.flips)
    assert words.endswith("of the labels change")
    assert words in " ".join(str(report).split())
    assert words.partition(" %")[0] in render_markdown(report)
    assert "of the labels change" in render_html(report)
    rows = [row for row in csv.DictReader(io.StringIO(render_csv(report))) if row["series"] == "flips"]
    assert [float(row["value"]) for row in rows if row["kind"] == "margin"] == [m.rate for m in label.flips.margins]
    assert float(rows[0]["value"]) == label.flips.rate


@pytest.mark.parametrize(
    ("changes", "place"),
    [({"rate": 0.5}, "flips.rate"), ({"low": -0.1}, "flips.low"), ({"high": 1.2}, "flips.high"),
     ({"effective": 4000.0}, "flips.effective"), ({"margins": (replace(FLIPS.margins[0], least=0.5),)}, "least")],
)  # fmt: skip
def test_flips_that_contradict_themselves_are_not_believed(changes: dict[str, object], place: str) -> None:
    good = reported(made(Verdict.BROKEN, flips=FLIPS))
    assert Report.from_json(good.to_json()).findings[0].flips == FLIPS
    bad = reported(made(Verdict.BROKEN, flips=replace(FLIPS, **changes)))
    with pytest.raises(LoadError, match=place):
        Report.from_json(bad.to_json())


def outcome(limit: float, verdict: Verdict = Verdict.BROKEN, flips: Flips | None = FLIPS, **changes: object) -> Outcome:
    one = made(verdict, 0.05, flips=flips)
    gate = Gate("labels", Place("symcheck.toml", 1), claim=one.claim, metric="flips", limit=limit, **changes)
    (judged,) = judge(gate, reported(one), "net")
    return judged.outcome


def test_a_gate_judges_the_interval_of_the_flips() -> None:
    assert outcome(0.2).status is Status.PASSED
    assert outcome(0.05).status is Status.FAILED
    assert outcome(0.1).status is Status.INCONCLUSIVE
    found_ = outcome(0.2)
    assert (found_.value, found_.low, found_.high, found_.rule) == (0.1, 0.08, 0.13, "flips ≤ 20 %")
    assert outcome(0.05, expect="breaks").status is Status.PASSED


def test_few_pairs_without_a_flip_do_not_pass_a_gate_and_numbers_never_do() -> None:
    none = Flips(0.0, 0.0, 0.057, 2048, 64.0)
    assert outcome(0.02, Verdict.EXACT, none).status is Status.INCONCLUSIVE
    assert outcome(0.06, Verdict.EXACT, none).status is Status.PASSED
    plain = outcome(0.2, flips=None)
    assert plain.status is Status.FAILED
    assert "no label" in plain.reason
    assert outcome(0.2, Verdict.TRIVIAL, none).status is Status.FAILED
