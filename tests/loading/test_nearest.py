"""A file that is not there: the nearest names of its folder, or where relative paths start."""

from __future__ import annotations

from pathlib import Path

import pytest

from symcheck.cli.main import main
from symcheck.errors import LoadError
from symcheck.files import readable
from symcheck.importing import import_object


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("flat.safetensors", "net.py", "données.npz"):
        (tmp_path / name).write_text("")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("flat.safetensor", "did you mean 'flat.safetensors'?"),
        ("Flat.safetensors", "did you mean 'flat.safetensors'?"),
        ("donnees.npz", "did you mean 'données.npz'?"),
        ("something else", "relative paths start at "),
        ("no folder/flat.safetensors", "relative paths start at "),
    ],
)
def test_a_misspelt_file_is_answered_with_the_nearest_name(folder: Path, name: str, hint: str) -> None:
    with pytest.raises(LoadError, match="there is no such file") as caught:
        readable(folder / name)
    assert caught.value.hint.startswith(hint)


def test_a_file_that_is_there_is_its_path(folder: Path) -> None:
    assert readable(folder / "flat.safetensors") == folder / "flat.safetensors"


def test_misspelt_code_is_answered_with_the_nearest_name(folder: Path) -> None:
    with pytest.raises(LoadError) as caught:
        import_object("nets.py:net", base=folder)
    assert caught.value.hint == "did you mean 'net.py'?"


@pytest.mark.parametrize("command", ["gate", "audit"])
@pytest.mark.parametrize(("table", "words"), [("tool.symcheck", "not text in UTF-8"), ("tool.other", "there is no")])
def test_a_pyproject_in_another_encoding(
    command: str, table: str, words: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    (tmp_path / "pyproject.toml").write_bytes(f'[{table}]\nname = "café"\n'.encode("latin-1"))
    monkeypatch.chdir(tmp_path)
    assert main([command]) == 2
    said = capsys.readouterr().err
    assert words in said and "Error" not in said
    assert all(line in said for line in ("where: ", "hint: "))
