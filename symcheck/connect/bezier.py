"""A curve whose middle is trained: the parabola between two networks along which the expected loss is small."""

from __future__ import annotations

import math

import torch
from torch.func import functional_call

from symcheck.connect.path import Path, State, mixed
from symcheck.connect.points import Network
from symcheck.errors import DataError
from symcheck.measure.loss import Labelled, Loss, per_sample

RATE = 0.01


def bezier(
    a: State, b: State, network: Network, data: Labelled, loss: Loss, *, steps: int, batch_size: int, seed: int = 0
) -> Path:
    """The curve θ_t = (1 − t)² A + 2t(1 − t) C + t² B whose control point C is trained on E_t[L(θ_t)], t uniform.

    C starts at (A + B)/2, the segment, and takes `steps` steps of Adam, each on a batch of the data at a random t, the
    rate falling from 0.01 to 0 as a cosine. Batch normalisations go by the statistics of the batch meanwhile, and the
    buffers of C stay at the start: on such a curve they should be reset.
    Raises DataError where the loss is not finite. Source: Garipov et al. 2018 (arXiv:1802.10026).
    """
    slots = network.slots
    ends = [{name: x[name].to(slot.device) for name, slot in slots.items()} for x in (a, b)]
    control = {name: mixed([ends[0][name], ends[1][name]], (0.5, 0.5)).clone() for name in slots}
    trained = [name for name, _ in network.module.named_parameters() if control[name].is_floating_point()]
    for name in trained:
        control[name].requires_grad_(True)
    path = Path("bezier", (ends[0], control, ends[1]))
    optimiser = torch.optim.Adam([control[name] for name in trained], lr=RATE)
    generator = torch.Generator().manual_seed(seed)
    with network.learning(renew=True) as tell, torch.enable_grad():
        tell(0.0)
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * step / steps)) / 2
            t = float(torch.rand((), generator=generator))
            rows = torch.randint(data.count, (min(batch_size, data.count),), generator=generator)
            value = _loss(network, path, t, loss, data, rows.to(data.labels.device))
            if not math.isfinite(float(value.detach())):
                raise DataError(
                    f"the loss is not finite in step {step + 1} of training the path",
                    where=f"the curve at t = {t:.3g}",
                    hint="check the checkpoints and the data at both ends, or take --path linear",
                )
            if not value.requires_grad:
                raise DataError(
                    "the loss has no gradient: it does not depend on the weights in a way that can be trained",
                    where=f"the loss '{loss.name}', training the path",
                    hint="give a loss that is differentiable in the outputs, or take --path linear",
                )
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return Path("bezier", (a, {name: x.detach() for name, x in control.items()}, b))


def _loss(network: Network, path: Path, t: float, loss: Loss, data: Labelled, rows: torch.Tensor) -> torch.Tensor:
    """The mean loss of some samples at t."""
    slots = network.slots
    state = {name: x.to(slots[name].dtype) for name, x in path.at(t).items()}
    state = {name: x if x.requires_grad else x.clone() for name, x in state.items()}  # counters are written into
    inputs = {name: x[rows] for name, x in data.inputs.items()}
    outputs = network.run(inputs, lambda *args, **named: functional_call(network.module, state, args, named))
    return per_sample(loss, outputs, data.labels[rows]).mean()
