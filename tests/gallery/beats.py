"""BeatNet: beats and downbeats of music, by an LSTM of one direction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import data, unpacked


class Beats(nn.Module):
    """Features (n, frames, 272) -> logits (n, frames, 3) of beat, downbeat, neither."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.linear0 = nn.Conv1d(1, 2, 10), nn.Linear(262, 150)
        self.lstm, self.linear = nn.LSTM(150, 150, 2, batch_first=True), nn.Linear(150, 3)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        y = F.max_pool1d(F.relu(self.conv1(frames.reshape(-1, 1, 272))), 2).flatten(1)
        y = self.linear0(y).reshape(*frames.shape[:2], 150)
        return {"beats": self.linear(self.lstm(y)[0])}


def beatnet(which: int = 2) -> Beats:
    """The second of its three trainings; every tensor of the file has its place here."""
    net = Beats()
    net.load_state_dict(data(unpacked("BeatNet==1.1.3") / f"BeatNet/models/model_{which}_weights.pt"))
    return net.eval()


def features(samples: int, length: int = 60) -> dict[str, Tensor]:
    """Random, non-negative, alike from frame to frame, (n, 60, 272): its own features need a compiled package."""
    walk = torch.randn(samples, length, 272, generator=torch.Generator().manual_seed(2)).cumsum(1)
    return {"frames": F.relu(walk - walk.mean(1, keepdim=True)) / 4}


def right() -> None:
    """Every key and shape of the file is the network's."""
    assert sum(p.numel() for p in beatnet().parameters()) == 402_325
