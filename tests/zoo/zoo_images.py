"""Small convolutional networks in the style of the well-known families; inputs are (B, 3, 8, 8)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


def conv(i: int, o: int, k: int = 3, groups: int = 1, act: Callable[[], nn.Module] | None = nn.ReLU) -> nn.Sequential:
    """Convolution without bias (0), BatchNorm (1), activation (2)."""
    layers: list[nn.Module] = [nn.Conv2d(i, o, k, padding=k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Pooled(nn.Module):
    """Body, mean over the image, linear head."""

    def __init__(self, width: int, *body: nn.Module) -> None:
        super().__init__()
        self.body, self.head = nn.Sequential(*body), nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


def vgg() -> nn.Module:
    """Convolutions with biases and BatchNorm, max pooling, flatten, two linear layers."""
    first = [nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 10, 3, padding=1), nn.BatchNorm2d(10), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(40, 14), nn.ReLU(), nn.Linear(14, 5))


class Basic(nn.Module):
    """relu(skip(x) + bn conv relu bn conv x). After He et al. 2015, arXiv:1512.03385."""

    def __init__(self, i: int, hidden: int, o: int) -> None:
        super().__init__()
        self.first, self.second = conv(i, hidden), conv(hidden, o, act=None)
        self.skip = conv(i, o, 1, act=None) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.skip(x) + self.second(self.first(x))).relu()


class Excite(nn.Module):
    """x · gate(W₂ act(W₁ mean(x))). After Hu et al. 2017, arXiv:1709.01507."""

    def __init__(self, width: int, hidden: int, act: type[nn.Module], gate: type[nn.Module]) -> None:
        super().__init__()
        self.down, self.act = nn.Conv2d(width, hidden, 1), act()
        self.up, self.gate = nn.Conv2d(hidden, width, 1), gate()

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(self.up(self.act(self.down(x.mean((2, 3), keepdim=True)))))


class Bottleneck(nn.Module):
    """relu(skip(x) + 1×1, (grouped) 3×3, [squeeze-excite], 1×1), BatchNorm after each."""

    def __init__(self, i: int, a: int, b: int, o: int, groups: int = 1, excite: int = 0) -> None:
        super().__init__()
        self.first, self.second, self.third = conv(i, a, 1), conv(a, b, 3, groups), conv(b, o, 1, act=None)
        self.excite = Excite(b, excite, nn.ReLU, nn.Sigmoid) if excite else nn.Identity()
        self.skip = conv(i, o, 1, act=None) if i != o else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return (self.skip(x) + self.third(self.excite(self.second(self.first(x))))).relu()


class Inverted(nn.Module):
    """Expand 1×1, depthwise 3×3, [squeeze-excite], linear project 1×1, residual. After arXiv:1801.04381."""

    def __init__(self, i: int, hidden: int, o: int, act: type[nn.Module], excite: nn.Module | None = None) -> None:
        super().__init__()
        self.expand, self.depth = conv(i, hidden, 1, act=act), conv(hidden, hidden, 3, hidden, act)
        self.excite, self.project = excite or nn.Identity(), conv(hidden, o, 1, act=None)
        self.residual = i == o

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.excite(self.depth(self.expand(x))))
        return x + y if self.residual else y


class Dense(nn.Module):
    """[x, conv relu bn x]. After Huang et al. 2016, arXiv:1608.06993."""

    def __init__(self, i: int, growth: int) -> None:
        super().__init__()
        self.norm, self.conv = nn.BatchNorm2d(i), nn.Conv2d(i, growth, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.conv(self.norm(x).relu())], 1)


class Shuffle(nn.Module):
    """Half of the channels pass, half go through a branch; joined and interleaved. After arXiv:1807.11164."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        half = width // 2
        self.branch = nn.Sequential(conv(half, hidden, 1), conv(hidden, hidden, 3, hidden, None), conv(hidden, half, 1))

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        y = torch.cat([a, self.branch(b)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class Next(nn.Module):
    """x + γ W₂ gelu(W₁ norm(depthwise x)). After Liu et al. 2022, arXiv:2201.03545."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.depth, self.norm = nn.Conv2d(width, width, 7, padding=3, groups=width), nn.LayerNorm(width)
        self.up, self.act, self.down = nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(self.depth(x).permute(0, 2, 3, 1))
        return x + (self.gamma * self.down(self.act(self.up(y)))).permute(0, 3, 1, 2)


class ConvNext(nn.Module):
    """Patches with a norm, two blocks, mean, norm, head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 12, 2, 2), nn.Sequential(Next(12, 20), Next(12, 18))
        self.stem_norm, self.norm, self.head = ChannelNorm(12), nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.blocks(self.stem_norm(self.stem(x))).mean((2, 3))))


class UNet(nn.Module):
    """Two levels down, two up by transposed convolutions, skips by concatenation. After arXiv:1505.04597."""

    def __init__(self) -> None:
        super().__init__()
        self.enc1, self.enc2, self.mid = (nn.Conv2d(i, o, 3, padding=1) for i, o in ((3, 8), (8, 10), (10, 12)))
        self.up2, self.dec2 = nn.ConvTranspose2d(12, 9, 2, 2), nn.Conv2d(19, 7, 3, padding=1)
        self.up1, self.dec1 = nn.ConvTranspose2d(7, 6, 2, 2), nn.Conv2d(14, 5, 3, padding=1)
        self.out, self.pool = nn.Conv2d(5, 2, 1), nn.MaxPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        a = self.enc1(x).relu()
        b = self.enc2(self.pool(a)).relu()
        c = self.mid(self.pool(b)).relu()
        b = self.dec2(torch.cat([b, self.up2(c)], 1)).relu()
        return self.out(self.dec1(torch.cat([a, self.up1(b)], 1)).relu())


class GroupBasic(nn.Module):
    """relu(x + gn conv relu gn conv x). After Wu and He 2018, arXiv:1803.08494."""

    def __init__(self, width: int, groups: int, hidden: int, inner: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, hidden, 3, padding=1, bias=False), nn.GroupNorm(inner, hidden)
        self.conv2, self.norm2 = nn.Conv2d(hidden, width, 3, padding=1, bias=False), nn.GroupNorm(groups, width)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))).relu()


def group_resnet() -> nn.Module:
    """Stream of 12 channels in 4 groups; inside the block 10 in 5."""
    stem = [nn.Conv2d(3, 12, 3, padding=1, bias=False), nn.GroupNorm(4, 12), nn.ReLU()]
    return Pooled(12, *stem, GroupBasic(12, 4, 10, 5), GroupBasic(12, 4, 14, 7))


def separable() -> nn.Module:
    """Depthwise and pointwise convolutions with biases, ReLU after each."""
    def layer(i: int, o: int) -> list[nn.Module]:
        return [nn.Conv2d(i, i, 3, padding=1, groups=i), nn.ReLU(), nn.Conv2d(i, o, 1), nn.ReLU()]

    return Pooled(11, nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), *layer(8, 10), *layer(10, 11))
