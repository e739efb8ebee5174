"""The zoo, first part: perceptrons, gates, trees, sets, graphs, recurrences, experts."""

from __future__ import annotations

import torch
import torch.nn.functional as F
import zoo_attend as attend
import zoo_plain as plain
from torch import Tensor, nn
from zoo_entry import Entry, Expect, Expects, Inputs, expects, normal
from zoo_terms import (
    affine,
    attention,
    gain,
    gated,
    general,
    homogeneous,
    odd,
    ortho,
    perm,
    real,
    scale,
    segment,
    shift,
    shifts,
    sign,
)


def identity(x: Tensor) -> Tensor:
    return x


def graph(seed: int) -> Inputs:
    return *normal(5, 4)(seed), plain.ring()


def recurrent(kind: type[nn.RNNBase], width: int, layers: int = 1, both_ways: bool = False) -> nn.Module:
    net = kind(5, width, layers, batch_first=True, bidirectional=both_ways)
    return plain.Recurrent(net, 2 * width if both_ways else width)


def recurrence(suffix: str, width: int, shifted: int) -> Expects:
    """Hidden units of a recurrent layer: permutation, sign, and the biases that are added to each other."""
    on = (f"net.weight_hh_{suffix}:0", f"net.weight_hh_{suffix}:1")
    biases = shift(shifted, f"net.bias_ih_{suffix}", f"net.bias_hh_{suffix}")
    return perm(width, *on), sign(width, f"net.weight_hh_{suffix}:1"), biases


def encoder_layer(prefix: str) -> Expects:
    a = f"{prefix}.self_attn"
    return (
        perm(3, f"{a}.in_proj_weight:0", f"{a}.out_proj.weight:1"),
        general(4, f"{a}.in_proj_weight:0", over=3, off=(f"{a}.out_proj.weight",)),
        general(4, f"{a}.in_proj_weight:0", f"{a}.out_proj.weight:1", over=3),
        shift(12, f"{a}.in_proj_bias", off=(f"{a}.out_proj.bias",)),
        shift(12, f"{a}.in_proj_bias", f"{a}.out_proj.bias"),
        *homogeneous(20, f"{prefix}.linear1.weight:0", f"{prefix}.linear2.weight:1"),
        *segment(f"{a}.out_proj.bias", f"{prefix}.linear2.bias"),
        *shifts((f"{a}.out_proj.weight", 12), (f"{prefix}.linear2.weight", 20), (f"{prefix}.linear1.weight", 20)),
    )


ENCODER = expects(
    perm(12, "embed.weight:0", "encoder.layers.0.self_attn.in_proj_weight:1", "out.weight:1"),
    encoder_layer("encoder.layers.0"),
    encoder_layer("encoder.layers.1"),
    affine("encoder.layers.1.norm2", 12),
    shifts(("encoder.layers.1.self_attn.in_proj_weight", 36), ("out.weight", 5)),
)
UNITS = ("0.weight:0", "2.weight:1"), ("2.weight:0", "4.weight:1")
EXPERTS = expects(
    perm(5, "router.weight:0", "experts.0.gate.weight", "experts.4.down.weight"),
    shift(7, "router.weight"),
    *(gated(*(f"experts.{i}.{name}.weight" for name in ("gate", "up", "down")), 9) for i in range(5)),
    general(7, "experts.0.down.weight:0", "out.weight:1"),
)
STACKED = expects(
    perm(5, "router.weight:0", "gate_up:0", "down:0"),
    shift(7, "router.weight"),
    perm(9, "gate_up:1", "down:2", over=5),
    real(45, "gate_up:1"),
    general(7, "down:1", "out.weight:1"),
)
MAMBA = expects(
    ortho(12, "embed.weight:0", "block.out_proj.weight:0", "block.in_proj.weight:1", "head.weight:1"),
    Expect("scale", 1, ("embed.weight",), eps=True),
    gain("norm", 12),
    gain("final", 12),
    perm(9, *(f"block.{p}" for p in ("in_proj.weight:0", "conv.weight:0", "x_proj.weight:1", "dt_proj.weight:0")),
         *(f"block.{p}" for p in ("a_log:0", "d:0", "out_proj.weight:1"))),
    perm(5, "block.a_log:1", "block.x_proj.weight:0"),
    real(5, "block.x_proj.weight:0"),
    general(3, "block.x_proj.weight:0", "block.dt_proj.weight:1"),
)  # fmt: skip
GRAPH = expects(
    general(10, "embed.weight:0", "message.0.weight:1", "update.0.weight:1"),
    shift(10, "embed.bias"),
    homogeneous(8, "message.0.weight:0", "update.0.weight:1"),
    homogeneous(9, "update.0.weight:0", "message.1.weight:1", "update.1.weight:1"),
    homogeneous(7, "message.1.weight:0", "update.1.weight:1"),
    homogeneous(6, "update.1.weight:0", "out.weight:1"),
)
SETS = expects(
    homogeneous(8, "phi.0.weight:0", "phi.2.weight:1"),
    general(6, "phi.2.weight:0", "rho.0.weight:1"),
    shift(6, "phi.2.bias", "rho.0.bias"),
    homogeneous(7, "rho.0.weight:0", "rho.2.weight:1"),
)
SIREN = expects(
    *(odd(n, f"{a}.weight:0", f"{b}.weight:1") for n, a, b in ((9, "first", "second"), (7, "second", "last"))),
    *(sign(n, f"{b}.weight:1") for n, a, b in ((9, "first", "second"), (7, "second", "last"))),
)
GATES = ("gate.weight", "up.weight", "down.weight", 9)
E3NN = expects(
    odd(4, "first.weight:0", "last.weight:0"),
    perm(3, "first.weight:0", "last.weight:0"),
    real(3, "first.weight:0", "last.weight:0"),
)
TREES = perm(5, "split:0", "leaf:0")

ENTRIES = (
    Entry("mlp-relu", lambda: plain.mlp(F.relu), normal(4, 7),
          expects(homogeneous(9, *UNITS[0]), homogeneous(11, *UNITS[1]))),
    Entry("mlp-gelu", lambda: plain.mlp(F.gelu), normal(4, 7), (perm(9, *UNITS[0]), perm(11, *UNITS[1]))),
    Entry("mlp-tanh", lambda: plain.mlp(torch.tanh), normal(4, 7), expects(odd(9, *UNITS[0]), odd(11, *UNITS[1]))),
    Entry("autoencoder-tied", plain.TiedAutoencoder, normal(4, 8), odd(5, "encode.weight:0")),
    Entry("lora", plain.lora, normal(4, 7),
          expects(homogeneous(9, "0.base.weight:0", "0.b:0", "2.base.weight:1", "2.a:1"),
                  general(3, "0.a:0", "0.b:1"), general(2, "2.a:0", "2.b:1"))),
    Entry("swiglu", lambda: plain.Gated(F.silu), normal(4, 7), gated(*GATES)),
    Entry("reglu", lambda: plain.Gated(F.relu), normal(4, 7), expects(gated(*GATES), scale(9, "gate.weight:0"))),
    Entry("bilinear", lambda: plain.Gated(identity), normal(4, 7), expects(gated(*GATES), real(9, "gate.weight:0"))),
    Entry("concat", plain.Concat, normal(4, 7),
          expects(homogeneous(6, "a.weight:0", "out.weight:1"), odd(9, "b.weight:0", "out.weight:1"))),
    Entry("siren", plain.Siren, normal(4, 2), SIREN),
    Entry("trees-free", plain.FreeTrees, normal(4, 6), (TREES, Expect("tree", 3, ("split:1", "leaf:1"), 5))),
    Entry("trees-oblivious", plain.ObliviousTrees, normal(4, 6),
          (TREES, perm(3, "split:1", "leaf:1", over=5), sign(15, "split:1"))),
    Entry("deep-sets", plain.DeepSets, normal(4, 5, 3), SETS),
    Entry("graph-network", plain.Messages, graph, GRAPH),
    Entry("lstm", lambda: recurrent(nn.LSTM, 7, 2), normal(2, 4, 5),
          expects(recurrence("l0", 7, 28), recurrence("l1", 7, 28))),
    Entry("gru", lambda: recurrent(nn.GRU, 7), normal(2, 4, 5), recurrence("l0", 7, 14)),
    Entry("gru-bidirectional", lambda: recurrent(nn.GRU, 6, both_ways=True), normal(2, 4, 5),
          expects(recurrence("l0", 6, 12), recurrence("l0_reverse", 6, 12))),
    Entry("rnn", lambda: recurrent(nn.RNN, 7), normal(2, 4, 5), recurrence("l0", 7, 7)),
    Entry("e3nn-gated", plain.GatedTensorProduct, normal(4, 11), E3NN, "e3nn"),
    Entry("encoder-stack", plain.EncoderStack, normal(2, 5, 7), ENCODER),
    Entry("attention-fused", lambda: attend.FusedAttention(7, 3, 4), normal(2, 5, 7),
          attention("qkv", "qkv", "qkv", "proj", 3, 4)),
    Entry("experts-list", attend.ListedExperts, normal(2, 4, 7), EXPERTS),
    Entry("experts-stacked", attend.StackedExperts, normal(2, 4, 7), STACKED),
    Entry("mamba", attend.MambaLike, normal(2, 4, 6), MAMBA),
)  # fmt: skip
