"""The record of gates as JUnit XML: a test case for each outcome, as continuous integration shows them."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from symcheck.report import wording
from symcheck.report.outcome import GateReport, Outcome, Status

# what XML 1.0 can hold (W3C, Extensible Markup Language 1.0, production 2) without control characters
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\u007e\u0085\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_RESULT = {
    Status.FAILED: "failure",
    Status.INCONCLUSIVE: "failure",
    Status.UNMEASURED: "error",
    Status.WAIVED: "skipped",
}
_NUMBERS = ("value", "low", "high", "limit", "baseline")
_WORDS = ("metric", "stat", "verdict", "fingerprint")


def render_junit(report: GateReport) -> str:
    """One suite: failed and inconclusive are failures, unmeasured is an error, waived is skipped, nothing an error."""
    suite = _element("testsuite", name=wording.heading(report), time=f"{report.seconds:.3f}")
    cases = [_case(outcome) for outcome in report.outcomes] or [_nothing()]
    suite.extend(cases)
    kinds = [child.tag for case in cases for child in case]
    counts = {"tests": len(cases), "failures": kinds.count("failure"), "errors": kinds.count("error")}
    skipped = kinds.count("skipped")
    top = _element("testsuites", name="symcheck", time=f"{report.seconds:.3f}")
    for element in (top, suite):
        for name, count in {**counts, "skipped": skipped}.items():
            element.set(name, str(count))
    if report.notes:
        ET.SubElement(suite, "system-out").text = _legal("\n".join(report.notes))
    top.append(suite)
    ET.indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def _case(outcome: Outcome) -> ET.Element:
    name = ", ".join(filter(None, (outcome.claim, outcome.label))) or outcome.check
    case = _element("testcase", classname=outcome.subject if name == outcome.gate else outcome.gate, name=name)
    if outcome.place is not None:
        case.set("file", _legal(outcome.place.file))
        case.set("line", str(outcome.place.line))
    properties = ET.SubElement(case, "properties")
    for key in (*_NUMBERS, *_WORDS):
        value = getattr(outcome, key)
        if value is not None and value != "":
            properties.append(_element("property", name=key, value=str(value)))
    if kind := _RESULT.get(outcome.status, ""):
        message = outcome.waiver or outcome.reason or wording.sentence(outcome)
        found = _element(kind, message=message, type=str(outcome.status))
        found.text = _legal("\n".join(f"{label}: {words}" for label, words in wording.details(outcome)))
        case.append(found)
    return case


def _nothing() -> ET.Element:
    case = _element("testcase", classname="symcheck", name="nothing was judged")
    case.append(_element("error", message="there are no outcomes: nothing was judged", type=str(Status.UNMEASURED)))
    return case


def _element(tag: str, **attributes: str) -> ET.Element:
    return ET.Element(tag, {key: _legal(value) for key, value in attributes.items()})


def _legal(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
