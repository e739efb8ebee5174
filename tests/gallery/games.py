"""An AlphaZero network for Othello, and the same network before it learned anything."""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import Arrays, unpacked

STEPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
Stones = set[tuple[int, int]]


def layer(width: int, out: int, side: int) -> nn.Sequential:
    """What comes before a convolution here: batch normalisation and ReLU."""
    return nn.Sequential(nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, out, side, padding=side // 2))


class Othello(nn.Module):
    """Own and opponent stones (n, 2, 8, 8), legal moves (n, 65) -> logits, masked moves, best move, value."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 64, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Sequential(layer(64, 64, 3), layer(64, 64, 3)) for _ in range(4))
        self.norm = nn.BatchNorm2d(64)
        self.policy, self.policy_norm, self.policy_out = nn.Conv2d(64, 2, 1), nn.BatchNorm2d(2), nn.Linear(128, 65)
        self.worth, self.worth_norm = nn.Conv2d(64, 1, 1), nn.BatchNorm2d(1)
        self.worth_in, self.worth_out = nn.Linear(64, 64), nn.Linear(64, 1)

    def forward(self, board: Tensor, legal: Tensor) -> dict[str, Tensor]:
        x = self.stem(board)
        for block in self.blocks:
            x = x + block(x)
        x = self.norm(x).relu()
        logits = self.policy_out(self.policy_norm(self.policy(x)).relu().permute(0, 2, 3, 1).flatten(1))
        hidden = self.worth_in(self.worth_norm(self.worth(x)).relu().permute(0, 2, 3, 1).flatten(1)).relu()
        moves = logits.masked_fill(legal == 0, -1e9).softmax(-1)
        best = F.one_hot(moves.argmax(-1), 65).to(logits.dtype)
        return {"logits": logits, "moves": moves, "best": best, "value": self.worth_out(hidden).tanh()}


def places() -> dict[str, str]:
    """The layers' names in the checkpoint and here."""
    names = {"conv2_d": "stem", "batch_norm": "norm", "conv2_d_1": "policy", "batch_norm_1": "policy_norm"}
    names |= {"linear": "policy_out", "conv2_d_2": "worth", "batch_norm_2": "worth_norm"}
    names |= {"linear_1": "worth_in", "linear_2": "worth_out"}
    for i in range(4):
        for j, end in enumerate(("", "_1")):
            names |= {f"block_{i}/batch_norm{end}": f"blocks.{i}.{j}.0", f"block_{i}/conv2_d{end}": f"blocks.{i}.{j}.2"}
    return {f"az_net/{theirs}": ours for theirs, ours in names.items()}


def as_ours(key: str, value: Any) -> Tensor:
    t = torch.from_numpy(value.copy()).float()
    return t.flatten() if key != "w" else t.permute(3, 2, 0, 1) if t.dim() == 4 else t.T


@cache
def trained() -> Othello:
    """The weights of a pickle of JAX arrays, of which nothing but arrays is built."""
    with (unpacked("ludax-agents==1.0.0") / "ludax_agents/checkpoints/reversi.ckpt").open("rb") as file:
        weights, averages = Arrays(file).load()["model"]
    ours = {"w": "weight", "b": "bias", "scale": "weight", "offset": "bias"}
    state = {f"{here}.{ours[k]}": as_ours(k, v) for there, here in places().items() for k, v in weights[there].items()}
    for there, here in places().items():
        for end, name in (("mean_ema", "running_mean"), ("var_ema", "running_var")):
            if f"{there}/~/{end}" in averages:
                state[f"{here}.{name}"] = as_ours("b", averages[f"{there}/~/{end}"]["average"])
    net = Othello()
    missing, unexpected = net.load_state_dict(state, strict=False)
    assert not unexpected and all(name.endswith("num_batches_tracked") for name in missing)
    return net.eval()


def untrained() -> Othello:
    """The control: random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Othello().eval()


def flips(own: Stones, other: Stones, move: tuple[int, int]) -> Stones:
    """The stones that a move turns over; none: it is not legal."""
    turned: Stones = set()
    for i, j in STEPS:
        line, (r, c) = [], (move[0] + i, move[1] + j)
        while (r, c) in other:
            line.append((r, c))
            r, c = r + i, c + j
        turned |= set(line) if (r, c) in own else set()
    return set() if move in own | other else turned


@cache
def positions(samples: int) -> dict[str, Tensor]:
    """Positions of random games, 5 to 44 moves old: stones (n, 2, 8, 8), legal moves (n, 65) with pass at the end."""
    rng = random.Random(3)
    boards: list[Any] = []
    legal: list[list[bool]] = []
    while len(boards) < samples:
        own, other = {(3, 4), (4, 3)}, {(3, 3), (4, 4)}
        for _ in range(5 + len(boards) * 40 // samples):
            choices = [m for m in ((r, c) for r in range(8) for c in range(8)) if flips(own, other, m)]
            if choices:
                move = rng.choice(choices)
                turned = flips(own, other, move)
                own, other = own | turned | {move}, other - turned
            own, other = other, own
        moves = [bool(flips(own, other, (r, c))) for r in range(8) for c in range(8)]
        boards.append([[[(r, c) in side for c in range(8)] for r in range(8)] for side in (own, other)])
        legal.append([*moves, not any(moves)])
    return {"board": torch.tensor(boards).float(), "legal": torch.tensor(legal).float()}


def right() -> None:
    """99.8 % of the softmax lies on legal moves."""
    inputs = positions(64)
    with torch.no_grad():
        on_legal = (trained()(**inputs)["logits"].softmax(-1) * inputs["legal"]).sum(-1)
    assert float(on_legal.mean()) > 0.99
