"""Small networks as functions of their tensors, each with a weight symmetry spec written by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from symcheck.patterns import parse_axes
from symcheck.weights.spec import Space, Spec, Term

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Network:
    """`call(state)` is the output on fixed inputs; `state` is generic, in float64."""

    name: str
    spec: Spec
    state: dict[str, Tensor]
    call: Callable[[State], Tensor]


def normal(seed: int, **shapes: tuple[int, ...]) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {k: torch.randn(shape, generator=rng, dtype=torch.float64) for k, shape in shapes.items()}


def spec_of(axes: dict[str, str], *spaces: Space, **parts: object) -> Spec:
    patterns = {name: parse_axes(text) for name, text in axes.items()}
    return Spec({space.name: space for space in spaces}, patterns, **parts)  # type: ignore[arg-type]


def mlp() -> Network:
    state = normal(1, w1=(8, 5), b1=(8,), w2=(6, 8), b2=(6,), w3=(3, 6), b3=(3,), x=(20, 5))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        h = torch.relu(x @ s["w1"].T + s["b1"])
        return torch.relu(h @ s["w2"].T + s["b2"]) @ s["w3"].T + s["b3"]

    axes = {"w1": "h .", "b1": "h", "w2": "k h", "b2": "k", "w3": ". k", "b3": "."}
    spec = spec_of(
        axes,
        Space("h", "permutation", 8),
        Space("k", "permutation", 6),
        Space("h_scale", "scale", 8, on="h", exponents={"w1": (1,), "b1": (1,), "w2": (-1,)}),
        Space("k_scale", "scale", 6, on="k", exponents={"w2": (1,), "b2": (1,), "w3": (-1,)}),
    )
    return Network("mlp", spec, state, call)


def conv_flatten() -> Network:
    """Convolution, BatchNorm in eval mode, ReLU, flatten, linear: a block of 16 columns for every channel."""
    eps = 1e-2
    state = normal(2, w=(6, 3, 3, 3), b=(6,), gain=(6,), bias=(6,), mean=(6,), var=(6,), out=(4, 96), x=(5, 3, 4, 4))
    x = state.pop("x")
    state["var"] = state["var"].exp()

    def call(s: State) -> Tensor:
        h = F.conv2d(x, s["w"], s["b"], padding=1)
        h = F.batch_norm(h, s["mean"], s["var"], s["gain"], s["bias"], False, 0.0, eps)
        return torch.relu(h).flatten(1) @ s["out"].T

    axes = {"w": "c . . .", "b": "c", "gain": "c", "bias": "c", "mean": "c", "var": "c", "out": ". (c 16)"}
    into = {"w": (1,), "b": (1,), "mean": (1,), "var": (2,)}
    spec = spec_of(
        axes,
        Space("c", "permutation", 6),
        Space("c_out", "scale", 6, on="c", exponents={"gain": (1,), "bias": (1,), "out": (-1,)}),
        Space("c_in", "scale", 6, on="c", exponents=into),
        Space("c_sign", "sign", 6, on="c", exponents={**into, "gain": (1,)}),
        offsets={"var": eps},
    )
    return Network("conv-flatten", spec, state, call)


def fused_attention(layout: str) -> Network:
    """Fused qkv with three heads, in the layout [3, heads, d] or [heads, 3 d]; d and e are the widths of qk and v."""
    heads, d, res = 3, 4, 10
    state = normal(3, qkv=(36, res), qkv_b=(36,), o=(res, 12), o_b=(res,), x=(2, 7, res))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        fused = x @ s["qkv"].T + s["qkv_b"]
        if layout == "vit":
            q, k, v = fused.unflatten(-1, (3, heads, d)).unbind(2)
        else:
            q, k, v = fused.unflatten(-1, (heads, 3 * d)).split(d, -1)
        attention = torch.einsum("bihd,bjhd->bhij", q, k).softmax(-1)
        return torch.einsum("bhij,bjhd->bihd", attention, v).flatten(2) @ s["o"].T + s["o_b"]

    rows = "(h d + h d' + h e)" if layout == "vit" else "(h (d + d' + e))"
    spec = spec_of(
        {"qkv": f"{rows} .", "qkv_b": rows, "o": ". (h e')", "o_b": "."},
        Space("h", "permutation", heads),
        Space("qk", "general", d, on="d", over=("h",)),
        Space("vo", "general", d, on="e", over=("h",)),
    )
    return Network(f"fused-{layout}", spec, state, call)


def grouped_queries() -> Network:
    """Two key-value heads with three query heads each: GL for each key-value head, wreath permutations, shifts."""
    kv, g, d, res = 2, 3, 4, 9
    state = normal(
        4, q=(24, res), q_b=(24,), k=(8, res), k_b=(8,), v=(8, res), v_b=(8,), o=(res, 24), o_b=(res,), x=(2, 6, res)
    )
    x = state.pop("x")

    def call(s: State) -> Tensor:
        q = (x @ s["q"].T + s["q_b"]).unflatten(-1, (kv, g, d))
        k = (x @ s["k"].T + s["k_b"]).unflatten(-1, (kv, d))
        v = (x @ s["v"].T + s["v_b"]).unflatten(-1, (kv, d))
        attention = torch.einsum("bikgd,bjkd->bkgij", q, k).softmax(-1)
        return torch.einsum("bkgij,bjkd->bikgd", attention, v).flatten(2) @ s["o"].T + s["o_b"]

    axes = {"q": "(kv g d) .", "q_b": "(kv g d)", "k": "(kv d') .", "k_b": "(kv d')"}
    axes |= {"v": "(kv e) .", "v_b": "(kv e)", "o": ". (kv g e')", "o_b": "."}
    spec = spec_of(
        axes,
        Space("kv", "permutation", kv),
        Space("g", "permutation", g, over=("kv",)),
        Space("qk", "general", d, on="d", over=("kv",)),
        Space("vo", "general", d, on="e", over=("kv",)),
        Space("key", "shift", 8, shape=(kv, d), terms=(Term("k_b", "kv d -> (kv d)"),)),
        Space(
            "value", "shift", 8, shape=(kv, d),
            terms=(Term("v_b", "kv d -> (kv d)"), Term("o_b", "kv d, o (kv g d) -> o", ("o",), -1.0)),
        ),
    )  # fmt: skip
    return Network("grouped-queries", spec, state, call)


def rotary_planes() -> Network:
    """A rotary code, half-split: per head and plane (j, j + 3) a rotation and a scale."""
    heads, p, res = 2, 3, 7
    state = normal(5, q=(12, res), k=(12, res), x=(2, 6, res))
    x = state.pop("x")
    angles = torch.outer(torch.arange(6.0), torch.tensor([1.0, 0.3, 0.05])).to(torch.float64)

    def rotary(y: Tensor) -> Tensor:
        a, b = y.unflatten(-1, (heads, 2, p)).unbind(-2)
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], -2).flatten(-2)

    def call(s: State) -> Tensor:
        return torch.einsum("bihd,bjhd->bhij", rotary(x @ s["q"].T), rotary(x @ s["k"].T)).softmax(-1)

    spec = spec_of(
        {"q": "(h c p) .", "k": "(h c p) ."},
        Space("turn", "rotation", 2, on="c", over=("h", "p")),
        Space("stretch", "scale", p, on="p", over=("h",), exponents={"q": (1,), "k": (-1,)}),
        Space("h", "permutation", heads),
    )
    # the head is not in the output's order any more: compare the sum over heads
    return Network("rotary", spec, state, lambda s: call(s).sum(1))


def gated_unit() -> Network:
    state = normal(6, up=(7, 4), gate=(7, 4), down=(3, 7), x=(9, 4))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        return (F.silu(x @ s["gate"].T) * (x @ s["up"].T)) @ s["down"].T

    opposite = {"up": (1,), "down": (-1,)}
    spec = spec_of(
        {"up": "f .", "gate": "f .", "down": ". f"},
        Space("f", "permutation", 7),
        Space("f_scale", "scale", 7, on="f", exponents=opposite),
        Space("f_sign", "sign", 7, on="f", exponents=opposite),
    )
    return Network("gated-unit", spec, state, call)


def siren() -> Network:
    """sin(ω (Wx + b)): signs, and the half turn b + π/ω with v → −v."""
    omega = 30.0
    state = normal(7, w=(6, 2), b=(6,), v=(3, 6), x=(11, 2))
    x = state.pop("x")
    state["w"], state["b"] = state["w"] / omega, state["b"] / omega

    def call(s: State) -> Tensor:
        return torch.sin(omega * (x @ s["w"].T + s["b"])) @ s["v"].T

    spec = spec_of(
        {"w": "h .", "b": "h", "v": ". h"},
        Space("h", "permutation", 6),
        Space("flip", "sign", 6, on="h", exponents={"w": (1,), "b": (1,), "v": (1,)}),
        Space("turn", "sign", 6, on="h", exponents={"v": (1,)}, terms=(Term("b", "h -> h", (), math.pi / omega),)),
    )
    return Network("siren", spec, state, call)


def sigmoid_units() -> Network:
    """1 − σ(z) = σ(−z): a flipped unit leaves its outgoing column in the next bias."""
    state = normal(8, w=(6, 4), b=(6,), v=(3, 6), c=(3,), x=(11, 4))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        return torch.sigmoid(x @ s["w"].T + s["b"]) @ s["v"].T + s["c"]

    terms = (Term("c", "h, o h -> o", ("v",)),)
    spec = spec_of(
        {"w": "h .", "b": "h", "v": ". h", "c": "."},
        Space("h", "permutation", 6),
        Space("flip", "sign", 6, on="h", exponents={"w": (1,), "b": (1,), "v": (1,)}, terms=terms),
    )
    return Network("sigmoid", spec, state, call)


def residual_stream(norm: str) -> Network:
    """A stream read through a norm with a gain: O(d), for LayerNorm fixing the vector 1."""
    n = 6
    state = normal(
        9, emb=(5, n), gain=(n,), read=(8, n), read_b=(8,), write=(n, 8), last=(n,), head=(4, n), x=(7, 5)
    )
    x = state.pop("x")

    def normed(h: Tensor, gain: Tensor) -> Tensor:
        return F.rms_norm(h, (n,), gain, 1e-3) if norm == "rms" else F.layer_norm(h, (n,), gain, None, 1e-3)

    def call(s: State) -> Tensor:
        h = x @ s["emb"]
        h = h + torch.tanh(normed(h, s["gain"]) @ s["read"].T + s["read_b"]) @ s["write"].T
        return normed(h, s["last"]) @ s["head"].T

    axes = {"emb": ". res", "gain": "res", "read": "f res", "read_b": "f", "write": "res f", "last": "res"}
    axes |= {"head": ". res"}
    exponents = {"emb": (1,), "read": (1,), "write": (1,), "head": (1,)}
    folded = {"read": ({"gain": -1},), "head": ({"last": -1},)}
    fixes = "" if norm == "rms" else "ones"
    spec = spec_of(
        axes,
        Space("turn", "orthogonal", n, on="res", exponents=exponents, gains=folded, fixes=fixes),
        Space("gain", "scale", n, on="res", exponents={"gain": (1,), "read": (-1,)}),
        Space("f", "permutation", 8),
        Space("f_sign", "sign", 8, on="f", exponents={"read": (1,), "read_b": (1,), "write": (1,)}),
        Space("res", "permutation", n),
    )
    return Network(f"stream-{norm}", spec, state, call)


def soft_trees() -> Network:
    """Four soft trees of depth 3: σ(w·x + b) is the way to the right child."""
    depth = 3
    state = normal(10, w=(4, 7, 5), b=(4, 7), leaf=(4, 8, 2), x=(9, 5))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        right = torch.sigmoid(torch.einsum("bf,tnf->btn", x, s["w"]) + s["b"])
        reach = torch.ones(*right.shape[:2], 1, dtype=right.dtype)
        for level in range(depth):
            nodes = right[..., 2**level - 1 : 2 ** (level + 1) - 1]
            reach = torch.stack([reach * (1 - nodes), reach * nodes], -1).flatten(-2)
        return torch.einsum("btl,tlo->bo", reach, s["leaf"])

    spec = spec_of(
        {"w": "t n .", "b": "t n", "leaf": "t l ."},
        Space("t", "permutation", 4),
        Space("swap", "tree", 7, on="n", leaves="l", over=("t",)),
    )
    return Network("soft-trees", spec, state, call)


def group_norm() -> Network:
    state = normal(11, w=(6, 4), gain=(6,), bias=(6,), out=(3, 6), x=(9, 4))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        return torch.tanh(F.group_norm(x @ s["w"].T, 2, s["gain"], s["bias"])) @ s["out"].T

    spec = spec_of(
        {"w": "(g m) .", "gain": "(g m)", "bias": "(g m)", "out": ". (g m)"},
        Space("g", "permutation", 2),
        Space("m", "permutation", 3, over=("g",)),
    )
    return Network("group-norm", spec, state, call)


def gate_scale() -> Network:
    """A scalar gate α before a branch: one scale for whole tensors."""
    state = normal(12, alpha=(), w=(5, 4), x=(9, 4))
    x = state.pop("x")
    exponents = {"alpha": (1,), "w": (-1,)}
    spec = spec_of({"alpha": "", "w": ". ."}, Space("c", "scale", 1, on=None, exponents=exponents))
    return Network("gate", spec, state, lambda s: s["alpha"] * (x @ s["w"].T))


def lstm() -> Network:
    """Four gates of one hidden state in one tensor; a sign flips the candidate's rows and every reader of h."""
    torch_lstm = nn.LSTM(3, 5, batch_first=True).to(torch.float64)
    names = [name for name, _ in torch_lstm.named_parameters()]
    state = normal(13, **{n: tuple(p.shape) for n, p in torch_lstm.named_parameters()}, out=(2, 5), x=(4, 6, 3))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        h = torch.func.functional_call(torch_lstm, {name: s[name] for name in names}, x)[0]
        return h @ s["out"].T

    gates = "(h + h + h + h)"
    axes = {names[0]: f"{gates} .", names[1]: f"{gates} h", names[2]: gates, names[3]: gates, "out": ". h"}
    candidate = (0, 0, 1, 0)
    flips = {names[0]: candidate, names[1]: (*candidate, 1), names[2]: candidate, names[3]: candidate, "out": (1,)}
    shift = (Term(names[2], "n -> n"), Term(names[3], "n -> n", (), -1.0))
    spec = spec_of(
        axes,
        Space("h", "permutation", 5),
        Space("h_sign", "sign", 5, on="h", exponents=flips),
        Space("bias", "shift", 20, shape=(20,), terms=shift),
    )
    return Network("lstm", spec, state, call)


def grouped_convolution() -> Network:
    """Three groups; the channels within a group stand in the other axis of the next weight."""
    state = normal(14, a=(6, 2, 1, 1), b=(9, 2, 1, 1), out=(4, 9), x=(5, 6, 2, 2))
    x = state.pop("x")

    def call(s: State) -> Tensor:
        h = torch.tanh(F.conv2d(x, s["a"], groups=3))
        return torch.tanh(F.conv2d(h, s["b"], groups=3)).mean((2, 3)) @ s["out"].T

    spec = spec_of(
        {"a": "(n i) . . .", "b": "(n o) i . .", "out": ". (n o)"},
        Space("i", "permutation", 2, over=("n",)),
        Space("o", "permutation", 3, over=("n",)),
        Space("i_sign", "sign", 2, on="i", over=("n",), exponents={"a": (1,), "b": (1,)}),
        atoms={"n": 3},
    )
    return Network("grouped-conv", spec, state, call)


def tied_autoencoder() -> Network:
    state = normal(15, enc=(4, 7), b=(4,), x=(9, 7))
    x = state.pop("x")
    state["dec"] = state["enc"]

    def call(s: State) -> Tensor:
        return torch.tanh(x @ s["enc"].T + s["b"]) @ s["dec"]

    spec = spec_of(
        {"enc": "h .", "b": "h"},
        Space("h", "permutation", 4),
        Space("h_sign", "sign", 4, on="h", exponents={"enc": (1,), "b": (1,)}),
        ties={"dec": "enc"},
    )
    return Network("tied", spec, state, call)


NETWORKS = {
    network.name: network
    for network in (
        mlp(), conv_flatten(), fused_attention("vit"), fused_attention("neox"), grouped_queries(), rotary_planes(),
        gated_unit(), siren(), sigmoid_units(), residual_stream("rms"), residual_stream("layer"), soft_trees(),
        group_norm(), gate_scale(), lstm(), grouped_convolution(), tied_autoencoder(),
    )
}  # fmt: skip
