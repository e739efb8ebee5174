"""Accuracy before and after: a network on labelled data as they are, and moved by random elements of a group."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import DataError
from symcheck.frames.result import Accuracy
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.measure.labelled import Labelled, batch_of
from symcheck.measure.loss import Loss, Scores, Scoring
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.samples import Samples, elements_in, move_batch


def accuracy(name: str, runner: Runner, claim: Claim, data: Labelled, loss: Loss, seed: int = 0) -> Accuracy:
    """The losses of one network; DataError where the labels do not fit its outputs, or cannot be moved with them."""
    data = data.to(runner.device)
    with measuring(runner):
        upright = _scores(runner, data, loss)
        moved = _scores(runner, _moved(runner, claim, data, seed), loss)
    shares = [None if one.correct is None else float(one.correct.mean()) for one in (upright, moved)]
    return Accuracy(name, float(upright.loss.mean()), float(moved.loss.mean()), *shares)


def _scores(runner: Runner, data: Labelled, loss: Loss) -> Scores:
    scoring = Scoring(loss)
    for i, part in enumerate(data.batches(batch_of(data))):
        outputs = runner(Batch(dict(part.inputs), part.count))
        if not i:
            loss.fits(outputs, data.labels)
        scoring.add(outputs, part.labels)
    return scoring.scores


def _moved(runner: Runner, claim: Claim, data: Labelled, seed: int) -> Labelled:
    """Each sample moved by an element of its own, and its label with it where the output that it is of moves."""
    samples = Samples(data.inputs)
    bound = claim.bind(samples.shapes())
    rows = torch.arange(data.count, device=runner.device)
    g = _elements(bound.group, data.count, seed)
    inputs = move_batch(bound, elements_in(bound, g, runner.device), rows, samples.take(rows)).tensors
    fitting = {name: x.to(data.inputs[name].dtype) for name, x in inputs.items()}
    few = {name: x[:2] for name, x in data.inputs.items()}
    return Labelled(fitting, _labels(bound, runner(Batch(few, 2)), data.labels, g))


def _elements(group: Group, count: int, seed: int) -> Tensor:
    return group.sample(count, Draws(seed, f"moved by {group.name}"))


def _labels(bound: BoundClaim, outputs: Mapping[str, Tensor], labels: Tensor, g: Tensor) -> Tensor:
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
