"""Small networks for the tests of paths: generic random ones, trained pairs, and their data."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from symcheck.measure.loss import Labelled

State = dict[str, Tensor]
CLASSES, WIDTH, DEPTH, DIMENSION = 8, 48, 5, 16


def plain(width: int = 12, *, seed: int = 0) -> nn.Sequential:
    """Two hidden layers."""
    net = nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 4))
    return generic(net, seed)


def normed(*, seed: int = 0) -> nn.Sequential:
    """Convolutions with batch normalisation, on images 2 x 6 x 6."""
    layers = [nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 7, 3, bias=False)]
    net = nn.Sequential(*layers, nn.BatchNorm2d(7), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(7, 4))
    return generic(net, seed)


def generic(net: nn.Sequential, seed: int) -> nn.Sequential:
    """The network with every parameter and running statistic drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    for name, x in net.state_dict().items():
        if x.is_floating_point():
            noise = torch.randn(x.shape, generator=generator)
            x.copy_(0.5 + noise.abs() if name.endswith("running_var") else noise * 0.6)
    return net.eval()


def state_of(net: nn.Module) -> State:
    return {name: x.detach().clone() for name, x in net.state_dict().items()}


def labelled(*shape: int, count: int = 60, classes: int = 4, seed: int = 0) -> Labelled:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, *shape, generator=generator)
    return Labelled({"x": x}, torch.randint(0, classes, (count,), generator=generator))


def permuted(state: State, layer: str, following: str, order: Tensor, *beside: str) -> State:
    """Units of `layer`, of what stands beside it, and the columns of the one that follows, in another order."""
    found = dict(state)
    for name in state:
        if name.rpartition(".")[0] in (layer, *beside) and state[name].dim():
            found[name] = state[name][order]
    found[f"{following}.weight"] = state[f"{following}.weight"][:, order]
    return found


def clusters(*, seed: int, count: int = 1200) -> Labelled:
    """Noisy points around 4 centres for each class, so that no linear network tells them apart."""
    centres = torch.randn(CLASSES * 4, DIMENSION, generator=torch.Generator().manual_seed(7))
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(0, len(centres), (count,), generator=generator)
    x = centres[which] + 0.5 * torch.randn(count, DIMENSION, generator=generator)
    return Labelled({"x": x}, which % CLASSES)


def deep(norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    for i in range(DEPTH):
        layers += [nn.Linear(WIDTH if i else DIMENSION, WIDTH), *([nn.BatchNorm1d(WIDTH)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(WIDTH, CLASSES))


@cache
def trained_pair(norm: bool) -> tuple[nn.Sequential, State, State]:
    """A network, and the states of two trainings of it, the second with its units matched by their activations."""
    data = clusters(seed=1)
    nets = [_trained(norm, seed, data) for seed in (0, 1)]
    a, b = map(state_of, nets)
    linears = [name for name, part in nets[0].named_modules() if isinstance(part, nn.Linear)]
    for layer, following in pairwise(linears):
        hidden = [_outputs(net, int(layer), data.inputs["x"]) for net in nets]
        correlation = torch.corrcoef(torch.cat(hidden, 1).T)[:WIDTH, WIDTH:]
        order = torch.tensor(linear_sum_assignment(correlation.nan_to_num().numpy(), maximize=True)[1])
        b = permuted(b, layer, following, order, str(int(layer) + 1))
    return nets[0], a, b


def _trained(norm: bool, seed: int, data: Labelled) -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = deep(norm).train()
        optimiser = torch.optim.Adam(net.parameters(), lr=3e-3)
        for _ in range(150):
            rows = torch.randint(0, data.count, (128,))
            optimiser.zero_grad()
            F.cross_entropy(net(data.inputs["x"][rows]), data.labels[rows]).backward()
            optimiser.step()
    return net.eval().requires_grad_(False)


def _outputs(net: nn.Sequential, upto: int, x: Tensor) -> Tensor:
    for part in [*net][: upto + 1]:
        x = part(x)
    return x


def outputs_at(net: nn.Module, state: State, run: Callable[[nn.Module], Tensor]) -> Tensor:
    """What a network gives with other weights."""
    net.load_state_dict(state)
    with torch.no_grad():
        return run(net.eval())
