"""Workers of a scheduler: the same findings whoever measures, whoever dies, and no worker that sees something else."""

from __future__ import annotations

import importlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from engine_cases import CLAIMS, FACTORY, Net, assert_same, audited, images

from symcheck.cli.main import main
from symcheck.engines.desk import Desk
from symcheck.engines.job import Done, How, Job, identity, units_of
from symcheck.errors import ConfigError, LoadError
from symcheck.measure.audit import Options
from symcheck.measure.piece import findings_of
from symcheck.report.documents import read_report
from symcheck.report.model import Report
from symcheck.subject import as_subject

HERE = Path(__file__).parent
WAIT = 180  # seconds
SIZE = ["--samples", "4", "--elements", "8", "--device", "cpu", "-q"]


def job(seed: int = 0, data: int = 1) -> Job:
    how = How(("C4: image -> invariant",), (), Options(elements=8), 6, "cpu", "as-is", None)
    return Job(as_subject(Net(seed)), {"x": images(data)}, how)


def desk_of(made: Job, expected: Job) -> Desk:
    return pickle.loads(pickle.dumps(Desk(pickle.dumps(partial(_same, made)), identity(expected))))


def _same(made: Job) -> Job:
    return made


class Absent:
    """As a class that the worker does not have: it cannot be unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return importlib.import_module, ("no_such_nets",)


def _refusing() -> Job:
    raise LoadError("there is no such file", where="net.safetensors", hint="copy it")


def done(desk: Desk) -> list[Done]:
    return [desk.measure(unit) for unit in units_of(job().how.claims, 4)]


def test_a_desk_measures_what_the_client_would() -> None:
    found = done(desk_of(job(), job()))
    assert [one.error for one in found] == [None] * 4
    ((finding, _),) = findings_of(piece for one in found for piece in one.pieces)
    (expected,) = audited(claims="C4: image -> invariant", elements=8).findings
    assert finding.counts == expected.counts
    assert finding.error and expected.error
    assert finding.error.spread.mean == pytest.approx(expected.error.spread.mean, rel=1e-12)


def test_a_desk_travels_without_its_session() -> None:
    desk = desk_of(job(), job())
    before = len(pickle.dumps(desk))
    assert done(desk)[0].error is None and desk.session is not None
    assert len(pickle.dumps(desk)) == before


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (job(seed=1), "another weights"),
        (job(data=2), "another data"),
        (replace(job(), how=replace(job().how, options=Options(elements=8, seed=3))), "another seed"),
    ],
)
def test_a_worker_that_sees_something_else_is_an_error(made: Job, says: str) -> None:
    for one in done(desk_of(made, job())):
        assert isinstance(one.error, LoadError) and says in one.error.message and not one.pieces


@pytest.mark.parametrize(("making", "says"), [(Absent(), "no_such_nets"), (_refusing, "there is no such file")])
def test_a_worker_that_cannot_build_the_network_says_why(making: object, says: str) -> None:
    (one, *_) = done(Desk(pickle.dumps(making), identity(job())))
    assert isinstance(one.error, LoadError) and says in one.error.message and "process" in one.error.where


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def running(*words: object, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    paths = os.pathsep.join([str(HERE), str(HERE.parents[1]), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        [sys.executable, "-m", *map(str, words)], env={**os.environ, "PYTHONPATH": paths, **environ},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait(WAIT)


@contextmanager
def serving() -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A scheduler: its address, its process."""
    port = free_port()
    words = ("--host", "127.0.0.1", "--port", port, "--no-dashboard", "--no-show")
    with running("distributed.cli.dask_scheduler", *words) as process:
        yield f"tcp://127.0.0.1:{port}", process


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    pytest.importorskip("distributed", reason="symcheck[cluster] is not installed")
    with serving() as (address, _):
        yield address


@contextmanager
def worker(scheduler: str, folder: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    words = ("--no-nanny", "--nthreads", 1, "--no-dashboard", "--local-directory", folder)
    with running("distributed.cli.dask_worker", scheduler, *words, **environ) as process:
        yield process


def workers(scheduler: str, count: int) -> None:
    """Wait until so many workers are there, and no more."""
    from distributed import Client

    with Client(scheduler, timeout=WAIT, set_as_default=False) as client:
        until = time.monotonic() + WAIT
        while len(client.scheduler_info(n_workers=-1)["workers"]) != count:
            assert time.monotonic() < until, "the workers do not come"
            time.sleep(0.05)


def test_a_scheduler_that_does_not_answer_is_one_error(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("distributed", reason="symcheck[cluster] is not installed")
    monkeypatch.setattr("symcheck.engines.cluster.PATIENCE", 1)
    with pytest.raises(ConfigError, match="no scheduler answers"):
        audited(scheduler=f"tcp://127.0.0.1:{free_port()}")
    with pytest.raises(ConfigError, match="no scheduler answers"):
        audited(scheduler="nonsense://x")


@pytest.mark.slow
def test_a_scheduler_without_workers_is_one_error(scheduler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("symcheck.engines.cluster.PATIENCE", 20)
    with pytest.raises(ConfigError, match="no workers"):
        audited(scheduler=scheduler)


@pytest.mark.slow
def test_three_workers_measure_what_one_process_does(scheduler: str, tmp_path: Path) -> None:
    with worker(scheduler, tmp_path), worker(scheduler, tmp_path), worker(scheduler, tmp_path):
        workers(scheduler, 3)
        told: list[tuple[int, int]] = []
        report = audited(scheduler=scheduler, progress=lambda done, total: told.append((done, total)))
        assert_same(report, audited())
        assert report.settings["workers"] == 3
        assert told == [(i + 1, len(told)) for i in range(len(told))] and len(told) == 8 * len(CLAIMS)
        offset = torch.tensor(0.25, dtype=torch.float64)
        assert_same(*(audited(lambda x: Net()(x) + offset, **o) for o in ({"scheduler": scheduler}, {})))  # a closure
    workers(scheduler, 0)


def project(folder: Path, scheduler: str) -> tuple[list[str], list[str]]:
    """The command alone, and with the scheduler."""
    (folder / "nets.py").write_text(FACTORY)
    command = ["audit", *CLAIMS, "--model", "nets.py:net", "-i", "normal(1,8,8)", *SIZE, "-o"]
    return [*command, "alone.json"], [*command, "shared.json", "--scheduler", scheduler]


def report(name: str) -> Report:
    found = read_report(Path(name))
    assert isinstance(found, Report)
    return found


@pytest.mark.slow
def test_a_killed_worker_changes_nothing(scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    alone, shared = project(tmp_path, scheduler)
    assert main(alone) == 1
    marks = tmp_path / "marks"
    marks.mkdir()
    slow: Mapping[str, str] = {"ENGINES_MARKS": str(marks), "ENGINES_PAUSE": "0.1"}
    killed: list[int] = []

    def kill(process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + WAIT
        while not (marks / str(process.pid)).exists() and time.monotonic() < until:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)  # within a forward pass of its first unit
        killed.append(process.pid)

    def slow_worker() -> AbstractContextManager[subprocess.Popen[bytes]]:
        return worker(scheduler, tmp_path, **slow)

    with slow_worker() as first, slow_worker(), slow_worker():
        workers(scheduler, 3)
        killer = threading.Thread(target=kill, args=(first,))
        killer.start()
        assert main(shared) == 1
        killer.join(WAIT)
    assert killed == [first.pid] and len([*marks.iterdir()]) >= 2
    assert_same(report("shared.json"), report("alone.json"))
    workers(scheduler, 0)


@pytest.mark.slow
def test_a_worker_with_other_weights_ends_the_run(
    scheduler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    _, shared = project(tmp_path, scheduler)
    with worker(scheduler, tmp_path, ENGINES_SCALE="2"):
        workers(scheduler, 1)
        assert main(shared) == 2
        err = capsys.readouterr().err
        assert "a worker has another weights" in err and len(err.strip().splitlines()) == 3
        assert not Path("shared.json").exists()
    workers(scheduler, 0)


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["worker", "scheduler"])
def test_when_nobody_is_left_the_run_ends_and_can_be_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lost: str
) -> None:
    pytest.importorskip("distributed", reason="symcheck[cluster] is not installed")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("symcheck.engines.cluster.AWAY", 0)
    monkeypatch.setattr("symcheck.engines.cluster.PATIENCE", 20)
    with serving() as (scheduler, process), worker(scheduler, tmp_path, ENGINES_PAUSE="0.2") as only:
        workers(scheduler, 1)
        alone, shared = project(tmp_path, scheduler)
        target = only if lost == "worker" else process
        killer = threading.Thread(target=kill_when, args=(tmp_path / "shared.parts", target))
        killer.start()
        assert main([*shared, "--resume"]) == 2
        killer.join(WAIT)
    err = capsys.readouterr().err
    assert "lost" in err and "--resume" in err
    kept = len([*(tmp_path / "shared.parts").iterdir()])
    assert kept >= 2
    with serving() as (scheduler, _), worker(scheduler, tmp_path):
        workers(scheduler, 1)
        assert main([*project(tmp_path, scheduler)[1], "--resume"]) == 1
    assert main(alone) == 1
    assert_same(report("shared.json"), report("alone.json"))


def kill_when(parts: Path, process: subprocess.Popen[bytes]) -> None:
    """Kill a process when two units are finished."""
    until = time.monotonic() + WAIT
    while len([*parts.glob("*.safetensors")]) < 2 and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
