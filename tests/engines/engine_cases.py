"""A network in float64 with biases, its data, and what two reports of one audit must have in common."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.report.model import Finding, Report
from symcheck.report.write import parts_file, write_report

CLAIMS = ["C4: image -> invariant", "D4: image -> invariant", "Shift(1): image -> invariant"]
FACTORY = """
import os
import time
from pathlib import Path

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features, self.head = nn.Conv2d(1, 4, 3), nn.Linear(144, 3)
        with torch.no_grad():
            for i, p in enumerate(self.parameters()):
                p.copy_(torch.sin(1.7 * torch.arange(p.numel()) + i).view_as(p) / 3)
            self.head.bias.mul_(float(os.environ.get("ENGINES_SCALE", "1")))

    def forward(self, x):
        if folder := os.environ.get("ENGINES_MARKS"):
            Path(folder, f"{os.getpid()}").touch()
        time.sleep(float(os.environ.get("ENGINES_PAUSE", "0")))
        return self.head(torch.nn.functional.silu(self.features(x)).flatten(1))


def net():
    return Net().double()
"""


class Net(nn.Module):
    """Not invariant; counts its calls, and fails in the one that is planted."""

    def __init__(self, seed: int = 0, fails_at: int = 0) -> None:
        super().__init__()
        draws = torch.Generator().manual_seed(seed)
        self.features, self.head = nn.Conv2d(1, 4, 3).double(), nn.Linear(144, 3).double()
        with torch.no_grad():
            for p in self.parameters():
                p.copy_(torch.randn(p.shape, generator=draws, dtype=torch.float64) / 3)
        self.calls: list[int] = []
        self.fails_at = fails_at

    def forward(self, x: Tensor) -> Tensor:
        self.calls.append(len(x))
        if len(self.calls) == self.fails_at:
            raise ValueError("planted")
        return self.head(torch.nn.functional.silu(self.features(x)).flatten(1))


def images(seed: int = 1) -> Tensor:
    return torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def audited(net: Any = None, **options: Any) -> Report:
    given = {"elements": 12, "claims": CLAIMS, "inputs": images(), **options}
    return symcheck.audit(net or Net(), **given)


def shards(folder: Path, count: int, **options: Any) -> list[tuple[Path, Report]]:
    """Each shard with the file of its report, beside which its parts are."""
    made = []
    for i in range(1, count + 1):
        path = folder / f"part-{i}.json"
        made.append((path, audited(shard=(i, count), parts=parts_file(path), **options)))
        write_report(made[-1][1], path)
    return made


def assert_same(found: Report, expected: Report) -> None:
    assert [key(f) for f in found.findings] == [key(f) for f in expected.findings]
    for one, other in zip(found.findings, expected.findings, strict=True):
        assert one.counts == other.counts
        assert (one.error is None) == (other.error is None)
        assert numbers(one) == pytest.approx(numbers(other), rel=1e-12, abs=0, nan_ok=True)
        assert one.worst and other.worst and one.worst.sample == other.worst.sample
        assert one.worst.element == other.worst.element
    assert found.settings["data"] == expected.settings["data"]


def key(finding: Finding) -> tuple[str, str, str, str]:
    return finding.claim, finding.output, finding.part, str(finding.verdict)


def numbers(finding: Finding) -> list[float]:
    """What comes from the errors alone: floors are probed by each part, and are not among them."""
    error, share = finding.error, finding.share
    assert error is not None and share is not None and error.spread.mean > 0 and math.isfinite(error.spread.high)
    scales = [error.absolute, error.relative, error.spread]
    return [*(v for s in scales for v in (s.mean, s.low, s.high, s.q95, s.max)), share.value, finding.spread or 0.0]
