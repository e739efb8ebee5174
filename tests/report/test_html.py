"""Pages: whole, self-contained, and true to their document."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pages import connection, curve, data_of, drawn, drawn_report, expected, faults, gate_report, read, shown
from reports import finding, full, report

from symcheck.errors import LoadError
from symcheck.report.html import render_html
from symcheck.report.model import Certificate, Curve, Report, Verdict, Worst
from symcheck.report.outcome import GateReport


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return render_html(drawn_report(folder))


def texts(html: str) -> str:
    return " ".join(" ".join(text for path, text in read(html).texts if "script" not in path).split())


@pytest.mark.parametrize("made", [drawn_report, gate_report, lambda _: full(), lambda _: connection()])
def test_a_page_has_no_fault_and_is_made_the_same_twice(made: Any, folder: Path) -> None:
    document = made(folder)
    html = render_html(document)
    assert faults(html) == []
    assert shown(html) == expected(data_of(html))
    assert render_html(document) == html


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("</main>", '<img src="https://example.org/x.png"></main>', "<img> loads"),
        ("</main>", '<svg role="img" aria-labelledby="fig1-t"></svg></main>', "a plot without <title>"),
        ("</main>", "</section></main>", "closes nothing"),
        ("</main>", '<p id="data"></p></main>', "id data is there twice"),
        ("</main>", '<p onclick="x()"></p></main>', "runs onclick"),
        ("<style>", '<style>@import "x.css";', "a style loads"),
        ('id="fig1-t"', 'id="fig1-gone"', "refers to fig1-t"),
    ],
)
def test_the_reader_finds_a_planted_fault(page: str, old: str, new: str, found: str) -> None:
    assert any(found in fault for fault in faults(page.replace(old, new, 1)))


def test_a_wrong_verdict_is_found(page: str) -> None:
    wrong = page.replace('<span class="word">exact</span>', '<span class="word">broken</span>')
    assert wrong != page
    assert shown(wrong) != expected(data_of(wrong))


def test_the_data_of_a_page_are_the_document(page: str, folder: Path) -> None:
    assert data_of(page) == json.loads(drawn_report(folder).to_json())
    assert Report.from_dict(data_of(page)) == drawn_report(folder)


def test_every_curve_distribution_and_pair_is_drawn(page: str) -> None:
    for title in (
        "Error by angle", "Error by rotation axis", "Error by angle of rotation", "Error by element",
        "Distribution of the error", "Worst pair: image", "Worst pair: pos", "Worst pair, both sides: mask",
        "Worst pair, both sides: logits", "Worst pair, both sides: features",
    ):  # fmt: skip
        assert f"<figcaption>{title}</figcaption>" in page, title
    assert page.count("<figure>") == 18
    assert "worst pair" in texts(page)  # the two sides of one number, in digits


def test_the_worst_claim_and_finding_come_first() -> None:
    mild = drawn(mean=0.01, claim="A: x -> x", output="mild")
    fine, grave = drawn(Verdict.EXACT, 1e-7, claim="A: x -> x"), drawn(mean=0.5, claim="B: x -> x", output="grave")
    words = texts(render_html(report(fine, mild, grave)))
    assert words.index("B: x -> x") < words.index("A: x -> x")
    assert words.index("mild") < words.index("energy, proper")


def test_what_fails_is_unfolded_but_not_among_many() -> None:
    few, many = (render_html(report(*[finding(Verdict.BROKEN, 0.1)] * count)) for count in (5, 60))
    assert few.count('data-verdict="broken" open') == 3
    assert many.count('class="row"') == 60
    assert 'data-verdict="broken" open' not in many


def test_fifty_findings_with_figures_stay_small(folder: Path) -> None:
    one = drawn_report(folder)
    html = render_html(replace(one, findings=one.findings * 10))
    assert len(html.encode()) < 3_000_000
    assert html.count("<figure>") > 150
    assert faults(html) == []


def test_more_findings_than_a_page_shows_are_counted() -> None:
    html = render_html(report(*[finding(Verdict.EXACT) for _ in range(503)]))
    assert html.count('class="row"') == 500
    assert "and 3 more" in html
    assert len(data_of(html)["findings"]) == 503


HOSTILE = "<script>alert(1)</script></script><img src=x onerror=alert(1)> & \x00\x1b[31m \u202e $x^$ \udcff \u2028"


def test_names_from_files_show_as_themselves(folder: Path) -> None:
    """Markup, control and direction characters, lone surrogates and formulas, wherever a text can stand."""
    labels = Curve("listed", (HOSTILE, HOSTILE), (0.1, 0.2))
    hostile = drawn(
        claim=HOSTILE, output=HOSTILE, part=HOSTILE, note=HOSTILE, advice=HOSTILE, law=HOSTILE, curve=labels,
        worst=Worst(HOSTILE, 1, 0.1, f"{HOSTILE}#0"),
    )  # fmt: skip
    made = report(hostile, subject={"name": HOSTILE, "path": HOSTILE}, settings={HOSTILE: HOSTILE}, notes=(HOSTILE,))
    gate = replace(gate_report(folder), config=HOSTILE, reports=(made,), notes=(HOSTILE,))
    link = {**connection(), "notes": [HOSTILE], "checkpoints": [{"path": HOSTILE}] * 2}
    for document in (made, gate, link):
        html = render_html(document)
        assert faults(html) == []
        assert len([tag for tag, _, _ in read(html).elements if tag == "script"]) == 2
        assert not {"\x00", "\x1b", "\u202e", "\u2028", "\udcff"} & {*html}
        assert "\\udcff" in texts(html)
        html.encode()
    assert data_of(render_html(made))["findings"][0]["claim"] == HOSTILE


def test_a_pair_that_is_not_there_is_said_and_one_that_moved_is_found(folder: Path, tmp_path: Path) -> None:
    drawn_report(folder)
    gone = drawn(output="logits", worst=Worst("e", 0, 0.1, "elsewhere/sample.worst.safetensors#0"))
    assert "which is not here" in texts(render_html(report(gone), tmp_path))
    assert "<figcaption>Worst pair: image" in render_html(report(gone), folder)


@pytest.mark.parametrize("content", [b"", b"no tensors", b"\xff" * 100])
def test_a_file_that_holds_no_pairs_is_said(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.safetensors").write_bytes(content)
    html = render_html(report(drawn(worst=Worst("e", 0, 0.1, f"{tmp_path / 'x.safetensors'}#0"))))
    assert "cannot be read" in html
    assert faults(html) == []


def test_numbers_that_are_not_finite_do_not_stop_a_page() -> None:
    nan = float("nan")
    broken = Curve("angle", ("a", "b"), (nan, 0.1), ((0.0, 0.0), (1.0, 0.0)))
    lost = Curve("angle", ("a", "b"), (nan, nan), ((0.0, 0.0), (1.0, 0.0)))
    listed = Curve("listed", ("a", "b"), (nan, 0.1))
    many = Curve("listed", ("a",) * 40, (nan, *(0.1,) * 39))
    findings = [drawn(curve=c, distribution=(nan, 0.0, 0.1)) for c in (broken, lost, listed, many)]
    html = render_html(report(*findings, *full().findings))
    assert faults(html) == []
    assert "1 error not a number" in html


def test_an_error_of_exactly_zero_is_drawn() -> None:
    for kind in ("angle", "rotation", "listed", "number"):
        zero = replace(curve(kind), errors=(0.0,) * 12)
        html = render_html(report(drawn(Verdict.EXACT, 0.0, curve=zero, distribution=(0.0,) * 41)))
        assert faults(html) == []
        assert "100 % are zero" in html


def test_translations_without_an_axis_are_listed() -> None:
    still = Curve("rotation", ("translation (1, 2, 3)",) * 3, (0.1, 0.2, 0.3), ((0.0,) * 4,) * 3)
    assert "<figcaption>Error by element" in render_html(report(drawn(curve=still)))


def test_a_certificate_and_a_component_are_told() -> None:
    sure = Certificate(0.01, 0.95, 0.02, 150, 1, "data × SO(3)")
    words = texts(render_html(report(drawn(certificate=sure, component=0.4))))
    assert "at most 2.0 % of data × SO(3) has an error above 1 %, with confidence 95 %" in words
    assert "(150 draws, 1 violation)" in words
    assert "40 % of its own spread" in words


def test_the_command_repeats_the_run() -> None:
    made = report(
        finding(Verdict.EXACT),
        subject={"name": "net", "path": "my net.pt", "model": "nets.py:cnn", "arguments": {"width": 8, "bias": True}},
        settings={"claims": ["C4: image -> invariant"], "inputs": "data set.npz", "samples": 8, "seed": 7},
    )
    command = "symcheck audit 'my net.pt' 'C4: image -> invariant' --model nets.py:cnn -m width=8 -m bias=true"
    assert f"{command} -i 'data set.npz' --samples 8 --seed 7" in texts(render_html(made))
    link = texts(render_html(connection()))
    assert "symcheck connect a.safetensors b.safetensors -i 'data set.npz' --seed 3" in link


def test_proposed_claims_are_no_verdict() -> None:
    made = replace(full(), proposed=True)
    html = render_html(made)
    assert "No claim was stated" in html
    assert '<div class="headline"><h1>potential</h1></div>' in html


def test_no_findings_and_no_outcomes_are_said() -> None:
    assert "nothing was measured" in texts(render_html(report()))
    empty = texts(render_html(GateReport("gate.toml", ())))
    assert "nothing was judged" in empty
    assert "unmeasured" in empty


def test_align_merge_and_distance_have_tables() -> None:
    space = {"space": "h1", "kind": "permutation", "units": 64, "moved": 63, "before": -0.001, "after": 0.66}
    record = {
        "cosine": {"before": 0.02, "after": 0.69, "null": 0.32}, "planted": {"recovered": 9, "units": 9},
        "spaces": [{**space, "margin": 0.1, "ambiguous": 0}], "agreement": 0.5, "left_alone": {"h2": "no unit"},
        "same_function": {"same": True, "distance": 1e-15},
    }  # fmt: skip
    sources = [{"path": "a.pt"}, {"path": "b.pt"}]
    align = texts(render_html({"schema": "symcheck.align/1", "checkpoints": sources, "alignments": [record]}))
    assert "b onto a" in align
    assert "permutation of 64 63 of 64 0.00 0.66 0.10" in align
    square = [[0.0, 0.5], [0.5, 0.0]]
    matrices = {"raw": square, "modulo": square, "modes": [1, 2]}
    distance = texts(render_html({"schema": "symcheck.distance/1", "checkpoints": sources, **matrices}))
    assert "Distance modulo the symmetries 1 2 1 a · 0.50 2 b 0.50 ·" in distance
    score = {"model": "merged", "data": "train", "loss": 0.1, "error": 0.01, "accuracy": 0.9, "distance": None}
    layer = {"name": "fc", "shape": [4, 4], "cosine": 0.7, "least_cosine": 0.6, "conflict": 0.1, "size": 1}
    merge = {"schema": "symcheck.merge/1", "sources": sources, "scores": [score], "layers": [layer], "method": "ties"}
    merged = texts(render_html({**merge, "alignments": {"b": record}}))
    assert "merged train 0.10 ± 0.010 90 %" in merged
    assert "fc 4 × 4 0.70" in merged
    assert "symcheck merge a.pt b.pt --method ties" in merged
    assert "strange" in texts(render_html({"schema": "other/1", "key": {"inner": "strange"}}))


@pytest.mark.parametrize("lost", ["variants", "t", "checkpoints"])
def test_a_document_without_its_parts_is_an_error(lost: str) -> None:
    broken = {**connection(), lost: {"x": 1}}
    with pytest.raises(LoadError, match="cannot be shown"):
        render_html(broken)


def test_drawing_and_templates_are_loaded_only_when_used() -> None:
    heavy = "{'matplotlib', 'jinja2', 'numpy', 'torch'}"
    code = f"import sys, symcheck.report.html.figures; print({heavy} & {{*sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "set()"


def test_rendering_never_loads_torch(folder: Path) -> None:
    file = folder / "report.json"
    file.write_text(drawn_report(folder).to_json())
    code = (
        "import sys, pathlib; from symcheck.report.model import Report; from symcheck.report.html import render_html;"
        f"html = render_html(Report.from_json(pathlib.Path({str(file)!r}).read_text()));"
        "print('Worst pair: image' in html, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split() == ["True", "False"]


ODD = (0.0, 5e-324, 1e-120, 1e-16, 1.0, 1e120, 1.7e308, -0.1, -1e308, float("nan"), float("inf"))


@pytest.mark.parametrize("kind", ["angle", "rotation", "number", "listed"])
def test_numbers_at_the_ends_of_their_range_are_no_fault(kind: str) -> None:
    whole = curve(kind, len(ODD))
    findings = [
        drawn(Verdict.EXACT, odd, tolerance=odd, distribution=ODD[i:] + ODD[:i], curve=replace(whole, errors=ODD))
        for i, odd in enumerate(ODD)
    ]
    assert faults(render_html(report(*findings))) == []


@pytest.mark.parametrize(
    "change", [{"labels": ("a",)}, {"errors": (0.1,)}, {"at": ((0.0, 0.0),)}, {"at": ()}, {"at": ((0.0,),) * 12}]
)
def test_a_curve_whose_parts_do_not_belong_together_is_an_error(change: dict[str, Any]) -> None:
    with pytest.raises(LoadError, match=r"errors, .* labels"):
        render_html(report(drawn(curve=replace(curve("angle"), **change))))
