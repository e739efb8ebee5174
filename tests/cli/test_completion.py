"""Shell completion: the protocol of typer, its scripts, what is completed, and that none of it loads torch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment in which whoever imports something heavy fails."""
    for name in ("torch", "numpy", "scipy", "networkx", "matplotlib"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('something heavy was loaded')\n")
    paths = [str(tmp_path), str(ROOT)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HOME": str(tmp_path), "NO_COLOR": "1"}


def run(environment: dict[str, str], *args: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "symcheck", *args]
    return subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, timeout=120)


def completed(environment: dict[str, str], line: str) -> list[str]:
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done = run(environment, _SYMCHECK_COMPLETE="complete_bash", **words)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("symcheck au", ["audit"]),
        ("symcheck doc", ["doctor"]),
        ("symcheck audit --toler", ["--tolerance"]),
        ("symcheck audit --format ", ["text", "json", "markdown"]),
        ("symcheck audit net.pt Sc", ["Scale"]),
        ("symcheck explain inc", ["inconclusive"]),
        ("symcheck explain pseudo", ["pseudoscalar", "pseudovector"]),
        ("symcheck explain --format m", ["markdown"]),
        ("symcheck list ver", ["verdicts"]),
        ("symcheck doctor --format j", ["json"]),
        ("symcheck align --matcher s", ["sinkhorn", "straight-through"]),
        ("symcheck merge --method iso", ["iso-c", "iso-cts"]),
        ("symcheck connect --path q", ["quadratic"]),
        ("symcheck list zzz", []),
    ],
)
def test_what_is_completed_without_torch(environment: dict[str, str], line: str, offered: list[str]) -> None:
    found = completed(environment, line)
    assert found == offered or (set(offered) < set(found) and line.endswith(" "))


def test_a_planted_heavy_import_is_found(environment: dict[str, str]) -> None:
    command = [sys.executable, "-c", "import symcheck.api"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0 and "something heavy was loaded" in done.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_of_a_shell(environment: dict[str, str], shell: str) -> None:
    done = run(environment, _SYMCHECK_COMPLETE=f"source_{shell}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "_SYMCHECK_COMPLETE=complete_" in done.stdout and "symcheck" in done.stdout


def test_an_unknown_shell_is_refused(environment: dict[str, str]) -> None:
    done = run(environment, _SYMCHECK_COMPLETE="source_nosuchshell")
    assert done.returncode == 1 and "nosuchshell" in done.stderr


def test_completion_is_shown_and_installed(environment: dict[str, str], tmp_path: Path) -> None:
    choose = {"_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}  # so that the shell can be named
    shown = run(environment, "--show-completion", "bash", **choose)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "complete -o default -F _symcheck_completion symcheck" in shown.stdout
    installed = run(environment, "--install-completion", "bash", **choose)
    assert (installed.returncode, installed.stderr) == (0, "")
    assert "bash" in installed.stdout
    scripts = list((tmp_path / ".bash_completions").glob("symcheck.sh"))
    assert len(scripts) == 1 and "_SYMCHECK_COMPLETE=complete_bash" in scripts[0].read_text()


def test_completion_works_in_bash(environment: dict[str, str], tmp_path: Path) -> None:
    """The script, sourced by a real bash, completes by a command called symcheck."""
    command = tmp_path / "bin" / "symcheck"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -m symcheck \"$@\"\n")
    command.chmod(0o755)
    script = run(environment, _SYMCHECK_COMPLETE="source_bash").stdout
    code = (
        f"{script}\nCOMP_WORDS=(symcheck explain incon); COMP_CWORD=2\n"
        "_symcheck_completion symcheck; echo \"${COMPREPLY[@]}\""
    )
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", code], env={**environment, "PATH": path}, capture_output=True, text=True, timeout=120
    )
    assert (done.stdout.strip(), done.stderr) == ("inconclusive", "")
