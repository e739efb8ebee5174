"""An AlphaZero network for Othello: the rules know no corner from another; does the network, and its random twin?"""

from __future__ import annotations

import random
from functools import cache
from typing import Any

import checks
import pytest
import torch
import torch.nn.functional as F
import zoo
from checks import Audited, Averaged, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

CLAIM = "D4: board=image, legal=labels(8x8) -> logits=labels(8x8), moves=labels(8x8), best=labels(8x8), value=invariant"
STEPS = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if i or j]
SPEC = "ludax-agents==1.0.0"


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
    with (zoo.had(SPEC) / "ludax_agents/checkpoints/reversi.ckpt").open("rb") as file:
        weights, averages = zoo.Arrays(file).load()["model"]
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


def flips(own: set, other: set, move: tuple[int, int]) -> set:
    """The stones that a move turns over; none: it is not legal."""
    turned: set = set()
    for i, j in STEPS:
        line, (r, c) = [], (move[0] + i, move[1] + j)
        while (r, c) in other:
            line.append((r, c))
            r, c = r + i, c + j
        turned |= set(line) if (r, c) in own else set()
    return set() if move in own | other else turned


@cache
def positions(count: int = 64) -> tuple[Tensor, Tensor]:
    """Positions of random games, 5 to 44 moves old: stones (n, 2, 8, 8), legal moves (n, 65) with pass at the end."""
    rng, boards, legal = random.Random(3), [], []
    while len(boards) < count:
        own, other = {(3, 4), (4, 3)}, {(3, 3), (4, 4)}
        for _ in range(5 + len(boards) * 40 // count):
            choices = [m for m in ((r, c) for r in range(8) for c in range(8)) if flips(own, other, m)]
            if choices:
                move = rng.choice(choices)
                turned = flips(own, other, move)
                own, other = own | turned | {move}, other - turned
            own, other = other, own
        moves = [bool(flips(own, other, (r, c))) for r in range(8) for c in range(8)]
        boards.append([[[(r, c) in side for c in range(8)] for r in range(8)] for side in (own, other)])
        legal.append([*moves, not any(moves)])
    return torch.tensor(boards).float(), torch.tensor(legal).float()


def test_it_is_loaded_right() -> None:
    board, legal = positions()
    with torch.no_grad():
        on_legal = (trained()(board, legal)["logits"].softmax(-1) * legal).sum(-1)
    assert on_legal.mean() > 0.99


def test_the_board_and_a_random_twin(audited: Audited) -> None:
    inputs = dict(zip(("board", "legal"), positions(), strict=True))
    torch_state = torch.random.get_rng_state()
    twin = Othello().eval()
    torch.random.set_rng_state(torch_state)
    found = audited("othello", trained(), [CLAIM], inputs)
    control = audited("othello, random weights", twin, [CLAIM], inputs)
    for report in (found, control):
        assert checks.parts(report) == {"proper", "improper"}
        assert not {Verdict.INVALID} & set(checks.verdicts(report))
    spread = [next(f.spread for f in r.findings if f.output == "logits") for r in (found, control)]
    assert spread[1] < 0.2 * spread[0]  # a nearly flat output: its absolute error alone would flatter it


class OnBoard(nn.Module):
    """The policy and value of a position alone, so that they may be averaged over the square."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, board: Tensor) -> dict[str, Tensor]:
        outputs = self.net(board, board.new_ones(len(board), 65))
        return {"logits": outputs["logits"], "value": outputs["value"]}


def unturned(k: int, logits: Tensor) -> Tensor:
    squares = checks.unsquare(k, logits[:, :64].reshape(-1, 8, 8)).flatten(1)
    return torch.cat([squares, logits[:, 64:]], 1)


@pytest.mark.parametrize("output", ["logits", "value"])
def test_averaged_over_the_square_it_is_exact_and_a_fault_is_found(output: str, audited: Audited) -> None:
    board, claim = positions()[0], "D4: board=image -> logits=labels(8x8), value=invariant"
    net = Averaged(OnBoard(trained()), {"logits": unturned})
    report = audited("othello, averaged", net, [claim], {"board": board})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited(f"othello, fault in {output}", Planted(net, output, [board]), [claim], {"board": board})
    assert set(checks.verdicts(report, output)) == {Verdict.BROKEN}
    assert {f.verdict for f in report.findings if f.output != output} == {Verdict.EXACT}
