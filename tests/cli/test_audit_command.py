"""`symcheck audit` as a user runs it: files, exit codes, replay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from safetensors.torch import load_file, save_file

from symcheck.cli.main import main
from symcheck.report.formats import SUFFIXES
from symcheck.report.schema import schema

FIXTURES = Path(__file__).parents[2] / "fixtures"
WEIGHTS = FIXTURES / "potential.safetensors"
POTENTIAL = FIXTURES / "potential.toml"
SMALL = ["--samples", "8", "--elements", "8", "-q"]


def run(*args: object) -> int:
    return main([str(a) for a in args])


def test_the_readme_command_holds(capsys: pytest.CaptureFixture[str]):
    assert run("audit", POTENTIAL, *SMALL) == 0
    out = capsys.readouterr().out
    assert "exact" in out and "broken" not in out


def test_json_is_valid_and_alone_on_stdout(capsys: pytest.CaptureFixture[str]):
    assert run("audit", FIXTURES / "potential-mlp.toml", *SMALL, "--format", "json") == 1
    data = json.loads(capsys.readouterr().out)
    jsonschema.validate(data, schema())
    finding = data["findings"][0]
    for key in ("claim", "output", "verdict", "share", "error", "floor", "counts", "worst", "law", "note"):
        assert key in finding
    assert set(finding["error"]) == {"absolute", "relative", "spread"}


def test_files_by_suffix_and_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    json_file, page = tmp_path / "r.json", tmp_path / "r.md"
    assert run("audit", FIXTURES / "digits-cnn.toml", *SMALL, "-o", json_file, "-o", page) == 1
    assert json.loads(json_file.read_text())["schema"] == "symcheck.report/1"
    assert page.read_text().startswith("##")
    pairs = tmp_path / "r.worst.safetensors"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.json", "r.md", "r.worst.safetensors"]
    capsys.readouterr()
    assert run("audit", FIXTURES / "digits-cnn.toml", "--replay", pairs) == 0
    assert "the same" in capsys.readouterr().out


def test_every_format_of_one_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    outputs = [word for suffix in reversed(SUFFIXES) for word in ("-o", tmp_path / f"r{suffix}")]
    assert run("audit", FIXTURES / "digits-cnn.toml", *SMALL, "--format", "github", *outputs) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["::error", "::error", "symcheck:"]
    assert {p.name for p in tmp_path.iterdir()} == {f"r{suffix}" for suffix in SUFFIXES} | {"r.worst.safetensors"}
    assert ET.parse(tmp_path / "r.xml").getroot().get("failures") == "2"
    assert len((tmp_path / "r.csv").read_text().splitlines()) > 20


def test_replay_sees_that_a_checkpoint_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    weights = load_file(FIXTURES / "digits-cnn.safetensors")
    checkpoint = tmp_path / "net.safetensors"
    save_file(weights, checkpoint)
    common = ["--model", f"{FIXTURES}/models.py:cnn", "-i", FIXTURES / "digits-cnn-data.npz"]
    assert run("audit", checkpoint, "C4: image -> invariant", *common, *SMALL, "-o", tmp_path / "r.json") == 1
    save_file({k: v * 1.5 if v.is_floating_point() else v for k, v in weights.items()}, checkpoint)
    capsys.readouterr()
    assert run("audit", "--replay", tmp_path / "r.worst.safetensors", "--model", f"{FIXTURES}/models.py:cnn") == 0
    out = capsys.readouterr().out
    assert "changed" in out


@pytest.mark.parametrize(
    "args, word",
    [
        (["missing.safetensors", "--model", "x:y", "-i", "normal(3)"], "missing.safetensors"),
        ([POTENTIAL, "O(3): pos=poitns, z=scalar -> energy=scalar, forces=vector"], "points"),
        ([POTENTIAL, "O(3) pos=points -> energy=scalar"], ":"),
        ([POTENTIAL, "O(3): pos=points, z=scalar -> energy=scalar"], "forces"),
        ([POTENTIAL, "--dtype", "float23"], "float"),
        ([POTENTIAL, "--device", "cuda:99"], "device"),
        ([POTENTIAL, "-o", "report.pfd"], "did you mean '.pdf'"),
        ([POTENTIAL, "--format", "junti"], "did you mean 'junit'"),
        ([POTENTIAL, "-o", "no/such/folder/report.json"], "folder"),
        ([POTENTIAL, "--samples", "1"], "samples"),
        ([WEIGHTS, "-i", "normal(8,3)"], "--model"),
        ([WEIGHTS, "--model", f"{FIXTURES}/models.py:potental", "-i", "normal(8,3)"], "potential"),
        (["--replay", WEIGHTS], "worst"),
    ],
)  # fmt: skip
def test_bad_input_is_exit_2_with_three_lines(args: list[object], word: str, capsys: pytest.CaptureFixture[str]):
    assert run("audit", *args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.strip().splitlines()
    assert [line.split(":")[0] for line in lines if line.split(":")[0] in ("symcheck", "where", "hint")] == [
        "symcheck", "where", "hint",
    ]  # fmt: skip
    assert word in captured.err


def test_exit_zero_and_flags_beat_the_file(capsys: pytest.CaptureFixture[str]):
    assert run("audit", FIXTURES / "digits-cnn.toml", *SMALL, "--exit-zero") == 0
    assert run("audit", FIXTURES / "digits-cnn.toml", *SMALL, "--tolerance", "100") == 0
    assert run("audit", FIXTURES / "digits-cnn.toml", "Sign: vector -> invariant", *SMALL, "--format", "json") == 1
    assert "Sign: vector" in capsys.readouterr().out


def test_tool_table_of_pyproject(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    text = (
        POTENTIAL.read_text().replace('"potential', f'"{FIXTURES}/potential').replace('"models', f'"{FIXTURES}/models')
    )
    (tmp_path / "pyproject.toml").write_text("[tool.symcheck]\n" + text)
    monkeypatch.chdir(tmp_path)
    assert run("audit", *SMALL) == 0


def test_the_module_runs_as_a_process_without_noise_on_stderr():
    done = subprocess.run(
        [sys.executable, "-m", "symcheck", "audit", str(FIXTURES / "sets.toml"), "--samples", "8", "--elements", "4"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
