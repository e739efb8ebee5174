"""JUnit XML: read back by a parser of other people, whatever the names are."""

from xml.etree import ElementTree as ET

import pytest
from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite
from reports import full, gates, outcome

from symcheck.report.documents import judged
from symcheck.report.junit import render_junit
from symcheck.report.outcome import GateReport, Outcome, Status


def cases(made: GateReport) -> list[TestCase]:
    (suite,) = JUnitXml.fromstring(render_junit(made).encode())
    assert isinstance(suite, TestSuite)
    found = list(suite)
    results = [result for case in found for result in case.result]
    for kind, count in ((Failure, suite.failures), (Error, suite.errors), (Skipped, suite.skipped)):
        assert count == sum(isinstance(result, kind) for result in results)
    assert suite.tests == len(found)
    return found


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (Status.PASSED, None),
        (Status.FAILED, Failure),
        (Status.INCONCLUSIVE, Failure),
        (Status.UNMEASURED, Error),
        (Status.WAIVED, Skipped),
    ],
)
def test_every_status_has_its_result(status: Status, kind: type | None) -> None:
    (case,) = cases(gates(outcome(status)))
    assert [type(result) for result in case.result] == ([] if kind is None else [kind])
    if kind in (Failure, Error):
        assert case.result[0].message == "the whole interval lies above the limit"
        assert "replay: symcheck audit --replay out/report.worst.safetensors" in case.result[0].text
    if kind is Skipped:
        assert "until 2027" in case.result[0].message


def test_names_numbers_and_places() -> None:
    (case,) = cases(gates(outcome(Status.FAILED)))
    assert case.classname == "rotations"
    assert case.name.endswith("energy, proper")
    text = render_junit(gates(outcome(Status.FAILED)))
    found = ET.fromstring(text).find(".//testcase")
    assert found is not None
    assert (found.get("file"), found.get("line")) == ("gates/symcheck.toml", "12")
    values = {p.get("name"): p.get("value") for p in found.iter("property")}
    assert float(values["value"] or "") == 0.0523
    assert float(values["limit"] or "") == 1e-3
    assert "baseline" not in values
    assert (ET.fromstring(text).get("time"), ET.fromstring(text).get("tests")) == ("2.340", "1")


def test_an_audit_is_named_by_its_subject() -> None:
    found = cases(judged(full()))
    assert {case.classname for case in found} == {"potential"}
    assert len(found) == 6
    assert sum(bool(case.result) for case in found) == 4


def test_nothing_judged_is_an_error_and_not_an_empty_suite() -> None:
    (case,) = cases(gates())
    assert isinstance(case.result[0], Error)
    assert case.name == "nothing was judged"


HOSTILE = "\x00\x1b[2J\ud800\udcff\ufffe ]]> <b> & \"' \n\t é \U0001f600"


@pytest.mark.parametrize("field", ["gate", "subject", "claim", "output", "reason", "advice", "worst", "fingerprint"])
def test_what_xml_cannot_hold_is_replaced(field: str) -> None:
    made = gates(outcome(Status.FAILED, **{field: HOSTILE}), config=HOSTILE, notes=(HOSTILE,))
    text = render_junit(made)
    text.encode()
    assert not set(text) & set("\x00\x1b\ud800\udcff\ufffe")
    assert "😀" in text
    assert len(cases(made)) == 1


def test_a_thousand_cases() -> None:
    made: list[Outcome] = [outcome(Status.FAILED if i % 2 else Status.PASSED, output=f"o{i}") for i in range(1000)]
    assert len(cases(gates(*made))) == 1000
