"""What symcheck locate and symcheck discover write, read back: pages, figures, text, CSV; and hostile documents."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pages import data_of, expected, faults, read, shown
from told_documents import discovered, located, places, replaced
from typer.testing import CliRunner

from symcheck.cli.main import app
from symcheck.errors import ConfigError, LoadError
from symcheck.report.csv_ import render_csv
from symcheck.report.html import render_html
from symcheck.report.text import text_of
from symcheck.report.write import write_report

BOTH = pytest.mark.parametrize("made", [located, discovered])
HOSTILE: tuple[Any, ...] = (None, "x", -3, 1.5e300, True, [], {}, [[1]], {"a": 1}, ["x"], "\x1b[31m<script>", ...)
FACTS: dict[Any, tuple[str, ...]] = {
    located: (
        "weights that depend on the position", "head (Linear)", "130.0 %", "-30.0 %", "head: linear … relu",
        "image (assumed)", "net", "holds: C2, about z (exact); breaks: Cs (mirror)", "C2 ×2",
        "even turns are left alone", "within it up to 0.25", "turn 1 50 %", "stem.weight (Conv2d)", "9 of 3",
        "the weight leaves them", "1 of 3 layers are not certified", "0.40 ± 0.01", "80.0 %",
        "shifts are exact at multiples of 2 × 2",
        "it takes none", "The cheapest within 0.1 %: float32, eager, batch 64", "not measured",
        "a note of the location", "a note of the layers", "a note of the group", "--hidden blocks.0=image",
    ),
    discovered: (
        "so(2), 1 generator", "SO(3): x=vector -> y=invariant", "1 exact, 1 near; 1 to 2", "iso(2)", "closed",
        "diag(1,1)", "signature (2, 0)", "rotation about z", "[1,2] = -1.000", "S: x=nodes -> y=invariant", "S3",
        "1 candidate tried: exchange: 1", "1x0e", "[0 -1.0; 1.0 0]", "the network has it, the data have not",
        "0.90 shift", "a note of the discovery", "a note of the search", "a note of the data", "--under",
    ),
}  # fmt: skip


def flat(words: str) -> str:
    return " ".join(words.split())


@BOTH
def test_the_page_is_whole_and_holds_every_fact(made: Callable[[], dict[str, Any]]) -> None:
    html = render_html(made())
    assert faults(html) == []
    assert shown(html) == expected(data_of(html))
    words = flat(" ".join(text for path, text in read(html).texts if "script" not in path))
    assert [fact for fact in FACTS[made] if fact not in words] == []
    assert html.count("<figure") == (6 if made is located else 2)


@BOTH
def test_the_text_holds_every_fact(made: Callable[[], dict[str, Any]]) -> None:
    words = flat(text_of(made(), 400))
    assert [fact for fact in FACTS[made] if fact not in words] == []
    assert all(len(line) <= 100 for line in text_of(made(), 100).splitlines() if "symcheck " not in line)


def test_bars_of_the_text_are_as_long_as_their_shares() -> None:
    lines = [line for line in text_of(located()).splitlines() if "130.0 %" in line or "-30.0 %" in line]
    long, short = (line.count("█") for line in lines[:2])
    assert long == 24 and short == round(24 * 0.3 / 1.3)


@BOTH
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_figures_are_drawn(made: Callable[[], dict[str, Any]], suffix: str, tmp_path: Path) -> None:
    write_report(made(), tmp_path / f"figure.{suffix}")
    assert (tmp_path / f"figure.{suffix}").stat().st_size > 2000


def test_a_figure_names_its_bars(tmp_path: Path) -> None:
    write_report(located(), tmp_path / "bars.svg")
    svg = (tmp_path / "bars.svg").read_text()
    assert all(f">{words}<" in svg for words in ("head (Linear)", "stem (Conv2d)", "130.0 %", "-30.0 %"))


def test_without_shares_the_group_is_drawn_and_nothing_is_refused(tmp_path: Path) -> None:
    write_report(located(attribution=None), tmp_path / "lattice.svg")
    assert "Subgroups: logits" in (tmp_path / "lattice.svg").read_text()
    with pytest.raises(ConfigError, match="nothing to draw"):
        write_report(located(attribution=None, group=None), tmp_path / "empty.png")


@BOTH
def test_the_numbers_go_to_csv(made: Callable[[], dict[str, Any]]) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(made()))))
    own = {"share", "subgroup", "spectrum", "flow", "derivative"} if made is located else {"direction", "finite group"}
    assert {row["series"] for row in rows} == own
    if made is located:
        assert [row["value"] for row in rows if (row["label"], row["output"]) == ("head (Linear)", "logits")] == ["1.3"]


@BOTH
def test_hostile_values_are_shown_or_refused_by_place(made: Callable[[], dict[str, Any]]) -> None:
    data, refused = made(), 0
    for i, path in enumerate(places(data)):
        if path[0] in ("schema", "findings"):
            continue
        value = HOSTILE[i % len(HOSTILE)]
        for render in (text_of, render_csv):
            try:
                render(replaced(data, path, value))
            except LoadError as error:
                refused += 1
                assert str(path[0]) in str(error) or "curves" in str(error), (path, value)
    assert refused > 50


@BOTH
@pytest.mark.parametrize("name", ["L" * 5000, "\x1b[31m<script>alert(1)</script>\x00"])
def test_hostile_names_do_not_break_a_page(made: Callable[[], dict[str, Any]], name: str) -> None:
    data: Any = json.loads(json.dumps(made()).replace("rotation about z", "NAME").replace("head", "NAME"))
    text = json.dumps(data).replace("NAME", json.dumps(name)[1:-1])
    html = render_html(json.loads(text))
    assert faults(html) == [] and "<script>alert" not in html
    assert "\x1b" not in text_of(json.loads(text))


@pytest.mark.parametrize(
    ("path", "value", "word"),
    [
        (("attribution", "modules", 1, "share"), [1], "attribution.modules[1].share is a list, not an object"),
        (("attribution", "modules", 0, "share", "logits"), "x", "attribution.modules[0].share.logits is 'x'"),
        (("attribution", "operations", 0), 7, "attribution.operations[0] is a number, not an object"),
        (("attribution", "pairs"), ..., "attribution.pairs is null, not a whole number"),
        (("findings", 0, "verdict"), "fine", "findings[0].verdict is 'fine'"),
        (("group", "lattices", 0, "holds"), [9], "group.lattices[0].holds"),
        (("settings",), [], "settings is a list, not an object"),
        (("subject",), "net", "subject is 'net', not an object"),
    ],
)
def test_what_does_not_fit_is_named_by_its_place(path: tuple[Any, ...], value: Any, word: str) -> None:
    for render in (text_of, render_html):
        with pytest.raises(LoadError) as caught:
            render(replaced(located(), path, value))
        assert word in str(caught.value)


def test_numbers_that_are_none_are_shown_as_nan() -> None:
    data = replaced(located(), ("attribution", "modules", 0, "share", "logits"), None)
    assert "nan %" in text_of(data)
    assert faults(render_html(data)) == []
    drawn = replaced(discovered(), ("continuous", "spectrum", 0, "sigma"), None)
    assert faults(render_html(drawn)) == []


def test_parents_in_a_circle_are_not_drawn() -> None:
    data = replaced(located(), ("group", "lattices", 0, "nodes", 2, "parents"), [0])
    assert render_html(data).count("<figure") == render_html(located()).count("<figure") - 1


def test_report_shows_and_converts_and_refuses_to_compare(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps(located()))
    run = CliRunner()
    assert "head (Linear)" in run.invoke(app, ["report", "show", str(file)]).output
    outputs = ["-o", str(tmp_path / "a.html"), "-o", str(tmp_path / "a.txt")]
    done = run.invoke(app, ["report", "convert", str(file), *outputs])
    assert done.exit_code == 0 and (tmp_path / "a.html").stat().st_size > 10_000
    refused = run.invoke(app, ["report", "diff", str(file), str(file)]).exception
    assert isinstance(refused, LoadError) and "this is a symcheck.locate/1 document, not a report" in str(refused)


def test_reading_back_loads_nothing_heavy(tmp_path: Path) -> None:
    file = tmp_path / "found.json"
    file.write_text(json.dumps(discovered()))
    code = f"""
import sys
from pathlib import Path
from symcheck.report.documents import read_document
from symcheck.report.text import text_of
assert "so(2)" in text_of(read_document(Path({str(file)!r})))
print([name for name in ("torch", "numpy", "matplotlib") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
