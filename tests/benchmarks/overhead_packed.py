"""Audit time over bare forwards on packed molecules of mixed size: 200 of them, 4 to 20 atoms, equivariant potential.

    python tests/benchmarks/overhead_packed.py [--threads 2] [--repeats 3] [--elements 32] [--wall]

Bare: no_grad forwards of (elements + 1) × 200 molecules, packed beforehand with their edges, in the best of several
chunk sizes. Audit: all that `symcheck.audit` does, packing, rotating, floors and verdicts included; the edges are the
same inputs in both. Ratios are medians over alternating repeats.
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
from symcheck.measure.graphs import Graph
from symcheck.measure.samples import Samples

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "fixtures"))
CLAIM = "SO(3): pos=points, z=scalar, batch=owner, edge_index=scalar -> energy=scalar, forces=vector"
MOLECULES = 200


def subject() -> tuple[nn.Module, dict[str, Tensor]]:
    """The packed potential with trained weights, and molecules with their edges."""
    from graphs import molecules

    factory = str(ROOT / "fixtures/graphs.py:packed_potential")
    loaded = symcheck.load(ROOT / "fixtures/potential.safetensors", model=factory)
    samples = Samples(molecules(MOLECULES, 0), "batch")
    batch = Graph.parse("edge_index=radius(5.0)").with_edges(samples.take(torch.arange(MOLECULES)))
    assert loaded.module is not None
    return loaded.module, dict(batch.tensors)


def sweep(net: nn.Module, samples: Samples, size: int, count: int, clock: Callable[[], float]) -> float:
    """Seconds of `count` molecules in chunks of `size` that were packed before."""
    chunks = [samples.take(torch.arange(i, i + size) % MOLECULES).tensors for i in range(0, max(size, MOLECULES), size)]
    with torch.no_grad():
        net(**chunks[0])
        start, done = clock(), 0
        while done < count:
            net(**chunks[done // size % len(chunks)])
            done += size
    return (clock() - start) * count / done


def bare(net: nn.Module, inputs: dict[str, Tensor], count: int, clock: Callable[[], float]) -> tuple[float, int]:
    """Seconds for `count` molecules in the better of the two chunk sizes that look best, and that size."""
    samples = Samples(inputs, "batch")
    sizes = (25, 50, 100, 200, 400, 800)
    trial = {size: min(sweep(net, samples, size, size, clock) / size for _ in range(3)) for size in sizes}
    return min((sweep(net, samples, size, count, clock), size) for size in sorted(sizes, key=trial.__getitem__)[:2])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--elements", type=int, default=32)
    parser.add_argument("--wall", action="store_true", help="time by the clock, not by the processor")
    options = parser.parse_args()
    clock = time.perf_counter if options.wall else time.process_time
    torch.set_num_threads(options.threads)
    net, inputs = subject()
    symcheck.audit(net, CLAIM, inputs, samples=32, elements=4)  # warm up
    ratios = []
    for _ in range(options.repeats):
        start = clock()
        report = symcheck.audit(net, CLAIM, inputs, samples=MOLECULES, elements=options.elements)
        spent = clock() - start
        seconds, size = bare(net, inputs, MOLECULES * (options.elements + 1), clock)
        ratios.append(spent / seconds)
        words = ", ".join(f"{f.output} {f.verdict}" for f in report.findings)
        print(f"bare {seconds:.2f} s in chunks of {size}, audit {spent:.2f} s: {ratios[-1]:.2f}  {words}", flush=True)
    found = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    print(f"audit/bare on {MOLECULES} molecules: {found} ({'seconds' if options.wall else 'processor seconds'})")


if __name__ == "__main__":
    main()
