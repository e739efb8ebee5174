"""The classic mistakes of specs written by hand, planted one at a time into right ones: each is caught and named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from nullity_models import FAMILIES, generic
from torch import Tensor, nn

from symcheck.patterns import parse_axes
from symcheck.weights.derive import derive
from symcheck.weights.spec import Space, Spec
from symcheck.weights.verify import prove

LLAMA = {family.name: family for family in FAMILIES}
BLOCK = "blocks.0.attention"


def flat() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.Tanh(), nn.Flatten(), nn.Linear(5 * 6, 7), nn.Tanh(), nn.Linear(7, 3)
    )


@lru_cache
def subject(name: str) -> tuple[nn.Module, tuple[Tensor, ...], Spec]:
    """A network, its example and its derived spec, which holds."""
    if name == "convolution":
        model, example = generic(flat().double().eval()), (torch.randn(3, 2, 4, 5, dtype=torch.float64),)
    else:
        model, example = LLAMA[name].model().double(), LLAMA[name].example()
        example = tuple(x.double() if x.is_floating_point() else x for x in example)
    return model, example, derive(model, example)


def with_axes(spec: Spec, spaces: Mapping[str, Space], **axes: str) -> Spec:
    """These spaces only, with some patterns rewritten (dots in names written as __)."""
    patterns = {name: parse_axes(" ".join("." for _ in spec.shapes[name])) for name in spec.axes}
    patterns |= {name.replace("__", "."): parse_axes(text) for name, text in axes.items()}
    return replace(spec, spaces=spaces, axes=patterns, atoms={}, offsets={}, pinned=())


def permutation(name: str, size: int) -> dict[str, Space]:
    return {name: Space(name, "permutation", size)}


def test_the_right_specs_hold() -> None:
    for name in ("convolution", "llama", "llama tied", "swiglu"):
        model, example, spec = subject(name)
        assert prove(spec, model, example).failed == ()


BN = {f"{i}__{part}": "h" for i, part in ((0, "bias"), (1, "weight"), (1, "bias"))} | {"0__weight": "h . . ."}
WHOLE = {**BN, "1__running_mean": "h", "1__running_var": "h", "4__weight": ". (h 6)"}
ATTENTION = {part: f"blocks__0__attention__{part}__weight" for part in "qkvo"}

PLANTED = {
    "BatchNorm buffers forgotten": ("convolution", permutation("h", 5), {**BN, "4__weight": ". (h 6)"}, "1.running_"),
    "flatten block size off": ("convolution", permutation("h", 5), {**WHOLE, "4__weight": ". (2 h 3)"}, "4.weight"),
    "gate and up apart": ("swiglu", permutation("u", 8), {"up__weight": "u .", "down__weight": ". u"}, "gate.weight"),
    "heads across groups": ("llama", permutation("h", 4),
                            {ATTENTION["q"]: "(h 4) .", ATTENTION["o"]: ". (h 4)"}, ""),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_a_wrong_pattern_is_caught(fault: str) -> None:
    name, spaces, axes, culprit = PLANTED[fault]
    model, example, spec = subject(name)
    certificate = prove(with_axes(spec, spaces, **axes), model, example)
    assert certificate.failed == tuple(spaces)
    assert certificate.proofs[0].error > 1e-3 and culprit in (certificate.proofs[0].culprit or "")


def test_the_same_patterns_done_right_hold() -> None:
    model, example, spec = subject("convolution")
    assert prove(with_axes(spec, permutation("h", 5), **WHOLE), model, example).failed == ()
    model, example, spec = subject("swiglu")
    right = {"gate__weight": "u .", "up__weight": "u .", "down__weight": ". u"}
    assert prove(with_axes(spec, permutation("u", 8), **right), model, example).failed == ()


def test_a_tied_embedding_folded_once_is_caught() -> None:
    """The final gain folded into the head scales the embedding too, whose storage it is."""
    model, example, spec = subject("llama tied")
    stream = next(s for s in spec.spaces.values() if s.kind == "permutation" and s.name.startswith("embed"))
    folded = Space("folded", "scale", stream.size, on=stream.name, exponents={"norm.gain": (1,), "embed.weight": (-1,)})
    certificate = prove(replace(spec, spaces={**spec.spaces, "folded": folded}), model, example)
    assert certificate.failed == ("folded",)
    untied, example, spec = subject("llama")
    apart = replace(folded, exponents={"norm.gain": (1,), "head.weight": (-1,)})
    assert prove(replace(spec, spaces={**spec.spaces, "folded": apart}), untied, example).failed == ()


@pytest.mark.parametrize("kind", ["rotation", "scale"])
def test_queries_without_keys_are_caught(kind: str) -> None:
    model, example, spec = subject("llama")
    right = next(
        s for s in spec.spaces.values() if s.kind == kind and f"{BLOCK}.q.weight" in (s.exponents or spec.places[s.on])
    )
    one = replace(right, exponents={f"{BLOCK}.q.weight": (1,)})
    certificate = prove(replace(spec, spaces={**spec.spaces, right.name: one}), model, example)
    assert certificate.failed == (right.name,)
    assert f"{BLOCK}.k.weight" in str(certificate.proofs[list(spec.spaces).index(right.name)].culprit)
