"""Losses of single samples, labelled data, and how a network does on them."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError, DataError
from symcheck.importing import import_object
from symcheck.measure.runner import by_keyword
from symcheck.registry import suggest
from symcheck.subject import as_subject, named_outputs

PADDING = -100  # the label of a position that does not count
BATCH = 512  # samples in one forward pass, fewer where their inputs are large
_BYTES = 2**26  # how much memory the inputs of a batch may take

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
class Labelled:
    """Inputs by name with the labels of the same samples; the leading axis counts the samples."""

    inputs: Mapping[str, Tensor]
    labels: Tensor

    def __post_init__(self) -> None:
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
    values = loss.of(outputs, labels)
    if not isinstance(values, Tensor) or values.shape != labels.shape[:1]:
        shape = f"of shape {tuple(values.shape)}" if isinstance(values, Tensor) else f"a {type(values).__name__}"
        raise DataError(
            f"the loss is {shape}, not one number for each of {len(labels)} samples",
            where=f"the loss '{loss.name}'",
            hint="return a tensor of shape (n,): no mean over the samples, but one over everything else",
        )
    return values.double()


def batch_of(data: Labelled) -> int:
    """How many samples a batch has when nobody says: 512, fewer where their inputs take more than 64 MB."""
    sample = sum(x[:1].numel() * x.element_size() for x in data.inputs.values())
    return max(1, min(BATCH, _BYTES // max(1, sample)))


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
