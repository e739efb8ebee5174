"""The subject file: round trip, relative paths, unknown keys, wrong types, syntax errors, no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from symcheck.errors import ConfigError, LoadError
from symcheck.loading import SubjectFile, read_subject_file

FULL = """
name = "potential"
checkpoint = "weights/net.pt"
model = "net.py:build"
key = "model_state_dict"
claims = ["SO(3): pos=points -> energy=scalar", "S: pos=nodes -> energy=invariant"]
samples = 32
elements = 16
seed = 5
dtype = "float64"
device = "cpu"
batch_size = 8

[arguments]
width = 64
sizes = [1, 2]

[inputs]
pos = "data.npz:pos"
z = "integers(10,5)"
w = "make.py:draw"

[tolerance]
"SO(3): pos=points -> energy=scalar" = 1e-4

[derive]
forces = "-d(energy)/d(pos)"
"""


def written(folder: Path, text: str, name: str = "subject.toml") -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_every_key_arrives_and_paths_start_at_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data.npz").write_bytes(b"")
    path = written(tmp_path, FULL)
    monkeypatch.chdir("/")
    assert read_subject_file(path) == SubjectFile(
        name="potential",
        checkpoint=str(tmp_path / "weights/net.pt"),
        model=f"{tmp_path / 'net.py'}:build",
        key="model_state_dict",
        claims=("SO(3): pos=points -> energy=scalar", "S: pos=nodes -> energy=invariant"),
        samples=32,
        elements=16,
        seed=5,
        dtype="float64",
        device="cpu",
        batch_size=8,
        arguments={"width": 64, "sizes": [1, 2]},
        inputs={
            "pos": f"{tmp_path / 'data.npz'}:pos",
            "z": "integers(10,5)",
            "w": f"{tmp_path / 'make.py'}:draw",
        },
        tolerance={"SO(3): pos=points -> energy=scalar": 1e-4},
        derive={"forces": "-d(energy)/d(pos)"},
    )


def test_pyproject_holds_the_same_keys_in_its_table(tmp_path: Path) -> None:
    alone = read_subject_file(written(tmp_path, 'claims = "C4: image -> invariant"\nmodel = "a.b:c"\n'))
    text = '[project]\nname = "x"\n[tool.symcheck]\nclaims = "C4: image -> invariant"\nmodel = "a.b:c"\n'
    assert read_subject_file(written(tmp_path, text, "pyproject.toml")) == alone
    assert alone.claims == ("C4: image -> invariant",) and alone.model == "a.b:c"
    assert alone.inputs is None and alone.tolerance is None
    with pytest.raises(ConfigError, match=r"no table \[tool.symcheck\]"):
        read_subject_file(written(tmp_path, "[project]\n", "pyproject.toml"))


def test_an_unknown_key_is_refused_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key 'tolerence'") as caught:
        read_subject_file(written(tmp_path, "tolerence = 1e-3\n"))
    assert "did you mean 'tolerance'" in caught.value.hint
    assert str(tmp_path) in caught.value.where


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("checkpoint = 3", "a text"),
        ("samples = 2.5", "a positive whole number"),
        ("samples = 0", "a positive whole number"),
        ("samples = true", "a positive whole number"),
        ("seed = -1", "a whole number that is not negative"),
        ("claims = [1]", "a list of texts"),
        ("tolerance = -1e-3", "not negative"),
        ("tolerance = nan", "not negative"),
        ('tolerance = "small"', "not negative"),
        ("tolerance = { a = true }", "not negative"),
        ("arguments = []", "a table"),
        ("inputs = { a = 1 }", "a table of names and texts"),
        ("derive = { forces = 1 }", "a table of names and texts"),
        ("batch_size = '8'", "a positive whole number"),
    ],
)
def test_a_wrong_type_names_the_key_and_what_is_expected(line: str, expected: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_subject_file(written(tmp_path, line))
    key = line.split(" ")[0]
    assert f"'{key}' must be" in caught.value.message and expected in caught.value.message
    assert f"'{key}'" in caught.value.where and caught.value.hint.startswith(f"write {key} = ")


def test_a_syntax_error_says_the_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="line 3"):
        read_subject_file(written(tmp_path, "seed = 1\n\nclaims = C4\n"))


def test_what_is_no_text_or_no_file(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        read_subject_file(tmp_path / "binary.toml")
    with pytest.raises(LoadError, match="no such file"):
        read_subject_file(tmp_path / "none.toml")


def test_reading_one_imports_no_torch(tmp_path: Path) -> None:
    path = written(tmp_path, "seed = 1\n")
    code = (
        "import sys; from symcheck.loading import read_subject_file, sniff\n"
        f"read_subject_file({str(path)!r}); sniff({str(path)!r})\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
