"""Reports on disk: by suffix, whole or not at all, and read back."""

import json
import os
from pathlib import Path

import pytest
from reports import finding, full, nan, report

from symcheck.errors import ConfigError, LoadError
from symcheck.report.documents import read_report
from symcheck.report.formats import FORMATS, SUFFIXES, format_of
from symcheck.report.model import Verdict
from symcheck.report.write import check_path, rendered, write_report, write_text


def test_json_comes_back(tmp_path: Path) -> None:
    write_report(full(), tmp_path / "a.json")
    again = read_report(tmp_path / "a.json")
    assert again.to_dict() == full().to_dict() | {"nonfinite": again.to_dict()["nonfinite"]}
    assert again.findings[0] == full().findings[0]


def test_the_suffix_decides(tmp_path: Path) -> None:
    for name in ("a.json", "a.md", "a.txt"):
        write_report(full(), tmp_path / name)
    assert json.loads((tmp_path / "a.json").read_text())["schema"] == "symcheck.report/1"
    assert (tmp_path / "a.md").read_text(encoding="utf-8").startswith("## symcheck")
    assert (tmp_path / "a.txt").read_text(encoding="utf-8").startswith("potential\n")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.json", "a.md", "a.txt"]


@pytest.mark.parametrize("name", ["a.yaml", "a", "a.json.gz", ".json", "missing/a.json"])
def test_what_cannot_be_written_is_refused_beforehand(tmp_path: Path, name: str) -> None:
    for act in (check_path, lambda path: write_report(full(), path)):
        with pytest.raises(ConfigError) as caught:
            act(tmp_path / name)
        assert caught.value.hint
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "close"),
    [("a.jsn", ".json"), ("a.htm", ".html"), ("a.sariff", ".sarif"), ("a.pfd", ".pdf"), ("a.q", ".csv, .html")],
)
def test_an_unknown_suffix_has_a_suggestion(tmp_path: Path, name: str, close: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_path(tmp_path / name)
    assert close in caught.value.hint


def test_every_format_has_a_suffix_and_the_longest_wins() -> None:
    assert {format_of(Path(f"a.b{suffix.upper()}")) for suffix in SUFFIXES} == {*FORMATS, "figure"}
    assert format_of(Path("a.sarif.json")) == "sarif"
    assert format_of(Path("a.json")) == "json"
    with pytest.raises(ConfigError, match="unknown format 'yaml'"):
        rendered(full(), "yaml")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_each_suffix_holds(tmp_path: Path, suffix: str) -> None:
    starts = {"sarif": b"{", "json": b"{", "markdown": b"## ", "text": b"potential", "junit": b"<?xml"}
    starts |= {"csv": b"subject,", "html": b"<!", ".pdf": b"%PDF", ".svg": b"<", ".png": b"\x89PNG"}
    path = tmp_path / f"a{suffix}"
    made = finding(Verdict.BROKEN, 0.05, distribution=tuple(i / 20 for i in range(21)))
    write_report(report(made), path)
    assert path.read_bytes().lstrip().lower().startswith(starts.get(format_of(path), starts.get(suffix, b"?")).lower())
    assert list(tmp_path.iterdir()) == [path]


def test_a_renderer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    for name in ("a.csv", "a.xml"):
        with pytest.raises(LoadError):
            write_report({"schema": "symcheck.align/1"}, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_text_is_written_as_it_is(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "é\r\n\udcff")
    assert (tmp_path / "a").read_bytes() == "é\r\n\\udcff".encode()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.json").mkdir()
    with pytest.raises(ConfigError):
        check_path(tmp_path / "a.json")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ConfigError, match="No space left"):
        write_report(full(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_names_that_are_no_unicode_are_written(tmp_path: Path) -> None:
    odd = report(subject={"name": "caf\udce9"})
    for suffix in ("json", "md", "txt"):
        write_report(odd, tmp_path / f"a.{suffix}")
    assert read_report(tmp_path / "a.json").subject["name"] == "caf\udce9"


def test_nan_becomes_null_and_comes_back(tmp_path: Path) -> None:
    write_report(report(nan()), tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    assert "NaN" not in text.replace("NaN in the output", "")
    worst = read_report(tmp_path / "a.json").findings[0].worst
    assert worst is not None
    assert worst.value != worst.value


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_no_json_is_refused(tmp_path: Path, number: str) -> None:
    text = report(finding(Verdict.EXACT)).to_json().replace('"seconds": 3.24', f'"seconds": {number}')
    assert number in text
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(LoadError, match=number):
        read_report(tmp_path / "a.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"schema": "other/1"}', "[" * 100_000, "\udcff"])
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(LoadError) as caught:
        read_report(tmp_path / "a.json")
    assert caught.value.hint
    with pytest.raises(LoadError):
        read_report(tmp_path / "none.json")
