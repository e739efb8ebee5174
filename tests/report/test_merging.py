"""Shards: joined where they measured the same thing in the same way, refused where not."""

from dataclasses import replace
from typing import Any

import pytest
from reports import finding, gates, nan, outcome, report

from symcheck.errors import LoadError
from symcheck.report.merging import merge
from symcheck.report.model import Report, Verdict
from symcheck.report.outcome import GateReport, Status

SUBJECT = {"name": "potential", "sha256": "abc", "path": "potential.safetensors"}
SETTINGS = {"samples": 64, "elements": 32, "seed": 0, "tolerance": 1e-3, "data": "d1", "claims": ["A"]}
SETTINGS |= {"files": {"model": "m1"}}


def shard(*outputs: str, **changes: Any) -> Report:
    made = report(*(finding(Verdict.BROKEN, 0.05, output=name) for name in outputs), subject=SUBJECT, settings=SETTINGS)
    return replace(made, **changes)


def joined(*shards: Report | GateReport) -> Any:
    return merge([(f"{i}.json", made) for i, made in enumerate(shards)])


def test_findings_of_all_with_effort_added_up() -> None:
    made = joined(
        shard("a", "b", notes=("n", "m")), shard("c", notes=("n",), settings={**SETTINGS, "claims": ["A", "B"]})
    )
    assert isinstance(made, Report)
    assert [f.output for f in made.findings] == ["a", "b", "c"]
    assert (made.seconds, made.forwards) == (2 * 3.24, 2 * 4160)
    assert made.notes == ("n", "m")
    assert made.settings["claims"] == ["A", "B"]
    assert made.settings["data"] == "d1"


def test_the_same_network_in_another_folder_is_joined_with_other_claims() -> None:
    here = {**SUBJECT, "model": "/a/nets.py:net", "arguments": {}, "key": ""}
    there = {**SUBJECT, "path": "/b/potential.safetensors", "model": "/b/nets.py:net"}
    one = shard("a", subject=here, settings={**SETTINGS, "tolerance": {"A": 0.1}})
    made = joined(one, shard("b", subject=there, settings={**SETTINGS, "tolerance": {"B": 0.2}, "claims": ["B"]}))
    assert (made.settings["claims"], made.settings["tolerance"]) == (["A", "B"], {"A": 0.1, "B": 0.2})
    with pytest.raises(LoadError, match="tolerance of 'A'"):
        joined(one, shard("b", subject=there, settings={**SETTINGS, "tolerance": {"A": 0.2}}))


def test_gates_of_other_code_with_the_same_weights_are_refused() -> None:
    one, other = (shard("a", subject={**SUBJECT, "model": f"nets.py:{name}"}) for name in ("wide", "deep"))
    with pytest.raises(LoadError, match="model of the subject 'potential'"):
        joined(gates(outcome(gate="a"), reports=(one,)), gates(outcome(gate="b"), reports=(other,)))
    bare = shard("a", subject={**SUBJECT, "model": "", "parameters": 7})  # a network against another in one gate
    assert len(joined(gates(outcome(gate="a"), reports=(one,)), gates(outcome(gate="b"), reports=(bare,))).reports) == 2


def test_one_shard_is_itself() -> None:
    assert joined(shard("a")) == shard("a")


def test_the_same_finding_once_wherever_its_pair_is_stored() -> None:
    one, other = shard("a", "b"), shard("b", "c")
    worst = other.findings[0].worst
    assert worst is not None
    moved = replace(other.findings[0], worst=replace(worst, file="elsewhere.safetensors#1"))
    made = joined(one, replace(other, findings=(moved, other.findings[1])))
    assert [f.output for f in made.findings] == ["a", "b", "c"]
    assert made.findings[1] == one.findings[1]


def test_nan_agrees_with_nan() -> None:
    assert len(joined(shard(findings=(nan(),)), shard(findings=(nan(),))).findings) == 1


def test_contradicting_findings_are_refused() -> None:
    other = shard(findings=(finding(Verdict.BROKEN, 0.050001, output="a"),))
    with pytest.raises(LoadError, match=r"contradict each other on .*, a proper") as caught:
        joined(shard("a"), other)
    assert caught.value.where == "0.json and 1.json"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"subject": {**SUBJECT, "sha256": "abd"}}, "sha256"),
        ({"subject": {**SUBJECT, "name": "other"}}, "name"),
        ({"subject": {**SUBJECT, "model": "nets.py:wide"}}, "model"),
        ({"subject": {**SUBJECT, "arguments": {"width": 8}}}, "arguments"),
        ({"subject": {**SUBJECT, "key": "ema"}}, "key"),
        ({"subject": {**SUBJECT, "parameters": 7}}, "parameters"),
        ({"settings": {**SETTINGS, "derive": {"edges": "radius"}}}, "derive"),
        ({"settings": {**SETTINGS, "gate": "same"}}, "gate"),
        ({"settings": {**SETTINGS, "files": {"model": "m2"}}}, "files of 'model'"),
        ({"settings": {**SETTINGS, "seed": 1}}, "seed"),
        ({"settings": {**SETTINGS, "elements": 16}}, "elements"),
        ({"settings": {**SETTINGS, "samples": 32}}, "samples"),
        ({"settings": {**SETTINGS, "tolerance": 1e-4}}, "tolerance"),
        ({"settings": {**SETTINGS, "data": "d2"}}, "data"),
        ({"settings": {k: v for k, v in SETTINGS.items() if k != "seed"}}, "seed"),
        ({"environment": {"dtype": "float64"}}, "precision"),
        ({"proposed": True}, "proposed"),
    ],
)
def test_what_was_measured_otherwise_is_refused(change: dict[str, Any], word: str) -> None:
    with pytest.raises(LoadError, match=word) as caught:
        joined(shard("a"), shard("b"), shard("c", **change))
    assert caught.value.where.endswith("2.json")
    assert caught.value.hint


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"environment": {"dtype": "float32", "symcheck": "0.2"}}, "versions of symcheck: 0.1, 0.2"),
        ({"environment": {"dtype": "float32", "symcheck": "0.1", "device": "cuda"}}, "devices: cpu, cuda"),
        ({"settings": {k: v for k, v in SETTINGS.items() if k != "data"}}, "not every shard names the digest"),
    ],
)
def test_what_may_differ_is_noted(change: dict[str, Any], word: str) -> None:
    here = {"dtype": "float32", "symcheck": "0.1", "device": "cpu"}
    made = joined(shard("a", environment=here), shard("b", **{"environment": here, **change}))
    assert any(word in note for note in made.notes)
    assert joined(shard("a", environment=here), shard("b", environment=here)).notes == ()
    assert made.settings["data"] == "d1"


def test_data_of_old_shards_is_compared_among_those_that_name_it() -> None:
    old = {k: v for k, v in SETTINGS.items() if k != "data"}
    with pytest.raises(LoadError, match="data"):
        joined(shard("a", settings=old), shard("b"), shard("c", settings={**SETTINGS, "data": "d2"}))


def test_gates_are_joined() -> None:
    one = gates(outcome(gate="a"), outcome(Status.FAILED, gate="b"), reports=(shard("a"),))
    other = gates(outcome(Status.FAILED, gate="b", replay="elsewhere"), outcome(gate="c"), reports=(shard("a"),))
    made = joined(one, other)
    assert isinstance(made, GateReport)
    assert [o.gate for o in made.outcomes] == ["a", "b", "c"]
    assert made.status is Status.FAILED
    assert made.seconds == 2 * 2.34
    assert len(made.reports) == 1
    assert len(joined(one, gates(outcome(gate="d"), reports=(shard("b"),))).reports) == 2


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"config": "other.toml"}, "configuration"),
        ({"outcomes": (outcome(Status.PASSED, gate="b"),)}, "contradict each other on 'b'"),
        ({"reports": (shard("a", subject={**SUBJECT, "sha256": "abd"}),)}, "sha256 of the subject 'potential'"),
    ],
)
def test_gates_that_do_not_belong_together_are_refused(change: dict[str, Any], word: str) -> None:
    made = gates(outcome(Status.FAILED, gate="b"), reports=(shard("a"),))
    with pytest.raises(LoadError, match=word):
        joined(made, replace(made, **change))


def test_audits_and_gates_are_not_mixed_and_nothing_is_refused() -> None:
    with pytest.raises(LoadError, match="cannot be joined"):
        joined(shard("a"), gates())
    with pytest.raises(LoadError, match="nothing to join"):
        merge([])
