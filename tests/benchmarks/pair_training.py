"""Independently trained pairs for the benchmarks, trained once and kept in a folder."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pair_tasks import Task
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FIXTURES = Path(__file__).parents[2] / "fixtures"
sys.path.insert(0, str(FIXTURES))

import classifiers  # noqa: E402
from training import initialise  # noqa: E402

State = dict[str, Tensor]
EPOCHS = 8


@dataclass(frozen=True)
class Training:
    """A network of `fixtures/classifiers.py` and how it is trained: AdamW with one cycle of its rate."""

    factory: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    epochs: int = EPOCHS
    rate: float = 1e-2
    decay: float = 0.1
    batch: int = 512
    samples: int = 60_000

    def build(self) -> nn.Module:
        """The network, its weights not yet drawn."""
        model: nn.Module = getattr(classifiers, self.factory)(**self.arguments)
        return model

    def run(self, task: Task, seed: int) -> nn.Module:
        """The trained network; the seed draws its first weights and the order of the samples."""
        rng = torch.Generator().manual_seed(seed)
        model = initialise(self.build(), rng).to(memory_format=torch.channels_last).train()
        images, labels = task.train.inputs["image"][: self.samples], task.train.labels[: self.samples]
        batch = min(self.batch, len(labels) // 8)
        steps = len(labels) // batch
        optimiser = torch.optim.AdamW(model.parameters(), lr=self.rate, weight_decay=self.decay, fused=True)
        cycle = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, self.rate, total_steps=self.epochs * steps, pct_start=0.1
        )
        for _ in range(self.epochs):
            for rows in torch.randperm(len(labels), generator=rng)[: steps * batch].split(batch):
                optimiser.zero_grad()
                F.cross_entropy(model(images[rows]), labels[rows]).backward()
                optimiser.step()
                cycle.step()
        return model.eval()


def pair(training: Training, task: Task, cache: Path, seeds: tuple[int, int] = (1, 2)) -> tuple[State, State]:
    """The state dicts of two trainings that differ in their seed, from the folder where they have been made before."""
    a, b = (_kept(training, task, cache, seed) for seed in seeds)
    return a, b


def _kept(training: Training, task: Task, cache: Path, seed: int) -> State:
    said = {**asdict(training), "task": task.name, "seed": seed}
    name = "-".join(str(v) for key, v in said.items() if key != "arguments")
    name = f"{name}-{'-'.join(f'{key}{v}' for key, v in training.arguments.items())}".replace(" ", "").replace(",", "")
    path = cache / f"{name}.safetensors"
    if not path.exists():
        start = time.process_time()
        state = {key: t.contiguous() for key, t in training.run(task, seed).state_dict().items()}
        said["seconds"] = round(time.process_time() - start, 1)
        save_file(state, path.with_suffix(".part"), metadata={"training": json.dumps(said)})
        path.with_suffix(".part").rename(path)
        print(f"trained {name} in {said['seconds']} s of CPU", file=sys.stderr, flush=True)
    return load_file(path)
