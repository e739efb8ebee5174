"""The pytest plugin: nothing that a test found is lost, however it ended, and nothing passes for what it is not."""

from __future__ import annotations

import json

import pytest

import symcheck.api  # what is imported within an inner run is forgotten after it, which torch does not survive
import symcheck.testing.outputs
import symcheck.testing.same  # noqa: F401
from symcheck.report.outcome import GateReport

pytest_plugins = ["pytester"]

HEAD = """
import pytest
import torch

IMAGES = torch.randn(12, 1, 6, 6, generator=torch.Generator().manual_seed(0))
CLAIM = "C4: image -> invariant"

def good(image):
    return image.square().mean((2, 3))

def leaky(image):
    return good(image) + 0.1 * image[..., 0].mean(2)

def test_good(symcheck):
    symcheck.assert_equivariant(good, CLAIM, IMAGES)
"""
FIXTURE = """
@pytest.fixture
def checked(symcheck):
    yield
    {}

def test_it(checked): pass
"""
SWALLOW = "with pytest.raises(AssertionError): symcheck.assert_equivariant(leaky, CLAIM, IMAGES)"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the plugin that is tested, whatever else is installed."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)


def run(pytester: pytest.Pytester, body: str, *options: str) -> tuple[pytest.RunResult, GateReport]:
    pytester.makepyfile(test_inner=HEAD + body)
    result = pytester.runpytest_inprocess("-p", "symcheck.pytest_plugin", "--symcheck-report=all.json", *options)
    return result, GateReport.from_dict(json.loads((pytester.path / "all.json").read_text()))


def told(report: GateReport) -> list[tuple[str, str]]:
    """Status and why, of everything but the healthy test."""
    return [(str(o.status), o.waiver or o.reason) for o in report.outcomes if "test_good" not in o.gate]


def test_what_a_teardown_finds_is_in_the_report(pytester: pytest.Pytester) -> None:
    result, found = run(pytester, FIXTURE.format("symcheck.assert_equivariant(leaky, CLAIM, IMAGES)"))
    result.assert_outcomes(passed=2, errors=1)
    assert [o.status for o in found.outcomes] == ["passed", "failed"] and found.exit_code == 1
    assert len(found.reports) == 2
    result, found = run(pytester, FIXTURE.format(SWALLOW))
    assert result.ret == 0 and told(found) == [("waived", "the test passed: it expects this")]
    result, found = run(pytester, FIXTURE.format("symcheck.assert_equivariant(good, CLAIM, IMAGES)"))
    assert result.ret == 0 and [o.status for o in found.outcomes] == ["passed", "passed"]


def test_a_failure_is_not_expected_when_the_teardown_fails(pytester: pytest.Pytester) -> None:
    body = FIXTURE.format("raise OSError('disk')").replace("checked): pass", f"checked, symcheck):\n    {SWALLOW}")
    result, found = run(pytester, body)
    result.assert_outcomes(passed=2, errors=1)
    assert [status for status, _ in told(found)] == ["failed"]


ODD = {
    "an option": ("symcheck.assert_equivariant(good, CLAIM, IMAGES, samples='8')", "unmeasured", "TypeError"),
    "an unknown option": ("symcheck.assert_equivariant(good, CLAIM, IMAGES, sample=3)", "unmeasured", "'sample'"),
    "a missing argument": ("symcheck.assert_equivariant(good)", "unmeasured", "missing 2 required"),
    "an audit": ("symcheck.audit(good, 'C4: imagge -> invariant', IMAGES)", "unmeasured", "imagge"),
    "an error of the test": ("raise ValueError('no data')", "unmeasured", "ValueError: no data"),
    "an assertion of the test": ("assert symcheck.audit(leaky, CLAIM, IMAGES).holds", "failed", "assert"),
    "what was not raised": ("with pytest.raises(ValueError): pass", "failed", "DID NOT RAISE"),
}


@pytest.mark.parametrize("name", ODD)
def test_every_failure_of_a_test_is_in_the_report(pytester: pytest.Pytester, name: str) -> None:
    line, status, words = ODD[name]
    result, found = run(pytester, f"\ndef test_odd(symcheck):\n    {line}\n")
    result.assert_outcomes(passed=1, failed=1)
    ((was, why),) = told(found)
    assert was == status and words in why and found.exit_code


def test_what_breaks_before_the_fixture_is_in_the_report(pytester: pytest.Pytester) -> None:
    body = "\n@pytest.fixture\ndef net(): raise OSError('no checkpoint')\n\ndef test_odd(net, symcheck): pass\n"
    for more in ("", "\ndef test_other(net): pass\n"):  # a test that does not use the fixture is none of ours
        result, found = run(pytester, body + more)
        assert result.ret == pytest.ExitCode.TESTS_FAILED
        assert told(found) == [("unmeasured", "OSError: no checkpoint")]


MISSPELT = "symcheck.assert_equivariant(good, CLAIM, IMAGES, output='outputt')"
XFAIL = {
    "measured": ("symcheck.assert_equivariant(leaky, CLAIM, IMAGES)", "waived", "known since May"),
    "an assertion of the test": ("assert symcheck.audit(leaky, CLAIM, IMAGES).holds", "waived", "known since May"),
    "misspelt": (MISSPELT, "unmeasured", "no output 'outputt'"),
    "an option": ("symcheck.assert_equivariant(good, CLAIM, IMAGES, samples='8')", "unmeasured", "TypeError"),
    "NaN": ("symcheck.assert_equivariant(lambda x: good(x) * float('nan'), CLAIM, IMAGES)", "failed", "NaN"),
    "trivial": ("symcheck.assert_equivariant(lambda x: x.new_ones(len(x), 1), CLAIM, IMAGES)", "failed", "nothing"),
}


@pytest.mark.parametrize("name", XFAIL)
def test_xfail_waives_what_was_measured_and_nothing_else(pytester: pytest.Pytester, name: str) -> None:
    line, status, words = XFAIL[name]
    mark = "\n@pytest.mark.xfail(reason='known since May')"
    result, found = run(pytester, f"{mark}\ndef test_odd(symcheck):\n    {line}\n")
    result.assert_outcomes(passed=1, xfailed=1)
    ((was, why),) = told(found)
    assert was == status and words in why
    assert result.ret == (pytest.ExitCode.OK if status == "waived" else pytest.ExitCode.TESTS_FAILED)
    assert (found.exit_code == 0) == (status == "waived")


def test_an_xfail_without_a_reason_waives_too(pytester: pytest.Pytester) -> None:
    body = "\n@pytest.mark.xfail\ndef test_odd(symcheck):\n    symcheck.assert_equivariant(leaky, CLAIM, IMAGES)\n"
    result, found = run(pytester, body)
    assert result.ret == 0 and told(found) == [("waived", "xfail")]


def test_a_skipped_test_expects_nothing(pytester: pytest.Pytester) -> None:
    skipped = "\ndef test_odd(symcheck):\n    {}\n    pytest.skip('not today')\n"
    result, found = run(pytester, skipped.format(SWALLOW))
    result.assert_outcomes(passed=1, skipped=1)
    assert [status for status, _ in told(found)] == ["failed"] and result.ret == pytest.ExitCode.TESTS_FAILED
    result, found = run(pytester, skipped.format("pass"))
    assert result.ret == 0 and told(found) == []


VALUES = {"samples='8'": "positive whole number", "seed=None": "whole number", "tolerance=float('nan')": "not negative"}


@pytest.mark.parametrize("mark", VALUES)
def test_impossible_values_of_a_marker_are_refused(pytester: pytest.Pytester, mark: str) -> None:
    pytester.makepyfile(test_inner=f"import pytest\n@pytest.mark.symcheck({mark})\ndef test_plain(): pass")
    result = pytester.runpytest_inprocess("-p", "symcheck.pytest_plugin")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*test_plain: @pytest.mark.symcheck: *must be *{VALUES[mark]}*", "hint: *"])


def test_the_report_goes_to_every_place(pytester: pytest.Pytester) -> None:
    result, found = run(pytester, "", "--symcheck-report=all.xml")
    assert result.ret == 0 and [o.status for o in found.outcomes] == ["passed"]
    result.stdout.fnmatch_lines(["passed: 1 passed; report in *all.json, *all.xml"])
    assert "C4: image" in (pytester.path / "all.xml").read_text()


@pytest.mark.parametrize("body", ["\ndef test_odd(symcheck): raise KeyboardInterrupt\n", "\nimport no_such_module\n"])
def test_a_run_that_was_cut_short_is_no_pass(pytester: pytest.Pytester, body: str) -> None:
    pytester.makepyfile(test_other=HEAD)
    pytester.makepyfile(test_inner=HEAD + body)
    options = ("--symcheck-report=all.json", "-p", "no:cacheprovider", "test_other.py", "test_inner.py")
    done = pytester.runpytest_subprocess("-p", "symcheck.pytest_plugin", *options)
    assert done.ret == pytest.ExitCode.INTERRUPTED
    found = GateReport.from_dict(json.loads((pytester.path / "all.json").read_text()))
    assert found.exit_code == 2 and ("unmeasured", "the run ended before all tests had run") in told(found)
