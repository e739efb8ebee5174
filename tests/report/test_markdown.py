"""The Markdown report: a table that GitHub renders, worst first, never too long."""

import re

from reports import finding, full, report

from symcheck.report.markdown import LIMIT, render_markdown
from symcheck.report.model import Verdict


def rows(text: str) -> list[list[str]]:
    """The cells of every table row, split at the pipes that are not escaped."""
    lines = [line for line in text.splitlines() if line.startswith("| **")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def test_worst_first_with_all_cells() -> None:
    text = render_markdown(full())
    found = rows(text)
    assert [row[0].strip("*") for row in found] == [str(verdict) for verdict in Verdict]
    assert {len(row) for row in found} == {7}
    assert text.startswith("## symcheck: potential\n\n**1 exact, 1 approximate")
    assert "4160 forwards in 3.2 s" in text


def test_names_cannot_break_the_table_or_bring_markup() -> None:
    odd = finding(Verdict.BROKEN, output="a|b\nc", note="<img src=x> [link](http://x) `code` *bold*", part="\\|")
    text = render_markdown(report(odd, subject={"name": "x\n# heading <b>"}))
    assert len(rows(text)) == 1
    assert len(rows(text)[0]) == 7
    assert "<img" not in text
    assert "<b>" not in text
    assert "\n# heading" not in text
    assert "[link](" not in text.replace("\\[", "")


def test_capped_with_the_number_that_is_missing() -> None:
    many = [finding(Verdict.BROKEN, 0.1 + i * 1e-5, output=f"ausgänge{i}", note="ä" * 300) for i in range(500)]
    text = render_markdown(report(*many, finding(Verdict.INVALID, output="first")))
    assert LIMIT * 0.95 < len(text.encode()) <= LIMIT
    kept = rows(text)
    assert "first" in kept[0][2]
    assert f"and {501 - len(kept)} more" in text
    assert "forwards" in text.splitlines()[-1]


def test_endless_notes_and_names_are_cut() -> None:
    text = render_markdown(report(notes=("n" * 10**6,) * 100, subject={"name": "x" * 10**6}))
    assert len(text.encode()) <= LIMIT
    assert "and 80 more" in text


def test_notes_that_grow_when_escaped_leave_room_for_findings() -> None:
    text = render_markdown(report(finding(Verdict.BROKEN), notes=("@&" * 10**4,) * 30))
    assert len(text.encode()) <= LIMIT
    assert len(rows(text)) == 1
    assert "@&amp;" not in text  # nobody is mentioned


def test_empty() -> None:
    assert "nothing was measured" in render_markdown(report())
