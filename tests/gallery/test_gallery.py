"""Every network of the gallery, measured again by the one command, against the page that was written of it."""

from __future__ import annotations

import importlib
import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from gallery_make import HERE, by_hand_says, command, entries
from gallery_rows import Row, read_rows, rows_of
from wheels import PINS, unpacked

from symcheck.claim import Claim
from symcheck.report.model import Report

pytestmark = pytest.mark.gallery

ENTRIES = entries()


@cache
def page() -> dict[tuple[str, str, str], Row]:
    return {row.key: row for row in read_rows(HERE / "README.md")}


def had(name: str) -> None:
    """Skips with a clear word where a package cannot be had; another file than the pinned one fails."""
    for spec in filter(None, (ENTRIES[name]["package"], ENTRIES[name].get("data"))):
        assert spec in PINS
        unpacked(spec)


def stated(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / f"{name}.toml").read_text())


def test_every_subject_file_is_on_the_page() -> None:
    assert {path.stem for path in HERE.glob("*.toml")} == {*ENTRIES, "gallery"}
    assert {row.network for row in page().values()} == {*ENTRIES}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_subject_file_is_short_and_every_claim_has_someone_or_nobody_behind_it(name: str) -> None:
    assert len((HERE / f"{name}.toml").read_text().splitlines()) <= 15
    says = ENTRIES[name]["says"]
    assert len(says) == len(stated(name)["claims"])
    assert {*says} <= {"published", "implied", "assumed", "none"}


@pytest.mark.parametrize("right", sorted({about["right"] for about in ENTRIES.values() if "right" in about}))
def test_it_is_the_right_network(right: str) -> None:
    had(next(name for name, about in ENTRIES.items() if about.get("right") == right))
    file, _, function = right.partition(".py:")
    getattr(importlib.import_module(file), function)()


@pytest.mark.parametrize("name", ENTRIES)
def test_what_is_measured_now_is_what_the_page_says(name: str, tmp_path: Path) -> None:
    had(name)
    out = tmp_path / f"{name}.json"
    code, said, _ = command("audit", str(HERE / f"{name}.toml"), "-o", str(out), "-q", "--exit-zero")
    if "ModuleNotFoundError" in said or "not installed" in said:
        pytest.skip(said.splitlines()[0])
    assert code == 0, said
    report = Report.from_json(out.read_text())
    check_schema(json.loads(out.read_text()))
    says = zip(stated(name)["claims"], ENTRIES[name]["says"], strict=True)
    rows = rows_of(name, report, {str(Claim.parse(text)): word for text, word in says})
    assert {row.key for row in rows} == {key for key in page() if key[0] == name}
    for row, finding in zip(rows, report.findings, strict=True):
        check_row(page()[row.key], row, None if finding.error is None else finding.error.spread.mean)
    if (kept := HERE / "worst" / f"{name}.safetensors").is_file():
        check_by_hand(name, report, kept)


def check_row(then: Row, now: Row, error: float | None) -> None:
    """The verdict is the page's, and the error lies in the interval that the page prints."""
    assert now.verdict == then.verdict, (then, now)
    assert now.says == then.says
    if then.interval is not None and error is not None:
        low, high = then.interval
        assert low <= error <= high, (then, now)


def check_schema(document: dict[str, Any]) -> None:
    import jsonschema

    import symcheck.report.model as model

    folder = Path(model.__file__).parent / "schema"
    schema = json.loads(next(p for p in sorted(folder.glob("*report*.json"))).read_text())
    jsonschema.validate(document, schema)


def check_by_hand(name: str, report: Report, kept: Path) -> None:
    """Plain PyTorch finds the error of every kept pair, and these are the worst pairs of now."""
    said = [line for line in by_hand_says(name, kept).splitlines() if " by hand, " in line]
    broken = {" ".join(filter(None, (f.output, f.part))): f for f in report.findings if not f.verdict.holds}
    assert said
    for line in said:
        label, _, figures = line.partition(": ")
        by_hand, by_symcheck, of_spread = (float(words.split()[0]) for words in figures.split(", "))
        assert abs(by_hand - by_symcheck) <= 1e-3 * by_symcheck, line
        assert abs(of_spread - broken[label].worst.value) <= 2e-2 * of_spread, (line, broken[label].worst)


def test_a_row_that_says_something_else_is_found() -> None:
    row = Row("a", "D4: image", "none", "logits=invariant", "broken", "27 % [17, 37]", "1e-06", "itself", "1 s")
    assert row.interval == pytest.approx((0.165, 0.375))
    check_row(row, row, 0.27)
    with pytest.raises(AssertionError):
        check_row(row, row, 0.40)
    with pytest.raises(AssertionError):
        check_row(row, Row(**{**vars(row), "verdict": "exact"}), 0.27)


def test_a_wrong_action_by_hand_is_found(tmp_path: Path) -> None:
    """The check in plain PyTorch does not merely repeat the file: other inputs give another error."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    had("pesto")
    with safe_open(HERE / "worst" / "pesto.safetensors", framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    changed = {key: x - 1 if key.endswith("element") else x for key, x in tensors.items()}
    save_file(changed, tmp_path / "other.safetensors", metadata)
    line = by_hand_says("pesto", tmp_path / "other.safetensors").splitlines()[0]
    by_hand, by_symcheck = (float(words.split()[0]) for words in line.partition(": ")[2].split(", ")[:2])
    assert abs(by_hand - by_symcheck) > 1e-2 * by_symcheck
