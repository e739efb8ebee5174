"""A misspelt name of any kind is refused with the nearest one, in three lines and with exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from symcheck.cli.main import main

ROOT = Path(__file__).parents[2]
POTENTIAL = ["audit", "fixtures/potential.toml"]
PAIR = ["fixtures/digits-mlp-a.toml", "fixtures/digits-mlp-b.toml"]


@pytest.mark.parametrize(
    ("args", "nearest"),
    [
        (["audti"], "'audit'"),
        (["wieghts"], "'weights'"),
        (["explan"], "'explain'"),
        (["audit", "--tolerence", "1"], "'--tolerance'"),
        (["connect", "--test-input", "x"], "'--test-inputs'"),
        (["merge", "--no-rest"], "'--no-reset'"),
        (["doctor", "--fromat", "json"], "'--format'"),
        (["--vresion"], "'--version'"),
        (["report", "shwo"], "'show'"),
        (["report", "show", "--fromat", "json"], "'--format'"),
        (["audit", "--format", "jsn"], "'json'"),
        (["list", "group"], "'groups'"),
        (["list", "groups", "--format", "jsno"], "'json'"),
        (["doctor", "--format", "txt"], "'text'"),
        (["explain", "inconclusiv"], "'inconclusive'"),
        (["explain", "exact", "--format", "markdwn"], "'markdown'"),
        ([*POTENTIAL, "SO3D(3): pos=points -> energy=scalar"], "'SO'"),
        ([*POTENTIAL, "SO(3): pos=point, z=scalar -> energy=scalar, forces=vector"], "'points'"),
        ([*POTENTIAL, "-i", "norml(3)"], "'normal'"),
        ([*POTENTIAL, "--dtype", "flot32"], "'float32'"),
        (["align", *PAIR, "--matcher", "weigths"], "'weights'"),
        (["align", *PAIR, "--kinds", "permutaton"], "'permutation'"),
        (["merge", *PAIR, "--method", "avrage"], "'average'"),
        (["connect", *PAIR, "--path", "liner"], "'linear'"),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else value,
)
def test_a_misspelt_name(
    args: list[str], nearest: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main(args) == 2
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if line]
    assert [line.split(":")[0] for line in lines[-3:]] == ["symcheck", "where", "hint"]
    assert f"did you mean {nearest}" in lines[-1] or f"or {nearest}" in lines[-1]


@pytest.mark.parametrize("args", [["zzzz"], ["audit", "--zzzz"], ["audit", "--matchr", "x"], ["-z"]])
def test_where_nothing_is_near_the_help_page_is_named(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    hint = capsys.readouterr().err.splitlines()[-1]
    assert hint == f"hint: symcheck{' audit' if args[0] == 'audit' else ''} --help"


def test_other_usage_errors_keep_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "--samples", "many"]) == 2
    assert "'--samples'" in capsys.readouterr().err


def test_a_group_without_a_command_shows_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report"]) == 2
    out, err = capsys.readouterr()
    assert "show" in out and "diff" in out
    assert err == "symcheck: there is no command\nwhere: symcheck report\nhint: symcheck report --help\n"
