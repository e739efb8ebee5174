"""`symcheck locate` on the command line: exit codes, words, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from symcheck.cli.locate import PARTS as OFFERED
from symcheck.cli.main import app
from symcheck.locate import How, locate
from symcheck.locate.locate import PARTS

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


def test_the_options_name_the_parts_that_there_are() -> None:
    assert set(OFFERED) == set(PARTS)


def test_a_document_says_whether_the_network_is_certified() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1)).double()
    found = locate(model, "S: nodes -> nodes", torch.randn(8, 5, 3).double(), How(parts=("certificates",)))
    assert found.certificates is not None and found.certificates.rows
    assert found.to_dict()["certificates"]["verdict"] == found.certificates.verdict
