"""Small networks whose continuous weight symmetries are counted by hand, with generic float64 parameters.

Every family says how many parameters it has and how many dimensions of them leave the function alone. Norms have
eps = 0, so that the scale of whatever feeds them counts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VOCAB, STREAM, WIDTH = 8, 6, 4  # words, residual stream, head


def generic(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module in eval mode with float64 parameters and buffers that are all random; gains and variances positive."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, t in [*module.named_parameters(), *module.named_buffers()]:
            if not t.is_floating_point():
                continue
            noise = torch.randn(t.shape, generator=generator, dtype=torch.float64)
            positive = t.dim() == 1 and ("gain" in name or "norm" in name or "var" in name) and "bias" not in name
            t.copy_((0.4 * noise).exp() if positive else noise * max(t[0].numel() if t.dim() else 1, 1) ** -0.5)
    return module


class Dense(nn.Module):
    """Linear layers with a pointwise function between them."""

    def __init__(self, act: Callable[[Tensor], Tensor], *widths: int, bias: bool = True) -> None:
        super().__init__()
        self.act = act
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=bias) for a, b in pairwise(widths))

    def forward(self, x: Tensor) -> Tensor:
        for i, layer in enumerate(self.layers):
            x = layer(self.act(x) if i else x)
        return x


class Gated(nn.Module):
    """down(act(gate x) · up x)."""

    def __init__(self, act: Callable[[Tensor], Tensor], width: int, hidden: int, out: int) -> None:
        super().__init__()
        self.act = act
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, out, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


class RMSNorm(nn.Module):
    """x / rms(x) · gain, with eps = 0."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * x.square().mean(-1, keepdim=True).rsqrt() * self.gain


def turned(x: Tensor) -> Tensor:
    """Rotary position code, half-split planes: (batch, heads, positions, WIDTH)."""
    frequency = torch.tensor([1.0, 0.37], dtype=x.dtype)
    angle = torch.arange(x.shape[-2], dtype=x.dtype)[:, None] * frequency
    cos, sin = (torch.cat([f, f], -1) for f in (angle.cos(), angle.sin()))
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin


@dataclass(frozen=True)
class Shape:
    """What a Llama-like network is made of."""

    heads: int = 4
    kv: int = 2
    rotary: bool = True
    tied: bool = False
    qk_norm: bool = False
    sandwich: bool = False
    blocks: int = 2


class Attention(nn.Module):
    """Causal attention with grouped queries, without biases."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.q = nn.Linear(STREAM, shape.heads * WIDTH, bias=False)
        self.k, self.v = (nn.Linear(STREAM, shape.kv * WIDTH, bias=False) for _ in range(2))
        self.o = nn.Linear(shape.heads * WIDTH, STREAM, bias=False)
        self.q_norm, self.k_norm = (RMSNorm(WIDTH) if shape.qk_norm else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        shape, (b, t, _) = self.shape, x.shape
        q, k, v = (
            f(x).view(b, t, n, WIDTH).transpose(1, 2)
            for f, n in ((self.q, shape.heads), (self.k, shape.kv), (self.v, shape.kv))
        )
        q, k = self.q_norm(q), self.k_norm(k)
        if shape.rotary:
            q, k = turned(q), turned(k)
        k, v = (y.repeat_interleave(shape.heads // shape.kv, 1) for y in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(b, t, shape.heads * WIDTH))


class LlamaBlock(nn.Module):
    """Norm, attention, norm, gated layer; a sandwich norms what the two write as well."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.norm1, self.norm2 = RMSNorm(STREAM), RMSNorm(STREAM)
        self.attention, self.mlp = Attention(shape), Gated(F.silu, STREAM, 5, STREAM)
        self.post1, self.post2 = (RMSNorm(STREAM) if shape.sandwich else nn.Identity() for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.post1(self.attention(self.norm1(x)))
        return x + self.post2(self.mlp(self.norm2(x)))


class Llama(nn.Module):
    """Embedding, blocks, final norm, head; RMSNorm before every reader."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCAB, STREAM)
        self.blocks = nn.ModuleList(LlamaBlock(shape) for _ in range(shape.blocks))
        self.norm = RMSNorm(STREAM)
        self.head = nn.Linear(STREAM, VOCAB if shape.tied else 5, bias=False)
        if shape.tied:
            self.head.weight = self.embed.weight

    def forward(self, words: Tensor) -> Tensor:
        x = self.embed(words)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class GPTBlock(nn.Module):
    """LayerNorm, attention by one fused matrix, LayerNorm, GELU layer, with all biases."""

    def __init__(self, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = (nn.LayerNorm(STREAM, eps=0.0) for _ in range(2))
        self.qkv, self.o = nn.Linear(STREAM, 3 * heads * WIDTH), nn.Linear(heads * WIDTH, STREAM)
        self.fc, self.proj = nn.Linear(STREAM, hidden), nn.Linear(hidden, STREAM)

    def forward(self, x: Tensor) -> Tensor:
        b, t, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, t, 3, self.heads, WIDTH).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.o(y.transpose(1, 2).reshape(b, t, self.heads * WIDTH))
        return x + self.proj(F.gelu(self.fc(self.norm2(x))))


class GPT(nn.Module):
    """A GPT-2-like network without a position table; the head has a bias and is not tied."""

    def __init__(self, vocab: int, classes: int, hidden: int, heads: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocab, STREAM)
        self.blocks = nn.ModuleList(GPTBlock(heads, hidden) for _ in range(2))
        self.norm = nn.LayerNorm(STREAM, eps=0.0)
        self.head = nn.Linear(STREAM, classes)

    def forward(self, words: Tensor) -> Tensor:
        x = self.embed(words)
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Recurrent(nn.Module):
    """A recurrent layer of 5 units on 4 inputs and a readout without bias."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.cell = kind(4, 5, batch_first=True)
        self.out = nn.Linear(5, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.cell(x)[0])


class Convolutions(nn.Module):
    """Convolution, BatchNorm, ReLU, convolution, global pooling, readout."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.conv2, self.out = nn.Conv2d(4, 3, 3), nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.conv1(x)))
        return self.out(F.relu(self.conv2(x)).mean((2, 3)))


@dataclass(frozen=True)
class Family:
    """A network with its inputs, its count of parameters and the dimension of its continuous weight symmetries."""

    name: str
    parameters: int
    nullity: int
    build: Callable[[], nn.Module]
    inputs: Callable[[torch.Generator], tuple[Tensor, ...]]
    tags: frozenset[str] = field(default_factory=frozenset)

    def model(self, seed: int = 0) -> nn.Module:
        return generic(self.build(), seed)

    def example(self, seed: int = 0) -> tuple[Tensor, ...]:
        return self.inputs(torch.Generator().manual_seed(seed))


def floats(*shape: int) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
    """Wide inputs, so that every ReLU unit is on for some and off for others."""
    return lambda generator: (3 * torch.randn(*shape, generator=generator, dtype=torch.float64),)


def words(vocab: int = VOCAB, length: int = 6) -> Callable[[torch.Generator], tuple[Tensor, ...]]:
    return lambda generator: (torch.randint(0, vocab, (4, length), generator=generator),)


def _family(name: str, parameters: int, nullity: int, build: Callable[[], nn.Module], inputs: Any) -> Family:
    return Family(name, parameters, nullity, build, inputs)


def _llama(name: str, parameters: int, nullity: int, **shape: Any) -> Family:
    return _family(f"llama {name}".strip(), parameters, nullity, lambda: Llama(Shape(**shape)), words())


FAMILIES = (
    _family("relu mlp", 111, 13, lambda: Dense(F.relu, 5, 7, 6, 3), floats(12, 5)),
    _family("gelu mlp", 111, 0, lambda: Dense(F.gelu, 5, 7, 6, 3), floats(6, 5)),
    _family("tanh mlp", 111, 0, lambda: Dense(torch.tanh, 5, 7, 6, 3), floats(6, 5)),
    _family("bottleneck", 41, 12, lambda: Dense(lambda x: x, 6, 3, 5), floats(6, 6)),
    _family("swiglu", 112, 8, lambda: Gated(F.silu, 5, 8, 4), floats(6, 5)),
    _family("reglu", 112, 16, lambda: Gated(F.relu, 5, 8, 4), floats(6, 5)),
    _family("bilinear", 84, 8, lambda: Gated(lambda x: x, 8, 4, 5), floats(6, 8)),
    _llama("", 864, 136),
    _llama("without rotary code", 864, 184, rotary=False),
    _llama("all heads", 1056, 216, kv=4),
    _llama("tied", 834, 115, tied=True),
    _llama("qk norm", 880, 136, qk_norm=True),
    _llama("sandwich", 888, 125, sandwich=True),
    _family("gpt2", 787, 341, lambda: GPT(9, 5, 7), words(9)),
    _family("lstm", 235, 20, lambda: Recurrent(nn.LSTM), floats(4, 5, 4)),
    _family("gru", 180, 10, lambda: Recurrent(nn.GRU), floats(4, 5, 4)),
    _family("rnn", 70, 5, lambda: Recurrent(nn.RNN), floats(4, 5, 4)),
    _family("convolutions", 211, 15, Convolutions, floats(8, 2, 8, 8)),
)
