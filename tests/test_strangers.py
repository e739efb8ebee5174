"""The tasks of tests/strangers/ in a shell, as their users would do them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def run(*words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(TESTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(paths)}
    command = ["bash", str(TESTS / "strangers.sh"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)


@pytest.mark.slow
def test_every_task_can_be_done() -> None:
    for package in ("ase", "transformers", "onnx", "onnxruntime", "torch_geometric", "e3nn"):
        pytest.importorskip(package, reason=f"the tasks need {package}: pip install 'symcheck[test]'")
    done = run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nok") + done.stdout.startswith("ok") == len(list((TESTS / "strangers").glob("*.sh")))


def test_a_task_that_fails_is_told(tmp_path: Path) -> None:
    (tmp_path / "strangers").mkdir()
    (tmp_path / "strangers.sh").write_text((TESTS / "strangers.sh").read_text())
    (tmp_path / "strangers" / "1-code.sh").write_text("# a wrong exit code\nexpect 1 doctor symcheck --help\n")
    (tmp_path / "strangers" / "2-word.sh").write_text("# a missing word\nexpect 0 unheard symcheck --help\n")
    (tmp_path / "strangers" / "3-good.sh").write_text("# what is there\nexpect 0 doctor symcheck --help\n")
    (tmp_path / "strangers" / "4-other.sh").write_text("# one in between\nfalse\nexpect 0 doctor symcheck --help\n")
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(TESTS.parent)}
    done = subprocess.run(["bash", str(tmp_path / "strangers.sh")], env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ok", "not ok", "1.."))]
    assert done.returncode == 1
    assert lines == [
        "not ok 1 - a wrong exit code",
        "not ok 2 - a missing word",
        "ok 3 - what is there",
        "not ok 4 - one in between",
        "1..4",
    ]
