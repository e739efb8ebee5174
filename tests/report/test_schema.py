"""The schemas: accept what is written, refuse what is not a report or a record of gates."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from reports import every_status, full, nan, report

from symcheck.report.outcome import GateReport
from symcheck.report.schema import schema

VALIDATORS = {name: Draft202012Validator(schema(name)) for name in ("report", "gate")}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    return VALIDATORS["report"]


@pytest.mark.parametrize("name", VALIDATORS)
def test_the_schemas_are_schemas(name: str) -> None:
    Draft202012Validator.check_schema(VALIDATORS[name].schema)


MADE = {
    "full": full(),
    "empty": report(),
    "nan": report(nan()),
    "gates": every_status(),
    "no gates": replace(every_status(), outcomes=(), reports=()),
}


@pytest.mark.parametrize("name", MADE)
def test_what_is_written_is_valid(name: str) -> None:
    kind = "gate" if isinstance(MADE[name], GateReport) else "report"
    VALIDATORS[kind].validate(json.loads(MADE[name].to_json()))


def test_nan_is_counted_and_null(validator: Draft202012Validator) -> None:
    plain = report(nan()).to_dict()
    assert plain["nonfinite"] >= 1
    assert plain["findings"][0]["worst"]["value"] is None


def test_new_keys_keep_the_version(validator: Draft202012Validator) -> None:
    plain = full().to_dict()
    plain["later"] = 1
    plain["findings"][0]["later"] = 1
    validator.validate(plain)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every key of a nested document, free-form tables left out."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in items:
        if isinstance(key, str):
            found.append((*path, key))
        if key not in ("subject", "environment", "settings"):
            found += _paths(value, (*path, key))
    return found


_EXACT = report(full().findings[0]).to_dict()
_GATE = replace(every_status(), outcomes=every_status().outcomes[:1], reports=(report(full().findings[0]),)).to_dict()
_FIELDS = [("report", path) for path in _paths(_EXACT)] + [("gate", path) for path in _paths(_GATE)]


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


def _document(name: str) -> Any:
    return copy.deepcopy({"report": _EXACT, "gate": _GATE}[name])


@pytest.mark.parametrize(("name", "path"), _FIELDS, ids=str)
def test_every_field_is_required(name: str, path: tuple[Any, ...]) -> None:
    plain = _document(name)
    del _at(plain, path[:-1])[path[-1]]
    with pytest.raises(ValidationError):
        VALIDATORS[name].validate(plain)


@pytest.mark.parametrize(("name", "path"), _FIELDS, ids=str)
def test_every_field_has_a_type(name: str, path: tuple[Any, ...]) -> None:
    plain = _document(name)
    _at(plain, path[:-1])[path[-1]] = [{"a": "list"}]
    with pytest.raises(ValidationError):
        VALIDATORS[name].validate(plain)


@pytest.mark.parametrize("status", ["fine", "PASSED", "", None, 1])
def test_a_status_is_one_of_five(status: Any) -> None:
    for change in ((), ("outcomes", 0)):
        plain = _document("gate")
        _at(plain, change)["status"] = status
        with pytest.raises(ValidationError):
            VALIDATORS["gate"].validate(plain)


@pytest.mark.parametrize("verdict", ["fine", "EXACT", "", None, 1])
def test_a_verdict_is_one_of_six(validator: Draft202012Validator, verdict: Any) -> None:
    for change in ((), ("findings", 0)):
        plain = copy.deepcopy(_EXACT)
        _at(plain, change)["verdict"] = verdict
        with pytest.raises(ValidationError):
            validator.validate(plain)


def test_a_negative_error_is_refused(validator: Draft202012Validator) -> None:
    plain = copy.deepcopy(_EXACT)
    plain["findings"][0]["error"]["spread"]["mean"] = -1.0
    with pytest.raises(ValidationError):
        validator.validate(plain)
