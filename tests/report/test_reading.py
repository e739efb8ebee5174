"""Documents read back: what does not fit is refused with its place, whatever it is."""

import copy
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from reports import every_status, finding, full, nan, report

from symcheck.errors import LoadError
from symcheck.report.documents import judged, read_document, read_report
from symcheck.report.formats import FORMATS
from symcheck.report.markdown import LIMIT
from symcheck.report.model import Certificate, Curve, Report, Scale, Verdict
from symcheck.report.outcome import GateReport
from symcheck.report.sarif import MOST
from symcheck.report.write import rendered, write_report

RICH = replace(
    finding(Verdict.BROKEN, 0.05),
    curve=Curve("angle", ("a", "b"), (0.1, float("nan")), ((0.0, 1.0), (2.0, 0.0))),
    by_sample=(0.5, 0.25),
    distribution=(0.0, 1.0),
    certificate=Certificate(1e-3, 0.95, 0.01, 1000, 3, "uniform"),
)


def saved(tmp_path: Path, data: Any) -> Path:
    path = tmp_path / "made.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")
    return path


def refused(tmp_path: Path, data: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        read_document(saved(tmp_path, data))
    assert caught.value.where.startswith(str(tmp_path))
    assert caught.value.hint
    assert len(str(caught.value).splitlines()) == 3
    return caught.value


def test_everything_comes_back(tmp_path: Path) -> None:
    for made in (report(RICH), every_status(), full(), report(nan())):
        write_report(made, tmp_path / "a.json")
        again = read_report(tmp_path / "a.json")
        assert type(again) is type(made)
        assert {**again.to_dict(), "nonfinite": 0} == {**made.to_dict(), "nonfinite": 0}


def test_a_record_of_gates_is_equal_when_read(tmp_path: Path) -> None:
    made = replace(every_status(), reports=(report(finding(Verdict.EXACT)),))
    assert read_report(saved(tmp_path, made.to_dict())) == made


def test_an_older_report_lacks_what_is_new(tmp_path: Path) -> None:
    plain = report(RICH).to_dict()
    for key in ("curve", "by_sample", "distribution", "certificate", "component"):
        del plain["findings"][0][key]
    for key in ("q95_low", "q95_high"):
        del plain["findings"][0]["error"]["spread"][key]
    found = read_report(saved(tmp_path, {**plain, "later": [1]}))
    assert isinstance(found, Report)
    assert found.findings[0].curve is None
    assert found.findings[0].verdict is Verdict.BROKEN


FREE = ("subject", "environment", "settings", "nonfinite", "status", "exit_code", "schema")


def _leaves(node: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path to every value whose type is laid down."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, value in items:
        if key not in FREE or len(path) > 1:
            free = key in ("verdict",) and not path
            found += [] if free else [(*path, key), *_leaves(value, (*path, key))]
    return found


PLAIN = report(RICH).to_dict()
GATE = replace(every_status(), reports=()).to_dict()


def _with(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    made = copy.deepcopy(document)
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return made


@pytest.mark.parametrize(
    ("document", "path"),
    [(d, p) for d in (PLAIN, GATE) for p in _leaves(d)],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_a_wrong_type_anywhere_is_refused_with_its_place(tmp_path: Path, document: Any, path: tuple[Any, ...]) -> None:
    place = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path).removeprefix(".")
    for wrong in ({"a": [1]}, [[{"b": 1}]]):
        assert f"read: {place}" in refused(tmp_path, _with(document, path, wrong)).message


@pytest.mark.parametrize(
    ("path", "wrong", "words"),
    [
        (("findings", 0, "claim"), 5, "findings[0].claim is a number, not text"),
        (("findings", 0, "claim"), None, "findings[0].claim is null, not text"),
        (("findings", 0, "verdict"), "fine", "findings[0].verdict is 'fine', not one of invalid"),
        (("findings", 0, "error", "spread", "mean"), "1", "findings[0].error.spread.mean is '1', not a number"),
        (("findings", 0, "error", "spread", "mean"), True, "is true, not a number"),
        (("findings", 0, "curve", "at"), [[0, "x"]], "findings[0].curve.at[0][1] is 'x', not a number"),
        (("findings", 0, "counts", "pairs"), 1.5, "findings[0].counts.pairs is 1.5, not a whole number"),
        (("findings", 0, "counts", "pairs"), True, "is true, not a whole number"),
        (("seconds",), 10**400, "seconds is too large"),
        (("findings",), {}, "findings is an object, not a list"),
        (("findings",), [1], "findings[0] is a number, not an object"),
        (("schema",), "symcheck.report/9", "the schema 'symcheck.report/9' is not known"),
        (("subject",), [], "subject is a list, not an object"),
    ],
)
def test_the_message_says_what_and_where(tmp_path: Path, path: tuple[Any, ...], wrong: Any, words: str) -> None:
    assert words in refused(tmp_path, _with(PLAIN, path, wrong)).message


@pytest.mark.parametrize(
    ("path", "wrong", "words"),
    [
        (("error", "spread", "mean"), -4.0, "error.spread.mean is -4, and cannot be negative"),
        (("error", "absolute", "max"), -5.0, "error.absolute.max is -5, and cannot be negative"),
        (("error", "spread", "high"), 0.0, "error.spread.mean is 0.05, and cannot be above high, 0"),
        (("error", "spread", "low"), 5.0, "error.spread.low is 5, and cannot be above mean, 0.05"),
        (("error", "relative", "q50"), 5.0, "error.relative.q50 is 5, and cannot be above q95"),
        (("error", "relative", "q95_high"), 0.0, "error.relative.q95 is 0.027, and cannot be above q95_high, 0"),
        (("error", "relative", "max"), 0.0, "cannot be above max, 0"),
        (("share", "value"), 1.5, "share.value is 1.5, and cannot be above 1"),
        (("floor", "rounding"), -1.0, "floor.rounding is -1, and cannot be negative"),
        (("counts", "pairs"), -1, "counts.pairs is -1, and cannot be negative"),
        (("worst", "value"), -0.1, "worst.value is -0.1, and cannot be negative"),
        (("curve", "errors", 0), -0.1, "curve.errors[0] is -0.1, and cannot be negative"),
        (("by_sample", 1), -0.1, "by_sample[1] is -0.1, and cannot be negative"),
        (("distribution", 0), 2.0, "distribution[0] is 2, and cannot be above distribution[1], 1"),
        (("certificate", "violations"), 1001, "certificate.violations is 1001, and cannot be above draws, 1000"),
        (("certificate", "draws"), -5, "certificate.draws is -5, and cannot be negative"),
        (("certificate", "fraction"), 2.0, "certificate.fraction is 2, and cannot be above 1"),
        (("tolerance",), -1.0, "tolerance is -1, and cannot be negative"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(
    tmp_path: Path, path: tuple[Any, ...], wrong: Any, words: str
) -> None:
    found = refused(tmp_path, _with(PLAIN, ("findings", 0, *path), wrong)).message
    assert words in found
    assert "read: findings[0]." in found
    nothing = _with(PLAIN, ("findings", 0, *path), None)
    if not isinstance(wrong, int):
        read_document(saved(tmp_path, nothing))  # null is no number, and contradicts nothing


def test_a_gate_with_numbers_that_contradict_each_other_is_refused(tmp_path: Path) -> None:
    for change, words in (
        ({"low": 0.06}, "outcomes[0].low is 0.06, and cannot be above value"),
        ({"value": -1.0, "low": -2.0}, "outcomes[0].value is -1, and cannot be negative"),
        ({"limit": -1.0}, "outcomes[0].limit is -1"),
    ):
        plain = {**GATE, "outcomes": [{**GATE["outcomes"][0], **change}]}
        assert words in refused(tmp_path, plain).message
    below = {**GATE["outcomes"][0], "metric": "", "value": -0.1, "low": -0.2, "high": 0.0, "check": "barrier"}
    read_document(saved(tmp_path, {**GATE, "outcomes": [below]}))  # a loss may fall along a path


def test_a_standard_error_is_not_negative(tmp_path: Path) -> None:
    barrier = {"value": -5.0, "error": 1.0}
    plain = {"schema": "symcheck.connect/1", "variants": {"naive": {"curves": {"a": {"barrier": barrier}}}}}
    assert read_document(saved(tmp_path, plain)) == plain
    place = "variants.naive.curves.a.barrier.error"
    assert place in refused(tmp_path, _with(plain, tuple(place.split(".")), -10.0)).message


def test_a_clamped_interval_and_one_of_rounding_read_back(tmp_path: Path) -> None:
    error = RICH.error
    assert error is not None
    below = 1e-7 * (1 - 1e-12)
    tiny = Scale(1e-7, 0.0, 2e-7, below, 1e-7, 1e-7, below, 0.0, 1e-7)
    made = report(replace(RICH, error=replace(error, spread=tiny)))
    write_report(made, tmp_path / "a.json")
    found = read_report(tmp_path / "a.json")
    assert isinstance(found, Report)
    assert found.findings[0].error == replace(error, spread=tiny)


@pytest.mark.parametrize("key", ["subject", "environment", "settings", "findings", "schema"])
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    assert key in refused(tmp_path, {k: v for k, v in PLAIN.items() if k != key}).message


PLAIN_TEXT = json.dumps(PLAIN)


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.mark.parametrize(
    "text",
    [
        PLAIN_TEXT.replace('"seconds": 3.24', '"seconds": 1e999'),
        PLAIN_TEXT.replace('"seed": 0', f'"seed": {nested(60)}'),
        PLAIN_TEXT.replace('"seed": 0', f'"seed": {nested(900)}'),
        PLAIN_TEXT.replace('"seed": 0', f'"seed": {nested(10**5)}'),
        PLAIN_TEXT.replace('"seed": 0', '"seed": NaN'),
        PLAIN_TEXT.replace('"seed": 0', '"seed": -Infinity'),
        PLAIN_TEXT.replace('"seconds": 3.24', '"seconds": ' + "9" * 5000),
        f'{{"schema": "symcheck.connect/1", "t": {nested(60)}}}',
        PLAIN_TEXT.replace('"seed": 0', f'"seed": 1{"0" * 400}'),
        PLAIN_TEXT.replace('"pairs": 2048', f'"pairs": 1{"0" * 400}'),
        '{"schema": "symcheck.connect/1", "seconds": 1e999}',
        '{"schema": "symcheck.spec/1"}',
        '{"schema": ["symcheck.report/1"]}',
        "[1, 2]", "null", "", "\ufeff{}", PLAIN_TEXT[:-100],
    ],
    ids=range(18),
)  # fmt: skip
def test_hostile_text_is_one_clear_error(tmp_path: Path, text: str) -> None:
    assert len(refused(tmp_path, text).message) < 300


def test_a_folder_and_what_is_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.json"):
        with pytest.raises(LoadError):
            read_document(path)


def test_another_document_is_no_report(tmp_path: Path) -> None:
    plain = {"schema": "symcheck.distance/1", "raw": [[0.0, 1.0]], "notes": ["a"], "deep": {"x": {"y": 1}}}
    path = saved(tmp_path, plain)
    assert read_document(path) == plain
    with pytest.raises(LoadError, match=r"symcheck\.distance/1 document, not a report"):
        read_report(path)
    text = rendered(plain, "text")
    for words in ("symcheck.distance/1", "raw", "deep.x", "notes"):
        assert words in text
    assert json.loads(rendered(plain, "json")) == plain
    for format_ in ("markdown", "junit", "sarif", "csv"):
        with pytest.raises(LoadError):
            rendered(plain, format_)


@pytest.mark.parametrize("count", [2_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_very_many_findings(tmp_path: Path, count: int) -> None:
    (one,) = report(finding(Verdict.BROKEN, 0.1)).to_dict()["findings"]
    made = {**report().to_dict(), "findings": [{**one, "output": f"o{i}"} for i in range(count)]}
    found = read_report(saved(tmp_path, made))
    assert isinstance(found, Report)
    assert len(found.findings) == count
    assert len(rendered(found, "markdown")) <= LIMIT
    assert rendered(found, "sarif").count('"ruleId"') == min(count, MOST)
    made["findings"][-1]["part"] = 7
    assert f"findings[{count - 1}].part" in refused(tmp_path, made).message


@pytest.mark.parametrize("format_", [f for f in FORMATS if f != "html"])
@pytest.mark.parametrize("make", [report, full, every_status, lambda: report(nan()), lambda: report(RICH)])
def test_every_report_has_every_form(format_: str, make: Callable[[], Report | GateReport]) -> None:
    rendered(make(), format_).encode()
    rendered(judged(make()), format_).encode()
