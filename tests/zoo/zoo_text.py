"""Small transformers of the transformers package behind a forward of plain tensors."""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from zoo_attend import Expert
from zoo_entry import Entry, Expects, Inputs, normal

VOCAB, TOKENS = 17, 5
LAYERS = range(2)


class Logits(nn.Module):
    """One output of a transformers model as a plain tensor, without a cache; optionally a linear head on it."""

    def __init__(self, net: nn.Module, pick: str = "logits", keys: tuple[str, ...] = ("input_ids",), head: int = 0):
        super().__init__()
        self.net, self.pick, self.keys = net, pick, keys
        self.head = nn.Linear(head, 5) if head else nn.Identity()
        self.options = {"use_cache": False} if "use_cache" in signature(net.forward).parameters else {}

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.keys, inputs, strict=True))
        return self.head(self.net(**given, **self.options, return_dict=True)[self.pick])


def words(seed: int = 0, low: int = 3) -> Tensor:
    """(2, 5) different tokens per row, none of them special."""
    order = torch.rand(2, VOCAB - low, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    return order[:, :TOKENS] + low


def tokens(seed: int) -> Inputs:
    return (words(seed),)


def two_texts(seed: int) -> Inputs:
    return words(seed), words(seed + 100)


def text_and_image(seed: int) -> Inputs:
    """Texts that end in the token 16, and images."""
    ended = torch.cat([words(seed)[:, :4].clamp(max=15), torch.full((2, 1), 16)], 1)
    return ended, *normal(2, 3, 8, 8)(seed)


def entry(name: str, build: Callable[[], nn.Module], inputs: Callable[[int], Inputs], expected: Expects) -> Entry:
    """An entry that needs the transformers package."""
    return Entry(name, build, inputs, expected, "transformers")


def build(config: str, model: str, *, attention: str = "sdpa", **options: Any) -> nn.Module:
    """A transformers model from the name of its configuration class and of its own."""
    import transformers

    settings = getattr(transformers, config)(vocab_size=VOCAB, attn_implementation=attention, **options)
    return getattr(transformers, model)(settings)


ENCODER: dict[str, Any] = {
    "hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 20,
    "max_position_embeddings": 16,
}  # fmt: skip
DECODER: dict[str, Any] = {
    "hidden_size": 14, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 6,
    "intermediate_size": 18, "max_position_embeddings": 16,
}  # fmt: skip


def bert() -> nn.Module:
    return Logits(build("BertConfig", "BertForMaskedLM", **ENCODER))


def roberta() -> nn.Module:
    return Logits(build("RobertaConfig", "RobertaForSequenceClassification", num_labels=5, **ENCODER))


def albert() -> nn.Module:
    net = build("AlbertConfig", "AlbertModel", embedding_size=7, **ENCODER)
    return Logits(net, "last_hidden_state", head=12)


def distilbert() -> nn.Module:
    sizes = {"dim": 12, "n_layers": 2, "n_heads": 3, "hidden_dim": 20, "max_position_embeddings": 16}
    return Logits(build("DistilBertConfig", "DistilBertForSequenceClassification", num_labels=5, **sizes))


def t5() -> nn.Module:
    sizes = {"d_model": 14, "d_kv": 4, "d_ff": 20, "num_layers": 2, "num_heads": 3, "relative_attention_num_buckets": 8}
    net = build("T5Config", "T5ForConditionalGeneration", attention="eager", **sizes)
    return Logits(net, keys=("input_ids", "decoder_input_ids"))


def bart() -> nn.Module:
    sizes = {"d_model": 12, "encoder_layers": 1, "decoder_layers": 1, "max_position_embeddings": 16}
    heads = {"encoder_attention_heads": 3, "decoder_attention_heads": 3, "encoder_ffn_dim": 20, "decoder_ffn_dim": 18}
    net = build("BartConfig", "BartForConditionalGeneration", **sizes, **heads)
    return Logits(net, keys=("input_ids", "decoder_input_ids"))


def gpt2() -> nn.Module:
    sizes = {"n_embd": 12, "n_layer": 2, "n_head": 3, "n_inner": 20, "n_positions": 16}
    return Logits(build("GPT2Config", "GPT2LMHeadModel", attention="eager", **sizes))


def gpt_neox() -> nn.Module:
    options = ENCODER | {"hidden_size": 18, "rotary_pct": 0.34}
    return Logits(build("GPTNeoXConfig", "GPTNeoXForCausalLM", **options))


def gptj() -> nn.Module:
    sizes = {"n_embd": 18, "n_layer": 2, "n_head": 3, "n_inner": 20, "n_positions": 16, "rotary_dim": 4}
    return Logits(build("GPTJConfig", "GPTJForCausalLM", attention="eager", tie_word_embeddings=False, **sizes))


def opt() -> nn.Module:
    sizes = {"hidden_size": 12, "num_hidden_layers": 2, "num_attention_heads": 3, "ffn_dim": 20}
    options = {"max_position_embeddings": 16, "word_embed_proj_dim": 12}
    return Logits(build("OPTConfig", "OPTForCausalLM", **sizes, **options))


def bloom() -> nn.Module:
    return Logits(build("BloomConfig", "BloomForCausalLM", attention="eager", hidden_size=12, n_layer=2, n_head=3))


def llama() -> nn.Module:
    return Logits(build("LlamaConfig", "LlamaForCausalLM", **DECODER))


def mistral() -> nn.Module:
    return Logits(build("MistralConfig", "MistralForCausalLM", sliding_window=3, **DECODER))


def qwen3() -> nn.Module:
    return Logits(build("Qwen3Config", "Qwen3ForCausalLM", tie_word_embeddings=False, **DECODER))


def gemma2() -> nn.Module:
    options = {"query_pre_attn_scalar": 6, "sliding_window": 3, "final_logit_softcapping": 30.0}
    return Logits(build("Gemma2Config", "Gemma2ForCausalLM", attention="eager", **DECODER, **options))


class DenseExperts(nn.Module):
    """The two best of five gated experts without data-dependent indexing: all run, the router weighs."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, 5, bias=False)
        self.experts = nn.ModuleList(Expert(width, hidden) for _ in range(5))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        p = self.gate(x).softmax(-1)
        best, which = p.topk(2, -1)
        best = best / best.sum(-1, keepdim=True)
        chosen = nn.functional.one_hot(which, 5).to(x.dtype)
        weight = (chosen * best.unsqueeze(-1)).sum(-2)
        each = torch.stack([expert(x) for expert in self.experts], -1)
        return (each * weight.unsqueeze(-2)).sum(-1), p


def mixtral() -> nn.Module:
    net = build("MixtralConfig", "MixtralForCausalLM", **DECODER, num_local_experts=5)
    for layer in net.model.layers:
        layer.block_sparse_moe = DenseExperts(14, 9)
    return Logits(net)


def mamba() -> nn.Module:
    sizes = {"hidden_size": 12, "state_size": 5, "num_hidden_layers": 2, "time_step_rank": 3, "intermediate_size": 24}
    return Logits(build("MambaConfig", "MambaForCausalLM", attention="eager", conv_kernel=3, **sizes))


class Whisper(nn.Module):
    """The encoder of Whisper on a short spectrogram (B, 6, 10), then a linear map."""

    def __init__(self) -> None:
        super().__init__()
        from transformers import WhisperConfig
        from transformers.models.whisper.modeling_whisper import WhisperEncoder

        sizes = {"d_model": 12, "encoder_layers": 2, "encoder_attention_heads": 3, "encoder_ffn_dim": 20}
        config = WhisperConfig(num_mel_bins=6, max_source_positions=5, attn_implementation="sdpa", **sizes)
        self.net, self.head = WhisperEncoder(config), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.net(x).last_hidden_state)


def clip() -> nn.Module:
    """Both towers of CLIP; the logits of texts against images."""
    from transformers import CLIPConfig, CLIPModel

    shared = {"num_hidden_layers": 1, "num_attention_heads": 3, "attn_implementation": "sdpa"}
    text = {"hidden_size": 12, "intermediate_size": 20, "max_position_embeddings": 16, "vocab_size": VOCAB}
    vision = {"hidden_size": 15, "intermediate_size": 18, "image_size": 8, "patch_size": 4}
    ends = {"bos_token_id": 0, "eos_token_id": 16, "pad_token_id": 1}
    config = CLIPConfig(text | shared | ends, vision | shared, projection_dim=8, attn_implementation="sdpa")
    return Logits(CLIPModel(config), "logits_per_text", ("input_ids", "pixel_values"))
