"""Networks on points and vectors in space, as users write them, each with room for one fault in one module."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def radial(pos: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets r_ij = x_j - x_i, (B, N, N, 3), and smooth functions of their length, (B, N, N, 4)."""
    offsets = pos.unsqueeze(1) - pos.unsqueeze(2)
    squares = offsets.square().sum(-1, keepdim=True)
    return offsets, torch.exp(-squares * squares.new_tensor([0.05, 0.2, 0.5, 1.0]))


class NormScale(nn.Module):
    """Vectors divided by their running mean square and weighed by channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, v: Tensor) -> Tensor:
        """(B, N, channels, 3) to itself."""
        return v * (self.weight * (self.running_var + 1e-5).rsqrt()).unsqueeze(-1)


class ComponentNorm(nn.Module):
    """Batch normalisation of every component of every vector by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn = nn.BatchNorm1d(3 * channels)

    def forward(self, v: Tensor) -> Tensor:
        """(B, N, channels, 3) to itself."""
        return self.bn(v.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(v.shape)


class GatedLayer(nn.Module):
    """Messages of scalars and vectors, a norm for each, and a gate."""

    def __init__(self, width: int, norm: nn.Module) -> None:
        super().__init__()
        self.filters = nn.Sequential(nn.Linear(4, 12), nn.SiLU(), nn.Linear(12, 3 * width))
        self.mix_s, self.mix_v = nn.Linear(2 * width, width), nn.Linear(width, width, bias=False)
        self.norm_s, self.norm_v = nn.LayerNorm(width), norm
        self.gate = nn.Linear(width, width)

    def forward(self, s: Tensor, v: Tensor, pos: Tensor) -> tuple[Tensor, Tensor]:
        """Scalars (B, N, width), vectors (B, N, width, 3) and points to new scalars and vectors."""
        offsets, basis = radial(pos)
        a, b, c = self.filters(basis).chunk(3, dim=-1)
        s_new = (a * s.unsqueeze(1)).sum(2)
        v_new = torch.einsum("bijc,bjcx->bicx", b, v) + torch.einsum("bijc,bijx->bicx", c, offsets)
        s = s + F.silu(self.norm_s(self.mix_s(torch.cat([s_new, v_new.square().sum(-1)], -1))))
        v_new = self.norm_v(self.mix_v(v_new.transpose(-2, -1)).transpose(-2, -1))
        return s, v + torch.sigmoid(self.gate(s)).unsqueeze(-1) * v_new


class GatedNet(nn.Module):
    """Energy and dipole of a cloud; the fault is a batch normalisation of vector components."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 6)
        norms = [ComponentNorm(6) if fault and i == 1 else NormScale(6) for i in range(3)]
        self.layers = nn.ModuleList(GatedLayer(6, norm) for norm in norms)
        self.energy, self.charge = nn.Linear(6, 1), nn.Linear(6, 1, bias=False)

    def forward(self, pos: Tensor, z: Tensor) -> dict[str, Tensor]:
        """Points (B, N, 3) and charges (B, N) to an energy (B,) and a dipole (B, 3)."""
        s = torch.tanh(self.embed(z.unsqueeze(-1)))
        v = s.new_zeros(*s.shape, 3)
        for layer in self.layers:
            s, v = layer(s, v, pos)
        dipole = self.charge(v.transpose(-2, -1)).squeeze(-1).sum(1)
        return {"energy": self.energy(s).squeeze(-1).sum(1), "dipole": dipole}


class EgnnLayer(nn.Module):
    """Messages that move points; the fault rectifies the components of the velocities."""

    def __init__(self, width: int, rectify: bool) -> None:
        super().__init__()
        self.rectify = rectify
        self.edge_mlp = nn.Sequential(nn.Linear(2 * width + 4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.coord_mlp, self.gate = nn.Linear(width, 1), nn.Linear(1, 1)
        self.node_mlp = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, h: Tensor, x: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, N, width), points and velocities (B, N, 3) to the next."""
        offsets, basis = radial(x)
        n = x.shape[1]
        pairs = [h.unsqueeze(2).expand(-1, -1, n, -1), h.unsqueeze(1).expand(-1, n, -1, -1), basis]
        messages = self.edge_mlp(torch.cat(pairs, -1))
        push = (self.coord_mlp(messages) * offsets).mean(2)
        v = 0.5 * v + push
        v = F.relu(v) if self.rectify else v * torch.sigmoid(self.gate(v.norm(dim=-1, keepdim=True)))
        return h + self.node_mlp(torch.cat([h, messages.sum(2)], -1)), x + v, v


class Egnn(nn.Module):
    """Points and velocities to the points of a later time."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 6)
        self.layers = nn.ModuleList(EgnnLayer(6, fault and i == 1) for i in range(3))

    def forward(self, pos: Tensor, vel: Tensor) -> Tensor:
        """(B, N, 3) twice to (B, N, 3)."""
        h, x, v = torch.tanh(self.embed(vel.norm(dim=-1, keepdim=True))), pos, vel
        for layer in self.layers:
            h, x, v = layer(h, x, v)
        return x


class Frames(nn.Module):
    """Orthonormal frames of a moving point; the fault completes them by a cross product instead of a third vector."""

    def __init__(self, handed: bool) -> None:
        super().__init__()
        self.handed = handed

    def forward(self, first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        """Three vectors (B, T, 3) to frames (B, T, 3, 3), whose rows are the axes."""
        a = F.normalize(first, dim=-1)
        b = F.normalize(second - (second * a).sum(-1, keepdim=True) * a, dim=-1)
        if self.handed:
            c = torch.linalg.cross(a, b)
        else:
            rest = third - (third * a).sum(-1, keepdim=True) * a - (third * b).sum(-1, keepdim=True) * b
            c = F.normalize(rest, dim=-1)
        return torch.stack([a, b, c], dim=-2)


class Trajectory(nn.Module):
    """A recurrent network on steps seen in local frames, which gives the next step."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.smooth = nn.Conv1d(1, 1, 2)
        self.frames = Frames(fault)
        self.encode = nn.Linear(6, 8)
        self.lstm = nn.LSTM(8, 8, num_layers=2, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, T, 3) to (B, 3)."""
        steps = pos.diff(dim=1)
        steps = torch.einsum("btxk,k->btx", steps.unfold(1, 2, 1), self.smooth.weight.flatten())
        bends = steps.diff(dim=1)
        twists = bends.diff(dim=1)
        frames = self.frames(steps[:, 2:], bends[:, 1:], twists)
        seen = torch.stack([steps[:, 2:], twists], dim=-1)
        local = (frames @ seen).flatten(2)
        hidden, _ = self.lstm(torch.tanh(self.encode(local)))
        return torch.einsum("bi,bix->bx", self.head(hidden[:, -1]), frames[:, -1])


class LocalAttention(nn.Module):
    """Attention to near points, faded out smoothly; the fault cuts it off at a distance."""

    def __init__(self, width: int, cutoff: float, sharp: bool) -> None:
        super().__init__()
        self.cutoff, self.sharp = cutoff, sharp
        self.qkv, self.radial, self.proj = nn.Linear(width, 3 * width), nn.Linear(4, 1), nn.Linear(width, width)

    def forward(self, h: Tensor, distance: Tensor, basis: Tensor) -> Tensor:
        """Features (B, N, width), distances (B, N, N) and functions of them (B, N, N, 4) to features."""
        q, k, v = self.qkv(h).chunk(3, dim=-1)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]) + self.radial(basis).squeeze(-1)
        if self.sharp:
            weights = scores.masked_fill(distance > self.cutoff, -torch.inf).softmax(-1)
        else:
            fade = 0.5 + 0.5 * torch.cos(math.pi * distance.clamp(max=self.cutoff) / self.cutoff)
            weights = scores.softmax(-1) * fade
        return self.proj(weights @ v)


class GraphBlock(nn.Module):
    """A transformer block on points."""

    def __init__(self, width: int, cutoff: float, sharp: bool) -> None:
        super().__init__()
        self.attention = LocalAttention(width, cutoff, sharp)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, h: Tensor, distance: Tensor, basis: Tensor) -> Tensor:
        """(B, N, width) to itself."""
        h = h + self.attention(self.norm1(h), distance, basis)
        return h + self.mlp(self.norm2(h))


class GraphTransformer(nn.Module):
    """Energy of a cloud by attention to near points."""

    def __init__(self, fault: bool, cutoff: float = 5.0) -> None:
        super().__init__()
        self.embed = nn.Linear(1, 8)
        self.layers = nn.ModuleList(GraphBlock(8, cutoff, fault and i == 1) for i in range(3))
        self.head = nn.Sequential(nn.Linear(8, 8), nn.SiLU(), nn.Linear(8, 1))

    def forward(self, pos: Tensor, z: Tensor) -> Tensor:
        """Points (B, N, 3) and charges (B, N) to (B,)."""
        offsets, basis = radial(0.4 * pos)
        distance = offsets.norm(dim=-1) / 0.4
        h = torch.tanh(self.embed(z.unsqueeze(-1)))
        for layer in self.layers:
            h = layer(h, distance, basis)
        return self.head(h).squeeze(-1).sum(1)


def traceless_basis() -> Tensor:
    """An orthonormal basis of symmetric traceless matrices, (5, 3, 3) float64."""
    basis = torch.zeros(5, 3, 3, dtype=torch.float64)
    for row, (i, j) in enumerate(((0, 1), (1, 2), (2, 0))):
        basis[row, i, j] = basis[row, j, i] = 0.5**0.5
    basis[3] = torch.diag(torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)) / 2**0.5
    basis[4] = torch.diag(torch.tensor([-1.0, -1.0, 2.0], dtype=torch.float64)) / 6**0.5
    return basis


class QuadrupoleBlock(nn.Module):
    """Vectors by way of quadrupoles in five components; the fault keeps the basis in single precision."""

    def __init__(self, width: int, fault: bool) -> None:
        super().__init__()
        self.filters, self.gate = nn.Linear(4, width), nn.Linear(width, width)
        basis = traceless_basis()
        self.register_buffer("basis", basis.float() if fault else basis)

    def forward(self, v: Tensor, pos: Tensor) -> Tensor:
        """(B, N, width, 3) to itself."""
        offsets, basis = radial(pos)
        outer = offsets.unsqueeze(-1) * offsets.unsqueeze(-2)
        tensor = torch.einsum("bijc,bijxy->bicxy", self.filters(basis), outer)
        five = torch.einsum("kxy,bicxy->bick", self.basis.to(v.dtype), tensor)
        gate = torch.sigmoid(self.gate(five.square().sum(-1).sqrt()))
        back = torch.einsum("kxy,bick->bicxy", self.basis.to(v.dtype), five * gate.unsqueeze(-1))
        return v + torch.einsum("bicxy,bicy->bicx", back, v)


class QuadrupoleNet(nn.Module):
    """Forces by way of quadrupoles."""

    def __init__(self, fault: bool) -> None:
        super().__init__()
        self.lift, self.head = nn.Linear(4, 4), nn.Linear(4, 1, bias=False)
        self.blocks = nn.ModuleList(QuadrupoleBlock(4, fault and i == 1) for i in range(3))

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B, N, 3)."""
        offsets, basis = radial(pos)
        v = torch.einsum("bijc,bijx->bicx", self.lift(basis), offsets)
        for block in self.blocks:
            v = block(v, pos)
        return self.head(v.transpose(-2, -1)).squeeze(-1)
