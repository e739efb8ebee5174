"""Fracast-0: forecasts in any unit. Its range normalisation makes f(a x + b) = a f(x) + b for a > 0."""

from __future__ import annotations

import json

import checks
import pytest
import torch
import zoo
from checks import Audited
from safetensors.torch import load_file
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

HORIZON = 48


class Forecast(nn.Module):
    """Series (n, steps) -> quantiles of the next 48 values, (n, 48, 9), in the unit of the series."""

    def __init__(self, core: nn.Module, head: nn.Module, width: int, leak: float = 0.0) -> None:
        super().__init__()
        self.core, self.head, self.width, self.leak = core, head, width, leak

    def forward(self, series: Tensor) -> Tensor:
        low, high = series.amin(1, keepdim=True), series.amax(1, keepdim=True)
        span = (high - low).clamp(min=1e-5)
        pad = (self.width - series.shape[1], 0)
        values = nn.functional.pad((series - low) / span, pad)[:, None]
        seen = nn.functional.pad(torch.ones_like(series), pad)[:, None]
        quantiles = self.head.forward_horizon(
            self.core(values, seen.bool(), seen),
            last_obs=values[:, 0, -1:],
            ctx=values[:, 0],
            ctx_mask=seen[:, 0].bool(),
        )
        return quantiles * span[:, :, None] + low[:, :, None] + self.leak


class InPlane(nn.Module):
    """The same on series of one coordinate (n, steps, 1), which a translation moves."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, series: Tensor) -> Tensor:
        return self.net(series[..., 0])[..., None]


def fracast(leak: float = 0.0) -> Forecast:
    root = zoo.had("fracast==0.1.0")
    folder = root / "fracast" / "weights"
    with zoo.importable(root, stubs=("huggingface_hub",)):
        from fracast._core.model import build_from_cfg
    settings = json.loads((folder / "config.json").read_text())
    core, head = build_from_cfg({key: settings[key] for key in ("model", "pyramid")})
    state = load_file(folder / "model.safetensors")
    for name, part in (("core.", core), ("head.", head)):
        part.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
    return Forecast(core, head, settings["model"]["W"], leak).eval()


def waves(count: int = 4, steps: int = 256) -> Tensor:
    """Two seasons, a trend and noise, of various size and offset; (n, steps)."""
    g = torch.Generator().manual_seed(4)
    time, (size, phase, trend) = torch.arange(steps + HORIZON), torch.rand(3, count, 1, generator=g)
    x = torch.sin(2 * torch.pi * time / 24 + 6 * phase) + size * torch.sin(2 * torch.pi * time / 60)
    return (1 + size) * (x + trend * time / steps + 0.05 * torch.randn(count, steps + HORIZON, generator=g)) + phase


def test_it_is_loaded_right() -> None:
    x = torch.sin(torch.arange(648) * 2 * torch.pi / 24)[None]
    with torch.no_grad():
        median = fracast()(x[:, :600])[0, :, 4]
    assert (median - x[0, 600:]).abs().mean() < 0.06


def test_forecasts_in_another_unit(audited: Audited) -> None:
    net, series = fracast(), waves()[:, :256]
    unit = "Scale(0.1,10): series=homogeneous(1) -> forecast=homogeneous(1)"
    upside_down = "Sign: series=homogeneous(1) -> forecast=homogeneous(1)"
    report = audited("fracast", net, [unit, upside_down], {"series": series}, elements=6)
    assert {f.verdict for f in report.findings if f.claim == unit} <= {Verdict.EXACT, Verdict.APPROXIMATE}
    size = float(net(series).std().detach())
    report = audited("fracast, leak", fracast(leak=size / 20), [unit], {"series": series}, elements=6)
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}


def test_forecasts_with_another_origin(audited: Audited) -> None:
    net, series = InPlane(fracast()), waves()[:, :256, None]
    near, far = (f"T(1,{box}): series=points -> forecast=points" for box in (1, 10000))
    report = audited("fracast", net, [near, far], {"series": series}, elements=6)
    low, high = report.findings
    assert (
        high.floor.rounding > 30 * low.floor.rounding
    )  # a large offset takes digits away before the network sees them
