"""Going on: an interrupted run is finished without measuring again what it had, and nothing else is trusted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from engine_cases import CLAIMS, Net, assert_same, audited, images

from symcheck.engines.engine import BLOCKS
from symcheck.engines.store import clear
from symcheck.errors import ConfigError


class Interrupted(Exception):
    pass


def interrupted(folder: Path, after: int, **options: object) -> Net:
    def stop(done: int, total: int) -> None:
        if done == after:
            raise Interrupted

    net = Net()
    with pytest.raises(Interrupted):
        audited(net, resume=folder, progress=stop, **options)
    return net


def test_a_run_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "report.parts"
    begun = interrupted(folder, 10)
    assert len([*folder.iterdir()]) == 10
    net, told = Net(), []
    report = audited(net, resume=folder, progress=lambda done, total: told.append((done, total)))
    total = BLOCKS * len(CLAIMS)
    assert told == [(i, total) for i in range(11, total + 1)]
    uninterrupted = audited(resume=tmp_path / "other.parts")
    assert_same(report, uninterrupted)
    assert_same(report, audited())
    assert sum(begun.calls) + sum(net.calls) == report.forwards
    assert 0 < sum(net.calls) < uninterrupted.forwards
    assert report.notes == ()


def test_what_is_finished_is_not_measured_at_all(tmp_path: Path) -> None:
    first, net = audited(resume=tmp_path / "r.parts"), Net()
    again = audited(net, resume=tmp_path / "r.parts")
    assert net.calls == []
    assert_same(again, first)
    assert again.forwards == first.forwards


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)


@pytest.mark.parametrize(
    "harm",
    [
        flipped,
        lambda path: path.write_bytes(path.read_bytes()[:50]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(next(p for p in path.parent.iterdir() if p != path).read_bytes()),
    ],
)
def test_a_damaged_or_foreign_part_is_measured_again(tmp_path: Path, harm: Callable[[Path], object]) -> None:
    folder = tmp_path / "r.parts"
    audited(resume=folder)
    harm(sorted(folder.iterdir())[3])
    net = Net()
    report = audited(net, resume=folder)
    assert_same(report, audited())
    assert net.calls and len([note for note in report.notes if "not trusted" in note]) == 1
    assert audited(resume=folder).notes == ()  # it was written anew


@pytest.mark.parametrize(
    "options",
    [{"seed": 1}, {"net": Net(3)}, {"inputs": images(4)}, {"elements": 14}, {"tolerance": 0.1}, {"dtype": "float32"}],
)
def test_parts_of_another_run_are_left_alone(tmp_path: Path, options: dict[str, object]) -> None:
    folder = tmp_path / "r.parts"
    interrupted(folder, 20)
    expected = audited(**options)
    found = audited(**options, resume=folder)
    means = [[f.error and f.error.spread.mean for f in report.findings] for report in (found, expected)]
    assert means[0] == pytest.approx(means[1], rel=1e-5 if "dtype" in options else 1e-12)
    assert found.notes == ()


def test_a_function_goes_on_too(tmp_path: Path) -> None:
    def plain(x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, :2].sum(-1) + 0.5

    assert_same(audited(plain, resume=tmp_path / "r"), audited(plain))

    def other(x: torch.Tensor) -> torch.Tensor:
        return x[:, 0, :3].sum(-1) + 0.5

    other.__name__ = plain.__name__
    assert_same(audited(other, resume=tmp_path / "r"), audited(other))


def test_another_forward_with_the_same_weights_is_another_network(tmp_path: Path) -> None:
    class Other(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x).tanh()

    Other.__name__ = "Net"
    audited(resume=tmp_path / "r")
    assert_same(audited(Other(), resume=tmp_path / "r"), audited(Other()))


def test_clearing_leaves_what_is_not_ours(tmp_path: Path) -> None:
    folder = tmp_path / "r.parts"
    audited(resume=folder, claims=CLAIMS[0])
    (folder / f".{'0' * 32}.safetensors.12.tmp").write_bytes(b"half")
    (folder / "thesis.txt").write_text("mine")
    clear(folder)
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
    (folder / "thesis.txt").unlink()
    clear(folder)
    assert not folder.exists()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "r.parts").write_text("a file")
    with pytest.raises(ConfigError, match="folder cannot be made"):
        audited(resume=tmp_path / "r.parts")
