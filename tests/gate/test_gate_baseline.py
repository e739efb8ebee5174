"""The baseline only tightens by itself, is compared on the same draws, and is never half-written or missing."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest

from symcheck.errors import ConfigError, LoadError
from symcheck.gate.baseline import (
    Entry,
    compare,
    compared,
    difference,
    entry_of,
    read_baseline,
    render_baseline,
    updated,
)
from symcheck.report.model import Counts, Curve, Error, Finding, Floor, Scale, Verdict
from symcheck.report.outcome import Outcome, Status
from symcheck.report.write import write_text

DRAWS = "seed 0, 32 × 64, data abc"


def entry(value: float = 0.1, noise: float = 0.2, seed: int = 0, free: bool = False, **other: object) -> Entry:
    """An error of `value` that differs between elements and samples by `noise` of itself; equal seeds, equal draws.

    `free` lets the mean of the draws be another one than `value`.
    """
    rng = random.Random(seed)
    rows, columns = ([abs(value * (1 + noise * rng.gauss(0, 1))) for _ in range(count)] for count in (32, 64))
    if not free:
        rows, columns = ([v * value / fmean(means) for v in means] if value else means for means in (rows, columns))
    rows, columns = tuple(rows), tuple(columns)
    known = Entry("g", "g, energy", "f1", value, 0.8 * value, 1.2 * value, 1e-7, DRAWS, False, rows, columns)
    return replace(known, **other)  # type: ignore[arg-type]


@pytest.mark.parametrize(("factor", "ratchet", "status"), [
    (1.0, 0.0, Status.PASSED), (0.5, 0.0, Status.PASSED), (1.05, 0.1, Status.PASSED), (1.02, 0.0, Status.FAILED),
    (1.3, 0.1, Status.FAILED), (2.0, 0.5, Status.FAILED)])  # fmt: skip
def test_the_same_draws_resolve_small_changes(factor: float, ratchet: float, status: Status) -> None:
    base = entry()
    scaled = {name: tuple(factor * v for v in getattr(base, name)) for name in ("rows", "columns")}
    now = replace(base, **scaled, **{name: factor * getattr(base, name) for name in ("value", "low", "high")})
    decision = compare(now, base, ratchet)
    assert decision.status is status
    # a quantile has no means to pair: on the same draws its value decides what passes, and intervals what fails
    unpaired = compare(replace(now, rows=(), columns=()), base, ratchet).status
    assert unpaired is (Status.INCONCLUSIVE if status is Status.FAILED else status)
    far = replace(now, rows=(), columns=(), value=9.0, low=8.0, high=10.0)
    assert compare(far, base, ratchet).status is Status.FAILED


def test_other_draws_are_not_compared() -> None:
    decision = compare(entry(draws="seed 1, 32 × 64, data abc"), entry(), 0.1)
    assert decision.status is Status.UNMEASURED and "seed 1" in decision.reason


def test_two_floors_are_allowed() -> None:
    base, now = entry(1e-7, floor=1e-7), entry(2.5e-7, floor=1e-7)
    assert compare(now, base, 0.0).status is Status.PASSED
    assert compare(replace(now, floor=1e-9), base, 0.0).status is Status.FAILED  # the floor is that of now


def test_not_a_number_does_not_pass() -> None:
    lost = entry(math.nan)
    assert compare(lost, entry(), 0.1).status is Status.INCONCLUSIVE
    assert compare(entry(), lost, 0.1).status is Status.INCONCLUSIVE


def test_a_missing_entry_was_not_measured() -> None:
    passed = Outcome("g", Status.PASSED, "claim", "net")
    assert compared(passed, entry(), None, 0.1).status is Status.UNMEASURED
    assert compared(passed, None, entry(), 0.1).status is Status.UNMEASURED
    assert compared(replace(passed, status=Status.FAILED), entry(0.2), entry(), 0.1).status is Status.FAILED
    assert compared(passed, entry(0.2), entry(), 0.1).status is Status.FAILED
    assert compared(passed, entry(), entry(), 0.1) == replace(passed, baseline=0.1)


def test_an_update_tightens_and_refuses_to_loosen() -> None:
    base = {name: entry(fingerprint=name, label=name) for name in ("better", "worse", "same", "gone")}
    away = entry(fingerprint="away", label="away", gate="other")
    now = [entry(value, fingerprint=name, label=name) for name, value in (
        ("better", 0.05), ("worse", 0.2), ("same", 0.1), ("new", 0.3))]  # fmt: skip
    fresh, changes = updated(now, {**base, "away": away}, False, ["other"])  # gate g has gone from the configuration
    kinds = {change.label: change.kind for change in changes}
    assert kinds == {"better": "tightened", "worse": "refused to loosen", "same": "kept", "new": "new", "gone": "gone"}
    values = {one.label: one.value for one in fresh}
    assert values == {"better": 0.05, "worse": 0.1, "same": 0.1, "new": 0.3, "away": 0.1}
    fresh, changes = updated(now, base, True, [])
    assert {one.label: one.value for one in fresh}["worse"] == 0.2
    assert {change.label: change.kind for change in changes}["worse"] == "loosened"


def test_a_gate_that_stands_keeps_its_entry_when_nothing_was_measured() -> None:
    fresh, changes = updated([], {"f1": entry()}, False, ["g"])
    assert fresh == [entry()] and changes == []
    _, changes = updated([entry(0.3)], {"f1": fresh[0]}, False, ["g"])
    assert changes[0].kind == "refused to loosen"


def test_noise_does_not_ratchet() -> None:
    noisy = entry(0.0999, seed=3)
    fresh, changes = updated([noisy], {"f1": entry()}, False, [])
    assert changes[0].kind == "kept" and fresh[0].value == 0.1


def test_the_difference_covers() -> None:
    """A truth of zero lies inside the paired interval about 95 times in 100."""
    covered = 0
    for seed in range(300):
        low, high = difference(entry(seed=2 * seed, free=True), entry(seed=2 * seed + 1, free=True), 1.0)
        covered += low <= 0 <= high
    assert 275 <= covered <= 300


def test_lines_are_sorted_and_come_back() -> None:
    entries = [entry(label="b", fingerprint="2"), entry(label="a", fingerprint="1"), entry(label="a", fingerprint="0")]
    text = render_baseline(entries)
    lines = text.splitlines()
    assert [json.loads(line).get("fingerprint") for line in lines] == [None, "0", "1", "2"]
    assert text == render_baseline(reversed(entries)) and text.endswith("\n")


@pytest.mark.parametrize(("text", "message"), [
    ("", "empty"), ("{}\n", "schema"), ('{"schema": "symcheck.baseline/2"}\n', "schema"),
    ("not json\n", "cannot be read"),
    ('{"schema": "symcheck.baseline/1"}\n{"gate": "g"}\n', "cannot be read"),
    ('{"schema": "symcheck.baseline/1"}\n[1]\n', "cannot be read"),
    (render_baseline([entry()]).replace("0.1,", "NaN,", 1), "cannot be read"),
    (render_baseline([entry()]).replace("0.1,", '"inf",', 1), "'value' must be a number"),
    (render_baseline([entry()]).replace("0.1,", "1" + "0" * 400 + ",", 1), "'value' must be a number"),
    (render_baseline([entry(low=0.2)]), "between 'low' and 'high'"),
    (render_baseline([entry(rows=(5.0,) * 32)]), "the mean of 'rows'"),
    (render_baseline([entry()]).replace('"f1"', "[5]"), "'fingerprint' must be a text"),
    (render_baseline([entry(rows=())]).replace('"rows": []', '"rows": "1212"'), "'rows' must be a list"),
    ("\n\n", "empty"),
    (render_baseline([entry()]) + render_baseline([entry()]).splitlines()[1], "two lines"),
    ("[" * 10**5, "cannot be read"),
])  # fmt: skip
def test_a_damaged_baseline_is_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "baseline.jsonl"
    path.write_text(text)
    with pytest.raises(LoadError, match=message) as caught:
        read_baseline(path)
    assert str(path) in caught.value.where and caught.value.hint


def test_a_missing_baseline_is_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no baseline"):
        read_baseline(tmp_path / "baseline.jsonl")
    (tmp_path / "baseline.jsonl").write_text(render_baseline([entry()]))
    assert read_baseline(tmp_path / "baseline.jsonl") == {"f1": entry()}


def measured(mean: float = 0.02) -> Finding:
    scale = Scale(mean, 0.8 * mean, 1.2 * mean, mean, mean, mean, mean)
    return Finding(
        claim="c", output="energy", part="", verdict=Verdict.APPROXIMATE, share=None, error=Error(scale, scale, scale),
        floor=Floor(1e-7, 0.0, 0.0, 0.0), counts=Counts(2, 3, 6, True), worst=None, law="", tolerance=0.1, note="",
        curve=Curve("listed", ("a", "b"), (mean, mean)), by_sample=(mean, mean, mean),
    )  # fmt: skip


def test_an_entry_is_in_the_unit_of_its_metric() -> None:
    asked = Outcome("g", Status.PASSED, "claim", "net", metric="absolute", stat="mean", value=2.0, low=1.6, high=2.4)
    found = entry_of(asked, measured(), DRAWS)
    assert found is not None and found.rows == (2.0, 2.0) and found.columns == (2.0,) * 3
    assert found.floor == pytest.approx(1e-5) and found.exhaustive
    quantile = entry_of(replace(asked, stat="q95"), measured(), DRAWS)
    assert quantile is not None and quantile.rows == ()
    assert entry_of(replace(asked, value=None), measured(), DRAWS) is None
    assert entry_of(replace(asked, verdict="trivial"), measured(), DRAWS) is None


WRITER = """
import sys
from pathlib import Path
from symcheck.gate.baseline import Entry, render_baseline
from symcheck.report.write import write_text
texts = [render_baseline([Entry("g", "g", "f", v, v, v, 0.0, "d", False, (v,) * 3000)]) for v in (1.0, 2.0)]
print("ready", flush=True)
while True:
    for text in texts:
        write_text(Path(sys.argv[1]), text)
"""


def test_killed_at_any_moment_the_file_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "baseline.jsonl"
    write_text(path, render_baseline([entry()]))
    rng = random.Random(0)
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE)
        assert process.stdout is not None and process.stdout.readline() == b"ready\n"
        time.sleep(rng.uniform(0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert len(read_baseline(path)) == 1
    others = [p for p in tmp_path.iterdir() if p != path]
    assert all(p.name.startswith(".") for p in others)  # a temporary file may be left, under a name nobody reads
