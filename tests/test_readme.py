"""What the README shows must run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

import symcheck
from symcheck.actions.base import actions
from symcheck.cli.main import main
from symcheck.grammar import parse_claim
from symcheck.groups.base import groups

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)


def block(start: str) -> str:
    return next(text for _, text in BLOCKS if start in text)


def test_the_first_command_is_the_one_that_is_tested(monkeypatch: pytest.MonkeyPatch):
    command = block("pip install . && symcheck audit").strip().split("&& ")[1].split()
    monkeypatch.chdir(ROOT)
    assert main(command[1:]) == 0


def test_every_claim_parses_back():
    lines = block("C4: image -> invariant  ").strip().splitlines()
    assert len(lines) >= 8
    for line in lines:
        claim = re.split(r"\s{3,}", line)[0]
        assert str(symcheck.Claim.parse(claim)) == str(parse_claim(claim))


def test_every_named_action_exists():
    table = README.split("**Actions**")[1].split("Every action is checked")[0]
    words = {re.split(r"[(=]", word)[0].strip() for word in re.findall(r"`([^`]+)`", table)}
    named = {w for w in words if w.isidentifier()} - {"axis", "f", "quaternion"}
    unknown = named - set(actions.names())
    assert unknown <= {"module", "file"}, unknown
    assert {"scalar", "vector", "points", "image", "nodes", "pairs", "edges", "irreps", "multivector"} <= named


def test_ten_lines_make_a_group():
    code = block("class AboutX")
    body = [line for line in code.splitlines() if line and not line.startswith(("import", "from"))]
    assert len(body) <= 10
    exec(compile(code, "README.md", "exec"), {})
    try:
        x = torch.randn(16, 4, 3)
        (good,) = symcheck.audit(lambda p: p[..., 0].sum(1), "Rx: points -> scalar", x).findings
        (bad,) = symcheck.audit(lambda p: p[..., 1].sum(1), "Rx: points -> scalar", x).findings
        assert (good.verdict, bad.verdict) == ("exact", "broken")
    finally:
        groups._items.pop("Rx")


def test_the_python_example_runs():
    code = block("report = symcheck.audit")
    torch.manual_seed(0)
    scope = {"model": torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 1)), "inputs": torch.randn(70, 4, 3)}
    exec(compile(code, "README.md", "exec"), scope)
    assert scope["report"].findings[0].counts.samples == 64
