"""Small networks with a finite symmetry built in, with biases and generic weights, and how to open a session on one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from symcheck.measure.audit import Audit, Options
from symcheck.measure.runner import Runner, measuring
from symcheck.measure.session import open_session
from symcheck.subject import as_subject


@contextmanager
def session(
    model: nn.Module | Callable[..., Tensor], inputs: Tensor | Mapping[str, Tensor], *, tolerance: float = 1e-3
) -> Iterator[Audit]:
    tensors = {"x": inputs} if isinstance(inputs, Tensor) else dict(inputs)
    runner = Runner(as_subject(model), torch.device("cpu"), next(iter(tensors.values())).dtype, [])
    with measuring(runner):
        yield open_session(runner, tensors, [], Options(elements=8, tolerance=tolerance), None)


def mlp(into: int, out: int, seed: int, width: int = 24) -> nn.Sequential:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(into, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, out)
    )
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) / (p.shape[-1] ** 0.5 if p.dim() > 1 else 2.0))
    return net


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Ring(nn.Module):
    """Σ_i h(x_i, x_{i+1}, x_{i+2}) around a ring, or its terms: cyclic, and no mirror since h is generic."""

    def __init__(self, count: int, *, terms: bool = False, leak: float = 0.0) -> None:
        super().__init__()
        self.h, self.count, self.terms, self.leak = mlp(3, 1, 1), count, terms, leak

    def forward(self, x: Tensor) -> Tensor:
        near = torch.stack([x, x.roll(-1, 1), x.roll(-2, 1)], -1)
        each = self.h(near)[..., 0]
        return each if self.terms else each.sum(1, keepdim=True) + self.leak * x[:, :1].sin()


class Edges(nn.Module):
    """Σ over the edges of a graph of h(x_i + x_j, x_i x_j): its symmetries are the automorphisms of the graph."""

    def __init__(self, edges: list[tuple[int, int]]) -> None:
        super().__init__()
        self.edges, self.h = torch.tensor(edges), mlp(2, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x[:, self.edges[:, 0]], x[:, self.edges[:, 1]]
        return self.h(torch.stack([a + b, a * b], -1)).sum(1)


class Parities(nn.Module):
    """Even in x0, odd in x5, even in (x1, x2) together, and x3, x4 may be exchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.h = mlp(6, 1, 3)

    def forward(self, x: Tensor) -> Tensor:
        a, b, c, d, e, f = x.split(1, 1)
        return f * self.h(torch.cat([a**2, b * c, b**2, c**2, d + e, d * e], 1))


class Antisymmetric(nn.Module):
    """The determinant of one row of features for each slot: it changes sign when two slots are exchanged."""

    def __init__(self) -> None:
        super().__init__()
        self.h = mlp(3, 4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.det(self.h(x))[:, None]
