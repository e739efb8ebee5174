"""What the matchers that look at data need: the network, inputs, and for some labels and a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.measure.loss import Labelled, Loss, caller, per_sample
from symcheck.subject import call_with
from symcheck.weights.spec import Spec

_BATCH = 512


@dataclass(frozen=True)
class Evidence:
    """A network and labelled samples of its inputs; `loss` is None where only inputs are given."""

    module: nn.Module
    data: Labelled
    loss: Loss | None = None

    def state_of(self, spec: Spec, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by canonical names as those of the network, tied ones too, in its dtypes."""
        own = {name: t for name, t in self.module.state_dict().items() if isinstance(t, Tensor)}
        return {name: state[spec.ties.get(name, name)].to(t.dtype) for name, t in own.items()}

    def batches(self) -> Iterator[Any]:
        """The inputs as the network takes them: by keyword, or in order."""
        call: Callable[..., Any] = caller(self.module, self.data)
        for batch in self.data.batches(_BATCH):
            taken: list[Any] = []
            call(lambda *args, _to=taken, **kwargs: _to.append(kwargs or args), batch.inputs)
            yield taken[0]

    def loss_at(self, state: Mapping[str, Tensor], batch: Labelled) -> Tensor:
        """The mean loss of the network with these tensors, with gradients."""
        call = caller(self.module, self.data)

        def network(*args: Any, **kwargs: Any) -> Any:
            return call_with(self.module, state, args, kwargs)

        if self.loss is None:
            return torch.zeros(())
        return per_sample(self.loss, call(network, batch.inputs), batch.labels).mean()
