"""Labelled data and a loss from the command line: the options, and what stands behind them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from symcheck.errors import ConfigError, DataError
from symcheck.registry import suggest

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from symcheck.measure.loss import Labelled, Loss
    from symcheck.subject import Subject

SAMPLES = 10_000  # of each data set, when nobody says
NAMES = ("y", "label", "labels", "target", "targets")
_DATA = "Data"

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "-i", "--inputs",
        help="Inputs and labels: data.npz, x.safetensors, module:function; name=... for several; repeat.",
        rich_help_panel=_DATA,
    ),
]  # fmt: skip
Labels = Annotated[
    str | None,
    typer.Option(help="The array that holds the labels. [default: y, label or target]", rich_help_panel=_DATA),
]
TestInputs = Annotated[
    list[str] | None,
    typer.Option(help="A second data set, with the same arrays, that only measures; repeat.", rich_help_panel=_DATA),
]
LossName = Annotated[
    str | None,
    typer.Option(
        "--loss",
        help="cross_entropy, mse, module:function or file.py:function. "
        "[default: cross_entropy for integer labels, mse for others]",
        rich_help_panel=_DATA,
    ),
]
Samples = Annotated[
    int | None,
    typer.Option(min=1, help=f"At most so many of each data set. [default: {SAMPLES}]", rich_help_panel=_DATA),
]
BatchSize = Annotated[
    int | None, typer.Option(min=1, help="Samples in one forward pass. [default: 512]", rich_help_panel=_DATA)
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1. [default: auto]", rich_help_panel=_DATA)]


@dataclass(frozen=True)
class Data:
    """What is measured on: the first data set, the second if there is one, and the loss."""

    train: Labelled
    test: Labelled | None
    loss: Loss

    @property
    def sets(self) -> dict[str, Labelled]:
        """The data sets by name."""
        return {"train": self.train, **({"test": self.test} if self.test is not None else {})}


def labelled_data(settings: Mapping[str, Any]) -> Data:
    """The data that the settings name: `inputs`, `labels`, `test_inputs`, `loss`, `samples`, `seed`, `base`.

    The array of labels is the one named, or the only one called y, label, labels, target or targets; the others are
    the inputs, in order. Only `inputs` may start at `base`, the folder of a subject file.
    Raises DataError, LoadError, ConfigError.
    """
    from symcheck.measure.loss import loss_for, loss_of

    if not settings.get("inputs"):
        raise ConfigError(
            "there are no labelled data to measure on",
            where="--inputs",
            hint="give -i data.npz with an array of labels called y, or --labels NAME",
        )
    train = _labelled(settings, "inputs")
    test = _labelled(settings, "test_inputs") if settings.get("test_inputs") else None
    name = settings.get("loss")
    loss = loss_of(name) if name else loss_for(train.labels)
    return Data(train, test, loss)


def data_name(settings: Mapping[str, Any]) -> str:
    """What the first data set is called: train beside a second one, else the names of the files that it is from."""
    if settings.get("test_inputs"):
        return "train"
    sources = settings["inputs"]
    found = dict.fromkeys(Path(str(x)).name for x in (sources.values() if isinstance(sources, Mapping) else [sources]))
    return ", ".join(found)


def without_labels(
    inputs: Mapping[str, Tensor], settings: Mapping[str, Any], subject: Subject
) -> dict[str, Tensor]:
    """The arrays that the network takes: all but that of the labels, if it has no parameter of that name."""
    from symcheck.measure.calling import by_keyword

    given = settings.get("labels")
    odd = [n for n in inputs if n == given or (given is None and n.lower() in NAMES and not by_keyword(subject, [n]))]
    return {name: x for name, x in inputs.items() if name not in odd} if len(odd) < len(inputs) else dict(inputs)


def device_of(name: str | None) -> torch.device:
    """The device called `name`; `auto` is the first accelerator, else the processor."""
    import torch

    if name in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the device '{name}' cannot be used", where=str(error).splitlines()[0][:90], hint="use cpu or auto"
        ) from error
    return device


def _labelled(settings: Mapping[str, Any], which: str) -> Labelled:
    from symcheck.cli.run import inputs_of
    from symcheck.measure.loss import Labelled

    base = settings.get("base", Path.cwd()) if which == "inputs" else Path.cwd()
    tensors = inputs_of({"samples": SAMPLES, "seed": 0, **settings, "inputs": settings[which], "base": base})
    name = _label_name(tensors, settings.get("labels"), f"{settings[which]}")
    labels = tensors.pop(name)
    if not tensors:
        raise DataError(
            "there are labels but no inputs", where=str(settings[which]), hint=f"add an array beside '{name}'"
        )
    return Labelled(tensors, labels)


def _label_name(tensors: Mapping[str, Tensor], given: str | None, where: str) -> str:
    """The name of the array of labels."""
    known = [*tensors]
    if given is not None:
        if given in tensors:
            return given
        raise DataError(f"there is no array '{given}'", where=where, hint=f"--labels: {suggest(given, known)}")
    found = [name for name in known if name.lower() in NAMES]
    if len(found) == 1:
        return found[0]
    what = "several arrays may be the labels: " + ", ".join(found)
    what = what if found else "no array is called " + ", ".join(NAMES)
    raise DataError(what, where=where, hint=f"say which with --labels: {', '.join(known)}")
