"""Relations of texts on small transformers with drawn weights, as their library builds them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import symcheck
from symcheck.groups.draws import Draws

pytestmark = pytest.mark.slow


class Logits(nn.Module):
    """The logits of a language model or a classifier."""

    def __init__(self, net: nn.Module, heeds: bool = True) -> None:
        super().__init__()
        self.net, self.heeds = net, heeds

    def forward(self, ids: Tensor, mask: Tensor | None = None, places: Tensor | None = None) -> Tensor:
        more = {} if places is None else {"position_ids": places}
        mask = mask if mask is None or self.heeds else torch.ones_like(mask)
        result: Tensor = self.net(input_ids=ids, attention_mask=mask, **more).logits
        return result


def writer() -> nn.Module:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.GPT2Config(vocab_size=50, n_positions=64, n_embd=32, n_layer=2, n_head=4, use_cache=False)
        made: nn.Module = transformers.GPT2LMHeadModel(config).eval()
    return made


def reader() -> nn.Module:
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(
            vocab_size=50, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
        )
        made: nn.Module = transformers.BertForSequenceClassification(config).eval()
    return made


def verdict(model: nn.Module, claim: str) -> str:
    ids = Draws(0, "ids").integers(12, 10, high=50)
    data = {"ids": ids, "mask": torch.ones_like(ids), "places": torch.arange(10).expand(12, 10).contiguous()}
    given = {name: x for name, x in data.items() if f"{name}=" in claim}
    return str(symcheck.audit(model, claim, given, elements=12).findings[0].verdict)


@pytest.mark.parametrize(
    ("claim", "wanted"),
    [
        ("Causal: ids=tokens -> sequence", "exact"),
        ("Mates: ids=tokens, mask=mask -> sequence", "exact"),
        ("Padding(6): ids=tokens, mask=mask -> sequence", "exact"),
        ("Padding(6,left): ids=tokens, mask=mask -> sequence", "broken"),  # it counts positions from the start
        ("Padding(6,left): ids=tokens, mask=mask, places=positions -> sequence", "exact"),
    ],
)
def test_a_writer_is_causal_and_counts_its_positions(claim: str, wanted: str) -> None:
    assert verdict(Logits(writer()), claim) == wanted


def test_a_reader_heeds_its_mask() -> None:
    claim = "Padding(6): ids=tokens, mask=mask -> scalar"
    assert verdict(Logits(reader()), claim) == "exact"
    assert verdict(Logits(reader(), heeds=False), claim) == "broken"
