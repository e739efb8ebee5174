"""The exit code of `symcheck gate`, row by row: 0, 1, 2, 3 and 130."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import sample
from sample import CONFIG, both, gone, leak, text

from symcheck.cli import gate_run
from symcheck.cli.main import main
from symcheck.gate import judge


@dataclass(frozen=True)
class Row:
    """What is changed in the repository, the arguments, the code, and words that the output must hold."""

    change: sample.Change
    args: tuple[str, ...]
    code: int
    words: tuple[str, ...] = ()


def row(change: sample.Change, args: str, code: int, *words: str) -> Row:
    return Row(change, tuple(args.split()), code, words)


def nothing(_: Path) -> None:
    """The repository as it is."""


def judged(*more: sample.Change) -> sample.Change:
    """First a run that writes gate.json, then more changes."""

    def measure(_: Path) -> None:
        assert main(["gate", "-q", "--only", "turns", "-o", "gate.json"]) == 0

    return both(measure, *more)


def connected(*more: sample.Change) -> sample.Change:
    """First a run that writes connect.json, then more changes."""

    def measure(_: Path) -> None:
        ends = ("weights/ring-a.safetensors", "weights/ring-b.safetensors")
        data = ("--model", "networks.py:ring", "-i", "data/ring.npz")
        assert main(["connect", *ends, *data, "--no-align", "-o", "connect.json"]) == 0

    return both(measure, *more)


def written(name: str, content: str) -> sample.Change:
    return lambda folder: (folder / name).write_text(content, encoding="utf-8")


def in_gate(name: str, line: str) -> sample.Change:
    """One more line in the table of a gate."""
    return text(CONFIG, rf'\bid = "{name}"\n', f'id = "{name}"\n{line}\n')


no_energy = gone("weights/energy.safetensors")
crash = text("networks.py", r"return self\.slope", "raise RuntimeError('out of order')\n        return self.slope")
stop = text("networks.py", r"return self\.slope", "raise SystemExit(0)\n        return self.slope")
other = sample.weights("handed", lambda s: {"head.bias": s["head.bias"] + 1})
ROWS = {
    "healthy": row(nothing, "--only turns --only hands", 0, "2 passed"),
    "waived": row(nothing, "--only places", 0, "waived", "until 2099-12-31"),
    "an earlier report": row(judged(), "--only turns --report gate.json", 0, "1 passed"),
    "an earlier report, moved": row(judged(gone("weights/handed.safetensors")), "--only turns --report gate.json", 0),
    "an earlier connection": row(connected(), "--only basin --report connect.json", 0, "1 passed"),
    "only the configuration": row(leak, "--check-config", 0, "11 gates, 5 subjects, 1 waiver"),
    "a gate fails": row(leak, "--only turns", 1, "failed", "turns", "pyproject.toml:"),
    "a gate is inconclusive": row(
        text(CONFIG, r"limit = 0\.5", "limit = 0.2"), "--only learned", 1, "inconclusive", "learned", "would decide"
    ),
    "NaN is never waived": row(sample.REGRESSIONS["NaN in the weights"].change, "--only places", 1, "invalid"),
    "nor is a constant": row(sample.REGRESSIONS["a constant output"].change, "--only places", 1, "trivial"),
    "a failure, whatever is asked": row(leak, "--only turns --exit-zero", 0, "failed", "turns"),
    "a worse value, not taken": row(
        sample.REGRESSIONS["worse than the baseline"].change, "--update-baseline --only learned", 1, "--loosen"
    ),
    "a missing checkpoint": row(no_energy, "--only rotations", 2, "rotations", "energy.safetensors"),
    "missing data": row(gone("data/energy.npz"), "--only rotations", 2, "rotations", "energy.npz"),
    "missing code": row(gone("networks.py"), "--only rotations", 2, "rotations", "networks.py"),
    "a missing second checkpoint": row(gone("weights/ring-b.safetensors"), "--only basin", 2, "basin", "ring-b"),
    "a damaged checkpoint": row(written("weights/energy.safetensors", "{}"), "--only rotations", 2, "rotations"),
    "the model raises": row(crash, "--only order", 2, "order", "out of order"),
    "one fails, one cannot be measured": row(
        both(leak, no_energy), "--only turns --only rotations", 2, "failed", "turns", "unmeasured", "rotations"
    ),
    "the same, whatever is asked": row(both(leak, no_energy), "--only turns --only rotations --exit-zero", 2),
    "an unknown key": row(
        text(CONFIG, r'baseline = "baseline\.jsonl"', 'basline = "b"'), "", 2, "basline", "did you mean 'baseline'"
    ),
    "an unknown key of a subject": row(text(CONFIG, r"(?<=handed\]\n)", "input = 'x'\n"), "", 2, "'input'", "'inputs'"),
    "an unknown key of a gate": row(in_gate("turns", "limits = 1"), "", 2, "limits", CONFIG + ":", "'limit'"),
    "a gate that contradicts itself": row(in_gate("turns", "limit = 1"), "", 2, "turns", "limit and a verdict"),
    "a limit that is no number": row(text(CONFIG, r"limit = 1e-4", "limit = nan"), "", 2, "limit", CONFIG + ":"),
    "an unknown claim": row(text(CONFIG, r"C4: image", "C4: imag"), "", 2, "imag", CONFIG + ":"),
    "no such gate": row(nothing, "--only nothing", 2, "no gate is called 'nothing'"),
    "no gate at all": row(text(CONFIG, r"\[\[tool\.symcheck\.gate.*", ""), "", 2, "there is no gate"),
    "no configuration": row(gone(CONFIG), "", 2, "there is no configuration"),
    "no such configuration": row(nothing, "other.toml", 2, "other.toml"),
    "broken TOML": row(written(CONFIG, "[tool.symcheck\n"), "", 2, "TOML", "line 1"),
    "no such output": row(in_gate("turns", 'output = "forces"'), "--only turns", 2, "turns", "forces", "'output'"),
    "no such part": row(in_gate("turns", 'part = "improper"'), "--only turns", 2, "turns", "improper"),
    "a waiver that has expired": row(text(CONFIG, "2099-12-31", "2020-01-31"), "", 2, "places", "expired"),
    "a waiver without a reason": row(text(CONFIG, r"reason = [^\n]*", ""), "", 2, "reason", CONFIG + ":"),
    "a waiver without an end": row(text(CONFIG, r"until = [^\n]*", ""), "", 2, "until"),
    "a waiver for no gate": row(text(CONFIG, r'gate = "places"', 'gate = "place"'), "", 2, "'places'"),
    "a missing baseline": row(gone("baseline.jsonl"), "", 2, "baseline", "--update-baseline"),
    "a damaged baseline": row(written("baseline.jsonl", "{\n"), "", 2, "baseline.jsonl:1"),
    "an empty baseline": row(written("baseline.jsonl", ""), "--only learned", 2, "empty"),
    "a baseline without the gate": row(
        written("baseline.jsonl", '{"schema": "symcheck.baseline/1"}\n'), "--only learned", 2, "learned", "no entry"
    ),
    "a baseline of other draws": row(nothing, "--only learned --seed 1", 2, "learned", "other draws"),
    "no such report": row(nothing, "--report gate.json", 2, "gate.json"),
    "an unreadable report": row(written("gate.json", "{"), "--report gate.json", 2, "gate.json"),
    "a report with NaN": row(written("gate.json", '{"a": NaN}'), "--report gate.json", 2, "NaN"),
    "no report of ours": row(written("gate.json", "{}"), "--report gate.json", 2, "schema"),
    "a report of another subject": row(judged(), "--only order --report gate.json", 2, "order", "no report is about"),
    "a report of another checkpoint": row(
        judged(other), "--only turns --report gate.json", 2, "turns", "another file", "measure again"
    ),
    "a report without the claim": row(judged(), "--only hands --report gate.json", 2, "hands", "was not measured"),
    "a connection of another checkpoint": row(
        connected(sample.REGRESSIONS["the alignment is lost"].change), "--only basin --report connect.json", 2,
        "basin", "ring-b.safetensors is another file", "measure again",
    ),
    "half a connection": row(
        written("connect.json", '{"schema": "symcheck.connect/1", "variants": {}}'),
        "--only basin --report connect.json", 2, "connect.json", "symcheck connect A B",
    ),
    "no folder to write to": row(nothing, "-o no/gate.json", 2, "mkdir"),
    "no such kind of file": row(nothing, "-o gate.yaml", 2, "gate.yaml"),
    "no such format": row(nothing, "--format yaml", 2, "yaml"),
    "no such option": row(nothing, "--nothing", 2, "--nothing"),
    "loosen nothing": row(nothing, "--loosen", 2, "--update-baseline"),
    "the model ends the process": row(stop, "--only order", 3, "defect"),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository, in which the test runs."""
    found = sample.copied(tmp_path)
    monkeypatch.chdir(found)
    monkeypatch.setenv("COLUMNS", "200")
    return found


@pytest.mark.parametrize("name", ROWS)
def test_the_table(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = ROWS[name]
    case.change(folder)
    capsys.readouterr()
    code = main(["gate", *case.args])
    printed = "".join(capsys.readouterr())
    assert code == case.code, printed
    assert [word for word in case.words if word not in printed] == [], printed


def test_every_code_of_the_table_is_met() -> None:
    assert {case.code for case in ROWS.values()} == {0, 1, 2, 3}


@pytest.mark.parametrize("arguments", [(), ("--exit-zero",)])
@pytest.mark.parametrize(
    ("error", "code"), [(ZeroDivisionError("planted"), 3), (AssertionError("planted"), 3), (KeyboardInterrupt(), 130)]
)
@pytest.mark.parametrize("where", [(judge, "decide"), (gate_run, "waive"), (gate_run, "read_gates")])
def test_a_crash_of_ours_is_no_failed_gate(
    where: tuple[object, str], error: BaseException, code: int, arguments: tuple[str, ...], folder: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def planted(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(*where, planted)
    assert main(["gate", "--only", "turns", *arguments]) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert ("planted" in printed.err and "Traceback" in printed.err) == (code == 3)


def test_what_could_not_be_measured_is_on_record(folder: Path) -> None:
    (folder / "networks.py").unlink()
    assert main(["gate", "-q", "--only", "turns", "-o", "gate.json"]) == 2
    record = json.loads((folder / "gate.json").read_text())
    assert (record["status"], record["exit_code"]) == ("unmeasured", 2)
    assert [outcome["gate"] for outcome in record["outcomes"]] == ["turns"]


def test_nothing_is_written_for_a_broken_configuration(folder: Path) -> None:
    in_gate("turns", "limits = 1")(folder)
    before = sorted(path.name for path in folder.iterdir())
    assert main(["gate", "-q", "-o", "gate.json", "--update-baseline"]) == 2
    assert sorted(path.name for path in folder.iterdir()) == before


# a shell that starts the tests in the background has the signal ignored, so that it is asked for here
INTERRUPT = """import os, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.kill(os.getpid(), signal.SIGINT)
        return self.slope"""
PROCESSES = {
    "healthy": row(nothing, "--only turns", 0, "1 passed"),
    "a gate fails": row(leak, "--only turns", 1, "failed"),
    "nothing to conclude": row(no_energy, "--only rotations", 2, "unmeasured"),
    "the model ends the process": row(stop, "--only order", 3, "defect"),
    "interrupted": row(text("networks.py", r"return self\.slope", INTERRUPT), "--only order", 130),
}


@pytest.mark.parametrize("name", PROCESSES)
def test_in_a_process_of_its_own(name: str, folder: Path) -> None:
    case = PROCESSES[name]
    case.change(folder)
    command = [sys.executable, "-m", "symcheck", "gate", *case.args]
    done = subprocess.run(command, cwd=folder, env=sample.environment(), capture_output=True, text=True)
    assert done.returncode == case.code, done.stdout + done.stderr
    assert [word for word in case.words if word not in done.stdout + done.stderr] == []
