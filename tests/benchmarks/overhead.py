"""Audit time over bare forward time at the same sample count, and against e3nn's helper, side by side.

    python tests/benchmarks/overhead.py [--threads 2] [--repeats 3] [--only NAME]

Bare: no_grad forwards of (elements + 1) × samples rows in the best of several chunk sizes. Audit: everything that
`symcheck.audit` does, floors and verdicts included. Ratios are medians over alternating repeats.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

import symcheck

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))


def small_mlp() -> tuple[nn.Module, str, dict[str, Tensor]]:
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 512), nn.SiLU(), nn.Linear(512, 512), nn.SiLU(), nn.Linear(512, 1))
    return net, "SO(3): points -> scalar", {"x": torch.randn(256, 16, 3)}


def cnn() -> tuple[nn.Module, str, dict[str, Tensor]]:
    layers: list[nn.Module] = []
    for a, b in ((3, 32), (32, 64), (64, 64)):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.BatchNorm2d(b), nn.ReLU(), nn.AvgPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * 16, 10))
    return net.eval(), "D4: image -> invariant", {"x": torch.randn(512, 3, 32, 32)}


def potential() -> tuple[nn.Module, str, dict[str, Tensor]]:
    from fixtures.models import potential as make

    pos = torch.randn(256, 8, 3) * 1.5
    claim = "SO(3): pos=points, z=scalar -> energy=scalar, forces=vector"
    return make(), claim, {"pos": pos, "z": torch.randint(0, 2, (256, 8))}


class Transformer(nn.Module):
    """About 20 M parameters on continuous tokens."""

    def __init__(self, width: int = 512, depth: int = 6) -> None:
        super().__init__()
        self.embed = nn.Linear(16, width)
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, batch_first=True, norm_first=True, dropout=0.0)
        self.body = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
        self.head = nn.Linear(width, 16)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.embed(x)))


def transformer() -> tuple[nn.Module, str, dict[str, Tensor]]:
    return Transformer(), "S: nodes -> nodes", {"x": torch.randn(48, 16, 16)}


CASES: dict[str, Callable[[], tuple[nn.Module, str, dict[str, Tensor]]]] = {
    "small MLP": small_mlp,
    "CNN": cnn,
    "potential": potential,
    "20M transformer": transformer,
}


def sweep(net: nn.Module, inputs: dict[str, Tensor], count: int, size: int) -> float:
    """Seconds of `count` rows in chunks of `size`, walking through the samples as any evaluation would."""
    samples, start, done = len(next(iter(inputs.values()))), time.perf_counter(), 0
    with torch.no_grad():
        while done < count:
            rows = (torch.arange(done, done + size)) % samples
            net(*(x[rows] for x in inputs.values()))
            done += size
    return (time.perf_counter() - start) * count / done


def bare(net: nn.Module, inputs: dict[str, Tensor], count: int) -> tuple[float, int, float]:
    """Seconds for `count` rows in the best chunk size, that size, and seconds of one such chunk."""
    sizes = [size for size in (16, 32, 64, 128, 256, 512, 1024) if size <= count]
    trial = {size: min(sweep(net, inputs, size, size) / size for _ in range(3)) for size in sizes}
    best = sorted(trial, key=lambda size: trial[size])[:2]
    seconds = {size: sweep(net, inputs, count, size) for size in best}
    size = min(seconds, key=lambda size: seconds[size])
    return seconds[size], size, seconds[size] * size / count


def overhead(name: str, repeats: int) -> None:
    torch.manual_seed(0)
    net, claim, inputs = CASES[name]()
    samples = len(next(iter(inputs.values())))
    ratios, chunks, ones, bares = [], [], [], []
    symcheck.audit(net, claim, inputs, samples=min(samples, 32), elements=4)  # warm up
    for _ in range(repeats):
        start = time.perf_counter()
        report = symcheck.audit(net, claim, inputs, samples=samples, elements=32)
        spent = time.perf_counter() - start
        pairs = {(f.part, f.counts.pairs) for f in report.findings}
        count = samples + sum(p for _, p in pairs)
        seconds, size, one = bare(net, inputs, count)
        ratios.append(spent / seconds)
        chunks.append(size)
        ones.append(one)
        bares.append(seconds)
    verdict = ", ".join(f.verdict for f in report.findings)
    print(
        f"{name:16s} {claim.split(':')[0]:6s} rows {count:6d}  bare {statistics.median(bares):6.2f} s  "
        f"chunk {chunks[-1]:4d} ({1e3 * ones[-1]:6.1f} ms)  audit/bare {statistics.median(ratios):5.2f}  "
        f"[{min(ratios):.2f}, {max(ratios):.2f}]  {verdict}",
        flush=True,
    )


class GatedTensorProduct(nn.Module):
    """A gated tensor-product network of e3nn with about 10,000 weights."""

    def __init__(self, irreps: str, outputs: str) -> None:
        from e3nn import o3
        from e3nn.nn import Gate

        super().__init__()
        self.gate = Gate("16x0e", [torch.tanh], "8x0e", [torch.sigmoid], "8x1o")
        self.first = o3.FullyConnectedTensorProduct(irreps, irreps, self.gate.irreps_in)
        self.last = o3.FullyConnectedTensorProduct(self.gate.irreps_out, irreps, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.gate(self.first(x, x)), x)


def against_e3nn(repeats: int) -> None:
    """The same gated network, group and counts: batch 16 × 10 trials."""
    try:
        from e3nn import o3
        from e3nn.util.test import equivariance_error
    except ImportError:
        print("e3nn is not installed: pip install --no-deps e3nn opt_einsum_fx opt-einsum sympy")
        return
    irreps, outputs, trials = "16x0e+8x1o", "1x0e+1x1o", 10
    net = GatedTensorProduct(irreps, outputs)
    x = o3.Irreps(irreps).randn(16, -1)
    claim = f"O(3): irreps({irreps}) -> irreps({outputs})"
    ratios = []
    for _ in range(repeats):
        start = time.perf_counter()
        equivariance_error(net, [x], irreps, outputs, ntrials=trials, do_parity=True, do_translation=False)
        theirs = time.perf_counter() - start
        start = time.perf_counter()
        symcheck.audit(net, claim, x, samples=16, elements=trials)
        ours = time.perf_counter() - start
        ratios.append(theirs / ours)
    parameters = sum(p.numel() for p in net.parameters())
    print(
        f"e3nn equivariance_error / audit, {parameters} weights, batch 16 x {trials} trials x 2 parities: "
        f"{statistics.median(ratios):.1f} x [{min(ratios):.1f}, {max(ratios):.1f}]"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in CASES:
        if options.only in name:
            overhead(name, options.repeats)
    if not options.only or options.only == "e3nn":
        against_e3nn(10 * options.repeats)


if __name__ == "__main__":
    main()
