"""The networks of `spec_networks` as modules: one parameter for each tensor, tied ones shared."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from spec_networks import NETWORKS, Network
from torch import Tensor, nn


class Held(nn.Module):
    """A network that is a function of its tensors and takes no input."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.call = network.call
        made: dict[int, nn.Parameter] = {}
        for name, tensor in network.state.items():
            parameter = made.setdefault(id(tensor), nn.Parameter(tensor.clone()))
            self.register_parameter(name, parameter)

    def forward(self) -> Tensor:
        return self.call(dict(self.named_parameters(remove_duplicate=False)))


def held(name: str) -> Held:
    return Held(NETWORKS[name])


def output(name: str, state: Mapping[str, Tensor]) -> Tensor:
    with torch.no_grad():
        return NETWORKS[name].call(state)
