"""Known causes of a broken symmetry: from the facts about one operation to one sentence.

`RULES` is the table, the most specific cause first; what none of them explains stays unknown.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from symcheck.locate.evidence import (
    DECISIONS,
    EVEN,
    HANDED,
    MASKS,
    POINTWISE,
    PRODUCTS,
    RANDOM,
    RESAMPLING,
    SETTLED,
    SUMS,
    TURNS,
    Facts,
)

_SINGLE = 2.0**-23
_TABLE, _CLASS = "rel|table|bias", "cls|class_token"


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


def most_likely(facts: Sequence[Facts]) -> Cause | None:
    """The cause of several operations of which one is at fault, the last one known to be wrong by then.

    The most specific cause counts, and of one kind the first. Squares and absolute values that others go on from are
    on the way to a norm; they are at fault only in the last place.
    """
    open_, last = [one for one in facts[:-1] if one.operation not in EVEN], facts[-1:]
    found = [diagnose(one) for one in (*open_, *last)]
    return min(found, key=lambda cause: CAUSES.index(cause.key), default=None)


def _random(facts: Facts) -> bool:
    """Drawn anew at every call, or taken from the batch."""
    drawn = facts.operation in RANDOM and facts.attributes.get("training") is not False
    return drawn or (facts.attributes.get("training") is True and _normalises(facts, "batch", "instance"))


def _single(facts: Facts) -> bool:
    """As large as single precision rounds, in a run that is finer, from numbers that may have been rounded so."""
    finer = facts.epsilon < 1e-3 * _SINGLE and facts.single is not False
    return finer and 1e-3 * _SINGLE < facts.error <= 16 * _SINGLE


def _handed(facts: Facts) -> bool:
    return facts.only == "improper" and bool(HANDED & {facts.operation, *facts.earlier})


def _transposed(facts: Facts) -> bool:
    built = facts.operation in PRODUCTS and not facts.names and bool(TURNS & facts.earlier)
    return "linear" in facts.faces and (facts.inverse or built)


def _decided(facts: Facts) -> bool:
    """A discrete choice, here or just before; by a stored mask it would be one by place."""
    if facts.on_vectors or facts.names:
        return False
    return facts.operation in DECISIONS or (facts.operation in SETTLED and bool(DECISIONS & facts.earlier))


def _convolves(facts: Facts) -> bool:
    return facts.operation.startswith("conv")


def _strides(facts: Facts) -> bool:
    return any(isinstance(step, int) and step > 1 for step in facts.all_of("stride"))


def _strided(facts: Facts) -> bool:
    return facts.moves and _convolves(facts) and _strides(facts) and (facts.only == "odd shifts" or not _zeros(facts))


def _zeros(facts: Facts) -> bool:
    """Zeros beyond the border, under a group that moves the border."""
    if "shift" not in facts.faces or not (facts.operation == "pad" or _convolves(facts)):
        return False
    if facts.operation == "pad":
        return facts.attributes.get("mode", "constant") == "constant"
    padded = any(size == "same" or (isinstance(size, int) and size > 0) for size in facts.all_of("padding"))
    return padded and facts.attributes.get("padding_mode", "zeros") == "zeros"


def _pools(facts: Facts) -> bool:
    return facts.moves and "pool" in facts.operation


def _normalises(facts: Facts, *kinds: str) -> bool:
    return facts.operation in {f"{kind}_norm" for kind in kinds}


def _biased(facts: Facts) -> bool:
    if not facts.on_vectors:
        return False
    reads = "bias" in facts.names and (facts.operation in PRODUCTS or _convolves(facts))
    return reads or (facts.operation in SUMS and bool(facts.names))


def _class_token(facts: Facts) -> bool:
    return facts.moves and any(re.search(_CLASS, name) for name in facts.names)


def _table(facts: Facts) -> bool:
    """A weight of pairs of places, added to scores."""
    return facts.operation in SUMS and facts.moves and any(re.search(_TABLE, name) for name in facts.names)


def _weighs(facts: Facts) -> bool:
    """A product with stored weights."""
    return facts.operation in PRODUCTS and bool(facts.names)


def _by_place(facts: Facts) -> bool:
    """Weights of a place: of a slot, or of what a flatten lays out."""
    laid_out = "flatten" in facts.earlier and facts.moves
    return _weighs(facts) and (laid_out or bool({"shift", "permutation"} & facts.faces))


def _unsymmetrised(facts: Facts) -> bool:
    if _table(facts):
        return True
    return "linear" in facts.faces and (_weighs(facts) or (_convolves(facts) and facts.moves))


def _named(facts: Facts, part: str = "") -> str:
    """The stored tensors that it reads, of those with `part` in their name if there are."""
    names = [name for name in facts.names if re.search(part, name)] or facts.names
    return ", ".join(f"'{name}'" for name in names) or "its weights"


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


def _no_average(facts: Facts) -> str:
    names = _named(facts, _TABLE if _table(facts) else "")
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
        _random,
        "dropout or batch statistics are on: the same input does not give the same output; "
        "call model.eval() and it should vanish",
    ),
    "float32_constants": (_single, _precise),
    "handed_frame": (
        _handed,
        "a frame completed by a cross product or a determinant is handed, so that mirrors flip one of its axes; "
        "claim SO(n) instead of O(n), or take the axis from a third vector, and it should vanish",
    ),
    "cutoff": (
        _decided,
        "a comparison, a sort or a cut-off decides, so that rounding moves an item across the limit and the result "
        "jumps; fade it out smoothly at the limit, or keep inputs off it, and it should vanish",
    ),
    "transposed_rotation": (
        _transposed,
        "a rotation is applied transposed: what was turned by R⁻¹ is turned back by R⁻¹ again; "
        "transpose the matrix of one of the two and it should vanish",
    ),
    "stride": (
        _strided,
        "a stride keeps one phase of the grid and loses the others, so that shifts between its steps change what is "
        "seen; claim shifts by multiples of the stride, or set it to 1, and it should vanish",
    ),
    "zero_padding": (
        _zeros,
        "zero padding marks the border, which shifted content crosses; "
        "set padding_mode='circular', or compare without the border (crop), and it should vanish",
    ),
    "pool_phase": (
        _pools,
        "pooling keeps one phase of the grid, so that shifts between its steps change what is pooled; "
        "claim shifts by multiples of the step, or pool with stride 1, and it should vanish",
    ),
    "interpolation": (
        lambda facts: facts.operation in RESAMPLING,
        "interpolation repeats the border and does not commute with moves by less than a cell; "
        "take the nearest cell at a whole factor, or compare without the border (crop), and it should vanish",
    ),
    "class_token": (
        _class_token,
        "a class token takes part in the grid of tokens as if it had a place; "
        "keep it apart, or take the mean of the tokens instead, and it should vanish",
    ),
    "batch_norm_vectors": (
        lambda facts: facts.on_vectors and _normalises(facts, "batch", "instance", "group"),
        _component_norm,
    ),
    "layer_norm_components": (
        lambda facts: facts.on_vectors and _normalises(facts, "layer", "rms", "local_response"),
        "layer normalisation over the components of vectors: their mean and gains prefer an axis; "
        "divide by the norm of whole vectors instead, and it should vanish",
    ),
    "pointwise_on_vectors": (lambda facts: facts.on_vectors and facts.operation in POINTWISE, _pointwise),
    "bias_on_vectors": (
        _biased,
        lambda facts: (
            f"a bias on vectors: {_named(facts, 'bias')} is a fixed direction that does not turn with the input; "
            "set it to zero, or leave it out, and it should vanish"
        ),
    ),
    "position_weights": (_by_place, _weights_differ),
    "unsymmetrised_weight": (
        _unsymmetrised,
        _no_average,
    ),
    "position_added": (
        lambda facts: facts.moves and facts.operation in {*SUMS, *MASKS, "embedding"} and bool(facts.names),
        lambda facts: (
            f"a positional encoding or mask: {_named(facts)} stands in fixed places, whatever moves the input; "
            "leave it out and it should vanish"
        ),
    ),
}
CAUSES = (*RULES, "unknown")
