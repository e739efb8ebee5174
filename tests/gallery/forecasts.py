"""Fracast-0: quantiles of the next values of a time series."""

from __future__ import annotations

import json

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from wheels import importable, unpacked

HORIZON = 48


class Forecast(nn.Module):
    """Two channels (n, steps, 1) -> quantiles of the next 48 values of each, (n, 48, 9, 1), in their unit.

    Channels are rows of one batch, as in the package's own `forecast`, which computes in float32 whatever it is given.
    """

    def __init__(self, core: nn.Module, head: nn.Module, width: int) -> None:
        super().__init__()
        self.core, self.head, self.width = core, head, width

    def forward(self, series: Tensor, other: Tensor) -> dict[str, Tensor]:
        found = self.rows(torch.cat([series, other])[..., 0])[..., None]
        return {"forecast": found[: len(series)], "beside": found[len(series) :]}

    def rows(self, series: Tensor) -> Tensor:
        low, high = series.amin(1, keepdim=True), series.amax(1, keepdim=True)
        span = (high - low).clamp(min=1e-5)
        pad = (self.width - series.shape[1], 0)
        values = nn.functional.pad((series - low) / span, pad)[:, None]
        seen = nn.functional.pad(torch.ones_like(series), pad)[:, None]
        last, context = values[:, 0, -1:], values[:, 0]
        inside = self.core(values, seen.bool(), seen)
        quantiles = self.head.forward_horizon(inside, last_obs=last, ctx=context, ctx_mask=seen[:, 0].bool())
        return quantiles * span[:, :, None] + low[:, :, None]


def fracast() -> Forecast:
    root = unpacked("fracast==0.1.0")
    folder = root / "fracast" / "weights"
    with importable(root, stubs=("huggingface_hub",)):
        from fracast._core.model import build_from_cfg
    settings = json.loads((folder / "config.json").read_text())
    core, head = build_from_cfg({key: settings[key] for key in ("model", "pyramid")})
    state = load_file(folder / "model.safetensors")
    for name, part in (("core.", core), ("head.", head)):
        part.load_state_dict({k.removeprefix(name): v for k, v in state.items() if k.startswith(name)})
    return Forecast(core, head, settings["model"]["W"]).eval()


def waves(samples: int, steps: int = 256) -> dict[str, Tensor]:
    """Two seasons, a trend and noise, of various size and offset: two channels (n, 256, 1)."""
    g = torch.Generator().manual_seed(4)
    time, (size, phase, trend) = torch.arange(steps), torch.rand(3, 2 * samples, 1, generator=g)
    x = torch.sin(2 * torch.pi * time / 24 + 6 * phase) + size * torch.sin(2 * torch.pi * time / 60)
    x = x + trend * time / steps + 0.05 * torch.randn(2 * samples, steps, generator=g)
    series = ((1 + size) * x + phase)[..., None]
    return {"series": series[:samples], "other": series[samples:]}


def right() -> None:
    """The median follows the next 48 values of a sine to 0.03 on average."""
    x = torch.sin(torch.arange(648) * 2 * torch.pi / 24)[None, :, None]
    with torch.no_grad():
        median = fracast()(x[:, :600], x[:, :600])["forecast"][..., 4, :]
    assert float((median - x[:, 600:]).abs().mean()) < 0.04
