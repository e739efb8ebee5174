"""A repository with gates, as a project keeps one: it passes, and every regression is found by the gate made for it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sample
import torch
from safetensors.torch import load_file, save_file

from symcheck.cli.main import main

Gate = Callable[..., tuple[int, dict[str, Any], str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository, in which the test runs."""
    found = sample.copied(tmp_path)
    monkeypatch.chdir(found)
    monkeypatch.setenv("COLUMNS", "100")
    return found


@pytest.fixture
def gate(folder: Path, capsys: pytest.CaptureFixture[str]) -> Gate:
    """Run `symcheck gate`: the exit code, the record, and what was printed."""

    def run(*args: str) -> tuple[int, dict[str, Any], str]:
        code = main(["gate", "-q", "-o", "gate.json", *args])
        printed = capsys.readouterr()
        record = json.loads((folder / "gate.json").read_text()) if code < 2 else {}
        return code, record, printed.out + printed.err

    return run


def by_status(record: dict[str, Any], *statuses: str) -> set[str]:
    return {outcome["gate"] for outcome in record["outcomes"] if outcome["status"] in statuses}


def test_the_repository_passes(gate: Gate) -> None:
    code, record, printed = gate()
    assert code == 0, printed
    assert by_status(record, "waived") == {"places"}
    assert len(by_status(record, "passed")) == len(record["outcomes"]) - 1 == 10
    assert {outcome["check"] for outcome in record["outcomes"]} == {"claim", "barrier", "same-function"}


def test_every_interval_holds_its_value(gate: Gate) -> None:
    for outcome in gate()[1]["outcomes"]:
        assert outcome["low"] <= outcome["value"] <= outcome["high"], outcome["gate"]


@pytest.mark.parametrize("name", sample.REGRESSIONS)
def test_a_regression_fails_its_own_gates(name: str, folder: Path, gate: Gate) -> None:
    regression = sample.REGRESSIONS[name]
    regression.change(folder)
    code, record, printed = gate()
    assert code == 1, printed
    assert by_status(record, "failed") == regression.fails
    assert not by_status(record, "inconclusive", "unmeasured")
    for failed in regression.fails:
        assert f"✗ failed  {failed} " in printed


def test_the_networks_are_trained_and_generic() -> None:
    for path in sorted((sample.HERE / "weights").iterdir()):
        assert path.stat().st_size < 4096
        for name, tensor in load_file(path).items():
            own = tensor.unique().numel()
            quarter = 4 if path.stem == "handed" and name != "head.bias" else 1  # kernels in their four turns
            assert own >= tensor.numel() // quarter and bool((tensor != 0).all()), (path.stem, name)


def test_the_turns_are_in_the_weights() -> None:
    state = load_file(sample.HERE / "weights" / "handed.safetensors")
    kernels = state["conv.weight"].unflatten(0, (-1, 4))
    for turn in range(4):
        assert torch.equal(kernels[:, turn], torch.rot90(kernels[:, 0], turn, (2, 3)))
    assert not torch.equal(kernels[:, 1], kernels[:, 0])


def test_the_baseline_is_what_an_update_keeps(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "baseline.jsonl").read_text()
    assert main(["gate", "-q", "--update-baseline"]) == 0
    assert "not changed" in capsys.readouterr().out
    assert (folder / "baseline.jsonl").read_text() == before


def test_a_worse_model_is_no_baseline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (folder / "baseline.jsonl").read_text()
    sample.REGRESSIONS["worse than the baseline"].change(folder)
    assert main(["gate", "-q", "--update-baseline"]) == 1
    assert "refused to loosen: learned, output" in capsys.readouterr().out
    assert (folder / "baseline.jsonl").read_text() == before
    assert main(["gate", "-q", "--update-baseline", "--loosen"]) == 0
    assert main(["gate", "-q"]) == 0
    assert (folder / "baseline.jsonl").read_text() != before


def test_a_report_is_judged_as_the_run_was(folder: Path, gate: Gate) -> None:
    sample.leak(folder)
    code, record, _ = gate()
    again = main(["gate", "--report", "gate.json", "-o", "again.json"])
    judged = json.loads((folder / "again.json").read_text())
    assert again == code == 1
    assert [(o["gate"], o["status"], o["value"]) for o in judged["outcomes"]] == [
        (o["gate"], o["status"], o["value"]) for o in record["outcomes"]
    ]


@pytest.mark.parametrize(("regressed", "code"), [(False, 0), (True, 1)])
def test_the_script_of_continuous_integration(regressed: bool, code: int, folder: Path, tmp_path: Path) -> None:
    if regressed:
        sample.leak(folder)
    run = subprocess.run(
        ["bash", str(folder / "ci.sh"), "-q"], cwd=tmp_path, env=sample.environment(), capture_output=True, text=True
    )
    assert run.returncode == code, run.stdout + run.stderr
    assert "pyproject.toml: 11 gates, 5 subjects, 1 waiver" in run.stdout
    assert ("✗ failed  turns " in run.stdout) == regressed
    (suite,) = ElementTree.parse(folder / "gate.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("11", str(code), "1")
    assert (folder / "gate.html").stat().st_size > 1000


@pytest.mark.slow
def test_the_gates_pass_what_the_script_trains(folder: Path) -> None:
    for path in (folder / "weights").iterdir():
        path.unlink()
    subprocess.run([sys.executable, "train.py"], cwd=folder, env=sample.environment(), check=True, capture_output=True)
    assert main(["gate", "-q", "--update-baseline", "--loosen"]) == 0


def test_a_barrier_is_not_judged_again_for_other_weights(folder: Path) -> None:
    assert main(["gate", "-q", "--only", "basin", "-o", "gate.json"]) == 0
    assert main(["gate", "--report", "gate.json", "--only", "basin"]) == 0
    state = load_file(folder / "weights/ring-b.safetensors")
    save_file({name: t + 0.01 for name, t in state.items()}, folder / "weights/ring-b.safetensors")
    assert main(["gate", "--report", "gate.json", "--only", "basin"]) == 2
