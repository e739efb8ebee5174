"""Pages of gates: what failed comes first, is open, and leads to its finding; bars and ticks say their numbers."""

from __future__ import annotations

import re
from dataclasses import replace

from pages import curve, drawn, faults, read
from reports import finding, outcome, report

from symcheck.report.html import render_html
from symcheck.report.html.reproduce import audit_command
from symcheck.report.model import Report, Verdict
from symcheck.report.outcome import GateReport, Status, outcomes_of


def shown_text(html: str) -> str:
    return " ".join(" ".join(text for path, text in read(html).texts if "script" not in path).split())


def test_gates_are_linked_to_what_they_judged_and_what_failed_is_open_and_first() -> None:
    claim = "O(3): pos=points, y=ignore -> scalar"
    broken = drawn(mean=0.9, claim="O(3): pos=points -> scalar", output="hand", part="improper")
    close = drawn(Verdict.APPROXIMATE, 1e-4, claim="SO(3): pos=points -> scalar", output="energy", part="")
    fails = drawn(Verdict.APPROXIMATE, 4e-4, claim="SO(3): pos=points -> scalar", output="energy", part="")
    reports = (report(broken, close), report(fails))
    common = {"subject": "potential", "claim": "SO(3): pos=points -> scalar", "output": "energy", "part": ""}
    chiral = outcome(gate="chiral", claim=claim, output="hand", part="improper", value=0.9, expect="breaks")
    gate = GateReport("g.toml", (
        chiral, outcome(gate="fine", value=1e-4, **common),
        outcome(Status.FAILED, gate="strict", value=4e-4, low=3e-4, high=5e-4, limit=1e-4, **common),
        outcome(gate="loss", check="barrier", claim="", output="hand", part="improper"),
    ), reports)  # fmt: skip
    html = render_html(gate)
    assert faults(html) == []
    assert html.index('id="r1f0"') < html.index('id="r0f0"')  # the report with the failure first
    assert rows_of(html) == {
        ("outcome", 2): ("failed", True, ["r1f0"]), ("outcome", 0): ("passed", False, ["r0f0"]),
        ("outcome", 1): ("passed", False, ["r0f1"]), ("outcome", 3): ("passed", False, []),
        ("finding-1", 0): ("failed", True, ["o2"]), ("finding-0", 0): ("passed", False, ["o0"]),
        ("finding-0", 1): ("passed", False, ["o1"]),
    }  # fmt: skip
    assert "gate chiral: passed, expected to break" in shown_text(html)
    titles = re.findall(r"<h2>(.*?)</h2>", html)
    assert titles == [
        "Gates", "potential: SO(3): pos=points -&gt; scalar",
        "potential: O(3): pos=points -&gt; scalar; SO(3): pos=points -&gt; scalar",
    ]  # fmt: skip


def rows_of(html: str) -> dict[tuple[str, int], tuple[str, bool, list[str]]]:
    """Of each row the colour, whether it is open, and where its links lead."""
    row = r'<details class="row" data-kind="([^"]+)" data-index="(\d+)" data-tone="(\w+)" data-verdict="\w+"( open)?>'
    found = [*re.finditer(row, html)]
    ends = [*(one.start() for one in found[1:]), len(html)]
    return {
        (one[1], int(one[2])): (one[3], bool(one[4]), re.findall(r'<a href="#([^"]+)"', html[one.end() : end]))
        for one, end in zip(found, ends, strict=True)
    }


def test_a_link_leads_to_no_row_that_is_left_out() -> None:
    many = report(*(finding(Verdict.EXACT, output=f"o{i}", part="") for i in range(503)))
    html = render_html(GateReport("g.toml", outcomes_of(many), (many, report(drawn(output="o502", part="")))))
    assert faults(html) == []
    assert html.count("<a href=") > 900


def test_gate_bars_name_the_ends_of_their_axis() -> None:
    html = render_html(GateReport("g.toml", (
        outcome(Status.FAILED), outcome(value=0.5, low=0.4, high=0.6, limit=0.7, check="barrier", metric=""),
        outcome(value=None, low=None, high=None),
    )))  # fmt: skip
    assert re.findall(r'class="end">(.*?)<', html) == ["0.1 %", "10 %", "0", "0.70"]


def test_a_certificate_shows_its_bound_and_a_ratchet_its_baseline() -> None:
    sure = {"metric": "fraction", "low": 0.0, "value": 0.0, "high": 0.098, "limit": 0.1}
    lost = {**sure, "low": 0.3, "value": 0.4, "high": 0.5}
    worse = {"value": 0.84, "low": 0.8, "high": 0.9, "limit": 2.0, "baseline": 0.676}
    gate = GateReport("g.toml", (
        outcome(**sure), outcome(Status.FAILED, **lost), outcome(Status.FAILED, **worse), outcome(**worse),
    ))  # fmt: skip
    words = shown_text(render_html(gate))
    for told in ("at most 9.8 % of pairs limit 10 %", "at least 30 % of pairs limit 10 %",
                 "84 % [80, 90] baseline 68 %", "84 % [80, 90] limit 200 % · baseline 68 %"):  # fmt: skip
        assert told in words, told


def test_the_ticks_of_one_plot_are_in_one_style() -> None:
    small = replace(curve("number"), errors=tuple(0.0012 * i / 12 for i in range(12)))
    html = render_html(report(drawn(curve=small, tolerance=1e-3)))
    figure = html[html.index("Error by element") : html.index("Distribution of the error")]
    labels = [words for words in re.findall(r"<text[^>]*>([^<]*\d[^<]*)</text>", figure) if {*words} & {*"e-."}]
    assert labels
    assert all(words.endswith("%") for words in labels)


def test_what_only_a_gate_asks_is_repeated_by_it() -> None:
    given = Report({"path": "net.safetensors"}, {}, {"gate": "as before", "against": "b.safetensors"}, ())
    assert audit_command(given) == "symcheck gate --only 'as before'"
    assert audit_command(replace(given, settings={})) == "symcheck audit net.safetensors"
