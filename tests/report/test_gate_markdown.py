"""The record of gates as Markdown: worst first, folded, escaped, never too long."""

import re

import pytest
from reports import every_status, gates, outcome

from symcheck.report.gate_markdown import render_gate_markdown
from symcheck.report.markdown import LIMIT
from symcheck.report.outcome import Outcome, Status


def statuses(text: str) -> list[str]:
    return re.findall(r"^\| . \*\*(\w+)\*\*", text, re.MULTILINE)


def test_worst_first_and_what_passed_is_folded() -> None:
    text = render_gate_markdown(every_status())
    assert statuses(text) == [str(status) for status in Status]
    assert text.index("<summary>1 passed</summary>") < text.index("**passed**")
    assert text.count("<details>") == text.count("</details>") == 5
    assert "`symcheck audit --replay out/report.worst.safetensors`" in text
    assert "1 passed, 1 failed, 1 inconclusive, 1 unmeasured, 1 waived in 2.3 s" in text
    assert text.startswith("## symcheck: gates/symcheck.toml\n\n**❗ 1 passed")


@pytest.mark.parametrize("status", [Status.PASSED, Status.FAILED, None])
def test_capped_with_the_number_that_is_missing(status: Status | None) -> None:
    def made(i: int) -> Outcome:
        kind = status or (Status.PASSED, Status.FAILED)[i % 2]
        return outcome(kind, gate=f"ausgänge{i}", reason="ä&" * 300, worst="ö@" * 300)

    text = render_gate_markdown(gates(*map(made, range(600))))
    assert LIMIT // 3 < len(text.encode()) <= LIMIT
    assert text.count("<details>") == text.count("</details>")
    more = sum(int(n) for n in re.findall(r"^and (\d+) more$", text, re.MULTILINE))
    assert 0 < len(statuses(text)) == 600 - more


def test_endless_notes_and_names_are_cut() -> None:
    text = render_gate_markdown(gates(outcome(), notes=("&" * 10**5,) * 30, config="@" * 10**5))
    assert len(text.encode()) <= LIMIT
    assert statuses(text) == ["passed"]
    assert re.search(r"^and \d+ more$", text, re.MULTILINE)


def test_nothing_shown_is_markup_or_a_mention() -> None:
    odd = outcome(
        Status.FAILED, gate="a|b\n# <b>", reason="<img src=x> @team [l](http://x)", advice="</details>", replay="`x`\n#"
    )
    text = render_gate_markdown(gates(odd))
    assert len(statuses(text)) == 1
    for forbidden in ("<img", "<b>", "@team", "\n#\n", "`x`"):
        assert forbidden not in text
    assert text.count("</details>") == 1
    assert "[link](" not in text.replace("\\[", "")


def test_nothing_judged_is_no_pass() -> None:
    text = render_gate_markdown(gates())
    assert "❗ nothing was judged" in text
    assert "✅" not in text
