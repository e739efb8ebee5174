"""A network at one point of a path, or at several at once: its weights in place, or stacked."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_flatten, tree_unflatten

from symcheck.connect.layers import Batch, Correction, Key, Layer, Moments, Watch, is_plain, moments_of
from symcheck.connect.path import Path
from symcheck.errors import ModelError, SymcheckError

Corrections = Mapping[Key, Correction]
Correct = Callable[[float], Corrections]  # the corrections at t, nothing learnt yet
Learner = str | Key  # what learns statistics: a batch normalisation by its name, a correction by that of its layer


@dataclass
class Network:
    """One module that is written into, how it is called, and what its layers do while it runs.

    `corrections` stand behind its layers; while `by_batch` they go by the statistics of the batch. `measured`, where it
    is a list, takes in the moments of what goes into everything that learns statistics.
    """

    module: nn.Module
    call: Callable[[Callable[..., Any], Mapping[str, Tensor]], Any]
    layers: Mapping[Key, Layer] = field(default_factory=dict)
    corrections: Corrections = field(default_factory=dict)
    by_batch: bool = False
    measured: list[tuple[Learner, Batch]] | None = None

    @property
    def slots(self) -> dict[str, Tensor]:
        """The tensors of the module; what is tied, once."""
        stored = self.module.state_dict(keep_vars=True).items()
        once = {id(x): name for name, x in reversed(stored) if isinstance(x, Tensor)}
        return {name: x.detach() for name, x in stored if once.get(id(x)) == name}

    @property
    def batch_norms(self) -> list[_BatchNorm]:
        """The batch normalisations that keep running statistics."""
        return [m for m in self.module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]

    @property
    def corrected(self) -> dict[Key, Layer]:
        """The layers that REPAIR corrects."""
        return {key: layer for key, layer in self.layers.items() if layer.corrected}

    def run(self, inputs: Mapping[str, Tensor], call: Callable[..., Any] | None = None) -> Any:
        """The outputs for a batch; what the module raises is said to be its own."""
        try:
            return self.call(call or self.module, inputs)
        except (SymcheckError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # whatever a model may raise is reported as the model's
            given = ", ".join(f"{n} {tuple(x.shape)}" for n, x in inputs.items())
            raise ModelError(
                f"the model raised {type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}",
                where=f"{type(self.module).__name__} called with {given}",
                hint="check that the inputs have the shapes, order and types that the model's forward takes",
            ) from error

    @contextmanager
    def corrections_on(self) -> Iterator[None]:
        """The corrections act while this lasts."""

        def act(layer: Layer, output: Tensor) -> Tensor | None:
            correction = self.corrections.get(layer.key)
            if correction is None:
                return None
            batch = self._measure(layer.key, output, layer.axis)
            return correction(output, layer.axis, batch if self.by_batch else None)

        with Watch(self.module, self.corrected)(act):
            yield

    def _measure(self, learner: Learner, x: Tensor, axis: int) -> Batch | None:
        """The moments of what goes into a learner, if they are wanted."""
        if self.measured is None:
            return None
        self.measured.append((learner, moments_of(x, axis)))
        return self.measured[-1][1]

    @contextmanager
    def norms_measured(self) -> Iterator[None]:
        """Batch normalisations are among what is measured while this lasts, but for those that do more than that."""

        def hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
            def before(module: nn.Module, args: tuple[Tensor, ...]) -> None:
                self._measure(name, args[0], 1)

            return before

        named = [(name, m) for name, m in self.module.named_modules() if m in self.batch_norms and is_plain(m)]
        handles = [m.register_forward_pre_hook(hook(name)) for name, m in named]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    @contextmanager
    def learning(self, *, renew: bool) -> Iterator[Callable[[float], None]]:
        """Corrections, and with `renew` batch normalisations, go by the statistics of the batch.

        Batch normalisations take them in with the momentum that is told.
        """
        norms = self.batch_norms if renew else []
        before = [norm.momentum for norm in norms]

        def tell(momentum: float) -> None:
            for norm in norms:
                norm.momentum = momentum

        for norm in norms:
            norm.train()
        self.by_batch = True
        try:
            yield tell
        finally:
            self.by_batch = False
            for norm, momentum in zip(norms, before, strict=True):
                norm.momentum = momentum
                norm.eval()


class Points(ABC):
    """A network at one or several points of a path: its tensors, its corrections, a leading axis for several."""

    state: dict[str, Tensor]
    corrections: Corrections

    @abstractmethod
    def run(self, inputs: Mapping[str, Tensor]) -> list[Any]:
        """The outputs for a batch at each of the points."""

    def learn(self, found: Mapping[Learner, Moments], *, last: bool = False) -> None:
        """Write statistics, with variances over n; at last, batch normalisations keep those over n − 1."""
        for learner, moments in found.items():
            if isinstance(learner, str):
                count = max(moments.count - last, 1)
                self.state[f"{learner}.running_mean"].copy_(moments.mean)
                self.state[f"{learner}.running_var"].copy_(moments.square / count)
            else:
                self.corrections[learner].mean.copy_(moments.mean)
                self.corrections[learner].var.copy_(moments.variance)


class OnePoint(Points):
    """The weights at t, written into the network."""

    def __init__(self, network: Network, path: Path, t: float, correct: Correct) -> None:
        self.state, self.corrections = network.slots, correct(t)
        path.place(t, self.state)
        network.corrections = self.corrections
        self._network = network

    def run(self, inputs: Mapping[str, Tensor]) -> list[Any]:
        """The outputs of the network as it is."""
        return [self._network.run(inputs)]


class Stack(Points):
    """The weights at several t, stacked; the network runs on all of them at once."""

    def __init__(self, network: Network, path: Path, t: Sequence[float], correct: Correct) -> None:
        slots = network.slots
        self._network, self._count = network, len(t)
        self.state = {name: x.new_empty((len(t), *x.shape)) for name, x in slots.items()}
        for i, point in enumerate(t):
            path.place(point, {name: x[i] for name, x in self.state.items()})
        single = [correct(point) for point in t]
        self.corrections = {key: Correction.stacked([one[key] for one in single]) for key in single[0]}

    def run(self, inputs: Mapping[str, Tensor]) -> list[Any]:
        """The outputs at each point. Raises ModelError where the network cannot be run on stacked weights."""
        network, shape = self._network, list[Any]()

        def one(state: dict[str, Tensor], tensors: dict[Key, tuple[Tensor, ...]]) -> tuple[list[Any], list[Any]]:
            network.corrections = {key: Correction(*parts) for key, parts in tensors.items()}
            outputs = network.run(inputs, lambda *a, **k: functional_call(network.module, state, a, k))
            leaves, tree = tree_flatten(outputs)
            shape[:] = [tree, [i for i, x in enumerate(leaves) if isinstance(x, Tensor)], leaves]
            return [leaves[i] for i in shape[1]], [batch[:2] for _, batch in network.measured or ()]

        tensors = {key: correction.tensors for key, correction in self.corrections.items()}
        stacked, moments = vmap(one)(self.state, tensors)
        if network.measured:
            known = zip(network.measured, moments, strict=True)
            network.measured = [(key, (mean, var, batch[2])) for (key, batch), (mean, var) in known]
        tree, where, leaves = shape
        found = []
        for i in range(self._count):
            filled = [*leaves]
            for place, x in zip(where, stacked, strict=True):
                filled[place] = x[i]
            found.append(tree_unflatten(filled, tree))
        return found
