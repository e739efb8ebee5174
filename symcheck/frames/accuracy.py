"""Accuracy before and after: a network on labelled data as they are, and moved by random elements of a group."""

from __future__ import annotations

from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.frames.result import Accuracy
from symcheck.measure.labelled import Labelled, batch_of
from symcheck.measure.labelled_moved import moved
from symcheck.measure.loss import Loss, Scores, Scoring
from symcheck.measure.runner import Runner, measuring


def accuracy(name: str, runner: Runner, claim: Claim, data: Labelled, loss: Loss, seed: int = 0) -> Accuracy:
    """The losses of one network; DataError where the labels do not fit its outputs, or cannot be moved with them."""
    data = data.to(runner.device)
    with measuring(runner):
        upright = _scores(runner, data, loss)
        turned = _scores(runner, moved(data, claim, seed, lambda few: _outputs(runner, few)), loss)
    shares = [None if one.correct is None else float(one.correct.mean()) for one in (upright, turned)]
    return Accuracy(name, float(upright.loss.mean()), float(turned.loss.mean()), *shares)


def _outputs(runner: Runner, data: Labelled) -> dict[str, Tensor]:
    return runner(Batch(dict(data.inputs), data.count))


def _scores(runner: Runner, data: Labelled, loss: Loss) -> Scores:
    scoring = Scoring(loss)
    for i, part in enumerate(data.batches(batch_of(data))):
        outputs = _outputs(runner, part)
        if not i:
            loss.fits(outputs, data.labels)
        scoring.add(outputs, part.labels)
    return scoring.scores
