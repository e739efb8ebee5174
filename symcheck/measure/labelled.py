"""Labelled data: inputs by name, the labels of the same samples, and their batches."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.errors import DataError

BATCH = 512  # samples in one forward pass, fewer where their inputs are large
_BYTES = 2**26  # how much memory the inputs of a batch may take


@dataclass(frozen=True)
class Labelled:
    """Inputs by name with the labels of the same samples; the leading axis counts the samples.

    A tensor, or a tuple or list of tensors, may be given as inputs: they are then called input, or input0, input1, ...
    Raises DataError where there are no samples, or other things than tensors.
    """

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def __post_init__(self) -> None:
        object.__setattr__(self, "inputs", _named(self.inputs))
        _check_tensors({**self.inputs, "labels": self.labels})
        counts = {name: len(x) if x.dim() else 0 for name, x in {**self.inputs, "labels": self.labels}.items()}
        if not self.inputs or not all(counts.values()):
            raise DataError(
                "there are no labelled samples",
                where=", ".join(f"{name}: {count}" for name, count in counts.items()),
                hint="give inputs and labels with at least one sample",
            )
        if len(set(counts.values())) > 1:
            raise DataError(
                "inputs and labels have different numbers of samples",
                where=", ".join(f"{name}: {count}" for name, count in counts.items()),
                hint="give one label, or one row of labels, for each sample",
            )

    @property
    def count(self) -> int:
        """How many samples there are."""
        return len(self.labels)

    def batches(self, size: int) -> Iterator[Labelled]:
        """The samples in order, in batches of at most `size` whose sizes differ by one at most."""
        many = -(-self.count // max(1, size))
        ends = [self.count * i // many for i in range(many + 1)]
        for start, stop in itertools.pairwise(ends):
            yield Labelled({name: x[start:stop] for name, x in self.inputs.items()}, self.labels[start:stop])

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Labelled:
        """The same samples on a device; floating inputs and labels in `dtype` if one is given."""

        def moved(x: Tensor) -> Tensor:
            return x.to(device, dtype if dtype is not None and x.is_floating_point() else x.dtype)

        return replace(self, inputs={name: moved(x) for name, x in self.inputs.items()}, labels=moved(self.labels))


def _named(inputs: Any) -> Mapping[str, Tensor]:
    """Inputs by name: a tensor is `input`, the tensors of a tuple `input0`, `input1`, ..."""
    if isinstance(inputs, Tensor):
        return {"input": inputs}
    if isinstance(inputs, tuple | list):
        return {f"input{i}": x for i, x in enumerate(inputs)}
    return inputs if isinstance(inputs, Mapping) else {"inputs": inputs}


def _check_tensors(given: Mapping[str, Any]) -> None:
    """Refuse what is no tensor, by its name."""
    odd = [f"{name}: {type(x).__name__}" for name, x in given.items() if not isinstance(x, Tensor)]
    if odd:
        raise DataError(
            "inputs and labels are no tensors",
            where=f"Labelled(inputs, labels), {', '.join(odd)}",
            hint="give a tensor, a tuple or a dict of tensors with a leading sample axis, and a tensor of labels",
        )


def batch_of(data: Labelled) -> int:
    """How many samples a batch has when nobody says: 512, fewer where their inputs take more than 64 MB."""
    sample = sum(x[:1].numel() * x.element_size() for x in data.inputs.values())
    return max(1, min(BATCH, _BYTES // max(1, sample)))
