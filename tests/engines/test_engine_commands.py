"""Shards, torchrun and resuming as a user runs them: files, exit codes, what is said on stderr."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from engine_cases import CLAIMS, FACTORY, assert_same

from symcheck.cli.main import main
from symcheck.engines.engine import BLOCKS
from symcheck.report.documents import read_report
from symcheck.report.model import Report

WAIT = 120  # seconds


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    (tmp_path / "nets.py").write_text(FACTORY)
    monkeypatch.chdir(tmp_path)
    size = ["--samples", "4", "--elements", "8"]
    return ["audit", *CLAIMS, "--model", "nets.py:net", "-i", "normal(1,8,8)", *size, "--device", "cpu", "-q"]


def report(name: str) -> Report:
    found = read_report(Path(name))
    assert isinstance(found, Report)
    return found


def alone(command: list[str]) -> Report:
    assert main([*command, "-o", "alone.json"]) == 1
    return report("alone.json")


def test_four_shards_are_joined_to_one_report(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(1, 5):
        assert main([*command, "--shard", f"{i}/4", "-o", f"part-{i}.json"]) == 0
        assert f"shard {i}/4 decides nothing" in capsys.readouterr().err
    files = [f"part-{i}.json" for i in (3, 1, 4, 2)]
    assert main(["report", "merge", *files, "-o", "all.json", "-o", "all.md"]) == 0
    assert_same(report("all.json"), alone(command))
    worst = [finding.worst.file for finding in report("all.json").findings if finding.worst]
    assert worst == [f"all.worst.safetensors#{i}" for i in range(len(worst))] and Path("all.worst.safetensors").exists()
    capsys.readouterr()
    assert main(["audit", "--model", "nets.py:net", "--replay", "all.worst.safetensors"]) == 0
    assert "the same" in capsys.readouterr().out
    assert main(["report", "merge", *files[:3], "-o", "some.json"]) == 2
    assert "shard 2/4 is missing" in capsys.readouterr().err
    assert not Path("some.json").exists()


def test_no_gate_is_judged_on_a_shard(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    gate = f'[[gate]]\nid = "g"\nclaim = "{CLAIMS[0]}"\nlimit = 1e9\n'
    text = 'model = "nets.py:net"\ninputs = "normal(1,8,8)"\nsamples = 4\nelements = 8\n' + gate
    Path("symcheck.toml").write_text(text)
    assert main([*command, "-o", "whole.json"]) == 1
    assert main(["gate", "--report", "whole.json"]) == 0
    assert main([*command, "--shard", "2/2", "-o", "part.json"]) == 0
    assert main(["gate", "--report", "part.json"]) == 2
    assert "shard 2/2" in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--shard", "1/2"], "-o FILE.json"),
        (["--shard", "1/2", "-o", "x.html"], "-o FILE.json"),
        (["--shard", "1/2", "-o", "x.json", "-o", "x.html"], "JSON alone"),
        (["--shard", "3/2", "-o", "x.json"], "no shard"),
        (["--shard", "half", "-o", "x.json"], "no shard"),
        (["--resume"], "-o FILE.json"),
        (["--shard", "1/2", "-o", "x.json", "--scheduler", "tcp://127.0.0.1:1"], "do not go together"),
        (["--devices", "cpu,cpu"], "do not go together"),  # beside --device cpu
        (["--devices", ","], "no devices"),
    ],
)
def test_what_makes_no_sense_is_one_error(
    command: list[str], options: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, *options]) == 2
    err = capsys.readouterr().err
    assert says in err and len(err.strip().splitlines()) == 3
    assert sorted(os.listdir()) == ["nets.py"]


def test_devices(command: list[str]) -> None:
    bare = [word for word in command if word not in ("--device", "cpu")]
    assert main([*bare, "--devices", "cpu, cpu", "-o", "d.json"]) == 1
    assert_same(report("d.json"), alone(command))


def test_processes_of_torchrun_take_their_shards(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(command)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        monkeypatch.setenv("LOCAL_RANK", rank)
        assert main([*command, "-o", "report.json"]) == 0
    assert not Path("report.json").exists()
    assert main(["report", "merge", "report.1-of-2.json", "report.2-of-2.json", "-o", "report.json"]) == 0
    assert_same(report("report.json"), expected)
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert main([*command, "-o", "one.json"]) == 1
    assert_same(report("one.json"), expected)


@pytest.mark.slow
def test_torchrun_itself(command: list[str]) -> None:
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run([*run, "-m", "symcheck", *command, "-o", "report.json"], check=True, timeout=300)
    assert main(["report", "merge", "report.1-of-2.json", "report.2-of-2.json", "-o", "report.json"]) == 0
    assert_same(report("report.json"), alone(command))


def test_a_killed_run_is_resumed(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    expected = alone(command)
    resumed = [*command, "--resume", "-o", "report.json"]
    slow = {**os.environ, "ENGINES_PAUSE": "0.05"}
    process = subprocess.Popen([sys.executable, "-m", "symcheck", *resumed], env=slow, stdout=subprocess.DEVNULL)
    parts, until = Path("report.parts"), time.monotonic() + WAIT
    while len([*parts.glob("*.safetensors")]) < 3 and process.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(WAIT) == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in parts.glob("*.safetensors")}
    assert len(kept) >= 3 and not Path("report.json").exists()
    with monkeypatch.context() as patch:
        patch.setattr("symcheck.cli.run.clear", lambda folder: None)
        assert main(resumed) == 1
    assert_same(report("report.json"), expected)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept  # they were read, not measured again
    assert len([*parts.iterdir()]) == BLOCKS * len(CLAIMS)
    assert main(resumed) == 1
    assert not parts.exists()


def test_an_audit_alone_loads_no_engine_of_others() -> None:
    code = "import sys, symcheck.cli.run; print([m for m in ('dask', 'distributed') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=WAIT)
    assert done.stdout.strip() == "[]"
