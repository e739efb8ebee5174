"""Vision transformers and relatives, written small; inputs are (B, 3, 8, 8) unless said otherwise."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class FusedAttention(nn.Module):
    """Attention with one projection for queries, keys and values, rows ordered (3, head, dim)."""

    def __init__(self, width: int, heads: int, dim: int) -> None:
        super().__init__()
        self.heads, self.dim = heads, dim
        self.qkv, self.proj = nn.Linear(width, 3 * heads * dim), nn.Linear(heads * dim, width)

    def forward(self, x: Tensor) -> Tensor:
        n, t, _ = x.shape
        q, k, v = self.qkv(x).reshape(n, t, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(n, t, self.heads * self.dim))


class Block(nn.Module):
    """x + attention(norm x), x + mlp(norm x)."""

    def __init__(self, width: int, attention: nn.Module, hidden: int) -> None:
        super().__init__()
        self.norm1, self.attention, self.norm2 = nn.LayerNorm(width), attention, nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class ViT(nn.Module):
    """Patches by a convolution, class token, learned positions, two blocks, norm, head on the class token."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 14, 4, 4)
        self.token, self.position = nn.Parameter(torch.zeros(1, 1, 14)), nn.Parameter(torch.zeros(1, 5, 14))
        self.blocks = nn.Sequential(*(Block(14, FusedAttention(14, 3, 4), hidden) for hidden in (20, 18)))
        self.norm, self.head = nn.LayerNorm(14), nn.Linear(14, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        return self.head(self.norm(self.blocks(x))[:, 0])


class WindowAttention(nn.Module):
    """Attention inside windows of 2×2 with a learned bias per head and relative position; windows may be shifted."""

    index: Tensor
    mask: Tensor

    def __init__(self, width: int, heads: int, dim: int, side: int, shift: int) -> None:
        super().__init__()
        self.heads, self.dim, self.side, self.shift = heads, dim, side, shift
        self.qkv, self.proj = nn.Linear(width, 3 * heads * dim), nn.Linear(heads * dim, width)
        self.table = nn.Parameter(torch.zeros(9, heads))
        at = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        offset = (at[:, :, None] - at[:, None, :] + 1).permute(1, 2, 0)
        self.register_buffer("index", (offset[..., 0] * 3 + offset[..., 1]).flatten())
        region = torch.zeros(side, side)
        for number, (rows, columns) in enumerate((a, b) for a in self._slices() for b in self._slices()):
            region[rows, columns] = number
        owner = self._windows(region[None, :, :, None]).squeeze(-1)
        self.register_buffer("mask", (owner[:, None] != owner[:, :, None]).float() * -100.0)

    def _slices(self) -> list[slice]:
        return [slice(0, -2), slice(-2, -self.shift), slice(-self.shift, None)] if self.shift else [slice(None)]

    def _windows(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        return x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)

    def forward(self, x: Tensor) -> Tensor:
        n, s = x.shape[0], self.side
        x = x.view(n, s, s, -1)
        if self.shift:
            x = torch.roll(x, (-self.shift, -self.shift), (1, 2))
        x = self._windows(x)
        q, k, v = self.qkv(x).reshape(-1, 4, 3, self.heads, self.dim).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * self.dim**-0.5) @ k.transpose(-2, -1)
        scores = scores + self.table[self.index].view(4, 4, self.heads).permute(2, 0, 1)
        if self.shift:
            many = self.mask.shape[0]
            scores = (scores.view(n, many, self.heads, 4, 4) + self.mask[:, None]).view(-1, self.heads, 4, 4)
        y = self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(-1, 4, self.heads * self.dim))
        y = y.view(n, s // 2, s // 2, 2, 2, -1).permute(0, 1, 3, 2, 4, 5).reshape(n, s, s, -1)
        if self.shift:
            y = torch.roll(y, (self.shift, self.shift), (1, 2))
        return y.reshape(n, s * s, -1)


class Swin(nn.Module):
    """Patches and norm, a plain and a shifted window block, patch merging, a block, norm. After arXiv:2103.14030."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.patch_norm = nn.Conv2d(3, 14, 2, 2), nn.LayerNorm(14)
        self.first = nn.Sequential(*(Block(14, WindowAttention(14, 3, 4, 4, shift), 20) for shift in (0, 1)))
        self.merge_norm, self.merge = nn.LayerNorm(56), nn.Linear(56, 22, bias=False)
        self.second = Block(22, WindowAttention(22, 4, 5, 2, 0), 18)
        self.norm, self.head = nn.LayerNorm(22), nn.Linear(22, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(self.patch_norm(self.patch(x).flatten(2).transpose(1, 2)))
        x = x.view(-1, 4, 4, 14)
        x = torch.cat([x[:, i::2, j::2] for j in (0, 1) for i in (0, 1)], -1).view(-1, 4, 56)
        return self.head(self.norm(self.second(self.merge(self.merge_norm(x)))).mean(1))


class Mix(nn.Module):
    """Two layers across the tokens, two layers across the channels. After Tolstikhin et al. 2021, arXiv:2105.01601."""

    def __init__(self, tokens: int, across: int, width: int, hidden: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.token_up, self.token_down = nn.Linear(tokens, across), nn.Linear(across, tokens)
        self.up, self.down = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.token_down(F.gelu(self.token_up(self.norm1(x).transpose(1, 2)))).transpose(1, 2)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Mixer(nn.Module):
    """Patches, two mixing blocks, norm, mean, head."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.blocks = nn.Conv2d(3, 12, 4, 4), nn.Sequential(Mix(4, 7, 12, 20), Mix(4, 9, 12, 18))
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patch(x).flatten(2).transpose(1, 2))
        return self.head(self.norm(x).mean(1))


class Expert(nn.Module):
    """down(silu(gate x) ⊙ up x)."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate, self.up = nn.Linear(width, hidden, bias=False), nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x)) * self.up(x))


class ListedExperts(nn.Module):
    """The two best of five experts, a module each, weighted by the softmax of the router; x is (B, T, 7)."""

    def __init__(self) -> None:
        super().__init__()
        self.router, self.experts = nn.Linear(7, 5), nn.ModuleList(Expert(7, 9) for _ in range(5))
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        p = self.router(x).softmax(-1)
        best, which = p.topk(2, -1)
        weight = torch.zeros_like(p).scatter(-1, which, best / best.sum(-1, keepdim=True))
        return self.out(sum(weight[..., i : i + 1] * expert(x) for i, expert in enumerate(self.experts)))


class StackedExperts(nn.Module):
    """The same with the experts' weights stacked: gate and up as (E, 2f, D), down as (E, D, f)."""

    def __init__(self) -> None:
        super().__init__()
        self.router = nn.Linear(7, 5)
        self.gate_up, self.down = nn.Parameter(torch.zeros(5, 18, 7)), nn.Parameter(torch.zeros(5, 7, 9))
        self.out = nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        p = self.router(x).softmax(-1)
        best, which = p.topk(2, -1)
        weight = torch.zeros_like(p).scatter(-1, which, best / best.sum(-1, keepdim=True))
        gate, up = torch.einsum("bti,efi->btef", x, self.gate_up).chunk(2, -1)
        each = torch.einsum("btef,eof->bteo", F.silu(gate) * up, self.down)
        return self.out((each * weight.unsqueeze(-1)).sum(2))


class Selective(nn.Module):
    """A selective state space block, written as a plain loop. After Gu and Dao 2023, arXiv:2312.00752."""

    def __init__(self, width: int, inner: int, states: int, rank: int) -> None:
        super().__init__()
        self.sizes = (rank, states, states)
        self.in_proj, self.out_proj = nn.Linear(width, 2 * inner, bias=False), nn.Linear(inner, width, bias=False)
        self.conv = nn.Conv1d(inner, inner, 3, groups=inner, padding=2)
        self.x_proj, self.dt_proj = nn.Linear(inner, sum(self.sizes), bias=False), nn.Linear(rank, inner)
        self.a_log, self.d = nn.Parameter(torch.zeros(inner, states)), nn.Parameter(torch.ones(inner))

    def forward(self, x: Tensor) -> Tensor:
        u, z = self.in_proj(x).chunk(2, -1)
        u = F.silu(self.conv(u.transpose(1, 2))[..., : x.shape[1]].transpose(1, 2))
        dt, b, c = self.x_proj(u).split(self.sizes, -1)
        dt, a = F.softplus(self.dt_proj(dt)), -torch.exp(self.a_log)
        decay, drive = torch.exp(dt.unsqueeze(-1) * a), (dt * u).unsqueeze(-1) * b.unsqueeze(2)
        state, steps = torch.zeros_like(drive[:, 0]), []
        for t in range(x.shape[1]):
            state = decay[:, t] * state + drive[:, t]
            steps.append((state * c[:, t].unsqueeze(1)).sum(-1))
        y = torch.stack(steps, 1) + u * self.d
        return self.out_proj(y * F.silu(z))


class MambaLike(nn.Module):
    """Embedding, x + block(RMS norm x), norm, head."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm, self.block = nn.Linear(6, 12), nn.RMSNorm(12, eps=1e-6), Selective(12, 9, 5, 3)
        self.final, self.head = nn.RMSNorm(12, eps=1e-6), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x)
        return self.head(self.final(x + self.block(self.norm(x))))
