"""Workflow commands and the summary of the step: nothing escapes its line, nothing that others wrote is lost."""

import re
from pathlib import Path

import pytest
from reports import every_status, full, gates, outcome

from symcheck.errors import ConfigError, LoadError
from symcheck.report.documents import Document
from symcheck.report.github import SUMMARY_LIMIT, emit_github
from symcheck.report.outcome import Place, Status

COMMAND = re.compile(r"^::(error|warning|notice) ([^:]*)::(.*)$")


def emitted(made: Document, environ: dict[str, str] | None = None) -> list[str]:
    lines: list[str] = []
    emit_github(made, environ or {}, lines.append)
    return lines


def parsed(line: str) -> tuple[str, dict[str, str], str]:
    """A command as the runner reads it."""
    found = COMMAND.match(line)
    assert found, line
    properties = dict(pair.split("=", 1) for pair in found[2].split(","))

    def plain(text: str) -> str:
        for code, char in (("%3A", ":"), ("%2C", ","), ("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            text = text.replace(code, char)
        return text

    return found[1], {key: plain(value) for key, value in properties.items()}, plain(found[3])


def test_levels_places_and_words() -> None:
    *lines, last = emitted(every_status())
    found = [parsed(line) for line in lines]
    assert [level for level, _, _ in found] == ["error", "error", "warning", "notice"]
    _, properties, text = found[1]
    assert properties == {"title": "gate-failed: broken", "file": "gates/symcheck.toml", "line": "12"}
    for words in ("energy, proper", "5.2 % [4.8, 5.6], limit 0.1 %", "above the limit", "cross product"):
        assert words in text
    assert "known since March" in found[3][2]
    assert last == "symcheck: 1 passed, 1 failed, 1 inconclusive, 1 unmeasured, 1 waived in 2.3 s"


def test_paths_are_relative_to_the_workspace(tmp_path: Path) -> None:
    made = gates(outcome(Status.FAILED, place=Place(str(tmp_path / "a,b:c" / "x.toml"), 0)))
    _, properties, _ = parsed(emitted(made, {"GITHUB_WORKSPACE": str(tmp_path)})[0])
    assert properties["file"] == "a,b:c/x.toml"
    assert properties["line"] == "1"


HOSTILE = "::set-env name=X::y\n::error::z\r\x85\u2028, : % %0A \x1b[31m \udcff"


@pytest.mark.parametrize("field", ["gate", "reason", "advice", "waiver", "output"])
def test_nothing_leaves_its_line(field: str) -> None:
    made = gates(outcome(Status.FAILED, **{field: HOSTILE}), config=HOSTILE)
    lines = emitted(made)
    assert len(lines) == 2
    assert len(lines[0].splitlines()) == 1
    assert "\x1b" not in lines[0]
    level, properties, text = parsed(lines[0])
    assert level == "error"
    assert set(properties) == {"title", "file", "line"}
    assert "::error::z" in (properties["title"] + text)


def test_at_most_nine_and_how_many_more() -> None:
    lines = emitted(gates(*(outcome(Status.FAILED, gate=f"g{i}") for i in range(9)), outcome()))
    assert len(lines) == 10
    many = emitted(gates(*(outcome(Status.INCONCLUSIVE) for _ in range(20)), outcome(Status.FAILED)))
    assert len(many) == 11
    assert many[0].startswith("::error ")
    assert parsed(many[9]) == ("warning", {"title": "symcheck"}, "and 12 more: 12 inconclusive")


def test_all_passed_says_only_so_and_nothing_judged_is_an_error() -> None:
    assert emitted(gates(outcome())) == ["symcheck: 1 passed in 2.3 s"]
    first, last = emitted(gates())
    assert parsed(first)[0] == "error"
    assert "nothing was judged" in last


def test_an_audit_too_and_no_other_document() -> None:
    lines = emitted(full())
    assert [parsed(line)[0] for line in lines[:-1]] == ["error"] * 3 + ["warning"]
    with pytest.raises(LoadError, match="judges nothing"):
        emitted({"schema": "symcheck.connect/1"})


def test_the_summary_is_appended(tmp_path: Path) -> None:
    path = tmp_path / "summary"
    environ = {"GITHUB_STEP_SUMMARY": str(path)}
    emitted(every_status(), environ)
    emitted(full(), environ)
    text = path.read_text(encoding="utf-8")
    assert text.index("## symcheck: gates") < text.index("## symcheck: potential")


@pytest.mark.parametrize(("left", "kept"), [(200_000, "**failed**"), (900, "no room"), (20, "")])
def test_the_summary_stays_below_what_github_takes(tmp_path: Path, left: int, kept: str) -> None:
    path = tmp_path / "summary"
    path.write_bytes(b"x" * (SUMMARY_LIMIT - left))
    emitted(every_status(), {"GITHUB_STEP_SUMMARY": str(path)})
    data = path.read_bytes()
    assert data.startswith(b"x" * (SUMMARY_LIMIT - left))
    assert len(data) <= SUMMARY_LIMIT
    assert kept in data[SUMMARY_LIMIT - left :].decode()
    assert bool(kept) == (len(data) > SUMMARY_LIMIT - left)


def test_a_summary_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        emitted(full(), {"GITHUB_STEP_SUMMARY": str(tmp_path)})
    assert "GITHUB_STEP_SUMMARY" in caught.value.where
