"""The layers whose statistics shrink between two networks: found by running the network, measured, and renormalised.

REPAIR gives every channel of a pre-activation at t the mean (1 − t) μ_A + t μ_B and the deviation (1 − t) σ_A + t σ_B:
it puts a batch normalisation behind the layer whose gain and shift are those. With the layers that have one of their
own, whose statistics at the ends are those of the data, this is the same as estimating them anew.
Source: Jordan et al. 2022 (arXiv:2211.08403).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves

EPS = 1e-10  # of the variance aimed at, added to what is there: channels that are constant stay so
Key = tuple[str, int]  # the name of a module, and which of its calls
Batch = tuple[Tensor, Tensor, int]  # mean and variance of each channel of a batch, and over how many values


@dataclass(frozen=True)
class Layer:
    """One call of a linear, convolution or normalising module: the axis of its channels, and whether it is corrected.

    REPAIR corrects what something follows: not the outputs of the network, nor what has a batch normalisation of its
    own behind it, where that is corrected.
    """

    key: Key
    axis: int
    corrected: bool

    @property
    def name(self) -> str:
        """The name of the module, with the number of the call from the second on."""
        return self.key[0] + (f" (call {self.key[1] + 1})" if self.key[1] else "")


@dataclass
class Moments:
    """Mean and variance of each channel, gathered batch by batch in float64."""

    count: int = 0
    mean: Tensor = field(default_factory=lambda: torch.zeros(()))
    square: Tensor = field(default_factory=lambda: torch.zeros(()))  # the sum of squared deviations
    dtype: torch.dtype = torch.float32  # what sums over such outputs are taken in

    def add(self, x: Tensor, axis: int) -> None:
        """Take in a batch of outputs."""
        self.dtype = torch.promote_types(x.dtype, torch.float32)
        self.take(moments_of(x, axis))

    def take(self, batch: Batch) -> None:
        """Take in the moments of a batch; shapes (channels,), stacked (T, channels)."""
        mean, var, count = batch
        if not self.count:
            self.mean, self.square = torch.zeros_like(mean), torch.zeros_like(var)
        total, delta = self.count + count, mean - self.mean
        self.mean = self.mean + delta * (count / total)
        self.square = self.square + var * count + delta.square() * (self.count * count / total)
        self.count = total

    @property
    def variance(self) -> Tensor:
        """The variance of each channel over everything, divided by the count."""
        return self.square / max(self.count, 1)

    @property
    def deviation(self) -> Tensor:
        """The standard deviation of each channel."""
        return self.variance.sqrt()

    def far(self, other: Moments) -> float:
        """How far means and deviations are from others, relative to the deviations; of stacked ones the largest."""
        sizes = self.deviation.norm(dim=-1).clamp_min(torch.finfo(torch.float64).tiny)
        gaps = torch.maximum((self.mean - other.mean).norm(dim=-1), (self.deviation - other.deviation).norm(dim=-1))
        return float((gaps / sizes).max())


@dataclass
class Correction:
    """A batch normalisation behind a layer: its statistics, and the mean and deviation that it gives.

    Shapes: each (channels,), stacked (T, channels).
    """

    mean: Tensor
    var: Tensor
    target_mean: Tensor
    target_deviation: Tensor

    @classmethod
    def towards(cls, a: Moments, b: Moments, t: float) -> Correction:
        """The correction at t, nothing measured yet."""
        mean = ((1 - t) * a.mean + t * b.mean).to(a.dtype)
        deviation = ((1 - t) * a.deviation + t * b.deviation).to(a.dtype)
        return cls(torch.zeros_like(mean), torch.ones_like(mean), mean, deviation)

    @classmethod
    def stacked(cls, corrections: Sequence[Correction]) -> Correction:
        """Several corrections as one, along a new leading axis."""
        return cls(*(torch.stack(parts) for parts in zip(*(one.tensors for one in corrections), strict=True)))

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Its four tensors."""
        return self.mean, self.var, self.target_mean, self.target_deviation

    def __call__(self, x: Tensor, axis: int, batch: Batch | None = None) -> Tensor:
        """The corrected output, by the statistics that it has or by those of a batch."""
        rows = channels_second(x, axis)
        mean, var = (self.mean, self.var) if batch is None else (part.to(self.mean.dtype) for part in batch[:2])
        var = var + EPS * self.target_deviation.square()
        tiny = torch.finfo(var.dtype).tiny
        y = F.batch_norm(rows, mean, var, self.target_deviation, self.target_mean, training=False, eps=tiny)
        return y if rows is x else y.reshape(x.shape)


def moments_of(x: Tensor, axis: int) -> Batch:
    """Mean and variance of each channel of a batch, in float64, and the number of values."""
    rows = channels_second(x.detach(), axis)
    rows, others = rows.to(torch.promote_types(x.dtype, torch.float32)), [0, *range(2, rows.dim())]
    mean = rows.mean(others, keepdim=True)
    apart = rows - mean
    var = apart.mul_(apart).mean(others).double()  # several times faster than var_mean on a processor
    return mean.flatten().double(), var, rows.numel() // rows.shape[1]


def channels_second(x: Tensor, axis: int) -> Tensor:
    """The tensor with its channels on the second axis: rows of channels where they are last."""
    return x if axis == 1 and x.dim() > 1 else x.reshape(-1, x.shape[-1])


class Watch:
    """Calls a function on the output of every layer of a network; what it returns, if anything, takes its place."""

    def __init__(self, module: nn.Module, layers: Mapping[Key, Layer]) -> None:
        self._module, self._layers = module, layers

    @contextmanager
    def __call__(self, act: Callable[[Layer, Tensor], Tensor | None]) -> Iterator[None]:
        """While this lasts, `act(layer, output)` is called in the order of the layers."""
        calls: Counter[str] = Counter()

        def hook(name: str) -> Callable[..., Tensor | None]:
            def after(module: nn.Module, args: Any, output: Any) -> Tensor | None:
                layer = self._layers.get((name, calls[name]))
                calls[name] += 1
                return act(layer, output) if layer is not None and isinstance(output, Tensor) else None

            return after

        names = {key[0] for key in self._layers}
        handles = [self._module.register_forward_pre_hook(lambda module, args: calls.clear())]
        handles += [m.register_forward_hook(hook(n)) for n, m in self._module.named_modules() if n in names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def find_layers(module: nn.Module, run: Callable[[], Any]) -> dict[Key, Layer]:
    """The layers of a network in the order in which they run; `run` calls it once on a few samples.

    Linear are those that are affine in a tensor of floats and have a matrix of weights: modules without parts of their
    own that are no Linear or convolution are tried. Normalising are those that say so.
    """
    search = _Search(module)
    with search.watching(), torch.no_grad():
        result = run()
    return search.layers(result)


@dataclass
class _Seen:
    """An output that was seen, as it was then."""

    key: Key
    axis: int
    norm: bool
    output: Tensor
    version: int
    behind: bool = False  # its batch normalisation comes next

    def is_in(self, x: Any) -> bool:
        """Whether a tensor is this output, or a view of it, and nothing has been written into it since."""
        same = isinstance(x, Tensor) and x.untyped_storage().data_ptr() == self.output.untyped_storage().data_ptr()
        return bool(same and self.output._version == self.version)


class _Search:
    """One run of a network, seen from its layers."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._seen: list[_Seen] = []
        self._calls: Counter[str] = Counter()
        self._quiet = False

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look at every module that may be a layer."""
        handles = []
        for name, part in self._module.named_modules():
            if _may_be_layer(part):
                handles.append(part.register_forward_hook(self._after(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def layers(self, result: Any) -> dict[Key, Layer]:
        """What was found, given what the network returned."""
        last = max((i for i, seen in enumerate(self._seen) if not _only_measured(self._module, seen)), default=-1)
        leaves = tree_leaves(result)
        found = {}
        for i, seen in enumerate(self._seen):
            returned = i == last or any(seen.is_in(x) for x in leaves)
            free = not (returned or seen.behind or _only_measured(self._module, seen))
            found[seen.key] = Layer(seen.key, seen.axis, free)
        return found

    def _after(self, name: str) -> Callable[..., None]:
        def after(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if self._quiet:
                return
            key = (name, self._calls[name])
            self._calls[name] += 1
            if not isinstance(output, Tensor) or not output.is_floating_point() or output.dim() < 2:
                return
            norm = _is_norm(module)
            if is_plain(module):
                for seen in self._seen:
                    seen.behind |= not seen.norm and any(seen.is_in(x) for x in args)
            if norm or isinstance(module, nn.Linear | _ConvNd) or self._is_affine(module, args, output):
                self._seen.append(_Seen(key, _axis(module), norm, output, output._version))

        return after

    def _is_affine(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> bool:
        """Whether f(2x) − f(x) = f(x) − f(0)."""
        if len(args) != 1 or not isinstance(args[0], Tensor) or not args[0].is_floating_point():
            return False
        self._quiet = True
        try:
            twice, zero = module(2 * args[0]), module(torch.zeros_like(args[0]))
        finally:
            self._quiet = False
        gap = (twice - 2 * output + zero).abs().max()
        return bool(gap <= 1e-3 * output.abs().max())


def _may_be_layer(module: nn.Module) -> bool:
    leaf = not any(True for _ in module.children())
    matrix = any(p.dim() > 1 for p in module.parameters(recurse=False))
    return isinstance(module, nn.Linear | _ConvNd) or _is_norm(module) or (leaf and matrix)


def _is_norm(module: nn.Module) -> bool:
    named = "norm" in type(module).__name__.lower() and not any(True for _ in module.children())
    return isinstance(module, _BatchNorm) or (named and not isinstance(module, nn.Linear | _ConvNd))


def is_plain(module: nn.Module) -> bool:
    """Whether it is a batch normalisation and nothing more."""
    return isinstance(module, _BatchNorm) and type(module).forward is _BatchNorm.forward


def _axis(module: nn.Module) -> int:
    second = (_ConvNd, _BatchNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm, nn.LocalResponseNorm)
    return 1 if isinstance(module, second) else -1


def _only_measured(module: nn.Module, seen: _Seen) -> bool:
    """Normalisations of each sample need no correction, and one that does more than normalise gets none."""
    return seen.norm and not is_plain(module.get_submodule(seen.key[0]))
