"""SARIF: valid by the schema of the standard, every result with a place, nothing that passed."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from jsonschema import Draft4Validator
from reports import every_status, full, gates, outcome, report

from symcheck.report.documents import judged
from symcheck.report.outcome import GateReport, Outcome, Place, Status
from symcheck.report.sarif import MOST, render_sarif
from symcheck.version import __version__

HOSTILE = "\x00\x1b\ud800\udcff %20 a b#?ü\n{0} [x](y)"


@pytest.fixture(scope="module")
def validator() -> Draft4Validator:
    path = Path(__file__).parent / "schemas" / "sarif-2.1.0-rtm.5.json"
    return Draft4Validator(json.loads(path.read_text(encoding="utf-8")))


def run(made: GateReport, base: Path = Path()) -> dict[str, Any]:
    document = json.loads(render_sarif(made, base))
    (found,) = document["runs"]
    return found


MADE = {
    "every": every_status(),
    "audit": judged(full()),
    "empty": gates(),
    "passed": gates(outcome()),
    "hostile": gates(
        outcome(Status.FAILED, gate=HOSTILE, claim=HOSTILE, reason=HOSTILE, place=Place(HOSTILE, -3)),
        config=HOSTILE,
        notes=(HOSTILE,),
    ),
    "nowhere": gates(outcome(Status.FAILED, place=None, subject="unknown"), config="", reports=()),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_valid_and_every_result_has_a_place_and_a_rule(validator: Draft4Validator, name: str) -> None:
    text = render_sarif(MADE[name], Path())
    text.encode()
    validator.validate(json.loads(text))
    found = run(MADE[name])
    for result in found["results"]:
        (location,) = result["locations"]
        assert location["physicalLocation"]["artifactLocation"]["uri"].isascii()
        assert location["physicalLocation"]["region"]["startLine"] >= 1
        assert found["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["partialFingerprints"]["primaryLocationLineHash"]


def test_the_schema_finds_a_planted_fault(validator: Draft4Validator) -> None:
    document = json.loads(render_sarif(every_status(), Path()))
    document["runs"][0]["results"][0]["level"] = "fatal"
    assert not validator.is_valid(document)


def test_levels_suppressions_and_what_passed() -> None:
    results = run(every_status())["results"]
    assert [r["ruleId"] for r in results] == ["barrier/unmeasured", "claim/broken", "claim/broken", "claim/waived"]
    assert [r["level"] for r in results] == ["error", "error", "warning", "note"]
    assert [bool(r.get("suppressions")) for r in results] == [False, False, False, True]
    assert "known since March" in results[3]["suppressions"][0]["justification"]
    assert "gate-passed" not in json.dumps(results)


def test_whether_everything_was_judged() -> None:
    said = {name: run(made)["invocations"][0] for name, made in MADE.items()}
    assert [said[n]["executionSuccessful"] for n in ("every", "empty", "audit", "passed")] == [False, False, True, True]
    assert [said[n]["exitCode"] for n in ("every", "empty", "audit", "passed")] == [2, 2, 1, 0]
    assert "nothing was judged" in json.dumps(said["empty"])
    assert "two gates share" in json.dumps(said["every"])
    assert run(gates())["tool"]["driver"]["version"] == __version__


def uri(made: Outcome, base: Path, **changes: Any) -> str:
    (result,) = run(gates(made, **changes), base)["results"]
    found: str = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    return found


def test_where_a_result_points_to(tmp_path: Path) -> None:
    failed = outcome(Status.FAILED, place=Place(str(tmp_path / "a b" / "ü#.toml"), 7))
    assert unquote(uri(failed, tmp_path)) == "a b/ü#.toml"
    assert "#" not in uri(failed, tmp_path)
    assert uri(failed, tmp_path / "elsewhere").startswith("file:///")
    bare = outcome(Status.FAILED, place=None)
    here = Path.cwd()
    assert uri(bare, here) == "gates/symcheck.toml"
    assert uri(bare, here, config="") == "potential.safetensors"
    assert uri(bare, here, config="pytest", reports=()) == "pyproject.toml"


def test_fingerprints_follow_the_question_and_not_the_answer() -> None:
    def marks(*made: Outcome) -> list[str]:
        return [r["partialFingerprints"]["primaryLocationLineHash"] for r in run(gates(*made))["results"]]

    one = outcome(Status.FAILED, fingerprint="")
    other = outcome(Status.INCONCLUSIVE, fingerprint="", value=0.5, reason="else", place=None)
    assert marks(one) == marks(other)
    assert marks(one) != marks(outcome(Status.FAILED, fingerprint="", output="forces"))
    assert marks(outcome(Status.FAILED, fingerprint="given")) == ["given"]


def test_no_more_results_than_github_shows() -> None:
    made = gates(*(outcome(Status.WAIVED, output=f"o{i}") for i in range(MOST + 7)), outcome(Status.FAILED))
    found = run(made)
    assert len(found["results"]) == MOST
    assert found["results"][0]["level"] == "error"
    assert "and 8 more results" in json.dumps(found["invocations"])


def test_an_audit_of_nothing_was_not_successful() -> None:
    assert run(judged(report()))["invocations"][0]["executionSuccessful"] is False
