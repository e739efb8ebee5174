"""The zoo, fourth part: decoders of the transformers package, and two encoders built like them."""

from __future__ import annotations

import zoo_text as text
from zoo_entry import Expect, Expects, expects, normal
from zoo_terms import (
    affine,
    attention,
    eps,
    gain,
    general,
    grouped,
    homogeneous,
    nulls,
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
from zoo_text import LAYERS, entry, text_and_image, tokens


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
    segment(f"{BLOOM_T}.word_embeddings.weight", f"{BLOOM_T}.h.0.self_attention.dense.bias"),
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
        *(sign(14, f"{w}:0") for w in (f"{a}.o_proj.weight", f"{mlp}.down_proj.weight")),
        eps(1, f"{a}.o_proj.weight|{a}.v_proj.weight|{prefix}.input_layernorm.weight"),
        eps(1, f"{mlp}.down_proj.weight|{mlp}.up_proj.weight|{prefix}.pre_feedforward_layernorm.weight"),
    )  # fmt: skip


GEMMA_STREAM = ("net.model.embed_tokens.weight:1", "net.model.layers.0.self_attn.q_proj.weight:1")
GEMMA2 = expects(
    perm(14, *GEMMA_STREAM), sign(14, GEMMA_STREAM[0]), eps(1, "net.model.embed_tokens.weight"),
    *(gemma_layer(f"net.model.layers.{i}") for i in LAYERS),
)


def mixtral_experts(prefix: str) -> Expects:
    return expects(
        perm(5, f"{prefix}.gate.weight:0", f"{prefix}.experts.4.down.weight"), shift(14, f"{prefix}.gate.weight"),
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
    perm(12, *MAMBA_STREAM), sign(12, MAMBA_STREAM[0]), eps(1, "net.backbone.embeddings.weight"),
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
    segment(f"{CLIP_V}.embeddings.patch_embedding.weight", f"{CLIP_V}.encoder.layers.0.self_attn.out_proj.bias"),
    shifts((f"{CLIP_V}.embeddings.patch_embedding.weight", 48), (f"{CLIP_V}.embeddings.position_embedding.weight", 5)),
    clip_layer(f"{CLIP_V}.encoder.layers.0", 15, 18), gain(f"{CLIP_V}.post_layernorm", 15),
)  # fmt: skip

ENTRIES = (
    entry("gpt2", text.gpt2, tokens, GPT2),
    entry("gpt-neox", text.gpt_neox, tokens, GPT_NEOX),
    entry("gpt-j", text.gptj, tokens, GPTJ),
    entry("opt", text.opt, tokens, OPT),
    entry("bloom", text.bloom, tokens, BLOOM),
    entry("llama", text.llama, tokens, LLAMA),
    entry("mistral", text.mistral, tokens, LLAMA),
    entry("qwen3", text.qwen3, tokens, QWEN3),
    entry("gemma2", text.gemma2, tokens, GEMMA2),
    entry("mixtral", text.mixtral, tokens, MIXTRAL),
    entry("mamba-lm", text.mamba, tokens, MAMBA),
    entry("whisper-encoder", text.Whisper, normal(2, 6, 10), WHISPER),
    entry("clip", text.clip, text_and_image, CLIP),
)
