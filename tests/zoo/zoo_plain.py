"""Small networks without convolutions: perceptrons, gates, trees, implicit fields, sets, graphs, recurrences."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Function(nn.Module):
    """A pointwise function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def mlp(act: Callable[[Tensor], Tensor]) -> nn.Module:
    """7 -> 9 -> 11 -> 5; layers 0, 2, 4."""
    return nn.Sequential(nn.Linear(7, 9), Function(act), nn.Linear(9, 11), Function(act), nn.Linear(11, 5))


class TiedAutoencoder(nn.Module):
    """Wᵀ tanh(W x + b) + c."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.bias = nn.Linear(8, 5), nn.Parameter(torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(self.encode(x).tanh(), self.encode.weight.t(), self.bias)


class LoRA(nn.Module):
    """W x + b + s B A x."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.base = nn.Linear(inputs, outputs)
        self.a, self.b = nn.Parameter(torch.zeros(rank, inputs)), nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x) + 0.5 * (x @ self.a.t()) @ self.b.t()


def lora() -> nn.Module:
    """7 -> 9 (rank 3), ReLU, 9 -> 5 (rank 2)."""
    return nn.Sequential(LoRA(7, 9, 3), nn.ReLU(), LoRA(9, 5, 2))


class Gated(nn.Module):
    """down(act(gate x) ⊙ up x), 7 -> 9 -> 5, without biases."""

    def __init__(self, act: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(i, o, bias=False) for i, o in ((7, 9), (7, 9), (9, 5)))
        self.act = act

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.act(self.gate(x)) * self.up(x))


class Concat(nn.Module):
    """Two branches side by side, then one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.out = nn.Linear(7, 6), nn.Linear(7, 9), nn.Linear(15, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(torch.cat([self.a(x).relu(), self.b(x).tanh()], -1))


class Siren(nn.Module):
    """Linear maps with sin(ω₀ ·) between, ω₀ = 30. After Sitzmann et al. 2020, arXiv:2006.09661."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.last = nn.Linear(2, 9), nn.Linear(9, 7), nn.Linear(7, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.sin(30 * self.second(torch.sin(30 * self.first(x)))))


class FreeTrees(nn.Module):
    """Σ_m Σ_leaf P(leaf | x) v: every inner node, in heap order, has its own soft split."""

    def __init__(self, trees: int = 5, depth: int = 2, inputs: int = 6, outputs: int = 4) -> None:
        super().__init__()
        self.depth = depth
        self.split = nn.Parameter(torch.zeros(trees, 2**depth - 1, inputs))
        self.bias = nn.Parameter(torch.zeros(trees, 2**depth - 1))
        self.leaf = nn.Parameter(torch.zeros(trees, 2**depth, outputs))

    def forward(self, x: Tensor) -> Tensor:
        right = torch.sigmoid(torch.einsum("bi,mni->bmn", x, self.split) + self.bias)
        reach = torch.ones_like(right[..., :1])
        for level in range(self.depth):
            p = right[..., 2**level - 1 : 2 ** (level + 1) - 1]
            reach = torch.stack([reach * (1 - p), reach * p], -1).flatten(-2)
        return torch.einsum("bml,mlo->bo", reach, self.leaf)


class ObliviousTrees(nn.Module):
    """Σ_m Σ_leaf P(leaf | x) v: all nodes of one level share one soft split."""

    def __init__(self, trees: int = 5, depth: int = 3, inputs: int = 6, outputs: int = 4) -> None:
        super().__init__()
        self.split = nn.Parameter(torch.zeros(trees, depth, inputs))
        self.bias = nn.Parameter(torch.zeros(trees, depth))
        self.leaf = nn.Parameter(torch.zeros(trees, 2**depth, outputs))

    def forward(self, x: Tensor) -> Tensor:
        right = torch.sigmoid(torch.einsum("bi,mdi->bmd", x, self.split) + self.bias)
        reach = torch.ones_like(right[..., :1])
        for level in range(right.shape[-1]):
            p = right[..., level : level + 1]
            reach = torch.cat([reach * (1 - p), reach * p], -1)
        return torch.einsum("bml,mlo->bo", reach, self.leaf)


class DeepSets(nn.Module):
    """rho(mean_i phi(x_i)); phi ends and rho starts with a linear map."""

    def __init__(self) -> None:
        super().__init__()
        self.phi = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 6))
        self.rho = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.rho(self.phi(x).mean(1))


class Messages(nn.Module):
    """h ← relu(U [h, Σ_j relu(M [h_i, h_j])]) over an edge index, twice; then the mean over nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(4, 10)
        self.message = nn.ModuleList([nn.Linear(20, 8), nn.Linear(18, 7)])
        self.update = nn.ModuleList([nn.Linear(18, 9), nn.Linear(16, 6)])
        self.out = nn.Linear(6, 3)

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        h, (source, target) = self.embed(x), (edges[0], edges[1])
        for message, update in zip(self.message, self.update, strict=True):
            m = message(torch.cat([h[target], h[source]], -1)).relu()
            total = torch.zeros(h.shape[0], m.shape[-1], dtype=m.dtype).index_add(0, target, m)
            h = update(torch.cat([h, total], -1)).relu()
        return self.out(h.mean(0))


def ring() -> Tensor:
    """The edges of a ring of five nodes with two chords, both ways."""
    pairs = torch.tensor([(i, (i + 1) % 5) for i in range(5)] + [(0, 2), (1, 4)]).t()
    return torch.cat([pairs, pairs.flip(0)], 1)


class Recurrent(nn.Module):
    """A recurrent module, then a linear map of its last step."""

    def __init__(self, net: nn.RNNBase, width: int) -> None:
        super().__init__()
        self.net, self.out = net, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.net(x)[0][:, -1])


class GatedTensorProduct(nn.Module):
    """A gated tensor-product network: hidden 4x0e + 3x1o between two fully connected tensor products with x."""

    def __init__(self) -> None:
        from e3nn import get_optimization_defaults, o3, set_optimization_defaults
        from e3nn.nn import Gate

        super().__init__()
        before = get_optimization_defaults()
        set_optimization_defaults(jit_script_fx=False)
        try:
            inputs = "5x0e+2x1o"
            self.gate = Gate("4x0e", [torch.tanh], "3x0e", [torch.sigmoid], "3x1o")
            self.first = o3.FullyConnectedTensorProduct(inputs, inputs, self.gate.irreps_in)
            self.last = o3.FullyConnectedTensorProduct(self.gate.irreps_out, inputs, "1x0e+1x1o")
        finally:
            set_optimization_defaults(**before)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gate(self.first(x, x)), x)


class EncoderStack(nn.Module):
    """nn.TransformerEncoder, 2 post-norm layers with ReLU, then a linear map."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(12, 3, 20, batch_first=True)
        self.embed = nn.Linear(7, 12)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x)))
