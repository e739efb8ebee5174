"""What merging costs and gains, beside the baselines that every merge is measured against."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._pytree import tree_leaves, tree_map

from symcheck.errors import ConfigError, ModelError
from symcheck.measure.loss import Labelled, Loss, batch_of, caller, per_sample
from symcheck.merge.sources import State

ENSEMBLE = "ensemble of outputs"


@dataclass(frozen=True)
class Score:
    """One model on one data set: mean loss with its standard error, the share of correct labels if they are classes.

    `distance` is the root of the mean square of f − f_merged over that of f, both without their mean over samples:
    the interference that the model suffers (NaN for outputs that do not vary).
    """

    model: str
    data: str
    loss: float
    error: float
    accuracy: float | None
    distance: float


@dataclass(frozen=True)
class Trial:
    """What models are measured on: the network, data sets by name, a loss, and where."""

    module: nn.Module
    data: Mapping[str, Labelled]
    loss: Loss
    batch_size: int | None = None
    device: torch.device | str = "cpu"

    @property
    def network(self) -> nn.Module:
        """The network in evaluation mode on the device, a copy."""
        return copy.deepcopy(self.module).eval().to(self.device)


def scores(trial: Trial, models: Mapping[str, State], singles: int) -> tuple[Score, ...]:
    """Every model on every data set, and the mean of the outputs of the first `singles`; the last one is the merged.

    All models see a batch before the next is read. Raises ModelError where an output is not finite.
    """
    module = trial.network
    placed = {name: {n: t.to(trial.device) for n, t in state.items()} for name, state in models.items()}
    return tuple(row for name in trial.data for row in _scored(trial, module, placed, singles, name))


def reset_statistics(trial: Trial, state: State, data: Labelled) -> dict[str, Tensor]:
    """The state with running means and variances measured on the data, each batch counting alike.

    Raises ConfigError for a network without running statistics.
    """
    module = trial.network
    module.load_state_dict(dict(state))
    norms = [part for part in module.modules() if getattr(part, "running_mean", None) is not None]
    if not norms:
        raise ConfigError("the network has no running statistics", where="--reset", hint="drop --reset")
    for part in norms:
        part.train()
        part.reset_running_stats()  # type: ignore[operator]
        part.momentum = None  # type: ignore[assignment]
    _run(trial, module, data)
    return {name: t.detach().to(state[name]) for name, t in module.state_dict().items()}


def _run(trial: Trial, module: nn.Module, data: Labelled) -> None:
    call = caller(trial.module, data)
    with torch.no_grad():
        for batch in data.batches(trial.batch_size or batch_of(data)):
            call(module, batch.to(trial.device, _dtype(module)).inputs)


def _scored(
    trial: Trial, module: nn.Module, models: Mapping[str, State], singles: int, name: str
) -> list[Score]:
    """One data set: one pass, batch by batch, over all models."""
    data = trial.data[name]
    call, names = caller(trial.module, data), [*models]
    losses: dict[str, list[Tensor]] = {model: [] for model in (*names, ENSEMBLE)}
    right: dict[str, list[Tensor]] = {model: [] for model in (*names, ENSEMBLE)}
    moments = {model: _Moments() for model in losses}
    with torch.no_grad():
        for i, batch in enumerate(data.batches(trial.batch_size or batch_of(data))):
            here = batch.to(trial.device, _dtype(module))
            outputs = {m: call(_bound(module, models[m]), here.inputs) for m in names}
            outputs[ENSEMBLE] = tree_map(_mean, *(outputs[m] for m in names[:singles]))
            for model, out in outputs.items():
                if not i:
                    trial.loss.fits(out, data.labels)
                losses[model].append(_finite(per_sample(trial.loss, out, here.labels), model, name))
                if trial.loss.correct is not None:
                    right[model].append(trial.loss.correct(out, here.labels).double())
                moments[model].add(_flat(out), _flat(outputs[names[-1]]))
    return [
        Score(
            model, name, float(loss.mean()), float(loss.std() / len(loss) ** 0.5) if len(loss) > 1 else 0.0,
            float(torch.cat(right[model]).mean()) if right[model] else None, moments[model].distance,
        )
        for model in (*names[:singles], ENSEMBLE, *names[singles:])
        for loss in [torch.cat(losses[model])]
    ]  # fmt: skip


class _Moments:
    """Sums over samples of outputs and of their differences, and of their squares."""

    def __init__(self) -> None:
        self.count = 0
        self.sums: list[Tensor] = []

    def add(self, own: Tensor, other: Tensor) -> None:
        """Outputs (n, k) of two models for the same samples."""
        new = [x for y in (own, other - own) for x in (y.sum(0), y.square().sum(0))]
        self.sums = [a + b for a, b in zip(self.sums, new, strict=True)] if self.sums else new
        self.count += len(own)

    @property
    def distance(self) -> float:
        own, own_squares, gap, gap_squares = self.sums
        spread = float((own_squares - own.square() / self.count).clamp_min(0).sum())
        apart = float((gap_squares - gap.square() / self.count).clamp_min(0).sum())
        return (apart / spread) ** 0.5 if spread > 0 else float("nan")


def _bound(module: nn.Module, state: State) -> Any:
    def run(*args: Tensor, **kwargs: Tensor) -> Any:
        return functional_call(module, dict(state), args, kwargs, tie_weights=False)

    return run


def _flat(outputs: Any) -> Tensor:
    """The floating outputs of a batch side by side, (n, k), in float64."""
    found = [x for x in tree_leaves(outputs) if isinstance(x, Tensor) and x.is_floating_point()]
    return torch.cat([x.flatten(1).double() if x.dim() > 1 else x[:, None].double() for x in found], 1)


def _mean(*leaves: Any) -> Any:
    if isinstance(leaves[0], Tensor) and leaves[0].is_floating_point():
        return torch.stack(leaves).mean(0)
    return leaves[0]


def _finite(losses: Tensor, model: str, data: str) -> Tensor:
    if not bool(torch.isfinite(losses).all()):
        raise ModelError(
            f"the loss of '{model}' is NaN or infinite for {int((~torch.isfinite(losses)).sum())} samples",
            where=f"data set '{data}'",
            hint="look at the running statistics and at the scale of the updates; --reset re-estimates the former",
        )
    return losses


def _dtype(module: nn.Module) -> torch.dtype | None:
    return next((t.dtype for t in module.state_dict().values() if t.is_floating_point()), None)
