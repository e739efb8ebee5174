"""The record of gates in the terminal: every outcome, why it failed, one summary line."""

import io

import pytest
from reports import every_status, gates, outcome
from rich.console import Console

from symcheck.report.gate_text import render_gate_text
from symcheck.report.outcome import GateReport, Status
from symcheck.report.text import text_of


def shown(made: GateReport, width: int = 100, *, detailed: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    render_gate_text(made, Console(file=file, width=width, color_system=None), detailed=detailed)
    file.flush()
    return raw.getvalue().decode(encoding)


def test_a_line_for_each_outcome_and_a_summary() -> None:
    lines = shown(every_status()).splitlines()
    (failed,) = (line for line in lines if "gate-failed" in line and "[" in line)
    assert failed.split()[:2] == ["✗", "failed"]
    assert "energy, proper" in failed
    assert failed.split()[-5:] == ["%", "[4.8,", "5.6]", "0.1", "%"]
    assert lines[-1] == "1 passed, 1 failed, 1 inconclusive, 1 unmeasured, 1 waived in 2.3 s"


def test_what_did_not_pass_is_explained_worst_first() -> None:
    text = shown(every_status())
    at = [text.index(f"\n{mark}") for mark in ("! barrier", "✗ gate-failed", "? gate-inconclusive", "○ gate-waived")]
    assert at == sorted(at)
    part = text[at[1] : at[2]]
    for words in ("above the limit", "cross product", "sample 12", "--replay out/", "gates/symcheck.toml:12"):
        assert words in part
    assert "known since March" in text[at[3] :]
    assert "\n✓ gate-passed" not in text
    assert "\n✓ gate-passed" in shown(every_status(), detailed=True)
    assert "- two gates share a checkpoint" in text


@pytest.mark.parametrize("width", [40, 60, 80, 100, 160])
def test_fits_any_width_and_keeps_the_command_whole(width: int) -> None:
    text = shown(every_status(), width)
    for status in Status:
        assert str(status) in text
    assert "symcheck audit --replay out/report.worst.safetensors" in text
    for line in text.splitlines():
        assert "--replay" in line or len(line) <= width, line
    assert "5.2 % [4.8, 5.6]" in " ".join(text.split())


def test_nothing_judged_is_no_pass() -> None:
    assert shown(gates()).splitlines()[-1] == "nothing was judged in 2.3 s"


def test_ascii_and_control_characters() -> None:
    hostile = gates(outcome(Status.FAILED, gate="\x1b[2Jé\n", reason="[red]x[/red]\x07"))
    text = shown(hostile, encoding="ascii")
    assert text.isascii()
    assert not set(text) & set("\x1b\x07")
    assert "[red]x[/red]" in text


def test_units_of_an_absolute_metric_are_no_percentages() -> None:
    text = shown(gates(outcome(Status.FAILED, metric="absolute", value=0.5, low=0.4, high=0.6, limit=0.25)))
    assert "0.50 [0.40, 0.60]" in text
    assert "0.25" in text
    assert "50 %" not in text


def test_text_of_a_record_is_plain_and_detailed() -> None:
    text = text_of(every_status())
    assert "\x1b" not in text
    assert "✓ gate-passed" in text
