"""A gate that judges an earlier report sees when the code of an action in its claim has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from symcheck.cli.main import main

LAWS = """
import torch

def act(g, x):
    sign = g.reshape(len(g), -1)[:, 0].to(x).view(-1, *[1] * (x.dim() - 1))
    return sign * x
"""
CONFIG = """
model = "net.py:net"
inputs = { image = "normal(1,4,4)" }
gate = [{ id = "own", claim = "Sign: image=laws.py:act -> logits=scalar", limit = 10.0 }]
"""


def gate(*words: str) -> int:
    return main(["gate", "-q", *words])


def test_changed_code_of_a_claim_is_not_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text("from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(16, 3))\n")
    Path("laws.py").write_text(LAWS)
    Path("symcheck.toml").write_text(CONFIG)
    assert gate("-o", "gate.json") == 0
    assert gate("--report", "gate.json") == 0
    Path("laws.py").write_text(LAWS.replace("sign * x", "sign * x * 2"))
    capsys.readouterr()
    assert gate("--report", "gate.json") == 2
    assert "laws.py is another file" in capsys.readouterr().out
