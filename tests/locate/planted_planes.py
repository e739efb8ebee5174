"""Networks on grids, sets and closed curves, as users write them, each with room for one fault in one module."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvBlock(nn.Module):
    """Convolution, normalisation, activation."""

    def __init__(self, inputs: int, outputs: int, padding_mode: str = "circular") -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode=padding_mode)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, H, W)."""
        return F.gelu(self.norm(self.conv(x)))


class TextureNet(nn.Module):
    """A classifier of periodic textures; the fault pads one convolution with zeros."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, padding_mode="circular")
        self.blocks = nn.Sequential(
            ConvBlock(6, 6), ConvBlock(6, 6, "zeros" if fault else "circular"), ConvBlock(6, 6), ConvBlock(6, 8)
        )
        self.head = nn.Linear(8, 4)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 4)."""
        x = self.blocks(torch.tanh(self.stem(image)))
        return self.head(x.mean((-2, -1)))


class Residual(nn.Module):
    """The basic residual block, with wrapped borders."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, padding_mode="circular", bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, padding_mode="circular", bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to itself."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + x)


class ResNet(nn.Module):
    """A residual network; the fault is a stride of 2 where the widths change, else the stride is 1."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 3, padding=1, padding_mode="circular")
        self.layer1 = nn.Sequential(Residual(6), Residual(6))
        self.down = nn.Conv2d(6, 8, 3, stride=2 if fault else 1, padding=1, padding_mode="circular")
        self.layer2 = nn.Sequential(Residual(8), Residual(8))
        self.fc = nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 3)."""
        x = self.layer1(F.relu(self.conv1(image)))
        x = self.layer2(self.down(x))
        x = F.adaptive_avg_pool2d(x, 1)
        return self.fc(torch.flatten(x, 1))


class Attention(nn.Module):
    """Multi-head self-attention, with a table of relative positions where `window` is given."""

    index: Tensor

    def __init__(self, width: int, heads: int, window: int = 0) -> None:
        super().__init__()
        self.heads, self.window = heads, window
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        if window:
            self.bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
            grid = torch.stack(torch.meshgrid(*2 * [torch.arange(window)], indexing="ij")).flatten(1)
            offset = grid[:, :, None] - grid[:, None, :] + window - 1
            self.register_buffer("index", offset[0] * (2 * window - 1) + offset[1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to itself."""
        b, t, c = x.shape
        q, k, v = self.qkv(x).reshape(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q @ k.transpose(-2, -1)) * (c // self.heads) ** -0.5
        if self.window:
            scores = scores + self.bias_table[self.index.view(-1)].view(t, t, -1).permute(2, 0, 1)
        x = (scores.softmax(dim=-1) @ v).transpose(1, 2).reshape(b, t, c)
        return self.proj(x)


class Mlp(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., width) to itself."""
        return self.fc2(self.act(self.fc1(x)))


class Encoder(nn.Module):
    """A pre-norm transformer block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, 2)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to itself."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class PatchEmbed(nn.Module):
    """Patches to tokens; the fault adds a positional encoding."""

    def __init__(self, width: int, tokens: int, fault: bool) -> None:
        super().__init__()
        self.proj = nn.Conv2d(4, width, 3, stride=3)
        self.position = nn.Parameter(torch.zeros(1, tokens, width)) if fault else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4, H, W) to (B, tokens, width)."""
        x = self.proj(x).flatten(2).transpose(1, 2)
        if self.position is not None:
            x = x + self.position
        return x


class ViT(nn.Module):
    """A vision transformer with a convolutional stem and mean pooling."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, padding=1, padding_mode="circular")
        self.embed = PatchEmbed(8, 16, fault)
        self.blocks = nn.ModuleList(Encoder(8) for _ in range(3))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, 12, 12) to (B, 3)."""
        x = self.embed(torch.tanh(self.stem(image)))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean(1))


class WindowBlock(nn.Module):
    """Attention inside windows of a rolled grid, then a pointwise network."""

    def __init__(self, width: int, window: int, shift: int) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1, self.attn = nn.LayerNorm(width), Attention(width, 2, window)
        self.norm2, self.mlp = nn.LayerNorm(width), Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, width) to itself."""
        (b, h, w, c), m = x.shape, self.window
        y = self.norm1(x)
        if self.shift:
            y = torch.roll(y, (-self.shift, -self.shift), (1, 2))
        y = y.view(b, h // m, m, w // m, m, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, m * m, c)
        y = self.attn(y)
        y = y.view(b, h // m, w // m, m, m, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        x = x + y
        return x + self.mlp(self.norm2(x))


class WindowNet(nn.Module):
    """A transformer on windows, plain and shifted in turn, whose tables are alike under quarter turns."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Conv2d(2, 8, 1)
        self.blocks = nn.ModuleList(WindowBlock(8, 4, shift) for shift in (0, 2, 0, 2))
        self.norm, self.head = nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 2, 8, 8) to (B, 3)."""
        x = self.embed(image).permute(0, 2, 3, 1)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x).mean((1, 2)))

    def symmetrise(self, *, but: int | None) -> None:
        """Average every table over quarter turns, except that of one block."""
        for i, block in enumerate(self.blocks):
            if i != but:
                table = block.attn.bias_table.data
                square = table.view(7, 7, -1)
                table.copy_(sum(torch.rot90(square, k) for k in range(4)).reshape(table.shape) / 4)


class SetLayer(nn.Module):
    """x_i to act(A x_i + B mean(x)); the fault weighs every slot by a weight of its own."""

    def __init__(self, width: int, slots: int = 0) -> None:
        super().__init__()
        self.own, self.mean = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.slots = nn.Parameter(torch.ones(slots, 1)) if slots else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) to itself."""
        y = self.own(x) + self.mean(x.mean(1, keepdim=True))
        if self.slots is not None:
            y = y * self.slots
        return torch.tanh(y)


class DeepSets(nn.Module):
    """A network on sets."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 8), nn.SiLU(), nn.Linear(8, 8), nn.SiLU())
        self.layers = nn.ModuleList([SetLayer(8), SetLayer(8, 6 if fault else 0), SetLayer(8)])
        self.rho = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, points: Tensor) -> Tensor:
        """(B, 6, 3) to (B, 2)."""
        x = self.phi(points)
        for layer in self.layers:
            x = layer(x)
        return self.rho(x.sum(1))


class CanonicalBlock(nn.Module):
    """Turns features by the angle of the curve, convolves, and turns back; the fault turns the same way again."""

    def __init__(self, channels: int, fault: bool) -> None:
        super().__init__()
        self.transposed = fault
        self.conv = nn.Conv1d(2 * channels, 2 * channels, 3, padding=1, padding_mode="circular")

    def forward(self, v: Tensor, contour: Tensor) -> Tensor:
        """(B, T, channels, 2) to itself."""
        heading = (contour.square().sum(-1, keepdim=True) * contour).sum(1)
        angle = torch.atan2(heading[:, 1], heading[:, 0])
        cos, sin = torch.cos(angle), torch.sin(angle)
        turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2).unsqueeze(1)
        y = (v @ turn).flatten(2).transpose(1, 2)
        y = torch.tanh(self.conv(y)).transpose(1, 2).reshape(v.shape)
        return v + y @ (turn if self.transposed else turn.transpose(-2, -1))


class ContourNet(nn.Module):
    """Vectors along a closed curve."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.lift, self.head = nn.Linear(2, 4, bias=False), nn.Linear(4, 1, bias=False)
        self.blocks = nn.ModuleList(CanonicalBlock(4, fault and i == 1) for i in range(3))

    def forward(self, contour: Tensor) -> Tensor:
        """(B, T, 2) to itself."""
        sides = torch.stack([contour.roll(-1, 1) - contour, contour - contour.roll(1, 1)], -1)
        v = self.lift(sides).transpose(-2, -1)
        for block in self.blocks:
            v = block(v, contour)
        return self.head(v.transpose(-2, -1)).squeeze(-1)
