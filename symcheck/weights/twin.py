"""The twin of a model: a private copy in double precision at generic weights, run again with some tensors changed.

`distance(changed)` is max |f_changed − f| over the spread of that output. NaN compares as NaN, equal infinities as
equal.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from symcheck.errors import ModelError
from symcheck.weights.doubled import Doubled, eps_zero, private, raised
from symcheck.weights.examples import Call, as_call, redrawn

Outputs = list[list[Tensor]]  # of every input, the tensors that the model returns
_FINE, _COARSE = 2.0**-36, 2.0**-24  # relative changes far below and near the precision of float32
_WAYS = 5
_BENT = 1e-3  # how far the two responses may be from proportional
REPEAT = 1e-6  # two runs that differ by more are not the same function
_NUDGED = 2**20  # entries; of larger tensors there are enough smaller ones
_MARGIN = 10.0  # between the largest of a few rounding errors and what counts as more than rounding


@dataclass
class Twin:
    """A copy of a model that belongs to us, with its inputs and what it returns for them.

    `state` holds its tensors by name, `made_generic` those that were constant and have been drawn anew; `dtype` the
    precision in which it runs, `floor` the error that rounding alone makes (0 where it is far below 1e-9), `repeat`
    the distance between two runs of the same.
    """

    module: nn.Module
    calls: list[Call]
    dtype: torch.dtype
    state: dict[str, Tensor] = field(default_factory=dict)
    made_generic: tuple[str, ...] = ()
    floor: float = 0.0
    repeat: float = 0.0
    forwards: int = 0
    base: Outputs = field(default_factory=list)
    scales: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    flat: bool = False

    @classmethod
    def of(
        cls,
        model: nn.Module,
        example: Any,
        seed: int = 0,
        *,
        inputs: int = 2,
        given: Mapping[str, Tensor] | None = None,
    ) -> Twin:
        """The twin of a model with its example and inputs like it; in the stored precision where float64 fails.

        With `given` its tensors are those, and none is made generic. Raises ModelError when the model fails on its
        own example.
        """
        rng = np.random.default_rng([seed & 0xFFFFFFFF, 0x7717])
        example = tree_map_only(Tensor, lambda t: t.detach().clone(), as_call(example))
        module = private(model, raised)
        twin = cls(module, [tree_map_only(Tensor, raised, example)], torch.float64)
        try:
            twin._start(rng, inputs, given)
            return twin
        except ModelError as error:
            reason = f"run in its own precision, since float64 fails: {error.message}"
        module = private(model)
        stored = {t.dtype for t in module.state_dict().values() if t.is_floating_point()}
        worst = max(stored or {torch.float32}, key=lambda dtype: torch.finfo(dtype).eps)
        twin = cls(module, [example], worst, notes=[reason])
        twin._start(rng, inputs, given)
        return twin

    def without_eps(self) -> Twin:
        """The same twin, sharing its tensors, with the normalisers' eps = 0 whenever it runs."""
        other = copy.copy(self)
        other.flat, other.forwards, other.notes = True, 0, []
        other.base = [other.call(call) for call in self.calls]
        return other

    def _start(self, rng: np.random.Generator, inputs: int, given: Mapping[str, Tensor] | None) -> None:
        self.state = {name: t for name, t in self.module.state_dict().items() if isinstance(t, Tensor)}
        if given is None:
            self.made_generic = tuple(make_generic(self.state, rng))
        for name, tensor in (given or {}).items():
            if name in self.state:
                self.state[name].copy_(tensor)
        self.base = [self.call(self.calls[0])]
        while len(self.calls) < inputs:
            self._add_input(rng)
        self.scales = [_scale([out[i] for out in self.base]) for i in range(len(self.base[0]))]
        self.repeat = self.distance({}, 1)
        if self.finite and self.repeat <= REPEAT:
            self.floor = self._floor(rng)

    def _add_input(self, rng: np.random.Generator) -> None:
        """One more input like the first; integers stay where the model fails on others, or returns NaN."""
        healthy = sum(int(y.isnan().sum()) for y in self.base[0])
        for how in ("redrawn", "permuted", "kept"):
            call = redrawn(self.calls[0], rng, how)
            try:
                outputs = self.call(call)
            except ModelError:
                if how == "kept":
                    raise
                continue
            alike = [y.shape for y in outputs] == [y.shape for y in self.base[0]]
            if how == "kept" or (alike and sum(int(y.isnan().sum()) for y in outputs) <= healthy):
                self.calls.append(call)
                self.base.append(outputs)
                return

    @property
    def spread(self) -> float:
        """The largest spread of an output; 0 when every output is constant."""
        return max((s for s in self.scales if math.isfinite(s)), default=0.0)

    @property
    def size(self) -> float:
        """The root mean square of the finite entries of the output whose spread is largest."""
        i = max(range(len(self.scales)), key=self.scales.__getitem__)
        flat = torch.cat([_plain(outputs[i]).flatten() for outputs in self.base])
        flat = flat[flat.isfinite()]
        return float(flat.square().mean().sqrt()) if flat.numel() else 0.0

    @property
    def finite(self) -> bool:
        """Whether no output is NaN."""
        return not any(bool(y.isnan().any()) for outputs in self.base for y in outputs)

    def run(self, changed: Mapping[str, Tensor], inputs: int | None = None) -> Outputs:
        """What the model returns for its first `inputs` inputs (None: all) with these tensors changed for the time."""
        held: dict[str, Tensor] = dict(self.module.named_buffers(remove_duplicate=False))
        held |= dict(self.module.named_parameters(remove_duplicate=False))
        before = {name: held[name].data for name in changed}
        try:
            for name, tensor in changed.items():
                held[name].data = tensor.to(before[name].dtype)
            return [self.call(call) for call in self.calls[:inputs]]
        finally:
            for name, tensor in before.items():
                held[name].data = tensor

    def distance(self, changed: Mapping[str, Tensor], inputs: int | None = None) -> float:
        """max |f_changed − f| / spread over inputs and outputs; NaN when there is one, inf when shapes differ."""
        return max(self.distances(changed, inputs), key=lambda d: math.inf if math.isnan(d) else d)

    def distances(self, changed: Mapping[str, Tensor], inputs: int | None = None) -> list[float]:
        """The distance for every input apart."""
        return [
            _gap(one, two, self.scales) for one, two in zip(self.run(changed, inputs), self.base[:inputs], strict=True)
        ]

    def slopes(self, seed: int) -> dict[str, Tensor]:
        """The gradient of Σ w f / (spread √n) on the first input, w normal, by every parameter that f depends on.

        Its product with a small change of the weights is about the root mean square change of the outputs.
        """
        rng = np.random.default_rng([seed & 0xFFFFFFFF, 0x51DE])
        parameters = dict(self.module.named_parameters(remove_duplicate=False))
        for parameter in parameters.values():
            parameter.requires_grad_(parameter.is_floating_point())
        try:
            outputs = self.call(self.calls[0], gradients=True)
        except ModelError:  # something in it has no gradient
            return {}
        total = torch.zeros((), dtype=torch.float64)
        for y, scale in zip(outputs, self.scales, strict=True):
            if y.requires_grad and scale > 0:
                y = torch.view_as_real(y) if y.is_complex() else y
                w = torch.from_numpy(rng.standard_normal(tuple(y.shape))).to(y)
                total = total + (w * torch.where(y.isfinite(), y, 0.0)).sum() / (scale * y.numel() ** 0.5)
        if not total.requires_grad:
            return {}
        found = torch.autograd.grad(total, [*parameters.values()], allow_unused=True)
        return {name: g for name, g in zip(parameters, found, strict=True) if g is not None}

    def call(self, call: Call, *, gradients: bool = False) -> list[Tensor]:
        """The tensors that the model returns for one input; ModelError when it raises or returns none."""
        self.forwards += 1
        args, kwargs = tree_map_only(Tensor, torch.clone, call)
        mode: AbstractContextManager[Any] = Doubled() if self.dtype == torch.float64 else nullcontext()
        eps: AbstractContextManager[None] = eps_zero(self.module) if self.flat else nullcontext()
        try:
            with torch.enable_grad() if gradients else torch.no_grad(), eps, mode:
                result = self.module(*args, **kwargs)
        except Exception as error:  # whatever a model may raise is reported as the model's
            first = (str(error).strip().splitlines() or [""])[0]
            raise ModelError(
                f"the model raised {type(error).__name__}: {first}",
                where=f"{type(self.module).__name__} in {str(self.dtype).removeprefix('torch.')}",
                hint="check that the example inputs have the shapes, order and types that forward takes",
            ) from error
        outputs = [y if gradients else y.detach().clone() for y in tree_leaves(result) if isinstance(y, Tensor)]
        if not outputs:
            raise ModelError(
                f"the model returned a {type(result).__name__} without tensors",
                where=type(self.module).__name__,
                hint="wrap the model so that it returns a tensor, a tuple of tensors or a dict of tensors",
            )
        return outputs

    def _floor(self, rng: np.random.Generator) -> float:
        """What rounding makes of the outputs: measured, where numbers of lower precision are at work.

        In true float64 a change of 2^-36 of the weights makes 2^-12 times the change that 2^-24 makes; where
        something inside is rounded coarsely it is swallowed or inflated, whichever way the weights change. (A step
        that happens to be crossed is crossed in one of a few ways only.)
        """
        first = [_plain(y) for y in self.base[0]]
        if self.dtype == torch.float64:
            for _ in range(_WAYS):
                fine, coarse = self._nudged((_FINE, _COARSE), rng)
                scaled = [z + (y - z) * (_COARSE / _FINE) for y, z in zip(fine, first, strict=True)]
                bent = _gap(scaled, coarse, self.scales)
                if bent <= max(_BENT * _gap(coarse, first, self.scales), 1e-12):
                    return 0.0
            self.notes.append("something inside the model computes in a precision below float64")
        eps = torch.finfo(torch.float32 if self.dtype == torch.float64 else self.dtype).eps
        errors = [_gap(self._nudged((eps,), rng)[0], first, self.scales) for _ in range(_WAYS)]
        return _MARGIN * sorted(errors)[_WAYS // 2]

    def _nudged(self, sizes: tuple[float, ...], rng: np.random.Generator) -> list[list[Tensor]]:
        """The outputs of the first input when stored floats are multiplied by 1 ± size, with the same signs each."""
        floats = {n: t for n, t in self.state.items() if t.is_floating_point() and t.numel()}
        chosen = {n: t for n, t in floats.items() if t.numel() <= _NUDGED} or floats
        signs = {n: torch.from_numpy(rng.choice((-1.0, 1.0), tuple(t.shape))) for n, t in chosen.items()}
        runs = ({n: t * (1 + size * signs[n].to(t)) for n, t in chosen.items()} for size in sizes)
        return [[_plain(y) for y in self.run(changed, 1)[0]] for changed in runs]


def make_generic(state: Mapping[str, Tensor], rng: np.random.Generator) -> list[str]:
    """Draw anew, in place, every float tensor that is constant: untrained gains, zero biases, fresh running statistics.

    Signs stay, so that variances stay positive; single numbers other than 0 stay. The names of those changed.
    """
    changed, seen = [], set()
    for name, tensor in state.items():
        if not tensor.is_floating_point() or not tensor.numel() or tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        value = float(tensor.flatten()[0])
        alone = tensor.numel() == 1 and value != 0
        if alone or not math.isfinite(value) or not bool((tensor == value).all()):
            continue
        noise = torch.from_numpy(rng.standard_normal(tuple(tensor.shape))).to(tensor)
        new = math.copysign(max(abs(value), 0.3), value) * (0.3 * noise).exp() if value else 0.3 * noise
        with torch.no_grad():
            tensor.copy_(new)
        changed.append(name)
    return changed


def _scale(outputs: list[Tensor]) -> float:
    """The deviation of all finite entries of one output over the inputs; 0 where it is constant up to rounding."""
    flat = torch.cat([_plain(y).flatten() for y in outputs])
    flat = flat[flat.isfinite()]
    if flat.numel() == 0:
        return 0.0
    deviation = float(flat.std(correction=0))
    return deviation if deviation > 1e-9 * float(flat.abs().max()) else 0.0


def _gap(one: list[Tensor], two: list[Tensor], scales: list[float]) -> float:
    if [y.shape for y in one] != [y.shape for y in two]:
        return math.inf
    worst = 0.0
    for y, z, scale in zip(one, two, scales, strict=True):
        y, z = _plain(y), _plain(z)
        delta = torch.where((y == z) & y.isinf(), 0.0, y - z).abs()
        if not delta.numel():
            continue
        largest = float(delta.max())
        relative = largest / (scale or float(z.abs().max()) or 1.0)
        if math.isnan(relative):
            return math.nan
        worst = max(worst, relative)
    return worst


def _plain(y: Tensor) -> Tensor:
    """Any output as float64 numbers."""
    return (torch.view_as_real(y.resolve_conj()) if y.is_complex() else y).to("cpu", torch.float64)
