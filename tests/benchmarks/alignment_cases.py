"""Networks for timing alignment: the module, which axes of its tensors move together, pairs of weights. No symcheck.

Pairs are `random`, two independent draws from N(0, 1/fan_in), the hardest case, or `planted`: B is A with the units of
every group in another order, and noise of a tenth of the weights' spread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from git_rebasin import Table, applied, sizes
from numpy.typing import NDArray
from torch import Tensor, nn

Arrays = dict[str, NDArray[np.float32]]
NOISE = 0.1
PAIRS = ("random", "planted")


@dataclass(frozen=True)
class Case:
    """A network as a module, the table of its groups, and the shape of one input."""

    name: str
    build: Callable[[], nn.Module]
    table: Table
    example: tuple[int, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors of the table."""
        with torch.device("meta"):
            return {name: tuple(t.shape) for name, t in self.build().state_dict().items()}

    def pair(self, kind: str, seed: int = 0) -> tuple[Arrays, Arrays]:
        """The weights of A and of B."""
        rng = np.random.default_rng(seed)
        a = self._drawn(rng)
        if kind == "random":
            return a, self._drawn(rng)
        order = {group: rng.permutation(size) for group, size in sizes(self.table, a).items()}
        b = applied(self.table, order, a)
        return a, {name: (w + NOISE * w.std() * rng.standard_normal(w.shape)).astype(w.dtype) for name, w in b.items()}

    def _drawn(self, rng: np.random.Generator) -> Arrays:
        return {
            name: (rng.standard_normal(shape, np.float32) / np.sqrt(np.float32(_fan_in(shape))))
            for name, shape in self.shapes.items()
        }


def _fan_in(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape[1:])) if len(shape) > 1 else shape[0]


def mlp(width: int, hidden: int = 3) -> Case:
    """784-width-…-width-10 with biases: one group for every hidden layer."""
    widths = (784, *[width] * hidden, 10)
    groups: list[str | None] = [None, *(f"h{i}" for i in range(hidden)), None]

    def build() -> nn.Module:
        layers = [part for rows, cols in pairwise(widths) for part in (nn.Linear(rows, cols), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    table: dict[str, tuple[str | None, ...]] = {}
    for i, (before, after) in enumerate(pairwise(groups)):
        table |= {f"{2 * i}.weight": (after, before), f"{2 * i}.bias": (after,)}
    return Case(f"mlp{width}", build, table, (784,))


class Bottleneck(nn.Module):
    """x + mlp(x): the stream is the input itself, and nothing moves it."""

    def __init__(self, stream: int, hidden: int) -> None:
        super().__init__()
        self.up, self.down = nn.Linear(stream, hidden), nn.Linear(hidden, stream)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(F.gelu(self.up(x)))


def blocks(layers: int = 12, stream: int = 768, hidden: int = 3072) -> Case:
    """The MLPs of a transformer of 124 million parameters: one group a layer, each on its own."""

    def build() -> nn.Module:
        return nn.Sequential(*(Bottleneck(stream, hidden) for _ in range(layers)))

    table: dict[str, tuple[str | None, ...]] = {}
    for i in range(layers):
        group = f"h{i}"
        table |= {f"{i}.up.weight": (group, None), f"{i}.up.bias": (group,)}
        table |= {f"{i}.down.weight": (None, group), f"{i}.down.bias": (None,)}
    return Case(f"{layers}x{stream}-{hidden}", build, table, (stream,))


class Basic(nn.Module):
    """relu(short(x) + conv(relu(conv(x)))), the shortcut a 3×3 convolution where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        stride = 1 if inputs == outputs else 2
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.short = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.short(x) + self.conv2(F.relu(self.conv1(x))))


def resnet(width: int = 64, depth: int = 3) -> Case:
    """ResNet-20, `width` / 16 times as wide, without norms: a stream for every stage, a group in every block."""
    stages = [width, 2 * width, 4 * width]

    def build() -> nn.Module:
        parts: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1, bias=False), nn.ReLU()]
        for inputs, outputs in pairwise([width, *stages]):
            parts += [Basic(outputs if i else inputs, outputs) for i in range(depth)]
        return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stages[-1], 10))

    table: dict[str, tuple[str | None, ...]] = {"0.weight": ("stream0", None, None, None)}
    before, at = "stream0", 2
    for stage in range(len(stages)):
        stream = f"stream{stage}"
        for i in range(depth):
            inner = f"inner{stage}.{i}"
            table[f"{at}.conv1.weight"] = (inner, before, None, None)
            table[f"{at}.conv2.weight"] = (stream, inner, None, None)
            if stream != before:
                table[f"{at}.short.weight"] = (stream, before, None, None)
            before, at = stream, at + 1
    table |= {f"{at + 2}.weight": (None, before), f"{at + 2}.bias": (None,)}
    return Case(f"resnet20x{width // 16}", build, table, (3, 32, 32))


CASES: dict[str, Callable[[], Case]] = {
    "mlp512": lambda: mlp(512),
    "mlp2048": lambda: mlp(2048),
    "resnet20x4": resnet,
    "transformer": blocks,
}
GROWTH: dict[str, Callable[[], Case]] = {f"mlp{w}": lambda w=w: mlp(w) for w in (256, 512, 1024, 2048)}  # type: ignore[misc]


def recovered(case: Case, a: Arrays, b: Arrays) -> float:
    """The share of units of all groups whose weights are nearer to A's than half their size.

    A unit in the wrong place is at √2 times its size from where it should be, one in the right place at the noise.
    """
    right = total = 0
    for group, size in sizes(case.table, a).items():
        gap, own = np.zeros(size), np.zeros(size)
        for name, axes in case.table.items():
            for axis in (i for i, other in enumerate(axes) if other == group):
                x, y = (np.moveaxis(w[name], axis, 0).reshape(size, -1) for w in (a, b))
                gap += np.square(x - y, dtype=np.float64).sum(1)
                own += np.square(x, dtype=np.float64).sum(1)
        right += int((gap < own / 4).sum())
        total += size
    return right / total


def distance(a: Arrays, b: Arrays) -> float:
    """‖A − B‖ over all tensors."""
    return float(np.sqrt(sum(np.square(a[name] - b[name], dtype=np.float64).sum() for name in a)))
