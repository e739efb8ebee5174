"""CPU time of `symcheck.connect` over the bare forward passes that it needs, one thread, side by side in one run.

    python tests/benchmarks/connect_overhead.py [--threads 1] [--repeats 3] [--only NAME] [--points 25]

Connect: everything between two states and the finished document, four variants (naive, aligned, with reset, with
REPAIR), passes for statistics included; the alignment itself is not (the aligned state is given). Bare: the plain
module on the same batches, as many passes over the data as connect says that it made. Ratios are medians over
alternating repeats. PyTorch's fused transformer layer is off for both: it is not used where layers are looked at.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from symcheck.connect.connect import connect
from symcheck.measure.loss import Labelled

State = dict[str, Tensor]


class Block(nn.Module):
    """A residual block with batch normalisation."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.one, self.two = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.two(self.second(torch.relu(self.one(self.first(x))))))


def mlp(width: int) -> tuple[nn.Module, Tensor]:
    net = nn.Sequential(
        nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(),
        nn.Linear(width, 10),
    )  # fmt: skip
    return net, torch.randn(5000, 784)


def resnet() -> tuple[nn.Module, Tensor]:
    stem = [nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU()]
    net = nn.Sequential(*stem, Block(32), Block(32), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 10))
    return net, torch.randn(512, 3, 16, 16)


def transformer() -> tuple[nn.Module, Tensor]:
    layer = nn.TransformerEncoderLayer(64, 4, 256, batch_first=True, norm_first=True, dropout=0.0)
    body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(body, nn.Flatten(), nn.Linear(64 * 16, 10)), torch.randn(512, 16, 64)


CASES: dict[str, Callable[[], tuple[nn.Module, Tensor]]] = {
    "MLP 3 x 64": lambda: mlp(64),
    "MLP 3 x 512": lambda: mlp(512),
    "ResNet, BatchNorm": resnet,
    "transformer": transformer,
}


def states(net: nn.Module) -> tuple[State, State, State]:
    """Two networks of the same kind, and the second again in memory of its own."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(2):
        state = {n: x.clone() for n, x in net.state_dict().items()}
        for name, x in state.items():
            if x.is_floating_point():
                noise = 0.1 * torch.randn(x.shape, generator=generator)
                state[name] = (x + (noise.abs() if name.endswith("running_var") else noise * x.std().nan_to_num(0.1)))
        found.append(state)
    return found[0], found[1], {n: x.clone() for n, x in found[1].items()}


def bare(net: nn.Module, data: Labelled, batch: int, passes: float) -> float:
    """CPU seconds of so many passes of the plain module over the batches."""
    start, left = time.process_time(), round(passes)
    with torch.no_grad():
        for _ in range(left):
            for one in data.batches(batch):
                net(*one.inputs.values())
    return time.process_time() - start


def overhead(name: str, points: int, repeats: int) -> None:
    torch.manual_seed(0)
    net, x = CASES[name]()
    net.eval()
    data = Labelled({"x": x}, torch.randint(0, 10, (len(x),)))
    a, b, aligned = states(net)
    connect(net, a, b, data, aligned=aligned, points=3)  # warm up
    ratios, spent, plain = [], [], []
    for _ in range(repeats):
        start = time.process_time()
        found = connect(net, a, b, data, aligned=aligned, points=points)
        spent.append(time.process_time() - start)
        passes = found.forwards / data.count
        plain.append(bare(net, data, found.settings["batch_size"], passes))
        ratios.append(spent[-1] / plain[-1])
    variants = ", ".join(found.variants)
    print(
        f"{name:18s} {len(x):5d} samples  {passes:5.0f} passes  bare {statistics.median(plain):6.2f} s  "
        f"connect {statistics.median(spent):6.2f} s  ratio {statistics.median(ratios):5.2f} "
        f"[{min(ratios):.2f}, {max(ratios):.2f}]  {variants}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--points", type=int, default=25)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.backends.mha.set_fastpath_enabled(False)
    for name in CASES:
        if options.only in name:
            overhead(name, options.points, options.repeats)


if __name__ == "__main__":
    main()
