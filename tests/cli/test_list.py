"""`symcheck list`: the names of the code, one line each, without loading it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from test_layers import loaded

from symcheck.actions.base import actions
from symcheck.cli.main import main
from symcheck.groups.base import groups
from symcheck.merge.methods import methods
from symcheck.registry import Registry
from symcheck.report.model import Verdict
from symcheck.topics import chapters

KINDS = ["groups", "actions", "metrics", "checks", "formats", "matchers", "methods", "verdicts"]


def listed(kind: str, capsys: pytest.CaptureFixture[str]) -> list[dict[str, str]]:
    assert main(["list", kind, "--format", "json"]) == 0
    plain = json.loads(capsys.readouterr().out)
    assert (plain["schema"], plain["kind"]) == ("symcheck.list/1", kind)
    found: list[dict[str, str]] = plain["names"]
    return found


@pytest.mark.parametrize(("kind", "known"), [("groups", groups), ("actions", actions), ("methods", methods)])
def test_the_names_are_those_of_the_registry(
    kind: str, known: Registry[object], capsys: pytest.CaptureFixture[str]
) -> None:
    named = {line["name"].partition("(")[0] for line in listed(kind, capsys)}
    assert named == set(known.names())


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_says_something(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = listed(kind, capsys)
    assert len(found) >= 4
    assert all(line["name"] and line["summary"].endswith((".", "?")) for line in found)


def test_verdicts_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert {line["name"] for line in listed("verdicts", capsys)} == {str(verdict) for verdict in Verdict}


def test_without_a_kind_the_kinds_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line[2] != " "]
    assert names == [chapter.name for chapter in chapters()]
    assert set(KINDS) <= set(names)


def test_what_a_csv_holds_is_what_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = [line for line in listed("formats", capsys) if line["name"] == "csv"]
    assert "a row for each number" in line["summary"] and "each finding" not in line["summary"]


def test_lines_for_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "verdicts"]) == 0
    assert "  broken        The claim is false: " in capsys.readouterr().out


@pytest.mark.parametrize("args", [["group"], ["verdicts", "--format", "markdown"]])
def test_an_unknown_kind_or_format_is_refused(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", *args]) == 2
    assert "unknown" in capsys.readouterr().err


def plugin(folder: Path) -> dict[str, str]:
    """The environment with an installed package whose group raises when it is loaded."""
    info = folder / "thing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[symcheck.groups]\nQuaternion = thing.groups:Quaternion\n")
    (folder / "thing.py").write_text("raise RuntimeError('loaded')")
    paths = [str(folder), str(Path(__file__).parents[2])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "NO_COLOR": "1"}


@pytest.mark.parametrize(("setting", "seen"), [({}, True), ({"SYMCHECK_PLUGINS": ""}, False)])
def test_a_plug_in_is_listed_and_not_loaded(tmp_path: Path, setting: dict[str, str], seen: bool) -> None:
    command = [sys.executable, "-m", "symcheck", "list", "groups"]
    done = subprocess.run(
        command, env={**plugin(tmp_path), **setting}, capture_output=True, text=True, check=True, timeout=120
    )
    assert ("Quaternion From thing.groups:Quaternion, a plug-in." in " ".join(done.stdout.split())) is seen


@pytest.mark.parametrize("args", [[], ["groups"], ["actions", "--format", "json"], ["nothing"]])
def test_listing_loads_nothing_heavy(args: list[str]) -> None:
    assert loaded(f"from symcheck.cli.main import main\nmain({['list', *args]!r})\nprint()") == set()
