"""The zoo, second part: convolutional networks and vision transformers."""

from __future__ import annotations

import zoo_attend as attend
import zoo_images as images
from torch import nn
from zoo_entry import Entry, Expects, expects, normal
from zoo_images import Basic, Bottleneck, Dense, Excite, Inverted, Pooled, Shuffle, conv
from zoo_terms import (
    affine,
    attention,
    batch_norm,
    gain,
    general,
    homogeneous,
    normed,
    ortho,
    perm,
    real,
    scale,
    segment,
    shift,
    shifts,
)

IMAGE = normal(2, 3, 8, 8)


def resnet() -> nn.Module:
    return Pooled(12, conv(3, 8), Basic(8, 9, 8), Basic(8, 10, 12), Basic(12, 11, 12))


def bottleneck() -> nn.Module:
    return Pooled(20, conv(3, 8), Bottleneck(8, 6, 7, 20), Bottleneck(20, 9, 10, 20))


def resnext() -> nn.Module:
    return Pooled(20, conv(3, 8), Bottleneck(8, 12, 12, 20, 4))


def regnet() -> nn.Module:
    return Pooled(20, conv(3, 8), Bottleneck(8, 12, 12, 20, 4, 5))


def densenet() -> nn.Module:
    return Pooled(18, conv(3, 8), Dense(8, 4), Dense(12, 6), nn.BatchNorm2d(18), nn.ReLU())


def mobilenet_v2() -> nn.Module:
    act = nn.ReLU6
    blocks = Inverted(8, 14, 10, act), Inverted(10, 18, 10, act)
    return Pooled(16, conv(3, 8, act=act), *blocks, conv(10, 16, 1, act=act))


def excited(act: type[nn.Module], inner: type[nn.Module], gate: type[nn.Module]) -> nn.Module:
    block = Inverted(8, 14, 10, act, Excite(14, 5, inner, gate))
    return Pooled(16, conv(3, 8, act=act), block, conv(10, 16, 1, act=act))


def shufflenet() -> nn.Module:
    return Pooled(12, conv(3, 8), Shuffle(8, 6), Shuffle(8, 7), conv(8, 12, 1))


def channels(size: int, layer: str, *readers: str) -> Expects:
    """Convolution, BatchNorm, ReLU: the channels, the gauges of the norm, the scale of what leaves it."""
    on = (f"{layer}.0.weight:0", *(f"{reader}.weight:1" for reader in readers))
    return perm(size, *on), *normed(size, layer), scale(size, f"{layer}.1.bias:0")


def excite(prefix: str, size: int) -> Expects:
    return (perm(size, f"{prefix}.down.weight:0", f"{prefix}.up.weight:1"),)


VGG = expects(
    *(
        (perm(n, f"{c}.weight:0", f"{r}.weight:1"), *batch_norm(f"{c}", f"{c + 1}", n), scale(n, f"{c + 1}.bias:0"),
         shift(n, f"{c}.bias", f"{c + 1}.running_mean"))
        for c, n, r in ((0, 8, 4), (4, 10, 9))
    ),
    homogeneous(14, "9.weight:0", "11.weight:1"),
)  # fmt: skip
RESNET = expects(
    channels(8, "body.0", "body.1.first.0", "body.2.first.0", "body.2.skip.0"),
    normed(8, "body.1.second"),
    channels(9, "body.1.first", "body.1.second.0"),
    channels(10, "body.2.first", "body.2.second.0"),
    channels(12, "body.2.second", "body.3.first.0"),
    normed(12, "body.2.skip", "body.3.second"),
    channels(11, "body.3.first", "body.3.second.0"),
)
BOTTLENECK = expects(
    channels(8, "body.0", "body.1.first.0", "body.1.skip.0"),
    channels(6, "body.1.first", "body.1.second.0"),
    channels(7, "body.1.second", "body.1.third.0"),
    channels(20, "body.1.third", "body.2.first.0", "head"),
    normed(20, "body.1.skip", "body.2.third"),
    channels(9, "body.2.first", "body.2.second.0"),
    channels(10, "body.2.second", "body.2.third.0"),
)
RESNEXT = expects(
    channels(8, "body.0", "body.1.first.0", "body.1.skip.0"),
    perm(4, "body.1.first.0.weight:0", "body.1.second.0.weight:0", "body.1.third.0.weight:1"),
    perm(3, "body.1.first.0.weight:0", "body.1.second.0.weight:1", over=4),
    perm(3, "body.1.second.0.weight:0", "body.1.third.0.weight:1", over=4),
    normed(12, "body.1.first", "body.1.second"),
    scale(12, "body.1.first.1.bias:0"),
    scale(12, "body.1.second.1.bias:0"),
    channels(20, "body.1.third", "head"),
    normed(20, "body.1.skip"),
)
DENSENET = expects(
    channels(8, "body.0", "body.1.conv", "body.2.conv"),
    *(
        (perm(n, f"body.{i}.conv.weight:0", r), *real(n, f"body.{i}.conv.weight:0"))
        for i, n, r in ((1, 4, "body.2.conv.weight:1"), (2, 6, "head.weight:1"))
    ),
    *(
        (scale(n, f"{norm}.running_var:0"), scale(n, f"{norm}.bias:0"))
        for norm, n in (("body.1.norm", 8), ("body.2.norm", 12), ("body.3", 18))
    ),
)


def inverted(prefix: str, hidden: int) -> Expects:
    """The hidden channels of an inverted bottleneck whose activation is not homogeneous."""
    parts = ("expand.0.weight:0", "depth.0.weight:0", "project.0.weight:1")
    return perm(hidden, *(f"{prefix}.{part}" for part in parts)), *normed(hidden, f"{prefix}.expand", f"{prefix}.depth")


ENDS = expects(
    perm(8, "body.0.0.weight:0", "body.1.expand.0.weight:1"),
    normed(8, "body.0"),
    inverted("body.1", 14),
    normed(10, "body.1.project"),
    real(10, "body.1.project.1.bias:0"),
)
MOBILENET_V2 = expects(
    ENDS,
    inverted("body.2", 18),
    normed(10, "body.2.project"),
    perm(10, "body.1.project.0.weight:0", "body.2.expand.0.weight:1", "body.3.0.weight:1"),
    perm(16, "body.3.0.weight:0", "head.weight:1"),
    normed(16, "body.3"),
)
EFFICIENTNET = expects(
    ENDS,
    excite("body.1.excite", 5),
    perm(10, "body.1.project.0.weight:0", "body.2.0.weight:1"),
    perm(16, "body.2.0.weight:0", "head.weight:1"),
    normed(16, "body.2"),
)


def shuffled(prefix: str, hidden: int) -> Expects:
    """A branch of ShuffleNet but for who reads it."""
    a, b, c = (f"{prefix}.branch.{i}" for i in range(3))
    return expects(
        perm(hidden, f"{a}.0.weight:0", f"{b}.0.weight:0", f"{c}.0.weight:1"),
        normed(hidden, a, b), scale(hidden, f"{a}.1.bias:0"), real(hidden, f"{b}.1.bias:0"),
        normed(4, c), scale(4, f"{c}.1.bias:0"),
    )  # fmt: skip


SHUFFLENET = expects(  # every half that passes is halved again by the next block
    perm(4, "body.0.0.weight:0", "body.1.branch.0.0.weight:1"),
    perm(2, "body.0.0.weight:0", "body.2.branch.0.0.weight:1"),
    perm(2, "body.0.0.weight:0", "body.3.0.weight:1"),
    normed(8, "body.0"),
    scale(8, "body.0.1.bias:0"),
    shuffled("body.1", 6),
    perm(2, "body.1.branch.2.0.weight:0", "body.2.branch.0.0.weight:1"),
    perm(2, "body.1.branch.2.0.weight:0", "body.3.0.weight:1"),
    shuffled("body.2", 7),
    perm(4, "body.2.branch.2.0.weight:0", "body.3.0.weight:1"),
    channels(12, "body.3", "head"),
)
CONVNEXT = expects(
    perm(12, "stem.weight:0", "blocks.0.depth.weight:0", "blocks.0.up.weight:1", "blocks.1.down.weight:0"),
    shift(12, "stem.weight"),
    segment("stem.weight"),
    *(
        expects(perm(n, f"{b}.up.weight:0", f"{b}.down.weight:1"), affine(f"{b}.norm", 12), shift(n, f"{b}.up.weight"),
                real(12, f"{b}.gamma:0", f"{b}.down.weight:0"))
        for b, n in (("blocks.0", 20), ("blocks.1", 18))
    ),
    affine("norm", 12),
    shift(5, "head.weight"),
)  # fmt: skip
UNET = expects(
    homogeneous(8, "enc1.weight:0", "enc2.weight:1", "dec1.weight:1"),
    homogeneous(10, "enc2.weight:0", "mid.weight:1", "dec2.weight:1"),
    homogeneous(12, "mid.weight:0", "up2.weight:0"),
    general(9, "up2.weight:1", "dec2.weight:1"),
    homogeneous(7, "dec2.weight:0", "up1.weight:0"),
    general(6, "up1.weight:1", "dec1.weight:1"),
    homogeneous(5, "dec1.weight:0", "out.weight:1"),
)


def grouped_norm(groups: int, inside: int, norm: str, *on: str) -> Expects:
    """Whole groups, the channels in each, the scale of what leaves the ReLU."""
    return perm(groups, *on), perm(inside, *on, over=groups), scale(groups * inside, f"{norm}.bias:0")


GROUP_RESNET = expects(
    grouped_norm(4, 3, "body.1", "body.0.weight:0", "body.3.conv2.weight:0", "body.4.conv1.weight:1", "head.weight:1"),
    grouped_norm(5, 2, "body.3.norm1", "body.3.conv1.weight:0", "body.3.conv2.weight:1"),
    grouped_norm(7, 2, "body.4.norm1", "body.4.conv1.weight:0", "body.4.conv2.weight:1"),
)
SEPARABLE = expects(
    perm(8, "body.0.weight:0", "body.2.weight:0", "body.4.weight:1"),
    perm(10, "body.4.weight:0", "body.6.weight:0", "body.8.weight:1"),
    perm(11, "body.8.weight:0", "head.weight:1"),
    *(scale(n, f"body.{i}.bias:0") for i, n in ((0, 8), (2, 8), (4, 10), (6, 10), (8, 11))),
)


def block(prefix: str, width: int, heads: int, dim: int, hidden: int) -> Expects:
    """A pre-norm block but for the stream: attention, its relative bias, hidden units, norms, null directions."""
    a = f"{prefix}.attention"
    return expects(
        attention(f"{a}.qkv", f"{a}.qkv", f"{a}.qkv", f"{a}.proj", heads, dim, norm=f"{prefix}.norm1"),
        perm(hidden, f"{prefix}.up.weight:0", f"{prefix}.down.weight:1"),
        affine(f"{prefix}.norm1", width), affine(f"{prefix}.norm2", width),
        shifts((f"{a}.qkv.weight", 3 * heads * dim), (f"{prefix}.up.weight", hidden)),
    )  # fmt: skip


def means(prefix: str, inner: int, hidden: int) -> Expects:
    """The mean directions of a block's two writers."""
    return shifts((f"{prefix}.attention.proj.weight", inner), (f"{prefix}.down.weight", hidden))


VIT_STREAM = ("patch.weight:0", "token:2", "position:2", "blocks.0.attention.proj.weight:0", "blocks.1.up.weight:1",
              "head.weight:1")  # fmt: skip
VIT = expects(
    perm(14, *VIT_STREAM), ortho(14, *VIT_STREAM), segment("patch.weight"),
    shifts(("patch.weight", 48), ("position", 5)),
    *((*block(f"blocks.{i}", 14, 3, 4, n), *means(f"blocks.{i}", 12, n)) for i, n in ((0, 20), (1, 18))),
    affine("norm", 14), shift(5, "head.weight"),
)  # fmt: skip
SWIN_END = ("merge.weight:0", "second.attention.proj.weight:0", "second.up.weight:1", "head.weight:1")
SWIN = expects(
    perm(14, "patch.weight:0", "patch_norm.weight:0", "first.0.up.weight:1", "first.1.down.weight:0"),
    shift(12, "patch.weight"), segment("patch.weight", "first.0.attention.proj.bias"),
    *(block(f"first.{i}", 14, 3, 4, 20) for i in range(2)),
    gain("merge_norm", 56),
    perm(22, *SWIN_END), ortho(22, *SWIN_END), segment("second.attention.proj.bias"), shift(56, "merge.weight"),
    block("second", 22, 4, 5, 18), means("second", 20, 18),
    affine("norm", 22), shift(5, "head.weight"),
)  # fmt: skip
MIXER = expects(
    perm(12, "patch.weight:0", "blocks.0.norm1.weight:0", "blocks.0.up.weight:1", "blocks.1.down.weight:0",
         "head.weight:1"),
    shift(48, "patch.weight"),
    *(
        expects(perm(m, f"{b}.token_up.weight:0", f"{b}.token_down.weight:1"), affine(f"{b}.norm2", 12),
                perm(n, f"{b}.up.weight:0", f"{b}.down.weight:1"), shift(4, f"{b}.token_down.bias"),
                shifts((f"{b}.down.weight", n), (f"{b}.up.weight", n)))
        for b, m, n in (("blocks.0", 7, 20), ("blocks.1", 9, 18))
    ),
    affine("norm", 12),
    shift(5, "head.weight"),
)  # fmt: skip

ENTRIES = (
    Entry("vgg-bn", images.vgg, IMAGE, VGG),
    Entry("resnet-basic", resnet, IMAGE, RESNET),
    Entry("resnet-bottleneck", bottleneck, IMAGE, BOTTLENECK),
    Entry("resnext", resnext, IMAGE, RESNEXT),
    Entry("regnet", regnet, IMAGE,
          expects(RESNEXT, homogeneous(5, "body.1.excite.down.weight:0", "body.1.excite.up.weight:1"))),
    Entry("densenet", densenet, IMAGE, DENSENET),
    Entry("mobilenet-v2", mobilenet_v2, IMAGE, MOBILENET_V2),
    Entry("mobilenet-v3", lambda: excited(nn.Hardswish, nn.ReLU, nn.Hardsigmoid), IMAGE,
          expects(EFFICIENTNET, scale(5, "body.1.excite.down.weight:0"))),
    Entry("efficientnet", lambda: excited(nn.SiLU, nn.SiLU, nn.Sigmoid), IMAGE, EFFICIENTNET),
    Entry("shufflenet-v2", shufflenet, IMAGE, SHUFFLENET),
    Entry("convnext", images.ConvNext, IMAGE, CONVNEXT),
    Entry("unet", images.UNet, IMAGE, UNET),
    Entry("resnet-groupnorm", images.group_resnet, IMAGE, GROUP_RESNET),
    Entry("separable", images.separable, IMAGE, SEPARABLE),
    Entry("vit", attend.ViT, IMAGE, VIT),
    Entry("swin", attend.Swin, IMAGE, SWIN),
    Entry("mlp-mixer", attend.Mixer, IMAGE, MIXER),
)  # fmt: skip
