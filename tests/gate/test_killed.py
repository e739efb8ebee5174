"""Killed at any moment, no report, baseline or checkpoint is half-written."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from symcheck.gate.baseline import read_baseline
from symcheck.report.documents import read_document

ROOT = Path(__file__).parents[2]
KILLS = 25
# one process that has everything loaded forks a worker for every line it reads, and says which
SERVER = """
import os, sys
from pathlib import Path
import symcheck.cli.gate_measure, symcheck.cli.weights_run, symcheck.report.html
from symcheck.cli.main import main
from symcheck.report.junit import render_junit

def torn(path, text):
    with open(path, "w") as file:
        for i in range(0, len(text), 64):
            file.write(text[i:i + 64])
            file.flush()

JOBS = {
    "gate": lambda: main(["gate", "-q", "--update-baseline", "--loosen", "-o", "out.json", "-o", "out.xml", "-o",
                          "out.sarif", "-o", "out.md", "-o", "out.csv", "--format", "csv"]),
    "report": lambda: main(["report", "convert", "given.json", "-o", "again.json", "-o", "again.xml"]),
    "apply": lambda: main(["apply", "net.safetensors", "--spec", "spec.toml", "--seed", str(os.getpid()), "-o",
                           "moved.safetensors", "-q"]),
    "torn": lambda: torn("torn.json", Path("given.json").read_text()),
}
devnull, out = os.open(os.devnull, os.O_WRONLY), os.dup(1)
os.dup2(devnull, 1)
for job in JOBS.values():  # the first time loads what is loaded late
    job()
for path in Path().glob("*.*"):
    if path.stem in ("out", "again", "moved", "torn"):
        path.unlink()
os.dup2(out, 1)
print("ready", flush=True)
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        os.dup2(devnull, 1)
        os.dup2(devnull, 2)
        while True:
            JOBS[line.strip()]()
    print(child, flush=True)
"""
NET = """
import torch
from torch import nn

def net():
    return nn.Sequential(nn.Flatten(), nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))
"""
CONFIG = """
baseline = "baseline.jsonl"
checkpoint = "net.safetensors"
model = "net.py:net"
inputs = { x = "normal(3,3)" }
samples = 4
elements = 4
[[gate]]
id = "turns"
claim = "SO(3): x=points -> invariant"
limit = 1e6
ratchet = 1000.0
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Callable[[str], int]]]:
    folder = tmp_path_factory.mktemp("killed")
    (folder / "net.py").write_text(NET)
    (folder / "symcheck.toml").write_text(CONFIG)
    rng = torch.Generator().manual_seed(0)
    weights = {"1.weight": (64, 9), "3.weight": (64, 64), "5.weight": (2, 64)}
    shapes = {**weights, **{name.replace("weight", "bias"): shape[:1] for name, shape in weights.items()}}
    save_file({name: torch.randn(*s, generator=rng) for name, s in shapes.items()}, folder / "net.safetensors")
    start = f"import os; os.chdir({str(folder)!r})\n"
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    once = "from symcheck.cli.main import main\nmain(['gate', '--update-baseline', '-o', 'given.json'])\n"
    once += "main(['weights', 'symcheck.toml', '-o', 'spec.toml'])"
    subprocess.run([sys.executable, "-c", start + once], check=True, env=env, capture_output=True)
    process = subprocess.Popen(
        [sys.executable, "-c", start + SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.readline() == "ready\n"

    def worker(job: str) -> int:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{job}\n")
        process.stdin.flush()
        return int(process.stdout.readline())

    yield folder, worker
    process.kill()
    process.wait()


def check(path: Path) -> None:
    """Read a file to its end."""
    if path.suffix == ".jsonl":
        assert len(read_baseline(path)) == 1
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="pt") as file:
            assert all(torch.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118
    elif path.suffix == ".sarif":
        json.loads(path.read_text())
    elif path.suffix == ".json":
        read_document(path)
    elif path.suffix == ".xml":
        ET.fromstring(path.read_text())
    elif path.suffix in (".md", ".csv"):
        assert path.read_text().endswith("\n")


def killed(folder: Path, worker: Callable[[str], int], job: str, names: tuple[str, ...]) -> int:
    """Start and kill a worker again and again; how many times a file was found that is not whole."""
    rng, torn = random.Random(job), 0
    for _ in range(KILLS):
        child = worker(job)
        time.sleep(rng.uniform(0.02, 0.4))
        os.kill(child, signal.SIGKILL)
        for name in names:
            try:
                if (folder / name).exists():
                    check(folder / name)
            except Exception:
                torn += 1
    assert all((folder / name).exists() for name in names), "the workers never got to writing"
    return torn


@pytest.mark.parametrize(("job", "names"), [
    ("gate", ("out.json", "out.xml", "out.sarif", "out.md", "out.csv", "baseline.jsonl")),
    ("report", ("again.json", "again.xml")),
    ("apply", ("moved.safetensors",)),
])  # fmt: skip
def test_every_file_is_whole(job: str, names: tuple[str, ...], server: tuple[Path, Callable[[str], int]]) -> None:
    assert killed(*server, job, names) == 0


def test_a_writer_that_writes_in_place_is_caught(server: tuple[Path, Callable[[str], int]]) -> None:
    assert killed(*server, "torn", ("torn.json",)) > 0
