"""The terminal report: complete at any width, without colour, without Unicode, and against hostile names."""

import io
from dataclasses import replace

import pytest
from reports import CLAIM, TURN, finding, full, report
from rich.console import Console

from symcheck.report.model import Report, Verdict
from symcheck.report.text import render_document, render_text, text_of


def shown(
    made: Report, width: int = 80, *, detailed: bool = False, encoding: str = "utf-8", colour: bool = False
) -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding)
    console = Console(file=file, width=width, force_terminal=colour, color_system="standard" if colour else None)
    render_text(made, console, detailed=detailed)
    file.flush()
    return raw.getvalue().decode(encoding)


def commands(text: str) -> set[str]:
    return {line for line in text.splitlines() if "symcheck audit --replay" in line}


@pytest.mark.parametrize("width", [40, 60, 80, 100, 120, 200])
@pytest.mark.parametrize("detailed", [False, True])
def test_fits_and_truncates_no_verdict(width: int, detailed: bool) -> None:
    text = shown(full(), width, detailed=detailed)
    for verdict in Verdict:
        assert str(verdict) in text
    assert "…" not in text
    ends = {line for line in text.splitlines() if " forwards" in line or line.startswith(("  / ", "  abs", "  error"))}
    for line in set(text.splitlines()) - commands(text) - ends:
        assert len(line) <= width, line
        assert line == line.rstrip()


def test_rows_stand_under_their_claim_once() -> None:
    lines = shown(full()).splitlines()
    assert lines.count(CLAIM) == 1
    start = lines.index(CLAIM)
    assert lines[start + 1].split() == ["energy,", "proper", "✓", "exact", "3.6e-07", "2.0e-07"]
    assert "5.2 % [4.8, 5.6]" in lines[start + 2]
    assert f"16 % at {TURN}, sample 12" in lines[start + 3]


def test_the_worst_element_has_a_column_where_there_is_room() -> None:
    assert "worst element" in shown(full(), 120)
    assert "worst element" not in shown(full(), 80)
    assert f"at {TURN}" in " ".join(shown(report(finding(Verdict.BROKEN, 0.05)), 160).split())
    assert TURN not in " ".join(shown(report(finding(Verdict.EXACT)), 160).split())  # mere rounding


def test_colour_is_never_alone() -> None:
    plain, coloured = shown(full()), shown(full(), colour=True)
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    for mark in ("✓ exact", "≈ approximate", "✗ broken", "? inconclusive", "○ trivial", "! invalid"):
        assert mark in plain


def test_ascii_where_the_encoding_has_no_more() -> None:
    text = shown(replace(full(), proposed=True), encoding="ascii", detailed=True)
    assert text.isascii()
    for mark in ("+ exact", "~ approximate", "x broken", "o trivial"):
        assert mark in text


def test_control_characters_in_names_stay_out() -> None:
    hostile = finding(Verdict.BROKEN, 0.1, output="\x1b[2J\x07evil", note="line\r\nbreak\x1b[31m", part="[red]x[/red]")
    text = shown(report(hostile, subject={"name": "a\x1b]0;b\nc"}))
    assert not set(text) & set("\x1b\x07\r")
    assert "[red]x[/red]" in text.replace("\n", "")
    assert "evil" in text


def test_next_steps_and_summary() -> None:
    lines = shown(full(), 120).splitlines()
    (broken,) = (line for line in lines if line.startswith("✗"))
    assert CLAIM in broken
    assert "look for a cross product" in " ".join(lines)
    assert "above the tolerance, 0.1 % of" in " ".join(" ".join(lines).split())
    assert "- not measured: C4: image -> invariant (no image)" in lines
    assert lines[-2].endswith("1 invalid in 3.2 s, 4160 forwards")
    assert lines[-1] == "replay the worst: symcheck audit --replay out/report.worst.safetensors"


def test_equal_advice_is_said_once() -> None:
    many = [finding(Verdict.BROKEN, 0.1, output=f"output{i}", note="the same") for i in range(9)]
    text = shown(report(*many), 200)
    assert text.count("the same") == 1
    assert "and 5 more" in text


def test_no_replay_where_everything_holds() -> None:
    assert not commands(shown(report(finding(Verdict.EXACT))))
    assert commands(shown(report(finding(Verdict.BROKEN, 0.1))))


def test_replay_quotes_a_file_name_that_a_shell_would_split() -> None:
    worst = finding(Verdict.BROKEN).worst
    assert worst is not None
    odd = finding(Verdict.BROKEN, 0.1, worst=replace(worst, file="my runs/a#1.safetensors#0"))
    assert "--replay 'my runs/a#1.safetensors'" in shown(report(odd))


def test_proposed_says_has_and_has_not() -> None:
    text = shown(replace(full(), proposed=True))
    has, has_not, undecided = (text.index(word) for word in ("  has   ", "  has not  ", "  undecided  "))
    assert has < text.index("T(3): pos") < has_not < text.index(CLAIM) < undecided < text.index("S: pos")
    assert "has not" not in shown(full())


def test_details_hold_every_number() -> None:
    text = shown(report(finding(Verdict.EXACT)), 100, detailed=True)
    errors = ("absolute", "/ size", "/ spread", "median", "99 %")
    for words in (*errors, "slope 1.0", "share", "2048 pairs", "Haar", "pose advantage"):
        assert words in text
    assert "slope" not in shown(report(finding(Verdict.EXACT)), 100)


def test_empty_report_says_so() -> None:
    assert "nothing was measured" in shown(report())


def test_text_of_is_plain_and_detailed() -> None:
    text = text_of(full())
    assert "\x1b" not in text
    assert "slope 1.0" in text


def test_other_documents_by_the_paths_of_their_values() -> None:
    document = {
        "schema": "symcheck.connect/1", "few": [0.1, 0.25], "many": [i / 10 for i in range(25)], "empty": [],
        "none": None, "rows": [[1.0, 2.0], [3.0, 4.0]], "parts": [{"name": "a"}] * 9, "a": {"b": {"c": "deep\x1b"}},
        "words": ["x", "y"],
    }  # fmt: skip
    file = io.StringIO()
    render_document(document, Console(file=file, width=80, color_system=None))
    first, *lines = file.getvalue().splitlines()
    assert first == "symcheck.connect/1"
    assert [line.split(maxsplit=1) for line in lines] == [
        ["few", "0.100, 0.250"],
        ["many", "25 numbers from 0 to 2.40"],
        ["rows.1", "1.00, 2.00"],
        ["rows.2", "3.00, 4.00"],
        ["parts", "9 entries"],
        ["a.b.c", "deep"],
        ["words", "x, y"],
    ]
