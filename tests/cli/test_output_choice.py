"""`symcheck audit --output`: what is measured is the user's choice, also in a subject file, a replay and a gate."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch

from symcheck.cli.main import main
from symcheck.report.schema import schema

SOURCE = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(1, 8, 1), nn.Tanh())
    return nn.Sequential(body, nn.Flatten(), nn.Linear(8 * 16, 3))
"""
ASKED = ["--model", "net.py:net", "-i", "image=normal(1,4,4)", "--samples", "32", "-q"]
CLAIM = "C4: image -> invariant"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "net.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        yield


def findings(name: str) -> list[dict[str, Any]]:
    data = json.loads(Path(name).read_text())
    jsonschema.validate(data, schema())
    return list(data["findings"])


def test_chosen_outputs_are_measured_and_replayed(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["audit", CLAIM, *ASKED, "--output", "label", "--output", "0", "-o", "r.json"]
    assert main(asked) == 1
    label, part = findings("r.json")
    assert (label["output"], part["output"], label["claim"]) == ("label", "0", CLAIM)
    assert label["flips"]["low"] < label["flips"]["rate"] < label["flips"]["high"]
    assert part["flips"] is None
    capsys.readouterr()
    assert main(["audit", "--replay", "r.worst.safetensors", "--model", "net.py:net"]) == 0
    assert capsys.readouterr().out.count("the same") == 2


def test_a_subject_file_chooses_and_derives(capsys: pytest.CaptureFixture[str]) -> None:
    Path("net.toml").write_text(
        'model = "net.py:net"\ninputs = { image = "normal(1,4,4)" }\nclaims = ["C4: image -> invariant"]\n'
        'samples = 32\noutput = ["top"]\nderive = { top = "argmax(logits)" }\n'
    )
    assert main(["audit", "net.toml", "-q", "-o", "r.json"]) == 1
    assert [f["output"] for f in findings("r.json")] == ["top"]
    assert "of the labels change" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "words"), [("report.json", "written with -o"), ("lable", "did you mean 'label'"), ("0.3", "0.0")]
)
def test_what_is_no_output_is_refused(name: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", CLAIM, *ASKED, "--output", name]) == 2
    error = capsys.readouterr().err
    assert name in error
    assert words.replace("written with", "write the report with") in error


def test_a_gate_on_flips(capsys: pytest.CaptureFixture[str]) -> None:
    subject = 'model = "net.py:net"\ninputs = { image = "normal(1,4,4)" }\nsamples = 32\n'
    gate = 'id = "labels", claim = "C4: image -> label=invariant", metric = "flips"'
    for limit, code in ((0.9, 0), (0.01, 1)):
        Path("symcheck.toml").write_text(f"{subject}gate = [{{ {gate}, limit = {limit} }}]\n")
        assert main(["gate", "-o", "gate.json"]) == code
        (outcome,) = json.loads(Path("gate.json").read_text())["outcomes"]
        assert outcome["metric"] == "flips"
        assert outcome["low"] < outcome["value"] < outcome["high"] <= 1
        jsonschema.validate(json.loads(Path("gate.json").read_text()), schema("gate"))
    assert "flips ≤ 1 %" in capsys.readouterr().out


def test_a_report_of_other_outputs_is_not_what_the_gate_asks(capsys: pytest.CaptureFixture[str]) -> None:
    config = 'model = "net.py:net"\ninputs = {{ image = "normal(1,4,4)" }}\nsamples = 32\noutput = "{}"\n{}'
    gates = f'gate = [{{ id = "turns", claim = "{CLAIM}", limit = 2.0 }}]\n'
    Path("net.toml").write_text(config.format("label", f'claims = ["{CLAIM}"]\n'))
    assert main(["audit", "net.toml", "-q", "-o", "r.json"]) == 1
    Path("symcheck.toml").write_text(config.format("label", gates))
    assert main(["gate", "--report", "r.json"]) == 0
    Path("symcheck.toml").write_text(config.format("logits", gates))
    assert main(["gate", "--report", "r.json"]) == 2
    assert "measured with output" in "".join(capsys.readouterr().out.split("\n")[-12:])
