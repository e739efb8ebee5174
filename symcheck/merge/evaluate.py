"""What merging costs and gains, beside the baselines that every merge is measured against."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves, tree_map

from symcheck.errors import ConfigError, DataError, ModelError, SymcheckError
from symcheck.measure.loss import Labelled, Loss, batch_of, caller, per_sample
from symcheck.merge.sources import State, finite
from symcheck.subject import call_with
from symcheck.weights.examples import Call

ENSEMBLE = "ensemble of outputs"
_EXAMPLES = 4


@dataclass(frozen=True)
class Score:
    """One model on one data set: mean loss with its standard error, the share of correct labels if they are classes.

    `accuracy_error` is the standard error of that share. `distance` is the root of the mean square of f − f_merged over
    that of f, both without their mean over samples: the interference that the model suffers (NaN for outputs that do
    not vary).
    """

    model: str
    data: str
    loss: float
    error: float
    accuracy: float | None
    accuracy_error: float | None
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
    def example(self) -> Call:
        """A few samples as the arguments of a call."""
        data = next(iter(self.data.values()))
        few = next(data.batches(_EXAMPLES)).to("cpu", _dtype(self.module)).inputs
        by_name = caller(self.module, data)
        call: Call = by_name(lambda *args, **kwargs: (args, kwargs), few)
        return call

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
    """The state with running means and variances measured on the data, each batch counting alike, and nothing else new.

    Raises ConfigError for a network without running statistics, DataError for a batch that has no variance,
    ModelError where what is measured is not finite.
    """
    module = trial.network
    module.load_state_dict(dict(state))
    norms = _norms(module)
    if not norms:
        raise ConfigError("the network has no running statistics", where="--reset", hint="drop --reset")
    for part in norms.values():
        part.train()
        part.reset_running_stats()
        part.momentum = None
        part.register_forward_pre_hook(_enough)
    call = _runner(trial, data)
    with torch.no_grad():
        for batch in data.batches(trial.batch_size or batch_of(data)):
            call(module, batch.to(trial.device, _dtype(module)).inputs)
    measured = {f"{n}.{key}": t for n, part in norms.items() for key, t in part.named_buffers(recurse=False)}
    found = {n: t.detach().to(state[n]) for n, t in measured.items()}
    if odd := [n for n, t in found.items() if not finite(t)]:
        raise ModelError(
            f"'{odd[0]}' measured on the data holds NaN or infinities",
            where=f"--reset, {found[odd[0]].dtype}".replace("torch.", ""),
            hint="the merged network is not healthy on these data: try a smaller --scale, or --no-reset",
        )
    return {**state, **found}


def has_statistics(module: nn.Module) -> bool:
    """Whether a batch normalisation of the network keeps running statistics."""
    return bool(_norms(module))


def _norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """The batch normalisations that keep statistics, by every name that they have."""
    parts = module.named_modules(remove_duplicate=False)
    return {n: part for n, part in parts if isinstance(part, _BatchNorm) and part.running_mean is not None}


def _enough(part: nn.Module, args: tuple[Tensor, ...]) -> None:
    """DataError where a channel of a batch has fewer than the two values that a variance needs."""
    x = args[0]
    if x.numel() < 2 * x.shape[1]:
        raise DataError(
            "a batch of one sample has no variance to re-estimate running statistics from",
            where="--reset",
            hint="give more samples or a larger --batch-size, or keep the averaged statistics with --no-reset",
        )


def _scored(
    trial: Trial, module: nn.Module, models: Mapping[str, State], singles: int, name: str
) -> list[Score]:
    """One data set: one pass, batch by batch, over all models."""
    data = trial.data[name]
    call, names = _runner(trial, data), [*models]
    losses: dict[str, list[Tensor]] = {model: [] for model in (*names, ENSEMBLE)}
    right: dict[str, list[Tensor]] = {model: [] for model in (*names, ENSEMBLE)}
    moments = {model: (_Moments(), _Moments()) for model in losses}
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
                own, merged = _rows(out, here.count), _rows(outputs[names[-1]], here.count)
                moments[model][0].add(own)
                moments[model][1].add(merged - own)
    return [
        Score(model, name, *_mean_of(losses[model]), *_mean_of(right[model]), _distance(*moments[model]))
        for model in (*names[:singles], ENSEMBLE, *names[singles:])
    ]


def _mean_of(batches: Sequence[Tensor]) -> tuple[Any, Any]:
    """The mean over samples and its standard error; twice None where there is nothing."""
    if not batches:
        return None, None
    values = torch.cat([*batches])
    return float(values.mean()), float(values.std() / len(values) ** 0.5) if len(values) > 1 else 0.0


class _Moments:
    """Sums over samples of numbers and of their squares."""

    def __init__(self) -> None:
        self.count = 0
        self.first = self.second = torch.zeros(())

    def add(self, y: Tensor) -> None:
        """Samples (n, k)."""
        self.first = self.first.to(y) + y.sum(0)
        self.second = self.second.to(y) + y.square().sum(0)
        self.count += len(y)

    @property
    def mean(self) -> Tensor:
        """(k,)."""
        return self.first / self.count

    @property
    def variance(self) -> Tensor:
        """(k,)."""
        return (self.second / self.count - self.mean.square()).clamp_min(0)


def _distance(own: _Moments, gap: _Moments) -> float:
    spread = float(own.variance.sum())
    return (float(gap.variance.sum()) / spread) ** 0.5 if spread > 0 else float("nan")


def _bound(module: nn.Module, state: State) -> Any:
    def run(*args: Tensor, **kwargs: Tensor) -> Any:
        return call_with(module, state, args, kwargs)

    return run


def _runner(trial: Trial, data: Labelled) -> Callable[..., Any]:
    """The call of a network on inputs; what goes wrong in it is a ModelError."""
    call = caller(trial.module, data)

    def run(network: Any, inputs: Mapping[str, Tensor]) -> Any:
        try:
            return call(network, inputs)
        except (SymcheckError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a user's network may raise is reported as the network's
            shapes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in inputs.items())
            raise ModelError(
                f"the network raised {type(error).__name__}: {(str(error).splitlines() or [''])[0]}",
                where=f"inputs {shapes}",
                hint="do these data belong to this network, and does it run in batches of this size?",
            ) from error

    return run


def _rows(outputs: Any, count: int) -> Tensor:
    """The floating outputs that have a row for every sample, side by side, (n, k), in float64."""
    leaves = [x for x in tree_leaves(outputs) if isinstance(x, Tensor) and x.is_floating_point()]
    rows = [x.reshape(count, -1).double() for x in leaves if x.dim() and len(x) == count]
    return torch.cat(rows, 1) if rows else torch.zeros(count, 0)


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
