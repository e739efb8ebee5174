"""`symcheck locate` on the command line: exit codes, words, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from symcheck.cli.main import app

FIXTURE = str(Path(__file__).parents[2] / "fixtures" / "digits-cnn.toml")
CLAIM = ("-c", "C4: image -> invariant")


def run(*words: str) -> tuple[int, str]:
    found = CliRunner().invoke(app, ["locate", FIXTURE, "-q", "--samples", "8", "--part", "layers", *words])
    return found.exit_code, found.output + str(found.exception or "")


def test_the_guilty_modules_are_printed_and_written(tmp_path: Path) -> None:
    code, text = run(*CLAIM, "--pairs", "13", "-o", str(tmp_path / "where.json"), "-o", str(tmp_path / "where.html"))
    assert code == 0 and "0 (Conv2d)" in text and "11 pairs" in text
    assert "main.py" not in text  # no line of the program that runs the network
    plain = json.loads((tmp_path / "where.json").read_text())
    assert plain["schema"] == "symcheck.locate/1" and plain["attribution"]["pairs"] == 11
    assert "Conv2d" in (tmp_path / "where.html").read_text()


def test_a_declared_action_is_taken() -> None:
    code, text = run(*CLAIM, "--hidden", "0=image", "--details")
    assert code == 0 and "declared" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((*CLAIM, "--hidden", "conv=image"), "no operation of the network runs in 'conv'"),
        ((*CLAIM, "--hidden", "0"), "is not module=action"),
        ((*CLAIM, "--hidden", "0=bogus"), "bogus"),
        ((*CLAIM, "--pairs", "1"), "--pairs"),
        ((*CLAIM, "--part", "nonsense"), "nonsense"),
        ((), "claims"),
    ],
)
def test_what_cannot_be_asked_is_refused(words: tuple[str, ...], said: str) -> None:
    code, text = run(*words)
    assert code != 0 and said in text
