"""`symcheck report` as a user runs it: show, convert, diff and merge, without torch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from reports import every_status, finding, gates, outcome, report

from symcheck.cli.main import main
from symcheck.report.documents import read_report
from symcheck.report.formats import PRINTED, SUFFIXES
from symcheck.report.model import Report, Verdict
from symcheck.report.outcome import Status
from symcheck.report.write import write_report

CURVED = finding(Verdict.BROKEN, 0.05, distribution=tuple(i / 20 for i in range(21)))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    write_report(report(CURVED), Path("r.json"))
    write_report(every_status(), Path("g.json"))
    yield tmp_path


def run(*args: object) -> int:
    return main(["report", *map(str, args)])


def test_show_says_what_was_found_and_exits_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", "r.json", "g.json") == 0
    out = capsys.readouterr().out
    assert out.index("1 broken in 3.2 s") < out.index("1 passed, 1 failed")
    assert "median" not in out
    assert run("show", "r.json", "--details") == 0
    assert "median" in capsys.readouterr().out


@pytest.mark.parametrize("format_", PRINTED)
@pytest.mark.parametrize("file", ["r.json", "g.json"])
def test_show_in_every_format(file: str, format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", file, "--format", format_) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    start = {"json": "{", "sarif": "{", "html": "<!", "junit": "<?xml", "csv": "subject,", "markdown": "## symcheck"}
    assert captured.out.startswith(start.get(format_, "::error" if format_ == "github" else ("potential", "gates")))


def test_github_also_writes_the_summary_of_the_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(folder / "summary.md"))
    (folder / "summary.md").write_text("before\n")
    assert run("show", "g.json", "--format", "github") == 0
    assert (folder / "summary.md").read_text(encoding="utf-8").startswith("before\n\n## symcheck: gates")
    assert run("show", "g.json") == 0
    assert (folder / "summary.md").read_text(encoding="utf-8").count("## symcheck") == 1


def test_convert_to_everything(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"a{suffix}" for suffix in SUFFIXES]
    outputs = [word for name in names for word in ("-o", name)]
    assert run("convert", "r.json", *outputs) == 0
    assert capsys.readouterr().out.splitlines() == [f"wrote {name}" for name in names]
    assert sorted(p.name for p in folder.iterdir()) == sorted([*names, "r.json", "g.json"])
    assert read_report(Path("a.json")) == read_report(Path("r.json"))
    assert ET.parse("a.xml").getroot().get("failures") == "1"
    assert json.loads(Path("a.sarif").read_text())["version"] == "2.1.0"


def connection() -> dict[str, Any]:
    curve = {"samples": 9, "loss": [0.1, 0.9, 0.1], "error": None, "error_barrier": None, "barrier": {"value": 0.8}}
    variant = {"name": "naive", "path": "linear", "treatment": "none", "curves": {"train": curve}, "mechanisms": []}
    plain = {"t": [0.0, 0.5, 1.0], "variants": {"naive": variant}, "loss": "mse", "notes": [], "seconds": 1.0}
    return {"schema": "symcheck.connect/1", "checkpoints": [{"path": "a.pt"}, {"path": "b.pt"}], **plain}


def test_other_documents_have_the_forms_that_make_sense(capsys: pytest.CaptureFixture[str]) -> None:
    Path("c.json").write_text(json.dumps(connection()))
    assert run("show", "c.json") == 0
    assert "symcheck.connect/1" in capsys.readouterr().out
    assert run("convert", "c.json", "-o", "c.csv") == 0
    assert len(Path("c.csv").read_text().splitlines()) == 4
    assert run("convert", "c.json", "-o", "c.xml") == 2
    assert "judges nothing" in capsys.readouterr().err
    assert run("diff", "c.json", "r.json") == 2
    assert "not a report" in capsys.readouterr().err


def test_diff(capsys: pytest.CaptureFixture[str]) -> None:
    write_report(report(replace(CURVED, error=finding(Verdict.BROKEN, 0.5).error)), Path("worse.json"))
    assert run("diff", "r.json", "worse.json") == 0
    out = capsys.readouterr().out
    for words in ("worse", "5.0 % [4.6, 5.4]", "50 % [46, 54]", "lies above the old one", "1 worse"):
        assert words in out
    assert run("diff", "r.json", "worse.json", "--fail-on-worse") == 1
    assert run("diff", "worse.json", "r.json", "--fail-on-worse") == 0
    assert run("diff", "r.json", "r.json", "--fail-on-worse") == 0
    capsys.readouterr()
    assert run("diff", "r.json", "worse.json", "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)["tally"]["worse"] == 1
    assert run("diff", "r.json", "worse.json", "--format", "markdown") == 0
    assert capsys.readouterr().out.startswith("## symcheck: 1 worse")


def test_what_is_gone_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    write_report(report(CURVED, replace(CURVED, output="forces")), Path("both.json"))
    assert run("diff", "both.json", "r.json") == 0
    assert run("diff", "both.json", "r.json", "--fail-on-worse") == 1
    assert run("diff", "r.json", "both.json", "--fail-on-worse") == 0
    assert "gone" in capsys.readouterr().out


def test_numbers_without_a_place_among_floats_are_one_error(capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (("r.json", '"seed": 0'), ("r.json", '"forwards": 4160'), ("c.json", '"seconds": 1.0')):
        Path("c.json").write_text(json.dumps(connection()))
        plain = Path(name).read_text()
        assert text in plain
        Path("h.json").write_text(plain.replace(text, f"{text.split(':')[0]}: 1{'0' * 400}"))
        assert run("show", "h.json") == 2
        assert "too large" in capsys.readouterr().err


def test_merge(capsys: pytest.CaptureFixture[str]) -> None:
    write_report(report(replace(CURVED, output="forces")), Path("s.json"))
    assert run("merge", "r.json", "s.json", "-o", "m.json", "-o", "m.md") == 0
    assert capsys.readouterr().out == "2 shards: 2 failed\n"
    made = read_report(Path("m.json"))
    assert isinstance(made, Report)
    assert [f.output for f in made.findings] == ["energy", "forces"]
    write_report(report(replace(CURVED, tolerance=0.5)), Path("t.json"))
    assert run("merge", "r.json", "t.json", "-o", "n.json") == 2
    assert "contradict" in capsys.readouterr().err
    assert not Path("n.json").exists()


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["show", "gone.json"], "gone.json"),
        (["show", "r.json", "--format", "jsno"], "did you mean 'json'"),
        (["show", "r.json", "g.txt"], "g.txt"),
        (["convert", "r.json", "-o", "r.htlm"], "did you mean '.html'"),
        (["convert", "r.json", "-o", "no/folder/r.html"], "mkdir -p no/folder"),
        (["convert", "r.json"], "--out"),
        (["diff", "r.json", "other.json"], "in common"),
        (["diff", "r.json", "none.json", "--fail-on-worse"], "in common"),
        (["diff", "none.json", "none.json"], "in common"),
        (["diff", "r.json", "r.json", "--format", "html"], "known: json, markdown, text"),
        (["merge", "r.json", "g.json", "-o", "m.json"], "cannot be joined"),
        (["shwo", "r.json"], "show"),
    ],
)
def test_bad_input_is_exit_2_with_three_lines(args: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    write_report(report(), Path("none.json"))
    write_report(report(replace(CURVED, claim="C4: x -> x")), Path("other.json"))
    assert run(*args) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert [line.split(":")[0] for line in captured.err.splitlines()] == ["symcheck", "where", "hint"]
    assert word in captured.err
    assert sorted(p.name for p in Path().iterdir()) == ["g.json", "none.json", "other.json", "r.json"]


@pytest.mark.parametrize("bad", ['{"schema": "symcheck.report/1"}', '{"a": NaN}', "[" * 10**5, '{"schema": 3}'])
def test_a_hostile_report_is_exit_2(bad: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("bad.json").write_text(bad)
    for args in (["show", "bad.json"], ["convert", "bad.json", "-o", "x.md"], ["diff", "r.json", "bad.json"]):
        assert run(*args) == 2
        assert len(capsys.readouterr().err.splitlines()) == 3
    assert not Path("x.md").exists()


def test_a_failed_gate_is_shown_with_0_and_names_cannot_break_out(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = gates(outcome(Status.FAILED, gate="\x1b[31m::error::x\n::stop\x9b\x7f", reason="\ud800"))
    write_report(hostile, Path("h.json"))
    for format_ in PRINTED:
        assert run("show", "h.json", "--format", format_) == 0
        out = capsys.readouterr().out
        assert format_ == "html" or not set(out) & set("\x1b\x9b\x7f\ud800")
        assert format_ != "github" or len(out.splitlines()) == 2


HEAVY = "('torch', 'numpy', 'scipy', 'networkx', 'matplotlib', 'jinja2')"
COMMANDS = (
    ["--help"], ["show", "r.json", "g.json"], ["show", "g.json", "--format", "github"], ["diff", "r.json", "r.json"],
    ["merge", "r.json", "-o", "m.json"],
    ["convert", "g.json", "-o", "g.xml", "-o", "g.sarif", "-o", "g.csv", "-o", "g.md", "-o", "g.txt"],
)  # fmt: skip


@pytest.mark.parametrize("args", COMMANDS, ids=lambda args: args[0])
def test_nothing_heavy_is_loaded(args: list[str]) -> None:
    code = f"import sys; from symcheck.cli.main import main; code = main({['report', *args]!r})\n"
    code += f"print(code, [m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "0 []"
