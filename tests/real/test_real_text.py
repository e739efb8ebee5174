"""all-MiniLM-L6-v2: sentences to vectors. Word order matters; what stands behind the mask must not."""

from __future__ import annotations

import checks
import pytest
import torch
from checks import Audited
from sentences import LAST, minilm, right, sentences
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow


class Behind(nn.Module):
    """Words (n, w) and what is masked out behind them (n, p) -> vectors (n, 384); so much of the unmasked one leaks."""

    def __init__(self, net: nn.Module, leak: float = 0.0) -> None:
        super().__init__()
        self.net, self.leak = net, leak

    def forward(self, words: Tensor, padding: Tensor) -> Tensor:
        tail = torch.cat([padding.new_full((len(words), 1), LAST), padding], 1)
        mask = (torch.arange(tail.shape[1]) == 0).long().repeat(len(words), 1)
        vector: Tensor = self.net(words, tail, mask)["vector"]
        return vector + self.leak * self.net(words, tail, torch.ones_like(mask))["vector"] if self.leak else vector


def test_it_is_loaded_right() -> None:
    right()


def test_word_order_and_padding(audited: Audited) -> None:
    order = "S: words=nodes, padding=scalar -> vector=invariant"
    behind = "S: words=scalar, padding=nodes -> vector=invariant"
    drawn = sentences(12)
    inputs = {"words": drawn["words"], "padding": drawn["tail"][:, 1:]}
    report = audited("minilm", Behind(minilm()), [order, behind], inputs, elements=8)
    found = {f.claim: f.verdict for f in report.findings}
    assert found[behind] is Verdict.EXACT
    assert found[order] is Verdict.BROKEN  # it has positions
    report = audited("minilm, leak", Behind(minilm(), leak=0.05), [behind], inputs, elements=8)
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
