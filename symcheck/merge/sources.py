"""The checkpoints that are merged: tensor by tensor in float64, each tensor once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from symcheck.errors import ConfigError, LoadError

State = Mapping[str, Tensor]
STATISTICS = ("running_mean", "running_var")
_LISTED = 5


@dataclass(frozen=True)
class Layer:
    """One tensor of every model and of their base.

    Shapes: values (T, *shape), base (*shape), float64; a complex tensor has a last axis of two. `base` is zero where
    there is none. `matrix` says whether it is a linear map, `statistic` whether a normaliser has counted it.
    """

    name: str
    values: Tensor
    base: Tensor
    matrix: bool
    statistic: bool

    @property
    def updates(self) -> Tensor:
        """Δ_t = θ_t − θ_0, (T, *shape)."""
        return self.values - self.base

    @property
    def rows(self) -> Tensor:
        """The updates as vectors, (T, n)."""
        return self.updates.reshape(len(self.values), -1)

    @property
    def matrices(self) -> Tensor:
        """The updates as maps from inputs to outputs, (T, d_out, d_in); kernels count as d_in = in · window."""
        return self.updates.flatten(2)

    def mean(self, weights: Tensor | None = None) -> Tensor:
        """Σ_t w_t θ_t / Σ_t w_t, (*shape)."""
        w = torch.ones(len(self.values), dtype=torch.float64) if weights is None else weights
        mean: Tensor = torch.tensordot(w / w.sum(), self.values, 1)
        return mean


@dataclass(frozen=True)
class Sources:
    """States of one architecture, θ_1 … θ_T, and the base θ_0 that they were trained from, if there is one.

    What is equal everywhere is kept: masks with infinities too. Raises ConfigError for fewer than two states,
    LoadError where names or shapes differ, or a tensor that is merged holds NaN or infinities.
    """

    states: tuple[State, ...]
    base: State | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "states", tuple(self.states))
        if len(self.states) < 2:
            raise ConfigError("one checkpoint alone is not merged", where="the checkpoints", hint="give two or more")
        for i, state in enumerate(self.all, 1):
            if odd := [*differing(self.states[0], state)]:
                more = f" and {len(odd) - _LISTED} more" if len(odd) > _LISTED else ""
                raise LoadError(
                    f"{self._called(i)} has another architecture than checkpoint 1",
                    where="; ".join(odd[:_LISTED]) + more,
                    hint="only checkpoints whose tensors have the same names and shapes are merged",
                )
        for i, state in enumerate(self.all, 1):
            if odd := [name for name in self._differing if not finite(state[name])]:
                raise LoadError(
                    f"'{odd[0]}' holds NaN or infinities",
                    where=self._called(i),
                    hint="give a healthy checkpoint",
                )

    @property
    def all(self) -> tuple[State, ...]:
        """The models, and the base behind them."""
        return self.states if self.base is None else (*self.states, self.base)

    @property
    def names(self) -> list[str]:
        """The tensors that are merged, each once, in the first model's order."""
        return [name for name in self._differing if name not in self.ties]

    @cached_property
    def ties(self) -> dict[str, str]:
        """Names whose tensors are equal in every model and in the base, and not constant -> the first such name."""
        seen: dict[tuple[object, ...], list[str]] = {}
        found: dict[str, str] = {}
        for name in self._differing:
            first = self.states[0][name]
            if bool((first == first.reshape(-1)[0]).all()):
                continue
            alike = seen.setdefault((first.shape, first.dtype, float(first.reshape(-1)[0].abs())), [])
            twin = next((o for o in alike if all(torch.equal(state[name], state[o]) for state in self.all)), None)
            if twin is None:
                alike.append(name)
            else:
                found[name] = twin
        return found

    @cached_property
    def statistics(self) -> frozenset[str]:
        """Running means and variances, which are measured and not learned: a module has both."""
        heads = [{n.removesuffix(suffix) for n in self.states[0] if n.endswith(suffix)} for suffix in STATISTICS]
        return frozenset(head + suffix for head in heads[0] & heads[1] for suffix in STATISTICS)

    def layer(self, name: str) -> Layer:
        """The tensor `name` of all models."""
        values = torch.stack([_double(state[name]) for state in self.states])
        base = torch.zeros_like(values[0]) if self.base is None else _double(self.base[name])
        first = self.states[0][name]
        matrix = not first.is_complex() and first.dim() >= 2 and min(len(first), first[0].numel()) > 1
        return Layer(name, values, base, matrix, name in self.statistics)

    def layers(self) -> Iterator[Layer]:
        """Every tensor that is merged, one at a time."""
        return (self.layer(name) for name in self.names)

    def built(self, merged: Callable[[Layer], Tensor], weights: Tensor | None = None) -> dict[str, Tensor]:
        """The state of merged tensors, each stored as in the first model; statistics are averaged, integers kept.

        Raises ConfigError for a tensor that its dtype cannot hold, or whose norm is beyond float64.
        """
        done: dict[str, Tensor] = {}
        for layer in self.layers():
            value = layer.mean(weights) if layer.statistic else merged(layer)
            done[layer.name] = _stored(layer.name, value, self.states[0][layer.name])
        return {name: done.get(self.ties.get(name, name), tensor.clone()) for name, tensor in self.states[0].items()}

    def _called(self, i: int) -> str:
        return f"checkpoint {i}" if i <= len(self.states) else "the base"

    @cached_property
    def _differing(self) -> list[str]:
        """The tensors of real or complex numbers that are not equal everywhere; NaN equals nothing."""
        numbers = [name for name, t in self.states[0].items() if any(_kind(t))]
        return [n for n in numbers if not all(torch.equal(self.states[0][n], state[n]) for state in self.all[1:])]


def differing(a: State, b: State) -> Iterator[str]:
    """What differs between the tensors of two states: missing, unexpected, of another shape or kind of number."""
    yield from (f"'{name}' is missing" for name in a if name not in b)
    yield from (f"'{name}' is not expected" for name in b if name not in a)
    for name in (name for name in a if name in b):
        if a[name].shape != b[name].shape:
            yield f"'{name}' is {tuple(b[name].shape)}, not {tuple(a[name].shape)}"
        elif _kind(a[name]) != _kind(b[name]):
            yield f"'{name}' holds {b[name].dtype}, not {a[name].dtype}"


def finite(x: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinities; of a byte's floats as wider ones."""
    return bool(torch.isfinite(x.float() if x.is_floating_point() and x.element_size() == 1 else x).all())


def _kind(x: Tensor) -> tuple[bool, bool]:
    return x.is_floating_point(), x.is_complex()


def _double(x: Tensor) -> Tensor:
    x = x.detach()
    return torch.view_as_real(x).double() if x.is_complex() else x.double()


def _stored(name: str, value: Tensor, like: Tensor) -> Tensor:
    stored = torch.view_as_complex(value.contiguous()).to(like.dtype) if like.is_complex() else value.to(like.dtype)
    if not (finite(stored) and finite(value.square().sum())):
        raise ConfigError(
            f"merged, '{name}' holds NaN or infinities",
            where=f"{name}: entries up to {float(value.abs().max()):.2g}, stored as {like.dtype}".replace("torch.", ""),
            hint="give a smaller --scale or a larger --density, or checkpoints in float32",
        )
    return stored
