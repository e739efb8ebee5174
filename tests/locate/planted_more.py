"""Small networks for the causes that the large ones do not have: healthy, and with one operation exchanged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from planted_cases import SAMPLES, Case, built
from planted_planes import Encoder
from planted_spaces import NormScale, radial
from planted_weights import draws
from torch import Tensor, nn


class Grid(nn.Module):
    """A periodic convolution, a middle, another convolution, and a head."""

    def __init__(self, middle: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
        self.middle = middle
        self.second = nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular")
        self.head = head

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, 8, 8) to (B, 3)."""
        x = self.middle(torch.tanh(self.first(image)))
        return self.head(torch.tanh(self.second(x)))


class Pool(nn.Module):
    """The largest of 2 x 2 cells of a periodic grid."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H / stride, W / stride)."""
        return F.max_pool2d(F.pad(x, (0, 1, 0, 1), mode="circular"), 2, stride=self.stride)


class Mean(nn.Module):
    """The mean over the grid, then a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) to (B, 3)."""
        return self.fc(x.mean((-2, -1)))


class Upsample(nn.Module):
    """Twice the resolution."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, 2 H, 2 W)."""
        return F.interpolate(x, scale_factor=2, mode=self.mode)


class ClassToken(nn.Module):
    """A transformer on a set with a class token beside the others; the fault puts it in the place of the first."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.fault, self.embed = fault, nn.Linear(2, 8)
        self.cls_token = nn.Parameter(torch.ones(8))
        self.blocks = nn.ModuleList(Encoder(8) for _ in range(2))
        self.head = nn.Linear(8, 2)

    def forward(self, points: Tensor) -> Tensor:
        """(B, N, 2) to (B, 2)."""
        x = torch.tanh(self.embed(points))
        x = torch.cat([self.cls_token.expand(len(x), 1, -1), x[:, 1:] if self.fault else x], 1)
        for block in self.blocks:
            x = block(x)
        return self.head(x[:, 0])


class Vectors(nn.Module):
    """Vectors of a cloud: a lift, a middle, a gate."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.lift, self.gate, self.head = nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 1, bias=False)
        self.middle = middle

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B, N, 3)."""
        offsets, basis = radial(pos)
        v = self.middle(torch.einsum("bijc,bijx->bicx", self.lift(basis), offsets))
        v = v * torch.sigmoid(self.gate(v.square().sum(-1))).unsqueeze(-1)
        return self.head(v.transpose(-2, -1)).squeeze(-1)


class Mix(nn.Module):
    """Channels of vectors mixed."""

    def __init__(self, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5, bias=bias)

    def forward(self, v: Tensor) -> Tensor:
        """(B, N, 5, 3) to itself."""
        return self.linear(v.transpose(-2, -1)).transpose(-2, -1)


class Nearest(nn.Module):
    """Every node adds what its three nearest (itself the first) hold; the healthy one weighs all of them smoothly."""

    def __init__(self, sharp: bool) -> None:
        super().__init__()
        self.sharp, self.net, self.head = sharp, nn.Linear(4, 4), nn.Linear(4, 1)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B,)."""
        offsets, basis = radial(pos)
        values = torch.tanh(self.net(basis) + pos.norm(dim=-1)[:, None, :, None])
        distance = offsets.norm(dim=-1)
        if self.sharp:
            near = distance.topk(3, dim=-1, largest=False).indices
            values = values.gather(2, near.unsqueeze(-1).expand(-1, -1, -1, 4))
        else:
            values = values * torch.exp(-distance).unsqueeze(-1)
        return self.head(torch.tanh(values.sum(2))).squeeze(-1).sum(1)


def _ties() -> Tensor:
    """Clouds in which the first point has three nearest neighbours at the same distance."""
    pos = (draws(53, SAMPLES, 6, 3) * 64).round() / 64
    axes = torch.eye(3, dtype=pos.dtype)
    pos[:, 1:4] = pos[:, :1] + 0.25 * axes
    return pos


def _on_grid(fault: str, cause: str, guilty: str, make: Callable[[bool], nn.Module], seed: int) -> Case:
    image, claim = {"image": draws(51, SAMPLES, 1, 8, 8)}, "Shift(1): image -> invariant"
    return Case(f"grid, {fault}", fault, partial(built, make, seed), image, claim, guilty, cause)


def _on_vectors(fault: str, cause: str, guilty: str, make: Callable[[bool], nn.Module], seed: int) -> Case:
    pos = {"pos": draws(52, SAMPLES, 5, 3)}
    return Case(f"vectors, {fault}", fault, partial(built, make, seed), pos, "SO(3): points -> vector", guilty, cause)


def _flat(fault: bool) -> nn.Module:
    head = nn.Sequential(nn.Flatten(), nn.Linear(256, 3)) if fault else Mean()
    return Grid(nn.Identity(), head)


MORE = (
    _on_grid("pooling", "pool_phase", "middle", lambda fault: Grid(Pool(2 if fault else 1), Mean()), 61),
    _on_grid(
        "interpolation",
        "interpolation",
        "middle",
        lambda fault: Grid(Upsample("bicubic" if fault else "nearest"), Mean()),
        62,
    ),
    _on_grid("flatten", "position_weights", "head.1", _flat, 63),
    _on_vectors(
        "LayerNorm",
        "layer_norm_components",
        "middle",
        lambda fault: Vectors(nn.LayerNorm(3) if fault else NormScale(5)),
        64,
    ),
    _on_vectors("bias", "bias_on_vectors", "middle.linear", lambda fault: Vectors(Mix(fault)), 65),
    _on_vectors(
        "GELU", "pointwise_on_vectors", "middle", lambda fault: Vectors(nn.GELU() if fault else nn.Identity()), 66
    ),
    Case(
        "class token",
        "class token",
        partial(built, ClassToken, 67),
        {"points": draws(54, SAMPLES, 6, 2)},
        "S: nodes -> invariant",
        "blocks.0",
        "class_token",
    ),
    Case(
        "nearest neighbours",
        "ties",
        partial(built, Nearest, 68),
        {"pos": _ties()},
        "SO(3): points -> scalar",
        "",
        "cutoff",
    ),
)
