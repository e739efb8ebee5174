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


@pytest.fixture
def tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to try commands in, with the fixtures."""
    (tmp_path / "fixtures").symlink_to(ROOT / "fixtures")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    return tmp_path


def without_numbers(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\b\d[\d.,e-]*", "#", line)).strip()


def test_the_commands_on_weights_print_what_is_shown(tried: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line.partition("#")[0].split() for line in block("symcheck weights fixtures/causal.toml").splitlines()]
    assert len(commands) >= 4
    printed = ""
    for command in commands:
        assert command[0] == "symcheck" and main(command[1:]) == 0, command
        printed += capsys.readouterr().out
    lines = {without_numbers(line) for line in printed.splitlines()}
    shown = [line for line in block("where it acts").splitlines() if line.strip() not in ("", "…")]
    assert len(shown) >= 5
    assert [line for line in shown if without_numbers(line) not in lines] == []
    written = {"causal.spec.toml", "moved.safetensors", "canonical.safetensors"}
    assert {path.name for path in tried.glob("*.*")} == written


def test_the_spec_that_is_shown_acts(tmp_path: Path) -> None:
    (tmp_path / "spec.toml").write_text(block("symcheck.spec/1"))
    spec = symcheck.Spec.load(tmp_path / "spec.toml")
    shapes = {"fc1.weight": (64, 5), "fc1.bias": (64,), "fc2.weight": (3, 64 * 49), "v.weight": (32, 7)}
    state = {name: torch.randn(shape) for name, shape in {**shapes, "o.weight": (7, 96)}.items()}
    moved = spec.apply(spec.sample(0), state)
    assert all(moved[name].shape == x.shape and not torch.equal(moved[name], x) for name, x in state.items())
    values = state["v.weight"].reshape(2, 1, 16, 7).expand(2, 3, 16, 7).reshape(96, 7)
    after = moved["v.weight"].reshape(2, 1, 16, 7).expand(2, 3, 16, 7).reshape(96, 7)
    torch.testing.assert_close(moved["o.weight"] @ after, state["o.weight"] @ values, rtol=1e-3, atol=1e-4)


def test_the_python_example_on_weights_runs() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2))
    inputs = torch.randn(5, 4)
    before = model(inputs)
    scope = {"model": model, "inputs": inputs}
    exec(compile("import symcheck\n" + block("spec = symcheck.derive_spec"), "README.md", "exec"), scope)
    assert scope["report"].holds
    torch.testing.assert_close(model(inputs), before)


def test_the_metanetwork_that_is_named_is_audited(tried: Path) -> None:
    command = re.search(r"`symcheck (audit fixtures/metanet.toml)`", README)
    assert command is not None and main(command[1].split()) == 0


def test_the_commands_on_two_checkpoints_print_what_is_shown(tried: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = [line.split() for line in block("symcheck align fixtures/digits-mlp-a.toml").splitlines()]
    assert [command[1] for command in commands] == ["align", "connect", "merge", "distance"]
    printed = ""
    for command in commands:
        assert command[0] == "symcheck" and main(command[1:]) == 0, command
        printed += capsys.readouterr().out
    lines = {without_numbers(line) for line in printed.splitlines()}
    shown = [line for line in block("signature    ").splitlines() if line.strip()]
    assert len(shown) >= 7
    assert [line for line in shown if without_numbers(line) not in lines] == []
    assert "copies of one mode: 2, 3" in printed
    written = {"aligned.safetensors", "g.safetensors", "curves.png", "merged.safetensors"}
    assert {path.name for path in tried.glob("*.*")} == written


def test_the_python_example_on_two_checkpoints_runs(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    a, b = (torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.ReLU(), torch.nn.Linear(6, 2)) for _ in range(2))
    inputs = torch.randn(40, 4)
    scope = {"model": a, "inputs": inputs, "labels": a(inputs).argmax(1), "a": a.state_dict(), "b": b.state_dict()}
    exec(compile("import symcheck\n" + block("from symcheck.align import align"), "README.md", "exec"), scope)
    assert scope["found"].cosine[1] > scope["found"].cosine[0]
    assert "Barrier(" in capsys.readouterr().out
