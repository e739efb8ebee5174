"""`symcheck align` on disk as a user runs it: when, what it refuses, how it is stopped and goes on, what it leaves."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from decoders import Pair, pair, write
from safetensors.torch import load_file, save_file

from symcheck.align.streamed import Stage, Streamed, align_files
from symcheck.cli import align_stream
from symcheck.cli.main import main
from symcheck.weights.element import load_element
from symcheck.weights.stream import INDEX

STATE = ".out.align.safetensors"
SHARDS = [f"model-{i}-of-00003.safetensors" for i in ("00001", "00002", "00003")]


@pytest.fixture(scope="module")
def given() -> Pair:
    return pair()


@pytest.fixture
def folder(given: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(given.a, tmp_path / "a", torch.bfloat16)
    write(given.b, tmp_path / "b", torch.bfloat16)
    given.spec.save(tmp_path / "net.json")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*more: object) -> int:
    return main(["align", "a", "b", "--spec", "net.json", "-o", "out", *map(str, more)])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stopping(monkeypatch: pytest.MonkeyPatch, after: int, stop: Callable[[], None]) -> list[str]:
    """Let the process stop itself after so many solved spaces; what was solved is told."""
    words: list[str] = []

    def stopped(*args: object, **options: object) -> Streamed:
        heard = options.pop("tell")

        def tell(stage: Stage) -> None:
            heard(stage)  # type: ignore[operator]
            if not stage.words.startswith("reading"):
                words.append(stage.words)
                if len(words) == after:
                    stop()

        return align_files(*args, tell=tell, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(align_stream, "align_files", stopped)
    return words


def test_shards_dtypes_and_index_are_kept(folder: Path, given: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--save-element", "g.safetensors", "--report", "r.json", "--save-spec", "s.toml") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "every tensor was read" in out and "gauges and controls were left out" in out
    assert names(folder) == ["a", "b", "g.safetensors", "net.json", "out", "r.json", "s.toml"]
    assert names(folder / "out") == [*SHARDS, INDEX]
    element = load_element("g.safetensors")
    for name in SHARDS:
        b, found, a = (load_file(folder / side / name) for side in ("b", "out", "a"))
        assert {n: x.dtype for n, x in found.items()} == {n: x.dtype for n, x in b.items()}
        for key, tensor in found.items():
            assert torch.nn.functional.cosine_similarity(tensor.flatten().float(), a[key].flatten().float(), 0) > 0.99
    assert element["res"].tolist() == given.element["res"].argsort().tolist()
    report = json.loads((folder / "r.json").read_text())
    assert report["schema"] == "symcheck.align/1"
    assert report["streamed"]["resumed"] == 0 and report["streamed"]["reads"]["mean"] >= 1
    assert report["alignments"][0]["cosine"]["after"] > 0.99


def test_sigterm_keeps_the_work_and_the_same_command_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert run() == 0
    whole = {name: (folder / "out" / name).read_bytes() for name in SHARDS}
    shutil.rmtree(folder / "out")
    first = stopping(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    capsys.readouterr()
    assert run() == 130
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"the work so far is kept in {STATE}; the same command goes on from there"
    assert names(folder) == [STATE, "a", "b", "net.json"]
    assert signal.getsignal(signal.SIGTERM) is before
    rest = stopping(monkeypatch, 0, lambda: None)
    assert run() == 0
    out, err = capsys.readouterr()
    assert err.startswith("going on after ") and err.endswith(f"of work, from {STATE}\n")
    assert "13 spaces had been solved before" in out  # with those within heads
    assert len(first) == 7 and len(rest) == 7
    assert {name: (folder / "out" / name).read_bytes() for name in SHARDS} == whole
    assert names(folder) == ["a", "b", "net.json", "out"]


def test_stopped_while_it_writes_it_goes_on_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = align_stream.apply_to_files

    def interrupted(*args: object, progress: Callable[[int, int], None], **options: object) -> object:
        def stop(done: int, total: int) -> None:
            progress(done, total)
            if done == 9:
                raise KeyboardInterrupt

        return original(*args, progress=stop, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(align_stream, "apply_to_files", interrupted)
    assert run("--save-element", "g.safetensors") == 130
    assert names(folder) == [STATE, "a", "b", "net.json"]
    monkeypatch.setattr(align_stream, "apply_to_files", original)
    words = stopping(monkeypatch, 0, lambda: None)
    assert run("--save-element", "g.safetensors") == 0
    assert words == []  # all of it had been found
    assert names(folder) == ["a", "b", "g.safetensors", "net.json", "out"]


def test_what_a_killed_process_left_is_removed(folder: Path) -> None:
    left = folder / ".out.99999999.tmp"
    left.mkdir()
    (left / SHARDS[0]).write_bytes(b"half")
    assert run() == 0
    assert names(folder) == ["a", "b", "net.json", "out"]


def test_other_work_is_not_thrown_away_unless_forced(
    folder: Path, given: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopping(monkeypatch, 3, lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert run() == 130
    capsys.readouterr()
    monkeypatch.setattr(align_stream, "align_files", align_files)
    assert run("--kinds", "permutation") == 2
    assert "another value of the options" in capsys.readouterr().err
    assert (folder / STATE).is_file()
    assert run("--kinds", "permutation", "--force") == 0
    assert "going on" not in capsys.readouterr().err
    assert names(folder) == ["a", "b", "net.json", "out"]


def test_an_output_that_exists_is_not_touched(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "out").mkdir()
    (folder / "out" / "mine.txt").write_text("mine")
    assert run() == 2
    assert "the output exists" in capsys.readouterr().err
    assert names(folder / "out") == ["mine.txt"]
    assert run("--force") == 0
    assert names(folder / "out") == ["mine.txt", *SHARDS, INDEX]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "model-00002-of-00003"), ("short", "cannot be read as safetensors"),
        ("shape", "not of one architecture"), ("full", "has 0.0 GB left"), ("nan", "NaN or infinity"),
    ],
)  # fmt: skip
def test_faults_end_with_2_and_leave_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], fault: str, said: str
) -> None:
    shard = folder / "b" / SHARDS[1]
    if fault == "missing":
        shard.unlink()
    elif fault == "short":
        shard.write_bytes(shard.read_bytes()[:-8])
    elif fault == "full":
        monkeypatch.setattr(align_stream.shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    else:
        state = load_file(shard)
        name = next(n for n, x in state.items() if x.dim() == 2)
        state[name] = state[name][:-1] if fault == "shape" else state[name] * float("nan")
        save_file({n: x.contiguous() for n, x in state.items()}, shard)
        text = json.loads((folder / "net.json").read_text())
        text.pop("shapes", None)
        (folder / "net.json").write_text(json.dumps(text))
    assert run() == 2
    assert said in capsys.readouterr().err
    assert names(folder) == ["a", "b", "net.json"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "x:y"], "--model"), (["--gauges", "scale"], "--gauges"), (["--restarts", "1"], "--restarts"),
        (["--key", "state"], "--key"),
    ],
)  # fmt: skip
def test_what_needs_memory_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert run("--stream", *more) == 2
    assert f"tensors cannot stay on disk with {said}" in capsys.readouterr().err


def test_small_files_are_read_and_large_ones_stay(
    folder: Path, given: Pair, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, state in (("a", given.a), ("b", given.b)):
        save_file({n: x.contiguous() for n, x in state.items()}, folder / f"{name}.safetensors")
    command = ["align", "a.safetensors", "b.safetensors", "--spec", "net.json", "--no-controls", "--gauges", "none"]
    states = []
    for size, more, streamed in ((2**30, [], False), (2**30, ["--stream"], True), (10, [], True),
                                 (10, ["--no-stream"], False)):  # fmt: skip
        monkeypatch.setattr(align_stream, "LARGE", size)
        assert main([*command, "-o", "out.safetensors", "--force", *more]) == 0
        assert ("on disk" in capsys.readouterr().out) is streamed
        states.append(load_file("out.safetensors"))
    for state in states[1:]:
        assert all(torch.allclose(x, states[0][name], atol=1e-5) for name, x in state.items())
