"""What the README shows of reports, test suites and help must run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from symcheck.cli.main import main
from symcheck.report.documents import read_report

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)


def block(start: str) -> str:
    return next(text for _, text in BLOCKS if start in text)


def commands(start: str) -> list[list[str]]:
    found = [shlex.split(line, comments=True) for line in block(start).splitlines()]
    assert found and all(command[0] == "symcheck" for command in found)
    return [command[1:] for command in found]


def test_reports_are_shown_converted_compared_and_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    digits = ["audit", str(ROOT / "fixtures/digits-c4.toml"), "--samples", "8", "-q", "--exit-zero"]
    claims = "C4: image -> invariant", "Shift(1): image -> invariant"
    for name in ("report", "main", "branch"):
        assert main([*digits, "-o", f"{name}.json"]) == 0
    for i, claim in enumerate(claims):
        assert main([*digits, claim, "-o", f"shard-{i}.json"]) == 0
    for command in commands("symcheck report show"):
        words = [str(p) for word in command for p in (sorted(Path().glob(word)) if "*" in word else [word])]
        assert main(words) == 0, command
    joined = read_report(tmp_path / "report.json")
    assert len({finding.claim for finding in joined.findings}) == 2  # type: ignore[union-attr]
    assert (tmp_path / "report.html").stat().st_size > 10_000 and (tmp_path / "report.pdf").exists()


def test_the_example_is_a_test_suite_that_passes(tmp_path: Path) -> None:
    (tmp_path / "test_example.py").write_text(block("from symcheck.testing import"))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "symcheck.pytest_plugin", "--symcheck-report=report.json"],
        cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout + done.stderr
    assert read_report(tmp_path / "report.json").status == "passed"  # type: ignore[union-attr]


def test_help_answers(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands("symcheck explain broken"):
        if command != ["--install-completion"]:
            assert main(command) == 0, command
            assert len(capsys.readouterr().out) > 200
