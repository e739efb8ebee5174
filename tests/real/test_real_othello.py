"""An AlphaZero network for Othello: the rules know no corner from another; does the network, and its random twin?"""

from __future__ import annotations

import checks
import pytest
import torch
from checks import Audited, Averaged, Planted
from games import positions, right, trained, untrained
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

CLAIM = "D4: board=image, legal=labels(8x8) -> logits=labels(8x8), moves=labels(8x8), best=labels(8x8), value=invariant"


def test_it_is_loaded_right() -> None:
    right()


def test_the_board_and_a_random_twin(audited: Audited) -> None:
    inputs = positions(64)
    found = audited("othello", trained(), [CLAIM], inputs)
    control = audited("othello, random weights", untrained(), [CLAIM], inputs)
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
    board, claim = positions(64)["board"], "D4: board=image -> logits=labels(8x8), value=invariant"
    net = Averaged(OnBoard(trained()), {"logits": unturned})
    report = audited("othello, averaged", net, [claim], {"board": board})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited(f"othello, fault in {output}", Planted(net, output, [board]), [claim], {"board": board})
    assert set(checks.verdicts(report, output)) == {Verdict.BROKEN}
    assert {f.verdict for f in report.findings if f.output != output} == {Verdict.EXACT}
