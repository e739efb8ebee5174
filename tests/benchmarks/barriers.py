"""Loss barriers between independently trained networks, before and after alignment: the headline measurement.

    python tests/benchmarks/barriers.py [--only mlp] [--cache ~/.cache/symcheck-bench] [--plot barriers.png]

Pairs of MLPs of several widths and training times, of residual networks with BatchNorm and with LayerNorm, and of
ensembles of soft trees, trained on MNIST from two seeds (once; they are kept in the cache) and measured on test images.
A barrier is the largest rise of the loss above the line between its ends, with its standard error over the samples;
`err` is the same of the error rate. `aligned` is what symcheck's align does; where nodes of a level share their split,
the flips and the order of levels are added by a matcher of their own.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pair_tasks import Task, first, halved, mnist
from pair_training import EPOCHS, State, Training, pair
from torch import nn
from tree_matching import match_levels

from symcheck.align.alignment import align
from symcheck.connect.barrier import Barrier, barrier
from symcheck.connect.path import grid, linear
from symcheck.connect.walk import Treatment, Walker
from symcheck.measure.loss import loss_of
from symcheck.weights.session import derived
from symcheck.weights.spec import Spec

CACHE = Path(os.environ.get("SYMCHECK_BENCH", "~/.cache/symcheck-bench"))
WIDTHS = (32, 64, 128, 256, 512, 1024)
TIMES = (1, 2, 4, EPOCHS, 16)
RESNETS = (16, 32)


@dataclass(frozen=True)
class Case:
    """One pair: how it is trained, and on which task."""

    name: str
    training: Training
    halved: bool = False


@dataclass(frozen=True)
class Row:
    """One variant of one pair: the barriers of loss and error rate on test data, and the ends' error rates."""

    case: Case
    variant: str
    loss: Barrier
    error: Barrier
    ends: tuple[float, float]


def cases() -> Iterator[Case]:
    """All pairs, the cheap ones first."""
    for width in WIDTHS:
        yield Case(f"mlp 2x{width}", Training("mlp", {"pixels": 784, "width": width}))
    for epochs in TIMES:
        if epochs != EPOCHS:
            yield Case(f"mlp 2x512, {epochs} epochs", Training("mlp", {"pixels": 784, "width": 512}, epochs))
    yield Case("mlp 3x512", Training("mlp", {"pixels": 784, "width": 512, "hidden": 3}))
    for width in RESNETS:
        for norm in ("layer", "batch"):
            shape = {"width": width, "stages": 3, "norm": norm}
            yield Case(f"resnet {width}, {norm} norm", Training("resnet", shape, 4, samples=20_000), halved=True)
    for factory in ("trees", "levels"):
        shape = {"pixels": 196, "trees": 128, "depth": 3}
        yield Case(f"soft {factory}", Training(factory, shape), halved=True)


def spec_for(model: nn.Module, task: Task) -> Spec:
    """The weight symmetries of the network, derived and proved."""
    return derived(model, task.test.inputs["image"][:6])[0]


def variants(case: Case, spec: Spec, a: State, b: State) -> Mapping[str, tuple[State, Treatment]]:
    """What is connected to A, and what is done to the layers on the way."""
    plain, reset, repair = Treatment.PLAIN, Treatment.RESET, Treatment.REPAIR
    moved = align(a, b, spec, controls=False).aligned
    found = {"naive": (b, plain), "aligned": (moved, plain)}
    match case.training.factory, case.training.arguments.get("norm"):
        case "trees", _:
            permuted = align(a, b, spec, kinds=["permutation"], controls=False).aligned
            found = {"naive": (b, plain), "permuted": (permuted, plain), "+ flips": (moved, plain)}
        case "levels", _:
            found |= {"+ flips": (match_levels(a, b, orders=False), plain)}
            found |= {"+ flips, order": (match_levels(a, b), plain)}
        case "resnet", "batch":
            found |= {"naive + reset": (b, reset), "aligned + reset": (moved, reset)}
            found |= {"aligned + REPAIR": (moved, repair)}
        case _:
            found |= {"aligned + REPAIR": (moved, repair)}
    return found


def measure(case: Case, task: Task, cache: Path, samples: int, points: int) -> list[Row]:
    """All variants of one pair on one grid, the same samples everywhere."""
    a, b = pair(case.training, task, cache)
    model = case.training.build()
    model.load_state_dict(a)
    model.eval()
    sets = {"train": first(task.train, min(samples, 5000)), "test": first(task.test, samples)}
    walker = Walker.of(model, sets, loss_of("cross_entropy"), torch.device("cpu"))
    rows = []
    for name, (other, treatment) in variants(case, spec_for(model, task), a, b).items():
        path = linear(a, other)
        ends = None
        if treatment is Treatment.REPAIR:
            found = walker.walk(path, (0.0, 1.0), watched=(0.0, 1.0)).layers
            ends = (found[0.0], found[1.0])
        walked = walker.walk(path, grid(points), treatment, ends=ends, name=name)
        scores = walked.scores["test"]
        wrong = torch.stack([1 - one.correct for one in scores if one.correct is not None])
        loss = barrier(walked.t, torch.stack([one.loss for one in scores]))
        means = wrong.mean(1)
        rows.append(Row(case, name, loss, barrier(walked.t, wrong), (float(means[0]), float(means[-1]))))
    return rows


def table(rows: list[Row]) -> str:
    """The rows of one pair."""
    naive = rows[0].loss.value
    lines = []
    for row in rows:
        share = "" if row is rows[0] else f"{row.loss.value / naive:8.1%}"
        lines.append(
            f"{row.case.name:24} {row.variant:18} {row.ends[0]:7.2%} {row.ends[1]:7.2%} "
            f"{row.loss.value:9.4f} ± {row.loss.error:.4f} at {row.loss.at:.2f} "
            f"{row.error.value:8.2%} ± {row.error.error:.2%} {share:>8}"
        )
    return "\n".join(lines)


HEAD = (
    f"{'pair':24} {'variant':18} {'err A':>7} {'err B':>7} {'loss barrier':>18} {'':7} {'err barrier':>16} "
    f"{'of naive':>8}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="pairs with this in their name")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where data and trained networks are kept")
    parser.add_argument("--plot", type=Path, help="where the picture goes [default: barriers.png in the cache]")
    parser.add_argument("--samples", type=int, default=10_000, help="test images")
    parser.add_argument("--points", type=int, default=11, help="points on each path")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cache = options.cache.expanduser()
    full = mnist(cache)
    small = halved(full)
    print(f"{full.name}; barriers on {options.samples:,} test images, {options.points} points a path\n\n{HEAD}")
    start, rows = time.process_time(), []
    for case in cases():
        if options.only in case.name:
            found = measure(case, small if case.halved else full, cache, options.samples, options.points)
            rows += found
            print(table(found), flush=True)
    print(f"\n{time.process_time() - start:.0f} s of CPU")
    if rows:
        from barrier_plot import draw

        print(f"drawn to {draw(rows, options.plot or cache / 'barriers.png')}")


if __name__ == "__main__":
    main()
