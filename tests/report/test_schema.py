"""The schema: accepts what is written, refuses what is not a report."""

import copy
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from reports import full, nan, report

from symcheck.report.schema import schema


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    Draft202012Validator.check_schema(schema())
    return Draft202012Validator(schema())


@pytest.mark.parametrize("made", [full(), report(), report(nan())], ids=["full", "empty", "nan"])
def test_what_is_written_is_valid(validator: Draft202012Validator, made: Any) -> None:
    validator.validate(json.loads(made.to_json()))


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


def _at(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        document = document[key]
    return document


@pytest.mark.parametrize("path", _paths(_EXACT), ids=str)
def test_every_field_is_required(validator: Draft202012Validator, path: tuple[Any, ...]) -> None:
    plain = copy.deepcopy(_EXACT)
    del _at(plain, path[:-1])[path[-1]]
    with pytest.raises(ValidationError):
        validator.validate(plain)


@pytest.mark.parametrize("path", _paths(_EXACT), ids=str)
def test_every_field_has_a_type(validator: Draft202012Validator, path: tuple[Any, ...]) -> None:
    plain = copy.deepcopy(_EXACT)
    _at(plain, path[:-1])[path[-1]] = [{"a": "list"}]
    with pytest.raises(ValidationError):
        validator.validate(plain)


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
