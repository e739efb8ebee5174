"""What the README says about gates is executed as it stands there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import sample
import yaml
from workflow import read_action, run_action

from symcheck.cli.main import main

README = sample.ROOT / "README.md"
SHIMS = {"symcheck": 'exec python -m symcheck "$@"', "pip": 'echo "$*" >> "$RECORDED"'}


def block(language: str, words: str) -> str:
    """The only code block of the README in that language that holds the words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README.read_text(encoding="utf-8"), flags=re.S | re.M)
    (found,) = [text for text in blocks if words in text]
    return str(found)


def walkthrough() -> list[str]:
    """The lines of the code block below its heading."""
    _, _, after = README.read_text(encoding="utf-8").partition("### From nothing to red and green\n")
    (found,) = re.findall(r"^\s*```sh\n(.*?)^```", after, flags=re.S | re.M)[:1]
    return str(found).splitlines()


def shell(script: str, folder: Path, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a script with `symcheck` on the path and a `pip` that only takes notes."""
    for name, text in SHIMS.items():
        (home / name).write_text(f"#!/bin/sh\n{text}\n")
        (home / name).chmod(0o755)
    environment = sample.environment(RECORDED=str(home / "pip.txt"))
    environment["PATH"] = f"{home}:{environment['PATH']}"
    return subprocess.run(
        ["bash", "-eu", "-c", script], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder for the commands."""
    found = tmp_path / "bin"
    found.mkdir()
    return found


def test_from_nothing_to_red_and_green(tmp_path: Path, home: Path) -> None:
    lines = walkthrough()
    assert 5 < len(lines) < 10
    done = shell("\n".join(lines), tmp_path, home)
    assert done.returncode == 0, done.stdout + done.stderr
    red, green = done.stdout.index("✗ failed  turns"), done.stdout.index("✓ passed  turns")
    assert red < green and (tmp_path / "project" / ".git").is_dir()


def test_the_workflow_is_red_and_then_green(tmp_path: Path, home: Path) -> None:
    (job,) = yaml.safe_load(block("yaml", ".github/workflows"))["jobs"].values()
    (step,) = [step for step in job["steps"] if "symcheck" in step["uses"]]
    assert re.fullmatch(r"[\w-]+/symcheck/\.github/actions/gate@v[\d.]+", step["uses"])
    assert set(step["with"]) <= set(read_action()["inputs"])
    lines = walkthrough()
    (first,) = [i for i, line in enumerate(lines) if line.startswith("symcheck gate ||")]
    shell("\n".join(lines[:first]), tmp_path, home)
    project = tmp_path / "project"
    red = run_action(read_action(), project, **step["with"])
    shell("\n".join(lines[first:]), project, home)
    green = run_action(read_action(), project, **step["with"])
    assert [(run.code, run.outputs["outcome"]) for run in (red, green)] == [(1, "failed"), (0, "passed")], red.log
    assert "::error title=turns" in red.log and "::error" not in green.log


def test_the_workflow_keeps_what_a_red_run_wrote() -> None:
    workflow = yaml.safe_load(block("yaml", ".github/workflows"))
    (steps,) = [job["steps"] for job in workflow["jobs"].values()]
    (folder,) = [step["with"]["output"] for step in steps if "symcheck" in step["uses"]]
    uploads = {step["uses"]: step for step in steps[-2:]}
    assert all(step["if"] == "always()" for step in uploads.values())
    assert uploads["actions/upload-artifact@v4"]["with"]["path"] == folder
    assert uploads["github/codeql-action/upload-sarif@v3"]["with"]["sarif_file"] == f"{folder}/gate.sarif"
    assert workflow["permissions"]["security-events"] == "write"


def test_every_input_of_the_action_is_named() -> None:
    text = README.read_text(encoding="utf-8")
    for name in [*read_action()["inputs"], *read_action()["outputs"]]:
        assert f"`{name}`" in text or f"{name}: " in block("yaml", ".github/workflows"), name


@pytest.mark.parametrize("regressed", [False, True])
def test_gitlab_reads_the_cases(regressed: bool, tmp_path: Path, home: Path) -> None:
    (job,) = yaml.safe_load(block("yaml", ".gitlab-ci.yml")).values()
    folder = sample.copied(tmp_path)
    if regressed:
        sample.leak(folder)
    done = shell("\n".join(job["script"]), folder, home)
    assert done.returncode == int(regressed), done.stdout + done.stderr
    assert job["artifacts"]["when"] == "always"
    (suite,) = ElementTree.parse(folder / job["artifacts"]["reports"]["junit"]).getroot()
    assert (suite.get("tests"), suite.get("failures")) == ("11", str(int(regressed)))
    kept = {path.name for pattern in job["artifacts"]["paths"] for path in folder.glob(pattern)}
    assert kept >= {"gate.json", "gate.xml", "gate.html", "gate.worst.safetensors", "gate.worst.1.safetensors"}
    assert "install git+https://" in (home / "pip.txt").read_text()


def test_the_hook_that_is_named_exists() -> None:
    (repository,) = yaml.safe_load(block("yaml", ".pre-commit-config.yaml"))["repos"]
    known: list[dict[str, Any]] = yaml.safe_load((sample.ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert {hook["id"] for hook in repository["hooks"]} <= {hook["id"] for hook in known}


def test_the_configuration_that_is_shown_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "symcheck.toml").write_text(block("toml", "[[gate]]"), encoding="utf-8")
    (tmp_path / "fixtures").symlink_to(sample.ROOT / "fixtures")
    monkeypatch.chdir(tmp_path)
    assert main(["gate", "-q"]) == 2
    assert "there is no baseline to compare with" in capsys.readouterr().err
    assert main(["gate", "-q", "--update-baseline"]) == 0
    assert main(["gate", "-q"]) == 0
    assert "permutations" in capsys.readouterr().out
