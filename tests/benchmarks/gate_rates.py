"""How often gates are wrong: repeated gates of a model whose true error is known, on fresh data and fresh elements.

    python tests/benchmarks/gate_rates.py [REPEATS]

The limit lies at the truth ("edge"), or the truth 20 % above or below it. An interval of 95 % promises that at the
edge at most 2.5 % pass and at most 2.5 % fail, and that beyond it nearly none is on the wrong side; a certificate
promises that at most 5 % of those at the edge pass.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

import symcheck
from symcheck.gate.baseline import compare, entry_of
from symcheck.gate.config import Gate
from symcheck.gate.judge import draws_of, judge
from symcheck.measure.certify import Ask
from symcheck.report.model import Finding, Report
from symcheck.report.outcome import Outcome, Place, Status

CLAIM = "SO(3): points -> scalar"
SAMPLES, ELEMENTS, WIDTH = 64, 32, 16


def model(leak: float) -> Callable[[Tensor], Tensor]:
    """Energies that are invariant but for a leak along one axis, generic and with biases."""
    rng = torch.Generator().manual_seed(1)
    first, bias, last = (torch.randn(*shape, generator=rng) for shape in ((3, WIDTH), (WIDTH,), (WIDTH,)))

    def energy(x: Tensor) -> Tensor:
        radial = (-x.square().sum(-1) / 3).exp().sum(1)
        hidden = torch.tanh(x @ first.to(x) + bias.to(x)).sum(1)
        return radial + leak * (hidden @ last.to(x))

    return energy


def points(seed: int, count: int = SAMPLES) -> Tensor:
    return torch.randn(count, 6, 3, generator=torch.Generator().manual_seed(seed))


def audited(leak: float, seed: int, certify: Ask | None = None, tolerance: float = 1e-3) -> Report:
    """A certificate speaks of the given samples, so that it needs many to speak of all."""
    samples, elements = (SAMPLES, ELEMENTS) if certify is None else (1024, 2)
    return symcheck.audit(
        model(leak), CLAIM, points(seed, samples), samples=samples, elements=elements, seed=seed, certify=certify,
        tolerance=tolerance,
    )  # fmt: skip


def truths(leak: float) -> tuple[np.ndarray, Finding]:
    """All errors of a large sample on the spread scale, to read the true statistics off."""
    report = symcheck.audit(model(leak), CLAIM, points(10**6, 4096), samples=4096, elements=256, seed=10**6)
    finding = report.findings[0]
    return np.asarray(finding.distribution), finding


def rates(asked: Gate, leak: float, repeats: int, offset: int) -> Counter[Status]:
    ask = None if asked.fraction is None else Ask(asked.fraction, asked.confidence)
    found = (judge(asked, audited(leak, offset + i, ask, asked.limit or 0.0), "net")[0] for i in range(repeats))
    return Counter(judgement.outcome.status for judgement in found)


def ratchets(leak: float, factor: float, repeats: int, offset: int) -> Counter[Status]:
    """A baseline at one leak, then the model with another leak on the same draws; the ratchet allows nothing."""
    found: Counter[Status] = Counter()
    for i in range(repeats):
        base, now = (_entry(audited(leak * f, offset + i)) for f in (1.0, factor))
        found[compare(now, base, 0.0).status] += 1
    return found


def _entry(report: Report):
    finding = report.findings[0]
    scale = finding.error.spread
    outcome = Outcome("g", Status.PASSED, "claim", "net", metric="spread", stat="mean", value=scale.mean, low=scale.low,
                      high=scale.high)  # fmt: skip
    return entry_of(outcome, finding, draws_of(report, finding))


def line(name: str, found: Counter[Status], promise: float = 0.025) -> None:
    total = sum(found.values())
    shares = {status: found[status] / total for status in (Status.PASSED, Status.INCONCLUSIVE, Status.FAILED)}
    words = "  ".join(f"{status} {100 * share:5.1f} %" for status, share in shares.items())
    error = 100 * math.sqrt(promise * (1 - promise) / total)
    print(f"{name:36s} {words}   (at most {100 * promise:g} % ± {error:.1f} % wrong)", flush=True)


def main() -> None:
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    leak = 0.02
    distribution, finding = truths(leak)
    assert finding.error is not None
    scale = finding.error.spread
    gate = Gate("g", Place("symcheck.toml", 1), claim=CLAIM)
    print(f"{repeats} gates each, {ELEMENTS} × {SAMPLES} pairs; true mean {scale.mean:.5f}, q95 {scale.q95:.5f}")
    for stat, truth in (("mean", scale.mean), ("q95", scale.q95)):
        for words, limit in (("at the limit", truth), ("20 % above the limit", truth / 1.2), ("half of it", 2 * truth)):
            line(f"{stat} {words}", rates(replace(gate, stat=stat, limit=limit), leak, repeats, 0))
    levels = np.linspace(0, 1, len(distribution))
    limit = float(np.interp(0.90, levels, distribution))
    for words, fraction in (("at its fraction", 0.10), ("20 % above it", 0.10 / 1.2), ("a quarter of it", 0.4)):
        line(f"certificate {words}", rates(replace(gate, limit=limit, fraction=fraction), leak, repeats, 0), 0.05)
    for words, factor in (("the same model", 1.0), ("error 2 % higher", 1.02), ("error 20 % higher", 1.2)):
        line(f"ratchet 0, {words}", ratchets(leak, factor, repeats, 0))


if __name__ == "__main__":
    main()
