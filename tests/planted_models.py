"""The tiny networks behind the planted truths: generic weights, biases, deterministic, float32 parameters.

A constant that a symmetry rests on is built in the dtype of the input or, where the fault is the point, kept
in float32. Rows are samples: points and vectors are (B, N, 3), images (B, C, H, W).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def draw(seed: int, *shape: int) -> Tensor:
    """Standard normal float32 numbers of this seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Dense(nn.Module):
    """`tanh` layers with generic weights, and biases unless told otherwise."""

    def __init__(self, seed: int, *widths: int, biases: bool = True) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.weights = nn.ParameterList(draw(seed + i, a, b) / a**0.5 for i, (a, b) in enumerate(pairs))
        self.biases = nn.ParameterList(
            (0.5 if biases else 0.0) * draw(seed + 50 + i, b) for i, (_, b) in enumerate(pairs)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., widths[0]) to (..., widths[-1]); the last layer is linear."""
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = (x.tanh() if i else x) @ weight + bias
        return x


def offsets(pos: Tensor) -> Tensor:
    """r_ij = x_j - x_i, (B, N, N, d)."""
    return pos.unsqueeze(1) - pos.unsqueeze(2)


class Gated(nn.Module):
    """v_i = Σ_j gate(|r_ij|²) r_ij: exactly equivariant under E(d) and permutations."""

    def __init__(self, seed: int = 1) -> None:
        super().__init__()
        self.gate = Dense(seed, 1, 8, 1)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, d) to (B, N, d)."""
        r = offsets(pos)
        return (self.gate(r.square().sum(-1, keepdim=True)) * r).sum(2)


class Energy(nn.Module):
    """E = Σ_ij φ(|r_ij|²): exactly invariant under E(d) and permutations."""

    def __init__(self, seed: int = 2) -> None:
        super().__init__()
        self.phi = Dense(seed, 1, 8, 1)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, d) to (B,)."""
        return self.phi(offsets(pos).square().sum(-1, keepdim=True)).sum((1, 2, 3))


class VectorNeuron(nn.Module):
    """q - min(⟨q, k̂⟩, 0) k̂ with k from nearly cancelling weights: exact, and ill-conditioned.

    The second half of the channels should nearly repeat the first. After Deng et al. 2021, arXiv:2104.12229.
    """

    def __init__(self, channels: int, seed: int = 3) -> None:
        super().__init__()
        self.features = nn.Parameter(draw(seed, channels, channels) / channels**0.5)
        half = draw(seed + 1, channels, channels // 2) / channels**0.5
        self.directions = nn.Parameter(torch.cat([half, -half], 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, 3) to (B, channels, 3)."""
        q, k = self.features @ x, self.directions @ x
        unit = k / k.norm(dim=-1, keepdim=True)
        return q - (q * unit).sum(-1, keepdim=True).clamp(max=0) * unit


class Frozen(nn.Module):
    """v = W tanh(A x + b) per point, a fixed function without symmetry under rotations."""

    def __init__(self, seed: int = 5) -> None:
        super().__init__()
        self.net = Dense(seed, 3, 8, 3)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B, N, 3)."""
        return self.net(pos)


class Sum(nn.Module):
    """base(x) + amount · leak(x)."""

    amount: Tensor

    def __init__(self, base: nn.Module, leak: nn.Module, amount: float) -> None:
        super().__init__()
        self.base, self.leak = base, leak
        self.register_buffer("amount", torch.tensor(amount))

    def forward(self, pos: Tensor) -> Tensor:
        """As the base."""
        return self.base(pos) + self.amount * self.leak(pos)


class After(nn.Module):
    """finish(base(x), x) for a stateless function `finish`."""

    def __init__(self, base: nn.Module, finish: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.base, self.finish = base, finish

    def forward(self, x: Tensor) -> Tensor:
        """What `finish` makes of the base's output and the input."""
        return self.finish(self.base(x), x)


class Icosahedral(nn.Module):
    """E + Σ_i w(|x_i|²) Σ_a (a·x_i)^6 over the six five-fold axes a: invariant under I alone.

    The vertices are the cyclic permutations of (0, ±1, ±φ); degree 6 is the first that tells I from SO(3).
    """

    def __init__(self) -> None:
        super().__init__()
        self.energy = Energy(7)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B,)."""
        golden = (1 + math.sqrt(5)) / 2
        vertices = [(0, 1, golden), (0, 1, -golden)]
        turned = [v[-k:] + v[:-k] if k else v for v in vertices for k in range(3)]
        axes = torch.tensor(turned, dtype=pos.dtype, device=pos.device)
        sixth = (pos @ axes.T).pow(6).sum(-1) / pos.square().sum(-1).pow(2)
        return 0.1 * self.energy(pos) + 0.05 * sixth.sum(-1)


class Square(nn.Module):
    """E + Σ_i (x_i⁴ + y_i⁴)/|x_i|²: a planar function with quarter turns and no finer rotations."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = Energy(8)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 2) to (B,)."""
        return 0.1 * self.energy(pos) + (pos.pow(4).sum(-1) / pos.square().sum(-1)).sum(-1)


class Axial(nn.Module):
    """A function of |xy|² and z of every point: rotations about z, and about no other axis."""

    def __init__(self) -> None:
        super().__init__()
        self.net = Dense(9, 2, 8, 1)

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B,)."""
        return self.net(torch.stack([pos[..., :2].square().sum(-1), pos[..., 2]], -1)).sum((1, 2))


def triple(pos: Tensor) -> Tensor:
    """a·(b×c) of three differences of the first four points, (B,): a pseudoscalar."""
    a, b, c = (pos[:, i] - pos[:, 0] for i in (1, 2, 3))
    return (a * torch.linalg.cross(b, c)).sum(-1)


class Traceless(nn.Module):
    """Points to a traceless tensor, its five components, a gate, back to a matrix, times a vector.

    Equivariant for an orthonormal basis; this one is a float32 buffer, so float64 stops improving near 1e-8.
    """

    basis: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.gate, self.inner = Dense(10, 1, 8, 1), Gated(11)
        xy, yz, zx = ((i, j) for i, j in ((0, 1), (1, 2), (2, 0)))
        basis = torch.zeros(5, 3, 3, dtype=torch.float64)
        for row, (i, j) in enumerate((xy, yz, zx)):
            basis[row, i, j] = basis[row, j, i] = 0.5**0.5
        basis[3] = torch.diag(torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64)) / 2**0.5
        basis[4] = torch.diag(torch.tensor([-1.0, -1.0, 2.0], dtype=torch.float64)) / 6**0.5
        self.register_buffer("basis", basis.float())

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B, N, 3)."""
        r = pos - pos.mean(1, keepdim=True)
        five = torch.einsum("kij,bni,bnj->bk", self.basis, r, r) / r.shape[1]
        five = five * self.gate(five.square().sum(-1, keepdim=True))
        return torch.einsum("bk,kij,bnj->bni", five, self.basis, self.inner(pos))


class Nearest(nn.Module):
    """v_i = Σ gate(|r_ij|²) r_ij over the first `keep` neighbours within the cut-off *in storage order*."""

    def __init__(self, keep: int, cutoff: float = 2.5) -> None:
        super().__init__()
        self.gate, self.keep, self.cutoff = Dense(12, 1, 8, 1), keep, cutoff

    def forward(self, pos: Tensor) -> Tensor:
        """(B, N, 3) to (B, N, 3)."""
        r = offsets(pos)
        square = r.square().sum(-1)
        near = (square < self.cutoff**2) & (square > 0)
        kept = near & (near.cumsum(-1) <= self.keep)
        return (self.gate(square.unsqueeze(-1)) * r * kept.unsqueeze(-1)).sum(2)


class Strided(nn.Module):
    """A circular convolution with stride 4, ReLU, a mean, a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(draw(13, 4, 1, 5, 5) / 5)
        self.bias = nn.Parameter(0.2 * draw(14, 4))
        self.head = Dense(15, 4, 3)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 3)."""
        padded = F.pad(image, (2, 2, 2, 2), mode="circular")
        return self.head(F.conv2d(padded, self.kernel, self.bias, stride=4).relu().mean((2, 3)))


class Conv(nn.Module):
    """One 3×3 convolution with ReLU; `turned` averages the kernel over quarter turns in the dtype of use."""

    def __init__(self, *, turned: bool = False, circular: bool = False) -> None:
        super().__init__()
        self.kernel, self.bias = nn.Parameter(draw(16, 2, 1, 3, 3)), nn.Parameter(0.2 * draw(17, 2))
        self.turned, self.mode = turned, "circular" if circular else "constant"

    def forward(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 2, H, W)."""
        kernel = self.kernel
        if self.turned:
            kernel = torch.stack([torch.rot90(kernel, h, (-2, -1)) for h in range(4)]).mean(0)
        return F.conv2d(F.pad(image, (1, 1, 1, 1), mode=self.mode), kernel, self.bias).relu()


def unevenly(maps: Tensor, image: Tensor) -> Tensor:
    """Maps weighted by their column, on a large offset: the cosine of two outputs is blind to them."""
    return 100 + maps * torch.linspace(0.5, 1.5, image.shape[-1], dtype=image.dtype, device=image.device)


class Charged(nn.Module):
    """Σ_i q_i (1 + a·x_i): broken under rotations, unless all points are at the origin."""

    def __init__(self) -> None:
        super().__init__()
        self.axis = nn.Parameter(draw(18, 3))

    def forward(self, pos: Tensor, q: Tensor) -> Tensor:
        """(B, N, 3) and (B, N) to (B,)."""
        return (q * (1 + pos @ self.axis)).sum(-1)


def transposed(g: Tensor, x: Tensor) -> Tensor:
    """Rᵀx where Rx is meant: (n, 3, 3) and (n, N, 3) to (n, N, 3); no left action: (ab)·x is b·(a·x)."""
    return x @ g.to(x.dtype)
