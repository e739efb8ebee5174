"""Curves as CSV: every number in full and in its place, nothing that a spreadsheet would run."""

import csv
import io
import math
from dataclasses import replace
from typing import Any

import pytest
from reports import finding, gates, nan, outcome, report

from symcheck.errors import LoadError
from symcheck.report.csv_ import COLUMNS, render_csv
from symcheck.report.documents import Document
from symcheck.report.model import Curve, Report, Verdict


def rows(document: Document, series: str = "") -> list[dict[str, str]]:
    found = list(csv.DictReader(io.StringIO(render_csv(document))))
    return [row for row in found if not series or row["series"] == series]


def curved(**changes: Any) -> Report:
    curve = Curve("angle", ("quarter turn", "half turn"), (0.1, 1 / 3), ((math.pi / 2, 0.0), (math.pi, 1.0)))
    made = finding(Verdict.BROKEN, 0.05, curve=curve, distribution=(0.0, 0.5, 2.0), by_sample=(0.25, math.nan))
    return report(replace(made, **changes))


def test_curve_distribution_and_samples() -> None:
    first, second = rows(curved(), "curve")
    assert (first["label"], second["label"]) == ("quarter turn", "half turn")
    assert float(second["at1"]) == math.pi
    assert float(second["value"]) == 1 / 3
    assert (second["kind"], second["index"], second["at2"], second["at3"]) == ("angle", "1", "1.0", "")
    assert [(r["at1"], r["value"]) for r in rows(curved(), "distribution")] == [
        ("0.0", "0.0"),
        ("0.5", "0.5"),
        ("1.0", "2.0"),
    ]
    assert [r["value"] for r in rows(curved(), "samples")] == ["0.25", "nan"]
    assert {r["label"] for r in rows(curved(), "summary")} == {"mean", "low", "high", "max", "tolerance"}
    assert {(r["subject"], r["output"], r["part"]) for r in rows(curved())} == {("potential", "energy", "proper")}


def test_gates_bring_the_curves_of_their_reports() -> None:
    assert rows(gates(outcome(), reports=(curved(), curved()))) == rows(curved()) * 2


def test_nothing_is_a_header() -> None:
    assert render_csv(report()) == ",".join(COLUMNS) + "\n"
    assert [row["label"] for row in rows(report(nan()))] == ["tolerance"]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-2+3", "@SUM(A1)", "＝1+1", "＋1", "－1", "＠A1", "\t=1", "\r=1", "\n=1", "  =1"]
)
def test_nothing_that_a_spreadsheet_would_run(text: str) -> None:
    for row in rows(curved(claim=text, output=text, part=text)):
        assert row["claim"] == row["output"] == row["part"] == "'" + (" " + text[1:] if text[0] < " " else text)
    assert rows(curved(curve=Curve("listed", (text,), (-0.5,))), "curve")[0]["value"] == "-0.5"


def test_labels_that_hold_what_separates() -> None:
    odd = 'a,b;"c" d'
    assert rows(curved(curve=Curve("listed", (odd,), (1.0,))), "curve")[0]["label"] == odd
    assert len(rows(curved(curve=Curve("listed", (), (1.0, 2.0))), "curve")) == 2  # fewer labels than errors


def connection() -> dict[str, Any]:
    curve = {"loss": [0.1, 0.9, 0.1], "error": None}
    mechanism = {"claim": "C4: image -> invariant", "output": "y", "part": "", "measure": "share"}
    variant = {
        "curves": {"train": curve, "test": {"loss": [0.2, None, 0.2], "error": [0.0, 0.5, 0.0]}},
        "mechanisms": [{**mechanism, "t": [0.0, 1.0], "error": [0.01, 0.02]}],
    }
    ends = [{"path": "a.pt"}, {"path": "b.pt"}]
    return {"schema": "symcheck.connect/1", "t": [0.0, 0.5, 1.0], "checkpoints": ends, "variants": {"naive": variant}}


def test_barrier_curves() -> None:
    found = rows(connection(), "naive")
    assert [(r["part"], r["kind"], r["at1"], r["value"]) for r in found if r["kind"] == "loss"] == [
        ("train", "loss", "0.0", "0.1"), ("train", "loss", "0.5", "0.9"), ("train", "loss", "1.0", "0.1"),
        ("test", "loss", "0.0", "0.2"), ("test", "loss", "0.5", ""), ("test", "loss", "1.0", "0.2"),
    ]  # fmt: skip
    assert [r["value"] for r in found if r["kind"] == "error"] == ["0.0", "0.5", "0.0"]
    assert [(r["claim"], r["value"]) for r in found if r["kind"] == "share"] == [
        ("C4: image -> invariant", "0.01"),
        ("C4: image -> invariant", "0.02"),
    ]
    assert {r["subject"] for r in found} == {"a.pt - b.pt"}


@pytest.mark.parametrize(
    "change",
    [{"variants": None}, {"variants": {"naive": 3}}, {"t": []}, {"checkpoints": [1]}, {"variants": {"a": {}}}],
)
def test_a_document_that_lies_about_itself_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(LoadError) as caught:
        render_csv({**connection(), **change})
    assert caught.value.hint


def test_a_document_without_curves_is_refused() -> None:
    with pytest.raises(LoadError, match="no curves"):
        render_csv({"schema": "symcheck.align/1"})
