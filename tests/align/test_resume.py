"""Stopped between any two solves and begun again: nothing is repeated, the result is the same, nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from decoders import Pair, pair, write
from torch import Tensor

from symcheck.align.pace import Pace
from symcheck.align.resume import Keeper, Position, bound_of, clear_leftovers, load_position, save_position
from symcheck.align.streamed import Stage, Streamed, align_files
from symcheck.errors import ConfigError
from symcheck.weights.stream import Checkpoint, open_checkpoint
from symcheck.weights.tensor_file import write_tensors


class Killed(Exception):
    """What a process that is killed does not hear."""


@pytest.fixture(scope="module")
def given() -> Pair:
    return pair()


@pytest.fixture(scope="module")
def files(given: Pair, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkpoint, Checkpoint]:
    folder = tmp_path_factory.mktemp("pair")
    return open_checkpoint(write(given.a, folder / "a")), open_checkpoint(write(given.b, folder / "b"))


def bound(files: tuple[Checkpoint, Checkpoint], given: Pair, **options: object) -> dict[str, str]:
    return bound_of(*files, given.spec, options)


def run(files: tuple[Checkpoint, Checkpoint], given: Pair, path: Path, stop: int = 10**6) -> tuple[Streamed, list[str]]:
    """Align from what the file holds; killed after so many steps, with only what was written then."""
    words: list[str] = []

    def tell(stage: Stage) -> None:
        words.append(stage.words)
        if len(words) == stop:
            raise Killed

    now = bound(files, given)
    keeper = Keeper(path, now, load_position(path, now) or Position(), share=1e9)  # written after every step
    return align_files(*files, given.spec, keeper=keeper, tell=tell), words


def solved(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith("reading")]


def test_killed_after_any_step_it_goes_on(tmp_path: Path, given: Pair, files: tuple[Checkpoint, Checkpoint]) -> None:
    whole, words = run(files, given, tmp_path / "whole")
    assert len(solved(words)) == 14 and whole.resumed == 0
    first = words.index("start: res") + 1
    for stop in range(first, first + 14):
        path = tmp_path / f"{stop}"
        with pytest.raises(Killed):
            run(files, given, path, stop)
        found, rest = run(files, given, path)
        assert solved(rest) == solved(words)[stop - first + 1 :], f"{stop}"  # nothing again, nothing left out
        assert found.resumed > 0
        assert rest[-1] == words[-1]
        for name, part in found.alignment.steps[0].items():
            assert torch.equal(part, whole.alignment.steps[0][name])
        assert found.alignment.cosine == whole.alignment.cosine


def test_a_position_that_was_changed_is_noticed(
    tmp_path: Path, given: Pair, files: tuple[Checkpoint, Checkpoint]
) -> None:
    """The test above can fail: with sources of its own a run goes another way."""
    path = tmp_path / "state"
    with pytest.raises(Killed):
        run(files, given, path, 40)
    position = load_position(path, bound(files, given))
    assert position is not None and position.waiting is not None
    wrong = {name: source.roll(1, -1) for name, source in position.source.items()}
    save_position(path, bound(files, given), replace(position, source=wrong, waiting=()))
    assert run(files, given, path)[0].alignment.cosine[1] < 0.5


def test_a_position_is_read_as_it_was_written(
    tmp_path: Path, given: Pair, files: tuple[Checkpoint, Checkpoint]
) -> None:
    now = bound(files, given)
    source = {"res": torch.randperm(24), "g0": torch.stack([torch.randperm(2) for _ in range(3)]).T.contiguous().T}
    element = {"e0": torch.randn(3, 4, 4, dtype=torch.float64)}
    for waiting in (None, (), ("res", "h0")):
        position = Position(((0.1, 2.0, 1 / 3),), ("res", "kv0"), ("kv0",), waiting, 7, 12.5, source, element)
        save_position(tmp_path / "state", now, position)
        found = load_position(tmp_path / "state", now)
        assert found is not None
        tensors: list[dict[str, Tensor]] = []
        for one in (position, found):
            tensors.append({**one.source, **one.element})
            assert replace(one, source={}, element={}) == replace(position, source={}, element={})
        assert all(torch.equal(tensors[0][name], part) for name, part in tensors[1].items()) and len(tensors[1]) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    assert load_position(tmp_path / "none", now) is None


def test_the_state_of_other_work_is_refused(
    tmp_path: Path, given: Pair, files: tuple[Checkpoint, Checkpoint]
) -> None:
    path = tmp_path / "state"
    save_position(path, bound(files, given), Position())
    a, b = files
    shorter = given.spec.only(spaces=["res"])
    others = {
        "A and B": bound_of(b, a, given.spec, {}),
        "the spec": bound_of(a, b, shorter, {}),
        "the options": bound_of(a, b, given.spec, {"kinds": ["permutation"]}),
    }
    for what, other in others.items():
        with pytest.raises(ConfigError) as error:
            load_position(path, other)
        assert error.value.message.endswith(f"with another value of {what}")
        assert error.value.where == str(path)


def test_a_checkpoint_that_was_written_again_is_another_one(tmp_path: Path, given: Pair) -> None:
    folder = write(given.a, tmp_path / "a")
    before = bound_of(open_checkpoint(folder), open_checkpoint(folder), given.spec, {})
    assert before == bound_of(open_checkpoint(folder), open_checkpoint(folder), given.spec, {})
    shard = folder / "model-00001-of-00003.safetensors"
    status = shard.stat()
    os.utime(shard, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert before["A"] != bound_of(open_checkpoint(folder), open_checkpoint(folder), given.spec, {})["A"]


def test_what_is_no_state_is_refused(tmp_path: Path, given: Pair, files: tuple[Checkpoint, Checkpoint]) -> None:
    path = tmp_path / "state"
    save_position(path, bound(files, given), Position(source={"res": torch.arange(24)}))
    whole = path.read_bytes()
    write_tensors({"x": torch.zeros(3)}, tmp_path / "other")
    for data in (b"", b"{}", whole[:-8], (tmp_path / "other").read_bytes()):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="no state of an alignment"):
            load_position(path, bound(files, given))


def test_it_is_written_as_often_as_that_costs_little(tmp_path: Path) -> None:
    path = tmp_path / "state"
    keeper = Keeper(path, {"A": "1"})
    keeper.keep(Position(solved=1))
    keeper._due += 1e6  # as after a file that took long to write
    keeper.keep(Position(solved=2))
    assert load_position(path, {"A": "1"}) == Position(solved=1)
    keeper.write()
    assert load_position(path, {"A": "1"}) == Position(solved=2) == keeper.position
    path.unlink()
    keeper.write()
    assert not path.exists()  # nothing new to write
    Keeper(None, {}).write()
    keeper.forget()


def test_leftovers_of_the_dead_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = {f".out.{gone.pid}.tmp": False, f".out.{os.getpid()}.tmp": True, ".out.x.tmp": True, "out": True}
    names |= {f".other.{gone.pid}.tmp": True, f".out.{gone.pid}.txt": True}
    for name in names:
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.safetensors").write_bytes(b"1")
    clear_leftovers(tmp_path / "out")
    assert {name: (tmp_path / name).exists() for name in names} == names


def test_the_time_left_is_that_of_work_of_its_kind() -> None:
    pace = Pace()
    assert pace.left([("a", 1.0)]) is None
    pace.took(("a", 10.0), 1.0)
    pace.took(("b", 10.0), 5.0)
    pace.took(("a", 30.0), 3.0)
    assert pace.left([("a", 10.0), ("b", 2.0)]) == pytest.approx(2.0)
    assert pace.left([("c", 50.0)]) == pytest.approx(9.0)  # 9 s for 50 entries so far
    assert pace.left([]) == 0.0
