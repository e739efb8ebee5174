"""The zoo, third part: encoders and encoder-decoders of the transformers package."""

from __future__ import annotations

import zoo_text as text
from zoo_entry import Expects, expects
from zoo_terms import (
    affine,
    attention,
    eps,
    gain,
    general,
    homogeneous,
    nulls,
    odd,
    ortho,
    perm,
    segment,
    shift,
    shifts,
    sign,
)
from zoo_text import LAYERS, entry, tokens, two_texts


def encoder_layer(prefix: str) -> Expects:
    """A layer of BERT but for what its input is: post-norm, GELU."""
    a, up, down = f"{prefix}.attention", f"{prefix}.intermediate.dense", f"{prefix}.output.dense"
    q, k, v = (f"{a}.self.{name}" for name in ("query", "key", "value"))
    return expects(
        attention(q, k, v, f"{a}.output.dense", 3, 4),
        perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        segment(f"{a}.output.dense.bias", f"{down}.bias"),
        shifts((f"{a}.output.dense.weight", 12), (f"{down}.weight", 20)),
        nulls(q, k, v, size=12), nulls(up, size=20),
    )  # fmt: skip


def bert_like(net: str) -> Expects:
    """BERT up to its last norm, which one linear map reads."""
    return expects(
        segment(f"{net}.embeddings.position_embeddings.weight"),
        shifts((f"{net}.embeddings.position_embeddings.weight", 16)),
        *(encoder_layer(f"{net}.encoder.layer.{i}") for i in LAYERS),
        affine(f"{net}.encoder.layer.1.output.LayerNorm", 12),
    )


BERT_QUERY = "encoder.layer.1.attention.self.query.weight:1"
BERT = expects(
    bert_like("net.bert"),
    perm(12, "net.bert.embeddings.word_embeddings.weight:1", "net.cls.predictions.transform.dense.weight:0",
         f"net.bert.{BERT_QUERY}"),
    shifts(("net.bert.embeddings.token_type_embeddings.weight", 2)),
    nulls("net.cls.predictions.transform.dense", size=12),
    shift(12, "net.cls.predictions.transform.LayerNorm.bias"),
)  # fmt: skip
ROBERTA = expects(
    bert_like("net.roberta"),
    perm(12, "net.roberta.embeddings.word_embeddings.weight:1", f"net.roberta.{BERT_QUERY}"),
    shifts(("net.roberta.embeddings.word_embeddings.weight", 17)),
    odd(12, "net.classifier.dense.weight:0", "net.classifier.out_proj.weight:1"),
    nulls("net.classifier.dense", size=12),
)
ALBERT_LAYER = "net.encoder.albert_layer_groups.0.albert_layers.0"
ALBERT_MAP, ALBERT_DENSE = "net.encoder.embedding_hidden_mapping_in", f"{ALBERT_LAYER}.attention.dense"
ALBERT = expects(
    ortho(7, "net.embeddings.word_embeddings.weight:1", f"{ALBERT_MAP}.weight:1"),
    perm(7, "net.embeddings.word_embeddings.weight:1", f"{ALBERT_MAP}.weight:1"),
    segment("net.embeddings.position_embeddings.weight"),
    shifts(("net.embeddings.word_embeddings.weight", 17), ("net.embeddings.position_embeddings.weight", 16)),
    affine("net.embeddings.LayerNorm", 7), nulls(ALBERT_MAP, size=12),
    perm(12, f"{ALBERT_MAP}.weight:0", f"{ALBERT_DENSE}.weight:0", "head.weight:1"),
    attention(*(f"{ALBERT_LAYER}.attention.{name}" for name in ("query", "key", "value")), ALBERT_DENSE, 3, 4),
    perm(20, f"{ALBERT_LAYER}.ffn.weight:0", f"{ALBERT_LAYER}.ffn_output.weight:1"),
    segment(f"{ALBERT_DENSE}.bias", f"{ALBERT_LAYER}.ffn_output.bias"),
    shifts((f"{ALBERT_DENSE}.weight", 12), (f"{ALBERT_LAYER}.ffn_output.weight", 20)),
    nulls(f"{ALBERT_LAYER}.ffn", size=20), nulls("head", size=5),
)  # fmt: skip


def distil_layer(prefix: str) -> Expects:
    q, k, v, o = (f"{prefix}.attention.{name}_lin" for name in ("q", "k", "v", "out"))
    up, down = f"{prefix}.ffn.lin1", f"{prefix}.ffn.lin2"
    return expects(
        attention(q, k, v, o, 3, 4), perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        segment(f"{o}.bias", f"{down}.bias"), shifts((f"{o}.weight", 12), (f"{down}.weight", 20)),
        nulls(q, k, v, size=12), nulls(up, size=20),
    )  # fmt: skip


DISTIL = "net.distilbert.embeddings"
DISTILBERT = expects(
    perm(12, f"{DISTIL}.word_embeddings.weight:1", "net.distilbert.transformer.layer.1.ffn.lin1.weight:1"),
    segment(f"{DISTIL}.position_embeddings.weight"),
    shifts((f"{DISTIL}.word_embeddings.weight", 17), (f"{DISTIL}.position_embeddings.weight", 16)),
    *(distil_layer(f"net.distilbert.transformer.layer.{i}") for i in LAYERS),
    affine("net.distilbert.transformer.layer.1.output_layer_norm", 12),
    homogeneous(12, "net.pre_classifier.weight:0", "net.classifier.weight:1"), nulls("net.pre_classifier", size=12),
)  # fmt: skip


def t5_attention(prefix: str) -> Expects:
    q, k, v, o = (f"{prefix}.{name}.weight" for name in "qkvo")
    return general(4, f"{q}:0", f"{k}:0", over=3), general(4, f"{v}:0", f"{o}:1", over=3)


def t5_stack(name: str, parts: int) -> Expects:
    """The self-attention, feed-forward layers and inner norms of one stack."""
    blocks = [f"net.{name}.block.{i}.layer" for i in LAYERS]
    dense = [f"{b}.{parts - 1}.DenseReluDense" for b in blocks]
    table = f"{blocks[0]}.0.SelfAttention.relative_attention_bias.weight:1"
    on = (f"{blocks[0]}.0.SelfAttention.q.weight:0", f"{blocks[1]}.0.SelfAttention.o.weight:1", table)
    return expects(
        perm(3, *on),
        *(t5_attention(f"{b}.0.SelfAttention") for b in blocks),
        *(homogeneous(20, f"{d}.wi.weight:0", f"{d}.wo.weight:1") for d in dense),
        *(gain(f"{b}.{i}.layer_norm", 14) for b in blocks for i in range(parts)),
    )  # fmt: skip


T5_CROSS = [f"net.decoder.block.{i}.layer.1.EncDecAttention" for i in LAYERS]
T5_STREAM = ("net.shared.weight:1", "net.encoder.block.0.layer.0.SelfAttention.q.weight:1",
             "net.decoder.block.0.layer.0.SelfAttention.q.weight:1")  # fmt: skip
T5 = expects(
    perm(14, *T5_STREAM), sign(14, T5_STREAM[0]), eps(1, "net.shared.weight"),
    t5_stack("encoder", 2), gain("net.encoder.final_layer_norm", 14),
    t5_stack("decoder", 3),
    *((perm(3, f"{c}.q.weight:0", f"{c}.o.weight:1"), *t5_attention(c)) for c in T5_CROSS),
)  # fmt: skip


def bart_attention(prefix: str) -> Expects:
    return attention(*(f"{prefix}.{name}_proj" for name in ("q", "k", "v", "out")), 3, 4)


BART_E, BART_D = "net.model.encoder.layers.0", "net.model.decoder.layers.0"
BART_CROSS = f"{BART_D}.encoder_attn"
BART_ATTENTIONS = (f"{BART_E}.self_attn", f"{BART_D}.self_attn", BART_CROSS)
BART = expects(
    perm(12, "net.model.shared.weight:1", f"{BART_E}.self_attn.q_proj.weight:1", f"{BART_D}.fc1.weight:1"),
    segment("net.model.shared.weight"),
    shifts(("net.model.encoder.embed_positions.weight", 18), ("net.model.decoder.embed_positions.weight", 18)),
    *(bart_attention(p) for p in BART_ATTENTIONS),
    perm(20, f"{BART_E}.fc1.weight:0", f"{BART_E}.fc2.weight:1"),
    perm(18, f"{BART_D}.fc1.weight:0", f"{BART_D}.fc2.weight:1"),
    affine(f"{BART_E}.final_layer_norm", 12),
    shift(12, f"{BART_D}.final_layer_norm.bias"),
    *(
        (*segment(f"{writer}.bias"), shift(n, f"{writer}.weight"))
        for writer, n in ((f"{BART_E}.self_attn.out_proj", 12), (f"{BART_E}.fc2", 20), (f"{BART_CROSS}.out_proj", 12),
                          (f"{BART_D}.self_attn.out_proj", 12), (f"{BART_D}.fc2", 18))
    ),
    nulls(*(f"{p}.{n}_proj" for p in BART_ATTENTIONS for n in "qkv"), size=12),
    nulls(f"{BART_E}.fc1", size=20), nulls(f"{BART_D}.fc1", size=18),
)  # fmt: skip

ENTRIES = (
    entry("bert", text.bert, tokens, BERT),
    entry("roberta", text.roberta, tokens, ROBERTA),
    entry("albert", text.albert, tokens, ALBERT),
    entry("distilbert", text.distilbert, tokens, DISTILBERT),
    entry("t5", text.t5, two_texts, T5),
    entry("bart", text.bart, two_texts, BART),
)
