"""Labelled data moved by random elements of a group, labels with the output that they are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from symcheck.claim import BoundClaim, Claim
from symcheck.errors import DataError
from symcheck.groups.draws import Draws
from symcheck.measure.labelled import Labelled
from symcheck.measure.samples import Samples, elements_in, move_batch

Run = Callable[[Labelled], Mapping[str, Tensor]]  # the outputs of a network on a few samples, by name


def moved(data: Labelled, claim: Claim, seed: int, run: Run) -> Labelled:
    """The data set with each sample moved by a random element of the claim's group, and its label with it.

    Labels stay where the claim says that the outputs do; elsewhere they must have the shape of the only output. Raises
    DataError where they cannot be moved.
    """
    samples, device = Samples(data.inputs), data.labels.device
    bound, rows = claim.bind(samples.shapes()), torch.arange(data.count, device=device)
    g = bound.group.sample(data.count, Draws(seed, f"moved by {claim}"))
    inputs = move_batch(bound, elements_in(bound, g, device), rows, samples.take(rows)).tensors
    fitting = {name: x.to(data.inputs[name].dtype) for name, x in inputs.items()}
    return replace(data, inputs=fitting, labels=_labels(run(next(data.batches(2))), data.labels, bound, g))


def _labels(outputs: Mapping[str, Tensor], labels: Tensor, bound: BoundClaim, g: Tensor) -> Tensor:
    shapes = {name: tuple(y.shape[1:]) for name, y in outputs.items()}
    moving = {name: action for name, action in bound.outputs(shapes).items() if not action.trivial}
    if not moving:
        return labels
    name, action = next(iter(moving.items()))
    if len(outputs) > 1 or not labels.is_floating_point() or shapes[name] != tuple(labels.shape[1:]):
        raise DataError(
            f"the labels cannot be moved with the output '{name}'",
            where=f"'{bound.claim}', labels of shape {tuple(labels.shape)}",
            hint="give labels of the shape of the output, or a claim whose output is invariant",
        )
    return action(g, labels).to(labels.dtype)
