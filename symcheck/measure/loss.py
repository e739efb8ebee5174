"""Losses of single samples, and how a network does on labelled data."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError, DataError, SymcheckError
from symcheck.importing import import_object
from symcheck.measure.calling import by_keyword
from symcheck.measure.labelled import Labelled, batch_of
from symcheck.registry import suggest
from symcheck.subject import as_subject, named_outputs

__all__ = [
    "PADDING", "Labelled", "Loss", "PerSample", "Scores", "Scoring", "batch_of", "caller", "loss_for", "loss_of",
    "per_sample", "prediction", "scores",
]  # fmt: skip

PADDING = -100  # the label of a position that does not count

PerSample = Callable[[Any, Tensor], Tensor]


def _nothing(outputs: Any, labels: Tensor) -> None:
    return None


@dataclass(frozen=True)
class Loss:
    """A loss per sample: `of(outputs, labels)` is (n,); `correct` the share of a sample's labels that are predicted.

    `outputs` is what the model returns. `correct` is None where labels are no classes. `fits` refuses labels that do
    not belong to such outputs (DataError).
    """

    name: str
    of: PerSample
    correct: PerSample | None = None
    fits: Callable[[Any, Tensor], None] = _nothing


@dataclass(frozen=True)
class Scores:
    """Loss of every sample (n,), in float64, and the share of its labels that are predicted, None without classes."""

    loss: Tensor
    correct: Tensor | None


@dataclass
class Scoring:
    """Scores, gathered batch by batch."""

    loss: Loss
    _loss: list[Tensor] = field(default_factory=list)
    _correct: list[Tensor] = field(default_factory=list)

    def add(self, outputs: Any, labels: Tensor) -> None:
        """Take in what the model returned for a batch."""
        self._loss.append(per_sample(self.loss, outputs, labels))
        if self.loss.correct is not None:
            self._correct.append(self.loss.correct(outputs, labels).double())

    @property
    def scores(self) -> Scores:
        """The scores of all samples so far."""
        return Scores(torch.cat(self._loss), torch.cat(self._correct) if self._correct else None)


def caller(model: nn.Module, data: Labelled) -> Callable[..., Any]:
    """How the model takes these inputs: `call(network, inputs)`, by name where it has such parameters, else in order.

    `network` is the model, or a function with its arguments.
    """
    if by_keyword(as_subject(model), [*data.inputs]):
        return lambda network, inputs: network(**inputs)
    return lambda network, inputs: network(*inputs.values())


def scores(model: nn.Module, data: Labelled, loss: Loss, batch_size: int | None = None) -> Scores:
    """The loss of every sample, and which of them are predicted, without gradients and with the model as it stands.

    Raises DataError: labels that do not fit the outputs, a loss that is not one number a sample.
    """
    call, scoring = caller(model, data), Scoring(loss)
    with torch.no_grad():
        for i, batch in enumerate(data.batches(batch_size or batch_of(data))):
            outputs = call(model, batch.inputs)
            if not i:
                loss.fits(outputs, data.labels)
            scoring.add(outputs, batch.labels)
    return scoring.scores


def per_sample(loss: Loss, outputs: Any, labels: Tensor) -> Tensor:
    """The loss of each sample in float64, refused unless it is (n,)."""
    try:
        values = loss.of(outputs, labels)
    except (SymcheckError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # whatever a user's loss may raise is reported as the loss's
        raise DataError(
            f"the loss raised {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}",
            where=f"the loss '{loss.name}', labels {tuple(labels.shape)}",
            hint="it is called with (outputs of the model, labels) of a batch and returns a tensor of shape (n,)",
        ) from error
    if not isinstance(values, Tensor) or values.shape != labels.shape[:1]:
        shape = f"of shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise DataError(
            f"the loss is {shape}, not one number for each of {len(labels)} samples",
            where=f"the loss '{loss.name}'",
            hint="return a tensor of shape (n,): no mean over the samples, but one over everything else",
        )
    return values.double()


def loss_of(text: str, base: Path | None = None) -> Loss:
    """The loss called `cross_entropy` or `mse`, or a function(outputs, labels) -> (n,) as module:name or file.py:name.

    cross_entropy: −log softmax of the labelled class, logits (n, classes), (n, T, classes) or (n, classes, H, W) with
    integer labels, the mean over a sample's positions, those labelled −100 left out. mse: the mean of the squared
    differences over a sample's components. Relative files start at `base`.
    """
    if text in _LOSSES:
        return _LOSSES[text]
    if ":" not in text:
        raise ConfigError(f"unknown loss '{text}'", where="--loss", hint=suggest(text, [*_LOSSES, "file.py:function"]))
    function = import_object(text, base=base)
    if not callable(function) or inspect.isclass(function):
        raise ConfigError(
            f"'{text}' is no function",
            where=f"--loss {text}",
            hint="name a function that takes (outputs, labels) and returns a loss for each sample",
        )
    return Loss(text, function)


def loss_for(labels: Tensor) -> Loss:
    """The loss that goes with the labels: cross_entropy for integers, mse for floats."""
    return _LOSSES["mse" if labels.is_floating_point() else "cross_entropy"]


def prediction(outputs: Any) -> Tensor:
    """The tensor that is compared with the labels: the only output, or the one called logits."""
    if isinstance(outputs, Tensor):
        return outputs
    tensors = named_outputs(outputs, [])
    found = tensors.get("logits", next(iter(tensors.values())) if len(tensors) == 1 else None)
    if found is None:
        raise DataError(
            f"the model returns several outputs: {', '.join(tensors)}",
            where="the loss",
            hint="give a loss of your own, --loss file.py:function, that takes all of them",
        )
    return found


def _classes_last(outputs: Any, labels: Tensor) -> Tensor:
    """Logits (n, ..., classes)."""
    logits = prediction(outputs)
    if logits.dim() == labels.dim() + 1 and logits.shape[1:-1] != labels.shape[1:]:
        logits = logits.movedim(1, -1)
    return logits


def _cross_entropy(outputs: Any, labels: Tensor) -> Tensor:
    logits = _classes_last(outputs, labels)
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))  # half precision is too coarse for a mean
    below = logits - logits.amax(-1, keepdim=True)  # as accurate as log_softmax, and quicker for a few classes
    own = below.gather(-1, labels.clamp(min=0).long()[..., None])[..., 0]
    return _mean(below.exp().sum(-1).log() - own, labels)


def _classified(outputs: Any, labels: Tensor) -> Tensor:
    return _mean((_classes_last(outputs, labels).argmax(-1) == labels).double(), labels)


def _mean(values: Tensor, labels: Tensor) -> Tensor:
    """The mean over a sample's positions that count."""
    if labels.dim() == 1:
        return values
    counts = (labels != PADDING).reshape(len(labels), -1)
    return (values.reshape(len(labels), -1) * counts).sum(-1) / counts.sum(-1)


def _fits_classes(outputs: Any, labels: Tensor) -> None:
    """Integer labels 0 ... classes − 1 or −100, one for each position of the logits, at least one that counts."""
    logits = _classes_last(outputs, labels)
    kinds = labels.is_floating_point() or labels.is_complex()
    if kinds or logits.dim() != labels.dim() + 1 or logits.shape[1:-1] != labels.shape[1:]:
        raise DataError(
            f"labels of {str(labels.dtype).removeprefix('torch.')} and shape {tuple(labels.shape)} "
            f"are no classes for logits of shape {tuple(prediction(outputs).shape)}",
            where="the loss 'cross_entropy'",
            hint="give integer labels, one for each sample or position, or another --loss",
        )
    classes = logits.shape[-1]
    flat = labels.reshape(len(labels), -1)
    odd = ((flat < 0) | (flat >= classes)) & (flat != PADDING)
    empty = (flat == PADDING).all(-1)
    if bool(odd.any()):
        row, column = (int(i) for i in odd.nonzero()[0])
        raise DataError(
            f"the label {int(flat[row, column])} is none of the {classes} classes 0 ... {classes - 1}",
            where=f"labels, sample {row}" + (f", position {column}" if flat.shape[1] > 1 else ""),
            hint=f"{int(odd.any(-1).sum())} samples have such labels; is this the array of labels (--labels)?",
        )
    if bool(empty.any()):
        raise DataError(
            "a sample has no label that counts",
            where=f"labels, sample {int(empty.nonzero()[0])}",
            hint=f"leave out the {int(empty.sum())} samples whose labels are all {PADDING}",
        )


def _mse(outputs: Any, labels: Tensor) -> Tensor:
    predicted = prediction(outputs).reshape(labels.shape)
    return (predicted.double() - labels.double()).square().reshape(len(labels), -1).mean(-1)


def _fits_numbers(outputs: Any, labels: Tensor) -> None:
    """Labels of the shape of the outputs, up to axes of size 1."""
    predicted = prediction(outputs)
    shapes = [[size for size in x.shape[1:] if size != 1] for x in (predicted, labels)]
    if shapes[0] != shapes[1]:
        raise DataError(
            f"labels of shape {tuple(labels.shape)} do not fit outputs of shape {tuple(predicted.shape)}",
            where="the loss 'mse'",
            hint="give labels of the shape of the outputs, or another --loss",
        )


_LOSSES = {
    "cross_entropy": Loss("cross_entropy", _cross_entropy, _classified, _fits_classes),
    "mse": Loss("mse", _mse, None, _fits_numbers),
}
