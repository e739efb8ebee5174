"""The pre-commit hook: the configuration is checked in an instant, without torch."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import sample
import yaml

HOOKS = sample.ROOT / ".pre-commit-hooks.yaml"
SEEN = """
import sys
from symcheck.cli.main import main
code = main(sys.argv[1:])
print("heavy:", *({"torch", "numpy", "scipy", "networkx", "matplotlib"} & set(sys.modules)))
sys.exit(code)
"""


def hook() -> dict[str, Any]:
    (found,) = yaml.safe_load(HOOKS.read_text(encoding="utf-8"))
    return dict(found)


def run(folder: Path) -> tuple[int, str, str]:
    """The entry in a fresh interpreter: the code, what it says, and what heavy it has loaded."""
    command, *words = shlex.split(hook()["entry"])
    assert command == "symcheck"
    done = subprocess.run(
        [sys.executable, "-c", SEEN, *words], cwd=folder, env=sample.environment(), capture_output=True, text=True
    )
    said, _, heavy = done.stdout.rpartition("heavy:")
    return done.returncode, said + done.stderr, heavy.strip()


def test_the_hook_has_what_pre_commit_needs() -> None:
    found = hook()
    assert {"id", "name", "entry", "language"} <= set(found)
    assert found["pass_filenames"] is False and found["language"] == "system"
    for name in ("pyproject.toml", "symcheck.toml", "nets/potential.toml"):
        assert re.search(found["files"], name)
    assert not re.search(found["files"], "net.safetensors")


def test_a_good_configuration_passes(tmp_path: Path) -> None:
    code, said, heavy = run(sample.copied(tmp_path))
    assert (code, heavy) == (0, ""), said
    assert "11 gates, 5 subjects, 1 waiver" in said


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"(?<=image -> invariant\"\n)verdict", "verdct", "verdct"),
        (r"C4: image", "C4 image", "C4 image"),
        ("2099-12-31", "2020-12-31", "expired"),
        (r"\[tool\.symcheck\]", "[tool.symcheck", "TOML"),
    ],
    ids=["key", "claim", "waiver", "TOML"],
)
def test_a_broken_configuration_stops_the_commit(old: str, new: str, words: str, tmp_path: Path) -> None:
    folder = sample.copied(tmp_path)
    sample.text(sample.CONFIG, old, new)(folder)
    code, said, heavy = run(folder)
    assert (code, heavy) == (2, ""), said
    assert words in said and "hint:" in said


def test_this_test_would_see_torch() -> None:
    command = [sys.executable, "-c", f"import torch\n{SEEN}", "--version"]
    done = subprocess.run(command, env=sample.environment(), capture_output=True, text=True)
    assert "torch" in done.stdout.rpartition("heavy:")[2]
