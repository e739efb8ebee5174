"""No output replaces what the same run reads, and a symbolic link stays one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file

from symcheck.cli.main import main
from symcheck.errors import ConfigError
from symcheck.report.write import check_path, write_text

FIXTURES = Path(__file__).parents[2] / "fixtures"
CLAIM = "C4: image -> invariant"
SMALL = ["--samples", "4", "--elements", "4", "-q", "--exit-zero"]


def run(*args: object) -> int:
    return main([str(a) for a in args])


def network(folder: Path, checkpoint: str = "net.safetensors", data: str = "data.npz") -> list[object]:
    shutil.copy(FIXTURES / "digits-cnn.safetensors", folder / checkpoint)
    shutil.copy(FIXTURES / "digits-cnn-data.npz", folder / data)
    return ["audit", folder / checkpoint, CLAIM, "--model", f"{FIXTURES}/models.py:cnn", "-i", folder / data, *SMALL]


@pytest.mark.parametrize("kept", ["a.json", "sub/../a.json", "link.json"])
def test_an_output_that_is_read_is_refused(tmp_path: Path, kept: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("a.json")
    with pytest.raises(ConfigError, match="would replace what this run reads"):
        check_path(tmp_path / "a.json", keep=[tmp_path / "x", tmp_path / kept])
    with pytest.raises(ConfigError, match="would replace"):
        check_path(tmp_path / "link.json", keep=[tmp_path / "a.json"])
    check_path(tmp_path / "a.json", keep=[tmp_path / "x", tmp_path / "b.json"])


@pytest.mark.parametrize(
    ("kept", "refused"),
    [
        ("a.worst.safetensors", True), ("a.worst.1.safetensors", True), ("a.worst.1.2.safetensors", True),
        ("a.safetensors", False), ("b.worst.safetensors", False), ("a.worst.x.safetensors", False),
        ("sub/a.worst.safetensors", False), ("link", True),
    ],
)  # fmt: skip
def test_the_worst_pairs_beside_an_output_replace_nothing_that_is_read(
    tmp_path: Path, kept: str, refused: bool
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("a.worst.safetensors")
    if not refused:
        check_path(tmp_path / "a.json", keep=[tmp_path / kept])
        return
    with pytest.raises(ConfigError, match="the worst pairs beside the output"):
        check_path(tmp_path / "a.json", keep=[tmp_path / kept])


@pytest.mark.parametrize(
    ("checkpoint", "data", "output"),
    [
        ("net.txt", "data.npz", "net.txt"), ("net.safetensors", "data.json", "data.json"),
        ("a.worst.safetensors", "data.npz", "a.json"), ("net.safetensors", "a.worst.safetensors", "a.md"),
    ],
)  # fmt: skip
def test_an_audit_keeps_what_it_reads(
    tmp_path: Path, checkpoint: str, data: str, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command = network(tmp_path, checkpoint, data)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert run(*command, "-o", tmp_path / output) == 2
    assert "would replace what this run reads" in capsys.readouterr().err
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_a_report_is_not_converted_or_merged_into_itself(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = tmp_path / "r.json"
    assert run(*network(tmp_path), "-o", report) == 0
    before = report.read_bytes()
    assert run("report", "convert", report, "-o", tmp_path / "r.md", "-o", report) == 2
    assert run("report", "merge", report, "-o", report) == 2
    assert capsys.readouterr().err.count("would replace what this run reads") == 2
    assert report.read_bytes() == before and not (tmp_path / "r.md").exists()
    assert run("report", "convert", report, "-o", tmp_path / "r.md") == 0


def test_the_file_behind_a_link_is_written(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "link.json").symlink_to("runs/today.json")
    write_text(tmp_path / "link.json", "new")
    assert (tmp_path / "link.json").is_symlink() and (tmp_path / "runs" / "today.json").read_text() == "new"
    (tmp_path / "a.worst.safetensors").symlink_to("runs/worst.safetensors")
    assert run(*network(tmp_path), "-o", tmp_path / "a.json", "-o", tmp_path / "link.json") == 0
    assert (tmp_path / "a.worst.safetensors").is_symlink() and load_file(tmp_path / "runs" / "worst.safetensors")
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["today.json", "worst.safetensors"]


def test_a_link_into_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link.json").symlink_to("nowhere/a.json")
    with pytest.raises(ConfigError):
        check_path(tmp_path / "link.json")
