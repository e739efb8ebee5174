"""Fracast-0: forecasts in any unit. Its range normalisation makes f(a x + b) = a f(x) + b for a > 0."""

from __future__ import annotations

import checks
import pytest
from checks import Audited
from forecasts import fracast, right, waves
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow


class Leaky(nn.Module):
    """Forecasts of the first channel that are off by a constant."""

    def __init__(self, net: nn.Module, leak: float) -> None:
        super().__init__()
        self.net, self.leak = net, leak

    def forward(self, series: Tensor, other: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = self.net(series, other)
        return {**outputs, "forecast": outputs["forecast"] + self.leak}


def test_it_is_loaded_right() -> None:
    right()


def test_forecasts_in_another_unit(audited: Audited) -> None:
    net, channels = fracast(), waves(4)
    slots = "series=homogeneous(1), other=scalar -> forecast=homogeneous(1), beside=invariant"
    unit, upside_down = f"Scale(0.1,10): {slots}", f"Sign: {slots}"
    report = audited("fracast", net, [unit, upside_down], channels, elements=6)
    assert {f.verdict for f in report.findings if f.claim == unit} <= {Verdict.EXACT, Verdict.APPROXIMATE}
    size = float(net(**channels)["forecast"].std().detach())
    report = audited("fracast, leak", Leaky(net, size / 20), [unit], channels, elements=24)
    assert set(checks.verdicts(report, "forecast")) == {Verdict.BROKEN}
    assert all(f.verdict.holds for f in report.findings if f.output == "beside")


def test_forecasts_with_another_origin(audited: Audited) -> None:
    claims = [f"T(1,{box}): series=points, other=scalar -> forecast=points, beside=ignore" for box in (1, 10000)]
    report = audited("fracast", fracast(), claims, waves(4), elements=6)
    low, high = report.findings
    assert high.floor.rounding > 30 * low.floor.rounding  # a large offset takes digits away before it is seen
