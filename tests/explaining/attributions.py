"""Networks with a known symmetry, and explainers that are each wrong in one way."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class C4Net(nn.Module):
    """A classifier of images (2, H, W), exactly invariant under quarter turns, with biases and generic weights."""

    def __init__(self, turns: int = 4) -> None:
        super().__init__()
        self.turns = turns
        self.first, self.second = nn.Conv2d(2, 6, 3, padding=1), nn.Conv2d(6, 5, 3, padding=1)
        self.head = nn.Linear(5, 4)

    def forward(self, image: Tensor) -> Tensor:
        """Scores of the four classes."""
        views = [torch.rot90(image, k, (2, 3)) for k in range(self.turns)]
        found = [self.head(torch.relu(self.second(torch.relu(self.first(x)))).mean((2, 3))) for x in views]
        return torch.stack(found).sum(0)


class Energy(nn.Module):
    """An energy of points (N, 3) from their distances: invariant under rotations and translations."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))

    def forward(self, pos: Tensor) -> Tensor:
        """(n, 1)."""
        gaps = (pos[:, :, None] - pos[:, None]).square().sum(-1, keepdim=True)
        energy: Tensor = self.net(gaps).sum((1, 2))
        return energy


def mlp(width: int = 16) -> nn.Sequential:
    """A plain ReLU network (6,) -> 3."""
    return nn.Sequential(nn.Linear(6, width), nn.ReLU(), nn.Linear(width, 12), nn.ReLU(), nn.Linear(12, 3))


def _score(model: nn.Module, x: Tensor, target: Tensor | None) -> Tensor:
    y: Tensor = model(x).flatten(1)
    return y.sum() if target is None else y.gather(1, target[:, None]).sum()


def saliency(model: nn.Module, x: Tensor, target: Tensor | None) -> Tensor:
    """Healthy: the size of the gradient."""
    x = x.detach().requires_grad_(True)
    size: Tensor = torch.autograd.grad(_score(model, x, target), x)[0].abs()
    return size


def leaning(model: nn.Module, x: Tensor, target: Tensor | None) -> Tensor:
    """Broken: the gradient weighed by the row of the pixel."""
    return saliency(model, x, target) * torch.linspace(0.5, 1.5, x.shape[-2]).to(x)[:, None]


def noisy(model: nn.Module, x: Tensor, target: Tensor | None) -> Tensor:
    """Random: the gradient at a point beside x, drawn anew."""
    return saliency(model, x + 0.05 * torch.randn(x.shape, dtype=x.dtype), target)


def wrong_shape(model: nn.Module, x: Tensor, target: Tensor | None) -> Tensor:
    """One number for each sample."""
    return saliency(model, x, target).flatten(1).sum(1)


def weights_times_activation(model: nn.Sequential, x: Tensor, target: Tensor) -> Tensor:
    """Depends on the scale of layers: each shares out what it gets by |w_ij| |a_j|, which is not normalised."""
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Linear)]
    activations = [x]
    for layer in layers[:-1]:
        activations.append(torch.relu(layer(activations[-1])))
    shares = nn.functional.one_hot(target, layers[-1].out_features).to(x)
    for layer, a in zip(reversed(layers), reversed(activations), strict=True):
        shares = (shares @ layer.weight.abs()) * a.abs()
    return shares
