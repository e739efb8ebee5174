"""The ways of merging by name: functions of states, whose keyword arguments are the settings that they read.

θ_t are the models, θ_0 their base (0 without one), Δ_t = θ_t − θ_0, w_t weights; running statistics are always
averaged. Work is done tensor by tensor in float64.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from symcheck.errors import ConfigError
from symcheck.groups.draws import Draws
from symcheck.merge.isotropic import isotropic, isotropic_with_tasks, superposed
from symcheck.merge.sources import Layer, Sources
from symcheck.registry import Registry

Merged = dict[str, Tensor]
_PARALLEL = 1e-6  # sine below which an arc is taken for its chord


@dataclass(frozen=True)
class Method:
    """A way of merging: `run(sources, **settings)`, what its settings are by default, and what it needs."""

    name: str
    run: Callable[..., Merged]
    based: bool

    @property
    def settings(self) -> Mapping[str, Any]:
        """The settings that the method reads, with their defaults."""
        parameters = list(inspect.signature(self.run).parameters.values())[1:]
        return MappingProxyType({p.name: p.default for p in parameters})

    def __call__(self, sources: Sources, **settings: Any) -> Merged:
        """The merged state. Raises ConfigError for a setting that the method does not read, or a missing base, or for
        a number or a result that is not finite."""
        for name, value in settings.items():
            if name not in self.settings:
                raise ConfigError(
                    f"the method '{self.name}' has no setting '{name}'",
                    where=name,
                    hint=f"it reads {', '.join(self.settings)}",
                )
            if isinstance(value, float) and not math.isfinite(value):
                raise ConfigError(f"{value} is no number to merge with", where=name, hint="give a finite number")
        if self.based and sources.base is None:
            raise ConfigError(
                f"the method '{self.name}' adds up updates from a base, and there is none",
                where=f"method {self.name}",
                hint="give the checkpoint that the models were trained from with --base",
            )
        return self.run(sources, **settings)


methods: Registry[Method] = Registry("method of merging")


def method(name: str, *, based: bool = False) -> Callable[[Callable[..., Merged]], Callable[..., Merged]]:
    """Decorator: make the function known as a method; `based` when it needs a base."""

    def add(run: Callable[..., Merged]) -> Callable[..., Merged]:
        methods.register(name)(Method(name, run, based))
        return run

    return add


@method("average")
def average(sources: Sources, *, weights: tuple[float, ...] = ()) -> Merged:
    """Σ_t w_t θ_t / Σ_t w_t, by default the mean."""
    w = _weights(weights, sources)
    return sources.built(lambda layer: layer.mean(w), w)


@method("slerp")
def slerp(sources: Sources, *, t: float = 0.5) -> Merged:
    """sin((1 − t) Ω) / sin Ω · θ_1 + sin(t Ω) / sin Ω · θ_2 for each tensor, with Ω the angle between the two.

    Of two vectors of one norm every point of the arc has it. A tensor that is zero, parallel or opposite to the other
    is interpolated linearly. Source: Shoemake 1985.
    """
    if len(sources.states) != 2:
        raise ConfigError(
            f"an arc joins two checkpoints, not {len(sources.states)}", where="method slerp", hint="give two"
        )
    if not 0 <= t <= 1:
        raise ConfigError(f"{t:g} is not on the arc", where="t", hint="0 is the first checkpoint, 1 the second")
    line = torch.tensor([1 - t, t], dtype=torch.float64)

    def arc(layer: Layer) -> Tensor:
        a, b = layer.values.reshape(2, -1)
        size = a.norm() * b.norm()
        angle = torch.arccos((a @ b / size).clamp(-1, 1)) if size > 0 else torch.zeros(())
        straight = not angle.sin() > _PARALLEL
        shares = line if straight else (line * angle).sin() / angle.sin()
        point: Tensor = torch.tensordot(shares, layer.values, 1)
        return point

    return sources.built(arc, line)


@method("task", based=True)
def task_arithmetic(sources: Sources, *, weights: tuple[float, ...] = (), scale: float = 1.0) -> Merged:
    """θ_0 + α Σ_t w_t Δ_t. Source: Ilharco et al. 2022, arXiv:2212.04089."""
    w = _weights(weights, sources)
    return sources.built(lambda layer: layer.base + scale * torch.tensordot(w, layer.updates, 1), w)


@method("ties", based=True)
def ties(
    sources: Sources, *, weights: tuple[float, ...] = (), scale: float = 1.0, density: float = 0.2
) -> Merged:
    """θ_0 + α · the mean of the updates that have the elected sign, of the largest `density` of each Δ_t's entries.

    Trim: of all entries of Δ_t the `density` largest in magnitude are kept. Elect: γ = sign Σ_t w_t Δ̂_t. Merge: the
    weighted mean of the Δ̂_t that have the sign γ; 0 where the signs balance. Source: Yadav et al. 2023,
    arXiv:2306.01708.
    """
    w = _weights(weights, sources)
    least = _thresholds(sources, _share(density, "density"))

    def elected_mean(layer: Layer) -> Tensor:
        updates = layer.updates
        large = updates.abs() >= least.reshape(-1, *(1,) * (updates.dim() - 1))
        return layer.base + scale * elected(torch.where(large, updates, 0.0), w)

    return sources.built(elected_mean, w)


@method("dare", based=True)
def dare(
    sources: Sources,
    *,
    weights: tuple[float, ...] = (),
    scale: float = 1.0,
    density: float = 0.1,
    seed: int = 0,
) -> Merged:
    """θ_0 + α Σ_t w_t m_t Δ_t / p, with m_t = 1 with probability p = `density`, else 0: its mean is task arithmetic.

    Source: Yu et al. 2023, arXiv:2311.03099.
    """
    w = _weights(weights, sources)
    p = _share(density, "density")
    return sources.built(
        lambda layer: layer.base + scale * torch.tensordot(w, _dropped(layer, p, seed), 1), w
    )


@method("dare-ties", based=True)
def dare_ties(
    sources: Sources,
    *,
    weights: tuple[float, ...] = (),
    scale: float = 1.0,
    density: float = 0.1,
    seed: int = 0,
) -> Merged:
    """As ties, with the random drop and rescaling of dare in the place of the trimming."""
    w = _weights(weights, sources)
    p = _share(density, "density")
    return sources.built(lambda layer: layer.base + scale * elected(_dropped(layer, p, seed), w), w)


@method("iso-c", based=True)
def iso_c(sources: Sources, *, scale: float = 1.0) -> Merged:
    """θ_0 + α σ̄ U V^T with UΣV^T = Σ_t Δ_t and σ̄ = mean σ_i; what is no matrix is averaged.

    Source: Marczak et al. 2025, arXiv:2502.04959.
    """
    return sources.built(lambda layer: _by_matrix(layer, scale, isotropic))


@method("iso-cts", based=True)
def iso_cts(sources: Sources, *, scale: float = 1.0, common_share: float = 0.8) -> Merged:
    """As iso-c, with the weakest directions of Σ_t Δ_t replaced by the strongest that each task has beyond the others.

    The k strongest, about `common_share` of all, are kept; see `isotropic_with_tasks`. Source: Marczak et al. 2025,
    arXiv:2502.04959.
    """
    common = _share(common_share, "common_share", zero=True)
    return sources.built(lambda layer: _by_matrix(layer, scale, lambda m: isotropic_with_tasks(m, common)))


@method("superpose")
def superpose(sources: Sources, *, scale: float = 1.0, features: int | None = None) -> Merged:
    """θ_0 + α M with M v = σ u for the leading `features` singular triples (σ, u, v) of every Δ_t, by M = Y V^+.

    Exact where the directions v of all tasks together are independent; by default they take at most half of the
    inputs' dimensions, see `superposed`. What is no matrix is averaged. Source: Qiu et al. 2025, arXiv:2502.10698.
    """
    if features is not None and features < 1:
        raise ConfigError(f"{features} features are too few", where="features", hint="keep one or more of each task")
    return sources.built(lambda layer: _by_matrix(layer, scale, lambda m: superposed(m, features)))


def elected(updates: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the entries that have the sign of their weighted sum over t; 0 where that is 0.

    Shapes: updates (T, *shape), weights (T,) -> (*shape).
    """
    w = weights.reshape(-1, *(1,) * (updates.dim() - 1))
    agree = updates.sign() * (w * updates).sum(0).sign() > 0
    total = (w * agree).sum(0)
    return torch.where(total > 0, (w * agree * updates).sum(0) / total.clamp_min(1e-300), 0.0)


def _by_matrix(layer: Layer, scale: float, combined: Callable[[Tensor], Tensor]) -> Tensor:
    if not layer.matrix:
        return layer.mean()
    return layer.base + scale * combined(layer.matrices).reshape(layer.base.shape)


def _dropped(layer: Layer, p: float, seed: int) -> Tensor:
    """m Δ / p, with m of model t drawn from (seed, the tensor's name, t) alone."""
    chance = Draws(seed, f"dare:{layer.name}").uniform(len(layer.values), *layer.base.shape)
    return torch.where(chance < p, layer.updates / p, 0.0)


def _thresholds(sources: Sources, density: float) -> Tensor:
    """The least magnitude among the `density` largest entries of each update, (T,)."""
    updates = [layer.rows.abs() for layer in sources.layers() if not layer.statistic]
    if not updates:
        return torch.zeros(len(sources.states), dtype=torch.float64)
    sizes = torch.cat(updates, 1)
    kept = max(1, math.ceil(density * sizes.shape[1]))
    return sizes.kthvalue(sizes.shape[1] - kept + 1, 1).values


def _weights(given: tuple[float, ...], sources: Sources) -> Tensor:
    """(T,) weights, 1 by default; each at least 0, not all 0."""
    w = torch.tensor(given or (1.0,) * len(sources.states), dtype=torch.float64)
    if len(w) != len(sources.states):
        raise ConfigError(
            f"{len(w)} weights for {len(sources.states)} checkpoints", where="weights", hint="give one for each"
        )
    if not (bool((w >= 0).all()) and 0 < float(w.sum()) < math.inf):
        raise ConfigError(
            "weights are at least 0, and not all are 0",
            where=f"weights {', '.join(f'{x:g}' for x in given)}",
            hint="to take away what a model has learned, give the method 'task' a negative scale",
        )
    return w


def _share(value: float, name: str, *, zero: bool = False) -> float:
    if not (0 < value <= 1 or (zero and value == 0)):
        raise ConfigError(f"{value:g} is no share", where=name, hint="give a number above 0, up to 1")
    return value
