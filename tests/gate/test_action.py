"""The GitHub Action: its steps are run as a runner would, on the sample repository."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sample
from workflow import faults, read_action, run_action

HOSTILE = {
    "quote": '"; touch pwned; rm -rf kept; "',
    "substitution": "$(touch pwned)`rm -rf kept`",
    "spaces": "turns kept",
    "options": "--help",
    "globs": "* ? [a-z]*",
    "lines": "a\n; touch pwned\n| rm -rf kept\n",
    "expression": "${{ secrets.TOKEN }} && touch pwned",
    "backslash": "\\'; touch pwned #",
}
Run = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A checkout: the sample repository in a folder of its own, and a file that must stay."""
    found = tmp_path / "work space"
    sample.copied(found)
    (found / "repository" / "kept").write_text("")
    return found


@pytest.fixture
def run(workspace: Path) -> Run:
    """Run the action on the sample repository; only one quick gate unless others are asked for."""

    def act(**inputs: str) -> Any:
        return run_action(read_action(), workspace, **{"working_directory": "repository", "only": "turns", **inputs})

    return act


def untouched(workspace: Path) -> bool:
    return (workspace / "repository" / "kept").exists() and not [*workspace.rglob("pwned")]


def test_no_text_from_outside_becomes_code() -> None:
    assert [*faults(read_action())] == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ('"$GATE_CONFIG")', '"${{ inputs.config }}")', "an expression in 'run'"),
        ('add "" "$GATE_ARGS"', 'eval "words+=($GATE_ARGS)"', "a text is executed"),
        ("$GATE_BASELINE", "", "GATE_BASELINE is not read"),
    ],
)
def test_a_planted_fault_of_the_script_is_found(old: str, new: str, fault: str) -> None:
    action = copy.deepcopy(read_action())
    step = action["runs"]["steps"][1]
    assert old in step["run"]
    step["run"] = step["run"].replace(old, new)
    assert any(fault in found for found in faults(action))


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("env", {"GATE_CONFIG": "${{ github.event.pull_request.title }}"}, "not exactly one input"),
        ("env", {"GATE_CONFIG": "${{ inputs.confg }}"}, "not exactly one input"),
        ("env", {}, "the input 'config' does nothing"),
        ("working-directory", "${{ inputs.working-directory }}", "an expression in 'working-directory'"),
        ("shell", "pwsh", "the shell is not bash"),
    ],
)
def test_a_planted_fault_of_a_step_is_found(key: str, value: object, fault: str) -> None:
    action = copy.deepcopy(read_action())
    action["runs"]["steps"][1][key] = value
    assert any(fault in found for found in faults(action))


def test_this_runner_would_notice(workspace: Path) -> None:
    action = copy.deepcopy(read_action())
    step = action["runs"]["steps"][1]
    step["run"] = step["run"].replace('add --only= "$GATE_ONLY"', 'add --only= "${{ inputs.only }}"')
    run_action(action, workspace, working_directory="repository", only=HOSTILE["substitution"])
    assert not untouched(workspace)


def test_a_healthy_repository(run: Run, workspace: Path) -> None:
    done = run(only="turns\nhands\n")
    assert (done.code, done.outputs["outcome"]) == (0, "passed"), done.log
    folder = workspace / "repository" / "symcheck-report"
    assert {path.name for path in folder.iterdir()} >= {"gate.json", "gate.sarif", "gate.xml", "gate.html"}
    assert done.outputs == {"outcome": "passed", "report": str(folder / "gate.json")}
    record = json.loads((folder / "gate.json").read_text())
    assert [outcome["gate"] for outcome in record["outcomes"]] == ["turns", "hands"]
    assert "::error" not in done.log and "2 passed" in done.log
    assert "turns" in done.summary and "hands" in done.summary
    assert json.loads(done.pip) == ["install", str(sample.ROOT)]


def test_all_gates_without_any_input_but_the_folder(run: Run) -> None:
    done = run(only="", working_directory="repository")
    assert (done.code, done.outputs["outcome"]) == (0, "passed"), done.log
    assert "10 passed, 1 waived" in done.log


def test_a_regression(run: Run, workspace: Path) -> None:
    sample.leak(workspace / "repository")
    done = run()
    assert (done.code, done.outputs["outcome"]) == (1, "failed"), done.log
    (line,) = [line for line in done.log.splitlines() if line.startswith("::error")]
    assert line.startswith("::error title=turns%3A ") and ",file=repository/pyproject.toml,line=" in line
    assert "turns" in done.summary
    assert json.loads(Path(done.outputs["report"]).read_text())["exit_code"] == 1
    allowed = run(exit_zero="true")
    assert (allowed.code, allowed.outputs["outcome"]) == (0, "failed")


@pytest.mark.parametrize("exit_zero", ["true", "false"])
def test_what_cannot_be_measured_stops_the_step(exit_zero: str, run: Run, workspace: Path) -> None:
    (workspace / "repository" / "weights" / "handed.safetensors").unlink()
    done = run(exit_zero=exit_zero)
    assert (done.code, done.outputs["outcome"]) == (2, "unmeasured"), done.log
    assert json.loads(Path(done.outputs["report"]).read_text())["exit_code"] == 2


def test_an_old_report_is_not_taken_for_an_answer(run: Run, workspace: Path) -> None:
    folder = workspace / "repository" / "symcheck-report"
    folder.mkdir()
    for name in ("gate.json", "gate.sarif", "gate.xml", "gate.html", "notes.txt"):
        (folder / name).write_text("old")
    done = run(only="nothing")
    assert (done.code, done.outputs) == (2, {"outcome": "unmeasured", "report": ""}), done.log
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert "::error title=symcheck gate::nothing was concluded (exit code 2)" in done.log


def test_a_defect_is_not_a_failed_gate(run: Run, workspace: Path) -> None:
    sample.text("networks.py", r"return self\.slope", "raise SystemExit(0)\n        return self.slope")(
        workspace / "repository"
    )
    done = run(only="order", exit_zero="true")
    assert (done.code, done.outputs["outcome"]) == (3, "defect"), done.log


def test_an_earlier_report_is_judged(run: Run, workspace: Path) -> None:
    first = run(output="first run")
    (workspace / "repository" / "networks.py").unlink()
    done = run(report="first run/gate.json\n", config="pyproject.toml", args="--quiet")
    assert (first.code, done.code, done.outputs["outcome"]) == (0, 0, "passed"), done.log


def test_every_other_input_arrives(run: Run, workspace: Path) -> None:
    baseline = workspace / "repository" / "baseline.jsonl"
    baseline.rename(baseline.with_name("base line.jsonl"))
    words = "--extra-index-url\nhttps://example.org/cpu\n--requirement\nmy requirements.txt"
    done = run(only="learned", baseline="base line.jsonl", args="--elements\n32", pip_args=words)
    assert (done.code, done.outputs["outcome"]) == (0, "passed"), done.log
    assert json.loads(done.pip) == ["install", str(sample.ROOT), *words.splitlines()]
    assert run(only="nothing", install="false").pip == ""


@pytest.mark.parametrize("name", ["exit_zero", "install"])
def test_what_is_neither_true_nor_false_is_refused(name: str, run: Run) -> None:
    done = run(**{name: "yes"})
    assert done.code == 2 and "must be true or false" in done.log


TOGETHER = ("config", "only", "baseline", "report", "args", "output")
ALONE = ("working-directory", "install", "exit-zero")  # these stop the step before the others are read


def test_every_input_is_tried() -> None:
    assert {*TOGETHER, *ALONE, "pip-args"} == set(read_action()["inputs"])


@pytest.mark.parametrize("names", [TOGETHER, *((name,) for name in ALONE)], ids="+".join)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_input_is_only_a_text(names: tuple[str, ...], text: str, run: Run, workspace: Path) -> None:
    done = run(**{"only": "nothing", **{name.replace("-", "_"): text for name in names}})
    assert untouched(workspace), done.log
    assert done.code != 0 and "Traceback" not in done.log, done.log
    if "output" in names:
        assert (workspace / "repository" / text).is_dir()


def test_without_a_record_nothing_has_passed(run: Run) -> None:
    for word in ("--help", "--check-config"):
        done = run(args=word)
        assert (done.code, done.outputs) == (2, {"outcome": "unmeasured", "report": ""}), done.log


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_argument_of_pip_is_only_a_text(text: str, run: Run, workspace: Path) -> None:
    done = run(pip_args=text, only="nothing")
    assert untouched(workspace), done.log
    assert json.loads(done.pip)[2:] == [line for line in text.splitlines() if line]


def test_a_folder_with_a_line_break_makes_no_output_of_its_own(run: Run, workspace: Path) -> None:
    sample.leak(workspace / "repository")
    done = run(output="o\noutcome=passed\nend-1-2-3-4")
    assert done.outputs["outcome"] == "failed" and set(done.outputs) == {"outcome", "report"}
    assert done.outputs["report"].endswith("o\noutcome=passed\nend-1-2-3-4/gate.json")
