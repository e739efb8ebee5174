"""The zoo, third part: the transformers of the transformers package."""

from __future__ import annotations

import torch
import zoo_text as text
from zoo_entry import Entry, Expect, Expects, Inputs, expects, normal
from zoo_terms import (
    affine,
    attention,
    eps,
    gain,
    general,
    grouped,
    homogeneous,
    odd,
    ortho,
    perm,
    real,
    rotary,
    scale,
    segment,
    shift,
    shifts,
    sign,
    swiglu,
)

LAYERS = range(2)


def tokens(seed: int) -> Inputs:
    return (text.words(seed),)


def two_texts(seed: int) -> Inputs:
    return text.words(seed), text.words(seed + 100)


def text_and_image(seed: int) -> Inputs:
    ended = torch.cat([text.words(seed)[:, :4].clamp(max=15), torch.full((2, 1), 16)], 1)
    return ended, *normal(2, 3, 8, 8)(seed)


def nulls(*readers: str, size: int) -> Expects:
    """The null directions of linear maps that read a LayerNorm."""
    return shifts(*((f"{reader}.weight", size) for reader in readers))


def encoder_layer(prefix: str) -> Expects:
    """A layer of BERT but for what its input is: post-norm, GELU."""
    a, up, down = f"{prefix}.attention", f"{prefix}.intermediate.dense", f"{prefix}.output.dense"
    q, k, v = (f"{a}.self.{name}" for name in ("query", "key", "value"))
    return expects(
        attention(q, k, v, f"{a}.output.dense", 3, 4),
        perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        segment(f"{a}.output.dense.weight", f"{down}.weight"),
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
    segment(f"{ALBERT_DENSE}.weight", f"{ALBERT_LAYER}.ffn_output.weight"),
    shifts((f"{ALBERT_DENSE}.weight", 12), (f"{ALBERT_LAYER}.ffn_output.weight", 20)),
    nulls(f"{ALBERT_LAYER}.ffn", size=20), nulls("head", size=5),
)  # fmt: skip


def distil_layer(prefix: str) -> Expects:
    q, k, v, o = (f"{prefix}.attention.{name}_lin" for name in ("q", "k", "v", "out"))
    up, down = f"{prefix}.ffn.lin1", f"{prefix}.ffn.lin2"
    return expects(
        attention(q, k, v, o, 3, 4), perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        segment(f"{o}.weight", f"{down}.weight"), shifts((f"{o}.weight", 12), (f"{down}.weight", 20)),
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
    table = f"{blocks[0]}.0.SelfAttention.relative_attention_bias.weight:1"
    on = (f"{blocks[0]}.0.SelfAttention.q.weight:0", f"{blocks[1]}.0.SelfAttention.o.weight:1", table)
    return expects(
        perm(3, *on),
        *(t5_attention(f"{b}.0.SelfAttention") for b in blocks),
        *(homogeneous(20, *(f"{b}.{parts - 1}.DenseReluDense.{w}" for w in ("wi.weight:0", "wo.weight:1"))) for b in blocks),
        *(gain(f"{b}.{i}.layer_norm", 14) for b in blocks for i in range(parts)),
    )  # fmt: skip


T5_CROSS = [f"net.decoder.block.{i}.layer.1.EncDecAttention" for i in LAYERS]
T5_STREAM = ("net.shared.weight:1", "net.encoder.block.0.layer.0.SelfAttention.q.weight:1",
             "net.decoder.block.0.layer.0.SelfAttention.q.weight:1")  # fmt: skip
T5 = expects(
    perm(14, *T5_STREAM), sign(14, *T5_STREAM), eps(1, "net.shared.weight"),
    t5_stack("encoder", 2), gain("net.encoder.final_layer_norm", 14),
    t5_stack("decoder", 3),
    *((perm(3, f"{c}.q.weight:0", f"{c}.o.weight:1"), *t5_attention(c)) for c in T5_CROSS),
)  # fmt: skip


def bart_attention(prefix: str) -> Expects:
    return attention(*(f"{prefix}.{name}_proj" for name in ("q", "k", "v", "out")), 3, 4)


BART_E, BART_D = "net.model.encoder.layers.0", "net.model.decoder.layers.0"
BART_CROSS = f"{BART_D}.encoder_attn"
BART = expects(
    perm(12, "net.model.shared.weight:1", f"{BART_E}.self_attn.q_proj.weight:1", f"{BART_D}.fc1.weight:1"),
    segment("net.model.shared.weight"),
    shifts(("net.model.encoder.embed_positions.weight", 18), ("net.model.decoder.embed_positions.weight", 18)),
    *(bart_attention(p) for p in (f"{BART_E}.self_attn", f"{BART_D}.self_attn", BART_CROSS)),
    perm(20, f"{BART_E}.fc1.weight:0", f"{BART_E}.fc2.weight:1"),
    perm(18, f"{BART_D}.fc1.weight:0", f"{BART_D}.fc2.weight:1"),
    affine(f"{BART_E}.final_layer_norm", 12),
    shift(12, f"{BART_D}.final_layer_norm.bias"),
    *(
        (*segment(writer), shift(n, writer))
        for writer, n in ((f"{BART_E}.self_attn.out_proj.weight", 12), (f"{BART_E}.fc2.weight", 20),
                          (f"{BART_D}.self_attn.out_proj.weight", 12), (f"{BART_CROSS}.out_proj.weight", 12),
                          (f"{BART_D}.fc2.weight", 18))
    ),
    nulls(*(f"{p}.{n}_proj" for p in (f"{BART_E}.self_attn", f"{BART_D}.self_attn", BART_CROSS) for n in "qkv"), size=12),
    nulls(f"{BART_E}.fc1", size=20), nulls(f"{BART_D}.fc1", size=18),
)  # fmt: skip


def gpt2_layer(prefix: str) -> Expects:
    a, up, down = f"{prefix}.attn.c_attn", f"{prefix}.mlp.c_fc", f"{prefix}.mlp.c_proj"
    return expects(
        attention(a, a, a, f"{prefix}.attn.c_proj", 3, 4, norm=f"{prefix}.ln_1", rows=1),
        perm(20, f"{up}.weight:1", f"{down}.weight:0"),
        affine(f"{prefix}.ln_1", 12), affine(f"{prefix}.ln_2", 12),
        shifts((f"{prefix}.attn.c_proj.weight", 12), (f"{down}.weight", 20)), nulls(a, size=36), nulls(up, size=20),
    )  # fmt: skip


GPT2 = expects(
    perm(12, "net.transformer.wte.weight:1", "net.transformer.wpe.weight:1", "net.transformer.h.0.mlp.c_fc.weight:0"),
    segment("net.transformer.wpe.weight"), shift(16, "net.transformer.wpe.weight"),
    *(gpt2_layer(f"net.transformer.h.{i}") for i in LAYERS),
)  # fmt: skip


def neox_layer(prefix: str) -> Expects:
    qkv, o = f"{prefix}.attention.query_key_value", f"{prefix}.attention.dense"
    up, down = f"{prefix}.mlp.dense_h_to_4h", f"{prefix}.mlp.dense_4h_to_h"
    return expects(
        perm(3, f"{qkv}.weight:0", f"{o}.weight:1"),
        Expect("rotation", 2, (f"{qkv}.weight:0",), 3), scale(3, f"{qkv}.weight:0"),
        general(4, f"{qkv}.weight:0", over=3, off=(f"{o}.weight",)),
        general(6, f"{qkv}.weight:0", f"{o}.weight:1", over=3),
        shift(12, f"{qkv}.bias", off=(f"{o}.bias", f"{prefix}.input_layernorm.bias")),
        shift(18, f"{qkv}.bias", f"{o}.bias"),
        perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        affine(f"{prefix}.input_layernorm", 18), affine(f"{prefix}.post_attention_layernorm", 18),
        shifts((f"{o}.weight", 18), (f"{down}.weight", 20)), nulls(qkv, size=54), nulls(up, size=20),
    )  # fmt: skip


NEOX_STREAM = ("net.gpt_neox.embed_in.weight:1", "net.gpt_neox.layers.0.attention.dense.weight:0",
               "net.embed_out.weight:1")  # fmt: skip
GPT_NEOX = expects(
    perm(18, *NEOX_STREAM), ortho(18, *NEOX_STREAM), segment("net.gpt_neox.embed_in.weight"),
    shift(17, "net.gpt_neox.embed_in.weight"), gain("net.gpt_neox.final_layer_norm", 18),
    *(neox_layer(f"net.gpt_neox.layers.{i}") for i in LAYERS),
)  # fmt: skip


def gptj_layer(prefix: str) -> Expects:
    q, k, v, o = (f"{prefix}.attn.{name}_proj.weight" for name in ("q", "k", "v", "out"))
    up, down = f"{prefix}.mlp.fc_in", f"{prefix}.mlp.fc_out"
    return expects(
        perm(3, f"{q}:0", f"{o}:1"),
        Expect("rotation", 2, (f"{q}:0", f"{k}:0"), 6), scale(6, f"{q}:0"),
        general(2, f"{q}:0", f"{k}:0", over=3), general(6, f"{v}:0", f"{o}:1", over=3),
        perm(20, f"{up}.weight:0", f"{down}.weight:1"),
        gain(f"{prefix}.ln_1", 18), shifts((o, 18), (f"{down}.weight", 20)), nulls(up, size=20),
    )  # fmt: skip


GPTJ_STREAM = ("net.transformer.wte.weight:1", "net.transformer.h.1.mlp.fc_out.weight:0", "net.lm_head.weight:1")
GPTJ = expects(
    perm(18, *GPTJ_STREAM), ortho(18, *GPTJ_STREAM), segment("net.transformer.wte.weight"),
    shift(17, "net.transformer.wte.weight"), affine("net.transformer.ln_f", 18), nulls("net.lm_head", size=17),
    *(gptj_layer(f"net.transformer.h.{i}") for i in LAYERS),
)  # fmt: skip


def opt_layer(prefix: str, act: str = "relu") -> Expects:
    """A pre-norm layer with biases, in the names that OPT and BART's relatives share."""
    a, up, down = f"{prefix}.self_attn", f"{prefix}.fc1", f"{prefix}.fc2"
    q, k, v, o = (f"{a}.{name}_proj" for name in ("q", "k", "v", "out"))
    units, first = (f"{up}.weight:0", f"{down}.weight:1"), f"{prefix}.self_attn_layer_norm"
    return expects(
        attention(q, k, v, o, 3, 4, norm=first, key_bias=act == "relu"),
        homogeneous(20, *units) if act == "relu" else (perm(20, *units),),
        affine(first, 12), affine(f"{prefix}.final_layer_norm", 12),
        shifts((f"{o}.weight", 12), (f"{down}.weight", 20)), nulls(q, k, v, size=12), nulls(up, size=20),
    )  # fmt: skip


OPT_D = "net.model.decoder"
OPT = expects(
    perm(12, f"{OPT_D}.embed_tokens.weight:1", f"{OPT_D}.embed_positions.weight:1", f"{OPT_D}.layers.0.fc1.weight:1"),
    segment(f"{OPT_D}.embed_positions.weight"), shift(18, f"{OPT_D}.embed_positions.weight"),
    *(opt_layer(f"{OPT_D}.layers.{i}") for i in LAYERS),
)  # fmt: skip


def bloom_layer(prefix: str) -> Expects:
    """Without a permutation of heads: their slopes differ."""
    qkv, o = f"{prefix}.self_attention.query_key_value", f"{prefix}.self_attention.dense"
    up, down, first = f"{prefix}.mlp.dense_h_to_4h", f"{prefix}.mlp.dense_4h_to_h", f"{prefix}.input_layernorm"
    return expects(
        attention(qkv, qkv, qkv, o, 3, 4, norm=first)[1:],
        perm(48, f"{up}.weight:0", f"{down}.weight:1"),
        affine(first, 12), affine(f"{prefix}.post_attention_layernorm", 12),
        shifts((f"{o}.weight", 12), (f"{down}.weight", 48)), nulls(qkv, size=36), nulls(up, size=48),
    )  # fmt: skip


BLOOM_T = "net.transformer"
BLOOM = expects(
    perm(12, f"{BLOOM_T}.word_embeddings.weight:1", f"{BLOOM_T}.h.0.self_attention.dense.weight:0"),
    segment(f"{BLOOM_T}.word_embeddings.weight", f"{BLOOM_T}.h.0.self_attention.dense.weight"),
    *(bloom_layer(f"{BLOOM_T}.h.{i}") for i in LAYERS),
)


def llama_like(*extra: str) -> Expects:
    """The stream and the norms of Llama and its relatives, head apart from the embedding."""
    layers = [f"net.model.layers.{i}" for i in LAYERS]
    stream = ("net.model.embed_tokens.weight:1", f"{layers[0]}.self_attn.o_proj.weight:0",
              f"{layers[1]}.self_attn.q_proj.weight:1", "net.lm_head.weight:1")  # fmt: skip
    return expects(
        ortho(14, *stream), eps(1, "net.model.embed_tokens.weight"), gain("net.model.norm", 14),
        *(gain(f"{b}.{norm}_layernorm", 14) for b in layers for norm in ("input", "post_attention")),
        *(swiglu(f"{b}.mlp", 18) for b in layers if "dense" in extra),
        *(rotary(f"{b}.self_attn", 2, 2, 3) for b in layers if "rotary" in extra),
    )  # fmt: skip


LLAMA = llama_like("dense", "rotary")


def qwen3_attention(prefix: str) -> Expects:
    q, k, v, o = (f"{prefix}.{name}_proj.weight" for name in "qkvo")
    return expects(
        grouped(q, k, v, o, 2, 2, 6),
        scale(3, f"{prefix}.q_norm.weight:0", f"{prefix}.k_norm.weight:0"),
        sign(6, f"{prefix}.q_norm.weight:0"), sign(6, f"{prefix}.k_norm.weight:0"), sign(6, f"{q}:0"),
        eps(4, q), eps(2, k),
    )  # fmt: skip


QWEN3 = expects(llama_like("dense"), *(qwen3_attention(f"net.model.layers.{i}.self_attn") for i in LAYERS))


def gemma_layer(prefix: str) -> Expects:
    a, mlp = f"{prefix}.self_attn", f"{prefix}.mlp"
    return expects(
        rotary(a, 2, 2, 3), swiglu(mlp, 18),
        gain(f"{prefix}.input_layernorm", 14), gain(f"{prefix}.pre_feedforward_layernorm", 14),
        *((sign(14, f"{w}:0"), eps(1, w)) for w in (f"{a}.o_proj.weight", f"{mlp}.down_proj.weight")),
    )  # fmt: skip


GEMMA_STREAM = ("net.model.embed_tokens.weight:1", "net.model.layers.0.self_attn.q_proj.weight:1")
GEMMA2 = expects(
    perm(14, *GEMMA_STREAM), sign(14, *GEMMA_STREAM), eps(1, "net.model.embed_tokens.weight"),
    *(gemma_layer(f"net.model.layers.{i}") for i in LAYERS),
)


def mixtral_experts(prefix: str) -> Expects:
    return expects(
        perm(5, f"{prefix}.gate.weight:0"), shift(14, f"{prefix}.gate.weight"),
        *(expects(perm(9, f"{e}.gate.weight:0", f"{e}.up.weight:0", f"{e}.down.weight:1"), real(9, f"{e}.up.weight:0"))
          for e in (f"{prefix}.experts.{i}" for i in range(5))),
    )  # fmt: skip


MIXTRAL = expects(
    llama_like("rotary"), *(mixtral_experts(f"net.model.layers.{i}.block_sparse_moe") for i in LAYERS)
)


def mamba_layer(prefix: str) -> Expects:
    m = f"{prefix}.mixer"
    first = (f"{m}.{p}" for p in ("in_proj.weight:0", "conv1d.weight:0", "x_proj.weight:1", "dt_proj.weight:0"))
    return expects(
        perm(24, *first, *(f"{m}.{p}" for p in ("A_log:0", "D:0", "out_proj.weight:1"))),
        perm(5, f"{m}.A_log:1", f"{m}.x_proj.weight:0"), real(5, f"{m}.x_proj.weight:0"),
        general(3, f"{m}.x_proj.weight:0", f"{m}.dt_proj.weight:1"), gain(f"{prefix}.norm", 12),
    )  # fmt: skip


MAMBA_STREAM = ("net.backbone.embeddings.weight:1", "net.backbone.layers.0.mixer.out_proj.weight:0")
MAMBA = expects(
    perm(12, *MAMBA_STREAM), sign(12, *MAMBA_STREAM), eps(1, "net.backbone.embeddings.weight"),
    *(mamba_layer(f"net.backbone.layers.{i}") for i in LAYERS),
)
WHISPER = expects(
    perm(12, "net.conv1.weight:0", "net.conv2.weight:1"),
    perm(12, "net.conv2.weight:0", "net.embed_positions.weight:1", "net.layers.0.fc2.weight:0", "head.weight:1"),
    shift(5, "net.embed_positions.weight"), *(opt_layer(f"net.layers.{i}", "gelu") for i in LAYERS),
    affine("net.layer_norm", 12), nulls("head", size=5),
)  # fmt: skip


def clip_layer(prefix: str, width: int, hidden: int) -> Expects:
    a, up, down = f"{prefix}.self_attn", f"{prefix}.mlp.fc1", f"{prefix}.mlp.fc2"
    q, k, v, o = (f"{a}.{name}_proj" for name in ("q", "k", "v", "out"))
    return expects(
        attention(q, k, v, o, 3, width // 3, norm=f"{prefix}.layer_norm1"),
        perm(hidden, f"{up}.weight:0", f"{down}.weight:1"),
        affine(f"{prefix}.layer_norm1", width), affine(f"{prefix}.layer_norm2", width),
        shifts((f"{o}.weight", width), (f"{down}.weight", hidden)), nulls(q, k, v, size=width), nulls(up, size=hidden),
    )  # fmt: skip


CLIP_T, CLIP_V = "net.text_model", "net.vision_model"
CLIP_TEXT = (f"{CLIP_T}.embeddings.token_embedding.weight:1", f"{CLIP_T}.embeddings.position_embedding.weight:1",
             f"{CLIP_T}.encoder.layers.0.mlp.fc1.weight:1", "net.text_projection.weight:1")  # fmt: skip
CLIP_IMAGE = (f"{CLIP_V}.embeddings.patch_embedding.weight:0", f"{CLIP_V}.encoder.layers.0.mlp.fc1.weight:1")
CLIP = expects(
    ortho(8, "net.text_projection.weight:0", "net.visual_projection.weight:0"),
    scale(1, "net.text_projection.weight"), scale(1, "net.visual_projection.weight"),
    perm(12, *CLIP_TEXT), ortho(12, *CLIP_TEXT), segment(f"{CLIP_T}.embeddings.position_embedding.weight"),
    shifts((f"{CLIP_T}.embeddings.token_embedding.weight", 17), (f"{CLIP_T}.embeddings.position_embedding.weight", 16)),
    clip_layer(f"{CLIP_T}.encoder.layers.0", 12, 20), gain(f"{CLIP_T}.final_layer_norm", 12),
    perm(15, *CLIP_IMAGE),
    segment(f"{CLIP_V}.embeddings.patch_embedding.weight", f"{CLIP_V}.encoder.layers.0.self_attn.out_proj.weight"),
    shifts((f"{CLIP_V}.embeddings.patch_embedding.weight", 48), (f"{CLIP_V}.embeddings.position_embedding.weight", 5)),
    clip_layer(f"{CLIP_V}.encoder.layers.0", 15, 18), gain(f"{CLIP_V}.post_layernorm", 15),
)  # fmt: skip

ENTRIES = (
    Entry("bert", text.bert, tokens, BERT),
    Entry("roberta", text.roberta, tokens, ROBERTA),
    Entry("albert", text.albert, tokens, ALBERT),
    Entry("distilbert", text.distilbert, tokens, DISTILBERT),
    Entry("t5", text.t5, two_texts, T5),
    Entry("bart", text.bart, two_texts, BART),
    Entry("gpt2", text.gpt2, tokens, GPT2),
    Entry("gpt-neox", text.gpt_neox, tokens, GPT_NEOX),
    Entry("gpt-j", text.gptj, tokens, GPTJ),
    Entry("opt", text.opt, tokens, OPT),
    Entry("bloom", text.bloom, tokens, BLOOM),
    Entry("llama", text.llama, tokens, LLAMA),
    Entry("mistral", text.mistral, tokens, LLAMA),
    Entry("qwen3", text.qwen3, tokens, QWEN3),
    Entry("gemma2", text.gemma2, tokens, GEMMA2),
    Entry("mixtral", text.mixtral, tokens, MIXTRAL),
    Entry("mamba-lm", text.mamba, tokens, MAMBA),
    Entry("whisper-encoder", text.Whisper, normal(2, 6, 10), WHISPER),
    Entry("clip", text.clip, text_and_image, CLIP),
)
