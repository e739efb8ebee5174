"""From facts to causes: each is found where it is planted, and not where what makes it one is taken away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from symcheck.locate.causes import CAUSES, diagnose, most_likely
from symcheck.locate.evidence import Facts, plain

ROUND = frozenset({"linear"})
SHIFT = frozenset({"shift"})
SLOTS = frozenset({"permutation"})
CONV = Facts(
    "conv2d",
    "Conv2d",
    "blocks.1.conv",
    {"padding": (1, 1), "padding_mode": "zeros", "stride": (1, 1)},
    ("weight", "bias"),
    given=("image",),
    faces=SHIFT,
    error=0.1,
    epsilon=2e-16,
)
VECTORS = Facts("mul", "Layer", "layers.1", given=("vector",), action="vector", faces=ROUND, error=0.1, epsilon=2e-16)
SETS = Facts("mul", "SetLayer", "layers.1", given=("nodes",), faces=SLOTS, error=0.1, epsilon=2e-16)
TOKENS = Facts("add", "Embed", "embed", {}, ("position",), given=("image on 4 x 4 tokens",), faces=SHIFT)
STRIDED = replace(CONV, attributes={"stride": (2, 2), "padding": 0})
TURNED = replace(VECTORS, function="__matmul__", before=("atan2", "cos", "sin"))

# cause: the facts that plant it, and the same facts without what makes it the cause
PLANTED = {
    "training": [
        (replace(VECTORS, function="dropout"), replace(VECTORS, function="dropout", attributes={"training": False})),
        (
            replace(VECTORS, function="batch_norm", attributes={"training": True}),
            replace(VECTORS, function="batch_norm", attributes={"training": False}),
        ),
        (replace(VECTORS, function="randn_like"), VECTORS),
    ],
    "float32_constants": [
        (replace(VECTORS, function="einsum", names=("basis",), error=2e-8), replace(VECTORS, error=0.1)),
        (replace(VECTORS, error=2e-8), replace(VECTORS, error=2e-8, epsilon=1.2e-7)),
        (replace(VECTORS, error=2e-8), replace(VECTORS, error=2e-13)),
        (replace(VECTORS, error=2e-8, single=True), replace(VECTORS, error=2e-8, single=False)),
    ],
    "handed_frame": [
        (
            replace(VECTORS, function="linalg_cross", only="improper"),
            replace(VECTORS, function="linalg_cross"),
        ),
        (
            replace(VECTORS, function="matmul", before=("linalg_cross",), only="improper"),
            replace(VECTORS, function="matmul", only="improper"),
        ),
    ],
    "attention_mask": [
        (
            replace(SETS, function="scaled_dot_product_attention", attributes={"is_causal": True}),
            replace(SETS, function="scaled_dot_product_attention", attributes={"is_causal": False}),
        ),
        (
            replace(SETS, function="add", fixed=True, before=("matmul",)),
            replace(SETS, function="add", before=("matmul",)),
        ),
    ],
    "in_order": [(replace(SETS, function="lstm"), replace(VECTORS, function="lstm"))],
    "picked_place": [(replace(SETS, picked=True), replace(SETS, picked=True, action="nodes"))],
    "cutoff": [
        (replace(VECTORS, function="le", given=("invariant",)), replace(VECTORS, function="add", given=("invariant",))),
        (replace(SETS, function="softmax", before=("masked_fill", "gt")), replace(SETS, function="softmax")),
        (replace(SETS, function="topk"), replace(SETS, function="mean")),
    ],
    "transposed_rotation": [
        (TURNED, replace(TURNED, before=())),
        (replace(VECTORS, function="einsum", inverse=True), replace(VECTORS, function="einsum")),
    ],
    "stride": [
        (STRIDED, replace(STRIDED, attributes={"stride": (1, 1), "padding": 0})),
        (
            replace(CONV, attributes={**CONV.attributes, "stride": (2, 2)}, only="odd shifts"),
            replace(CONV, attributes={**CONV.attributes, "stride": (2, 2)}),
        ),
    ],
    "zero_padding": [
        (CONV, replace(CONV, attributes={**CONV.attributes, "padding_mode": "circular"})),
        (CONV, replace(CONV, attributes={**CONV.attributes, "padding": (0, 0)})),
        (CONV, replace(CONV, faces=ROUND)),
        (replace(CONV, attributes={"padding": "same"}), replace(CONV, attributes={"padding": "valid"})),
        (
            replace(CONV, function="pad", attributes={"mode": "constant"}),
            replace(CONV, function="pad", attributes={"mode": "circular"}),
        ),
    ],
    "pool_phase": [
        (replace(CONV, function="max_pool2d", attributes={"stride": 2}, names=()), replace(CONV, function="amax")),
    ],
    "interpolation": [(replace(CONV, function="grid_sample"), replace(CONV, function="gather", names=()))],
    "class_token": [(replace(TOKENS, names=("cls_token",)), TOKENS)],
    "batch_norm_vectors": [
        (replace(VECTORS, function="batch_norm"), replace(VECTORS, function="batch_norm", given=("invariant",))),
    ],
    "layer_norm_components": [
        (replace(VECTORS, function="layer_norm"), replace(VECTORS, function="layer_norm", given=("invariant",))),
    ],
    "pointwise_on_vectors": [
        (replace(VECTORS, function="relu_"), replace(VECTORS, function="relu", given=("invariant",))),
        (replace(VECTORS, function="silu", given=("irreps(2x0e+1x1o)",)), replace(VECTORS, function="silu", given=())),
        (
            replace(VECTORS, function="tanh", given=("vector on blocks of 3",)),
            replace(VECTORS, function="tanh", given=("irreps(12x0e)",)),
        ),
    ],
    "bias_on_vectors": [
        (
            replace(VECTORS, function="linear", names=("weight", "bias")),
            replace(VECTORS, function="linear", names=("weight",)),
        ),
        (replace(VECTORS, function="__iadd__", names=("offset",)), replace(VECTORS, function="add")),
        (
            replace(VECTORS, function="linear", names=("weight", "bias"), commutes=True),
            replace(VECTORS, function="linear", names=("weight", "bias"), commutes=False),
        ),
    ],
    "unsymmetrised_weight": [
        (
            replace(TOKENS, names=("relative_position_bias_table",), faces=ROUND),
            replace(TOKENS, names=(), faces=ROUND),
        ),
        (replace(VECTORS, names=("weight",)), VECTORS),
        (replace(CONV, faces=ROUND), replace(CONV, faces=ROUND, given=("invariant",))),
    ],
    "position_added": [
        (TOKENS, replace(TOKENS, names=())),
        (replace(TOKENS, given=(), faces=SLOTS), replace(TOKENS, given=(), faces=ROUND)),
        (replace(TOKENS, function="masked_fill", names=("mask",)), replace(TOKENS, function="masked_fill", names=())),
    ],
    "position_weights": [
        (replace(SETS, names=("slots",)), SETS),
        (
            replace(SETS, function="linear", names=("weight",), before=("flatten",), faces=ROUND, given=("image",)),
            replace(SETS, function="linear", faces=ROUND, given=("image",), before=("flatten",)),
        ),
    ],
}
PAIRS = [(key, *pair) for key, pairs in PLANTED.items() for pair in pairs]


@pytest.mark.parametrize(("cause", "planted", "healthy"), PAIRS, ids=[key for key, *_ in PAIRS])
def test_a_planted_cause_is_found(cause: str, planted: Facts, healthy: Facts) -> None:
    assert diagnose(planted).key == cause
    assert diagnose(healthy).key != cause


def test_every_cause_is_planted() -> None:
    assert {*PLANTED, "unknown"} == {*CAUSES}


@pytest.mark.parametrize("planted", [VECTORS, Facts("mystery"), replace(SETS, function="sum"), Facts("")])
def test_what_nothing_explains_stays_unknown(planted: Facts) -> None:
    cause = diagnose(planted)
    assert cause.key == "unknown"
    assert cause.sentence.startswith("unknown: ")


@pytest.mark.parametrize(("cause", "planted"), [pair[:2] for pair in PAIRS], ids=[key for key, *_ in PAIRS])
def test_a_sentence_says_how_to_test_it(cause: str, planted: Facts) -> None:
    sentence = diagnose(planted).sentence
    assert "and it should vanish" in sentence, cause
    assert "\n" not in sentence and not sentence.endswith(".")


def test_sentences_name_what_is_read() -> None:
    assert "'slots'" in diagnose(replace(SETS, names=("slots",))).sentence
    assert "'basis'" in diagnose(replace(VECTORS, names=("basis",), error=2e-8)).sentence
    assert "relu" in diagnose(replace(VECTORS, function="torch.nn.functional.relu_")).sentence
    assert "layers.1" in diagnose(VECTORS).sentence


@pytest.mark.parametrize(
    ("function", "name"),
    [("__radd__", "add"), ("add_", "add"), ("__imul__", "mul"), ("linalg_cross", "cross"), ("relu", "relu"),
     ("__matmul__", "matmul"), ("torch.concat", "cat"), ("rsqrt", "rsqrt"), ("index_add_", "index_add")],
)  # fmt: skip
def test_functions_have_one_name(function: str, name: str) -> None:
    assert plain(function) == name


def test_of_several_operations_the_most_specific_counts() -> None:
    square, norm = replace(VECTORS, function="square"), replace(VECTORS, function="batch_norm")
    weighs = replace(VECTORS, names=("weight",))
    assert most_likely([]) is None
    for facts, key in (
        ([weighs, norm], "batch_norm_vectors"),
        ([norm, weighs], "batch_norm_vectors"),
        ([square, VECTORS], "unknown"),
        ([VECTORS, square], "pointwise_on_vectors"),
        ([VECTORS, weighs], "unsymmetrised_weight"),
    ):
        likely = most_likely(facts)
        assert likely is not None and likely[1].key == key


def test_of_one_kind_the_first_is_named() -> None:
    first, second = replace(VECTORS, names=("table",)), replace(VECTORS, names=("weight",))
    likely = most_likely([first, second])
    assert likely is not None and likely[0] == 0
    assert "'table'" in likely[1].sentence and "'weight'" not in likely[1].sentence


def test_an_error_that_is_no_number_is_no_float32_constant() -> None:
    assert diagnose(replace(VECTORS, error=float("nan"))).key == "unknown"
