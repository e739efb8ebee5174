"""Presets on the command line: listed, explained, copied, and used by `symcheck audit --preset`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_layers import loaded

from symcheck.cli.main import main
from symcheck.preset import built_in, header, preset_text
from symcheck.topics import chapters

NETS = Path(__file__).parents[1] / "family_networks.py"
BAGS = ["-i", "bag=normal(7,3)", "-i", "mask=uniform(7)", "--samples", "8", "--elements", "8", "-q"]


def run(*args: object) -> int:
    return main([str(arg) for arg in args])


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_are_listed_with_what_they_are_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "presets", "--format", "json") == 0
    shown = {one["name"]: one["summary"] for one in json.loads(capsys.readouterr().out)["names"]}
    assert shown.keys() == built_in().keys()
    for name, summary in shown.items():
        assert summary == header(preset_text(name)).partition("\n\n")[0].replace("\n", " ")


def test_a_preset_is_explained_by_its_own_comment(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", "potential", "--format", "markdown") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("## potential (presets)")
    assert " ".join(header(preset_text("potential")).partition("\n\n")[0].split()) in shown
    (chapter,) = (one for one in chapters() if one.name == "presets")
    assert [topic.name for topic in chapter.topics] == [*built_in()]


@pytest.mark.parametrize("name", ["potential", "set"])
def test_a_preset_is_copied_as_it_stands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", name, "--format", "toml") == 0
    assert capsys.readouterr().out == built_in()[name].read_text(encoding="utf-8")


@pytest.mark.parametrize("words", [["potental"], ["--list"], ["broken"]])
def test_only_presets_are_copied(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", *words, "--format", "toml") == 2
    assert "preset" in capsys.readouterr().err


def test_none_of_it_loads_torch() -> None:
    for command in (["list", "presets"], ["explain", "audio", "--format", "toml"], ["explain", "audio"]):
        assert loaded(f"from symcheck.cli.main import main\nmain({command!r})") == set()


def test_a_healthy_network_passes_and_a_faulty_one_does_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--model", f"{NETS}:Bag", *BAGS, "--preset", "set", "--format", "json") == 0
    report = json.loads(capsys.readouterr().out)
    assert [f["claim"] for f in report["findings"]] == ["S: bag=nodes, mask=nodes -> output=invariant"]
    assert run("audit", "--model", f"{NETS}:Bag", "-m", "fault=1.0", *BAGS, "--preset", "set") == 1
    assert "broken" in capsys.readouterr().out


def test_what_is_not_measured_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["-i", "x=normal(6,3)", "-i", "adj=uniform(6,6)", *BAGS[4:]]
    assert run("audit", "--model", f"{NETS}:Dense", *args, "--preset", "graph") == 0
    assert "not measured: S (there is no input batch" in " ".join(capsys.readouterr().out.split())


def test_a_subject_file_names_a_preset_and_a_flag_another(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = elsewhere / "project"
    folder.mkdir()
    assert run("explain", "set", "--format", "toml") == 0
    mine = capsys.readouterr().out.replace("S: set|x", "S: set|mine").replace("tolerance = 1e-3", "tolerance = 0.25")
    (folder / "mine.toml").write_text(mine)
    (folder / "subject.toml").write_text(
        f'model = "{NETS}:Bag"\npreset = "mine.toml"\nsamples = 6\nelements = 4\n'
        'inputs = { bag = "normal(7,3)", mask = "uniform(7)" }\n'
    )
    assert run("audit", folder / "subject.toml", "-q", "--format", "json") == 0
    settings = json.loads(capsys.readouterr().out)["settings"]
    assert (settings["tolerance"], settings["samples"]) == (0.25, 6)  # of the preset; of the subject file above it
    assert run("audit", folder / "subject.toml", "-q", "--preset", "weight-space") == 2
    assert "no claim of the preset applies" in capsys.readouterr().err
    assert run("audit", folder / "subject.toml", "S: bag=nodes, mask=nodes -> invariant", "-q", "--format", "json") == 0
    (claim,) = json.loads(capsys.readouterr().out)["settings"]["claims"]
    assert claim == "S: bag=nodes, mask=nodes -> invariant"


def test_an_unknown_preset_measures_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("audit", "--model", f"{NETS}:Bag", *BAGS, "--preset", "sets") == 2
    error = capsys.readouterr().err
    assert "unknown preset 'sets'" in error and "did you mean 'set'?" in error


def test_a_faulty_preset_measures_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (elsewhere / "mine.toml").write_text('claims = ["S: bag=nodse, mask=nodes -> invariant"]')
    assert run("audit", "--model", f"{NETS}:Bag", *BAGS, "--preset", "mine.toml") == 2
    assert "did you mean 'nodes'" in capsys.readouterr().err
