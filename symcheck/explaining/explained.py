"""The explained subject: another subject, whose outputs are the attributions e(x) of a model's inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.errors import ConfigError
from symcheck.explaining.explainers import Asked, Explainer, Inputs
from symcheck.measure.calling import by_keyword, called
from symcheck.measure.outputs import Outputs
from symcheck.subject import Subject

PREFIX = "explanation"


@dataclass(frozen=True)
class Scene:
    """What is explained of a model: its `output`, from the inputs `names`, of which those in `wrt` get attributions."""

    subject: Subject
    output: str
    names: tuple[str, ...]
    wrt: tuple[str, ...]


class Explained(nn.Module):
    """e(x) of the inputs in order, then the labels (n,), −1 for the sum; the model's weights are its own.

    With `alone` every sample is explained by itself, the random numbers of each from `seed`, so that x and g·x get
    the same ones in whatever company they stand.
    """

    def __init__(self, scene: Scene, explainer: Explainer, word: str, *, seed: int = 0, alone: bool = False) -> None:
        super().__init__()
        self.inner = scene.subject.module
        self.scene, self.explainer, self.word, self.seed, self.alone = scene, explainer, word, seed, alone
        lone = replace(scene.subject, output=(scene.output,))
        self.read = Outputs(lone, scene.subject.module)
        self.read.names = [scene.output]
        self.keywords = by_keyword(scene.subject, list(scene.names))

    def forward(self, *tensors: Tensor) -> dict[str, Tensor]:
        """The attributions by the names of outputs, explanation.WORD.INPUT."""
        with torch.inference_mode(False), torch.enable_grad():
            given = [x.clone() for x in tensors]
            count = len(given[-1])
            rows = [slice(i, i + 1) for i in range(count)] if self.alone else [slice(None)]
            parts = []
            for row in rows:
                with _seeded(self.seed, given[0].device):
                    parts.append(self.explainer(self.asked([x[row] for x in given])))
        return {
            output_name(self.word, name): torch.cat([part[name] for part in parts]).detach() for name in self.scene.wrt
        }

    def asked(self, tensors: list[Tensor]) -> Asked:
        """What is to be explained of these inputs and labels."""
        labels = tensors[-1] if bool((tensors[-1] >= 0).all()) else None
        inputs = dict(zip(self.scene.names, tensors[:-1], strict=True))
        model = self.scene.subject.call
        return Asked(lambda xs: _score(self.outputs(xs), labels), self.outputs, inputs, self.scene.wrt, labels, model)

    def outputs(self, inputs: Inputs) -> Tensor:
        """All entries of the output that is explained, (n, C)."""
        subject, batch = self.scene.subject, Batch(dict(inputs), len(next(iter(inputs.values()))))
        found = called(self.read.taking(subject.call), subject.takes, self.keywords, inputs, batch, [])
        y = self.read.of(found, inputs)[self.scene.output]
        return y.reshape(len(y), -1)


def output_name(word: str, name: str) -> str:
    """What the attribution of one input is called."""
    return f"{PREFIX}.{word}.{name}"


def explained_subject(made: Explained) -> Subject:
    """The attributions as a subject of their own; the same seed gives other numbers at another precision."""
    of, castable = made.scene.subject, made.scene.subject.castable and not made.alone
    return Subject(
        f"{of.name}, explained", made, module=made, source=of.source, castable=castable, fixed_batch=of.fixed_batch
    )


def scene_of(subject: Subject, output: str, tensors: Mapping[str, Tensor]) -> Scene:
    """What can be explained with these inputs; ConfigError where they are packed or none is a number."""
    wrt = tuple(name for name, x in tensors.items() if x.is_floating_point())
    if subject.takes not in ("arguments", "dict") or subject.graph:
        raise ConfigError(
            "packed graphs cannot be explained", where=f"takes = '{subject.takes}'", hint="give dense samples"
        )
    if not wrt:
        raise ConfigError(
            "no input has numbers that an attribution could be of",
            where=", ".join(f"{n} {str(x.dtype).removeprefix('torch.')}" for n, x in tensors.items()),
            hint="explain a model of what comes after the embedding",
        )
    return Scene(subject, output, tuple(tensors), wrt)


def _score(y: Tensor, labels: Tensor | None) -> Tensor:
    """The entry of each sample's label, or the sum of all: (n, C) -> (n,)."""
    return y.sum(1) if labels is None else y.gather(1, labels[:, None])[:, 0]


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Random numbers from the seed; the generators are put back as they were."""
    devices: list[Any] = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.random.set_rng_state(torch.Generator().manual_seed(seed).get_state())
        for one in devices:
            torch.cuda.set_rng_state(torch.Generator(one).manual_seed(seed).get_state(), one)
        yield
