"""The layer-wise Lie derivative of a deep network, exact, against Gaussian probes, in forward-equivalents.

    python tests/benchmarks/lie_layers.py [--depth 20] [--images 64] [--size 17] [--width 8] [--threads 1]

Everything is timed on the same images in the same run, in processor time, which other programs do not add to, and
divided by that of a bare forward. Probes: one pass
forward and backward for each of 100 random cotangents serves all layers at once, the cheapest way to use them; their
estimates scatter by sqrt(2 / 100), 14 %, at each layer and image. Exits with 1 where the exact terms cost more than a
quarter of that, or do not sum to the whole within 1e-10.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import nn

from symcheck.claim import Claim
from symcheck.locate.attribution import attribute
from symcheck.locate.lie import lie_layers
from symcheck.measure.audit import Options
from symcheck.measure.dual import carrying
from symcheck.measure.runner import measuring
from symcheck.measure.session import open_session, runner_for
from symcheck.subject import as_subject

PROBES = 100
CLAIM = "T(2): image -> image"


def network(depth: int, width: int) -> nn.Sequential:
    """Circular convolutions with GELU between them: what breaks translations is aliasing, in every GELU."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for i in range(depth):
        conv = nn.Conv2d(3 if i == 0 else width, width, 3, padding=1, padding_mode="circular")
        nn.init.kaiming_normal_(conv.weight)  # the signal keeps its size
        layers += [conv, nn.GELU()]
    return nn.Sequential(*layers).double().eval()


def seconds(run: Callable[[], object], repeats: int) -> float:
    times = []
    for _ in range(repeats):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return statistics.median(times)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("depth", 20), ("images", 64), ("size", 17), ("width", 8), ("threads", 1), ("repeats", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    net, x = network(given.depth, given.width), torch.randn(given.images, 3, given.size, given.size).double()

    def forward() -> None:
        with torch.no_grad():
            net(x)

    def probe() -> None:
        y = net(x.requires_grad_(True))
        torch.autograd.grad(y, x, torch.randn_like(y))
        x.requires_grad_(False)

    runner = runner_for(as_subject(net), CLAIM, {"x": x}, None, "float64")
    audit = open_session(runner, {"x": x}, [CLAIM], Options(), None)
    claim = Claim.parse(CLAIM)
    with measuring(runner):
        forward()
        bare = seconds(forward, given.repeats)
        probed = seconds(probe, given.repeats) / bare
        start = time.process_time()
        with carrying():
            attributed = attribute(audit, claim, {})
        charted = (time.process_time() - start) / bare
        lie_layers(audit, claim, attributed=attributed, most=2)  # loads the rules of forward mode
        start = time.process_time()
        found = lie_layers(audit, claim, attributed=attributed, most=given.images)
        exact = (time.process_time() - start) / bare / len(found.flows)
        again = seconds(forward, given.repeats)
    closure, least = max(found.closure.values()), PROBES * probed
    guilty = len(found.terms) - 1
    print(f"{given.depth} layers, {given.images} images, {len(found.flows)} generators, {guilty} operations that add")
    print(f"bare forward {1000 * bare:.0f} ms, afterwards {1000 * again:.0f} ms")
    print(f"exact terms: {exact:.1f} forward-equivalents a generator, {found.runs / len(found.flows):.0f} runs each")
    print(f"closure |Σ terms − L f| / |L f| = {closure:.1e}")
    print(f"{PROBES} probes: {least:.1f} forward-equivalents a generator ({probed:.2f} each), 14 % off at each layer")
    print(f"ratio {exact / least:.3f}, at most 0.25 asked")
    print(f"finding the hidden actions, once for all generators and shared with the finite attribution: {charted:.1f}")
    for term in found.ranked("output")[:5]:
        size, share = term.size["output"], term.share["output"]
        print(f"  {term.path or 'outputs':>8} {term.function:12} size {size:.2e} share {share:+.3f}")
    return int(not (exact <= least / 4 and closure <= 1e-10))


if __name__ == "__main__":
    sys.exit(main())
