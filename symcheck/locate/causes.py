"""Known causes of a broken symmetry: from the facts about one operation to one sentence.

`RULES` is the table, the most specific cause first; what none of them explains stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from symcheck.locate.evidence import EVEN, POINTWISE, RESAMPLING, Facts
from symcheck.locate.symptoms import (
    TABLE,
    biased,
    by_place,
    class_token,
    decided,
    handed,
    in_order,
    masked,
    normalises,
    picked,
    pools,
    positioned,
    random,
    single,
    strided,
    table,
    transposed,
    unsymmetrised,
    zeros,
)


@dataclass(frozen=True)
class Cause:
    """The most likely cause: a key, and a sentence that says what it is and how to test it."""

    key: str
    sentence: str


def diagnose(facts: Facts) -> Cause:
    """The first cause of the table that the facts fit; `unknown` where none does."""
    for key, (fits, says) in RULES.items():
        if fits(facts):
            return Cause(key, says(facts) if callable(says) else says)
    words = [f"'{facts.operation}'", *([f"of {facts.path}"] if facts.path else [])]
    return Cause("unknown", f"unknown: {' '.join(words)} fits none of the causes that are known here")


def most_likely(facts: Sequence[Facts]) -> tuple[int, Cause] | None:
    """The cause of several operations of which one is at fault, the last one known to be wrong by then; and which.

    The most specific cause counts, and of one kind the first. Squares and absolute values that others go on from are
    on the way to a norm; they are at fault only in the last place.
    """
    open_ = [i for i, one in enumerate(facts) if one.operation not in EVEN or i == len(facts) - 1]
    found = [(i, diagnose(facts[i])) for i in open_]
    return min(found, key=lambda one: CAUSES.index(one[1].key), default=None)


def _named(facts: Facts, part: str = "") -> str:
    """The stored tensors that it reads, of those with `part` in their name if there are."""
    names = [name for name in facts.names if re.search(part, name)] or facts.names
    made = facts.fixed or "other" in facts.attributes
    return ", ".join(f"'{name}'" for name in names) or ("a constant" if made else "its weights")


def _precise(facts: Facts) -> str:
    return (
        f"constants in float32: the error, {facts.error:.0e}, is what single precision rounds; "
        f"compute {_named(facts) if facts.names else 'the constants that it reads'} in float64 and it should vanish"
    )


def _component_norm(facts: Facts) -> str:
    return (
        "batch normalisation of vector components: mean, bias and unequal scales of components prefer an axis; "
        "divide whole vectors by a running norm instead, without mean and bias, and it should vanish"
    )


def _pointwise(facts: Facts) -> str:
    return (
        f"{facts.operation} acts on single components of vectors, which cannot be exact; "
        "apply it to norms or to scalar gates instead, and it should vanish"
    )


def _padding(facts: Facts) -> str:
    mode = str(facts.attributes.get("mode" if facts.operation == "pad" else "padding_mode", "zeros"))
    return "zero padding" if mode in ("zeros", "constant") else f"padding by '{mode}'"


def _no_average(facts: Facts) -> str:
    names = _named(facts, TABLE if table(facts) else "")
    if facts.on_vectors and facts.operation == "linear" and not facts.action and facts.commutes is not True:
        return (
            f"weights without the symmetry: an ordinary linear layer, whose {_named(facts, 'weight')} mixes the "
            "components of vectors; mix whole vectors alone (the same number for all components of one), or put in "
            "scalar products instead of components, and it should vanish"
        )
    return f"weights without the symmetry: {names}; replace them by their average over the group and it should vanish"


def _weights_differ(facts: Facts) -> str:
    where = "the linear map after a flatten" if "flatten" in facts.earlier else _named(facts)
    return (
        f"weights that depend on the position: {where} treats every slot or place in its own way; "
        "average them over the slots and it should vanish"
    )


Says = str | Callable[[Facts], str]
RULES: Mapping[str, tuple[Callable[[Facts], bool], Says]] = {
    "training": (
        random,
        "dropout or batch statistics are on: the same input does not give the same output; "
        "call model.eval() and it should vanish",
    ),
    "float32_constants": (single, _precise),
    "handed_frame": (
        handed,
        "a frame completed by a cross product or a determinant is handed, so that mirrors flip one of its axes; "
        "claim SO(n) instead of O(n), or take the axis from a third vector, and it should vanish",
    ),
    "attention_mask": (
        masked,
        "an attention mask lets places see only some of the others, by their number; "
        "leave it out (is_causal=False), or claim what keeps it, and it should vanish",
    ),
    "cutoff": (
        decided,
        "a comparison, a sort or a cut-off decides, so that rounding moves an item across the limit and the result "
        "jumps; fade it out smoothly at the limit, or keep inputs off it, and it should vanish",
    ),
    "transposed_rotation": (
        transposed,
        "a rotation is applied transposed: what was turned by R⁻¹ is turned back by R⁻¹ again; "
        "transpose the matrix of one of the two and it should vanish",
    ),
    "stride": (
        strided,
        "a stride keeps one phase of the grid and loses the others, so that shifts between its steps change what is "
        "seen; claim shifts by multiples of the stride, or set it to 1, and it should vanish",
    ),
    "zero_padding": (
        zeros,
        lambda facts: f"{_padding(facts)} marks the border, which shifted content crosses; "
        "set padding_mode='circular', or compare without the border (crop), and it should vanish",
    ),
    "pool_phase": (
        pools,
        "pooling keeps one phase of the grid, so that shifts between its steps change what is pooled; "
        "claim shifts by multiples of the step, or pool with stride 1, and it should vanish",
    ),
    "interpolation": (
        lambda facts: facts.operation in RESAMPLING,
        "interpolation repeats the border and does not commute with moves by less than a cell; "
        "take the nearest cell at a whole factor, or compare without the border (crop), and it should vanish",
    ),
    "in_order": (
        in_order,
        "places are read one after another, so that their order counts; "
        "take a sum or a mean over the places instead, and it should vanish",
    ),
    "class_token": (
        class_token,
        "a class token takes part in the grid of tokens as if it had a place; "
        "keep it apart, or take the mean of the tokens instead, and it should vanish",
    ),
    "picked_place": (
        picked,
        "a place is taken out by its number (a slice, an index), whatever moves the places; "
        "take a sum or a mean over the places instead, and it should vanish",
    ),
    "batch_norm_vectors": (
        lambda facts: facts.on_vectors and normalises(facts, "batch", "instance", "group"),
        _component_norm,
    ),
    "layer_norm_components": (
        lambda facts: facts.on_vectors and normalises(facts, "layer", "rms", "local_response"),
        "layer normalisation over the components of vectors: their mean and gains prefer an axis; "
        "divide by the norm of whole vectors instead, and it should vanish",
    ),
    "pointwise_on_vectors": (lambda facts: facts.on_vectors and facts.operation in POINTWISE, _pointwise),
    "bias_on_vectors": (
        biased,
        lambda facts: (
            f"a bias on vectors: {_named(facts, 'bias')} is a fixed direction that does not turn with the input; "
            "set it to zero, or leave it out, and it should vanish"
        ),
    ),
    "position_weights": (by_place, _weights_differ),
    "unsymmetrised_weight": (
        unsymmetrised,
        _no_average,
    ),
    "position_added": (
        positioned,
        lambda facts: (
            f"a positional encoding or mask: {_named(facts, 'pos|mask|rel')} stands in fixed places, whatever moves "
            "the input; leave it out and it should vanish"
        ),
    ),
}
CAUSES = (*RULES, "unknown")
