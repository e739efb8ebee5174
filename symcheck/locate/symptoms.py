"""What the facts about an operation show: one predicate for each known cause."""

from __future__ import annotations

import re

from symcheck.locate.evidence import (
    ATTENTION,
    DECISIONS,
    HANDED,
    IN_ORDER,
    MASKS,
    PRODUCTS,
    RANDOM,
    SETTLED,
    SUMS,
    TURNS,
    Facts,
)

_SINGLE = 2.0**-23
TABLE, _CLASS = "rel|table|bias", "cls|class_token"


def random(facts: Facts) -> bool:
    """Drawn anew at every call, or taken from the batch."""
    drawn = facts.operation in RANDOM and facts.attributes.get("training") is not False
    return drawn or (facts.attributes.get("training") is True and normalises(facts, "batch", "instance"))


def single(facts: Facts) -> bool:
    """As large as single precision rounds, in a run that is finer, from numbers that may have been rounded so."""
    finer = facts.epsilon < 1e-3 * _SINGLE and facts.single is not False
    return finer and 1e-3 * _SINGLE < facts.error <= 16 * _SINGLE


def handed(facts: Facts) -> bool:
    """A frame that mirrors flip."""
    return facts.only == "improper" and bool(HANDED & {facts.operation, *facts.earlier})


def transposed(facts: Facts) -> bool:
    """Turned back by the wrong inverse."""
    built = facts.operation in PRODUCTS and not facts.names and not facts.fixed and bool(TURNS & facts.earlier)
    scaled = facts.fixed and (facts.on_vectors or facts.makes_vectors) and facts.operation in {"mul", "div"}
    return "linear" in facts.faces and (scaled or facts.inverse or built)


def decided(facts: Facts) -> bool:
    """A discrete choice, here or just before; by a stored mask it would be one by place."""
    if facts.on_vectors or facts.names:
        return False
    return facts.operation in DECISIONS or (facts.operation in SETTLED and bool(DECISIONS & facts.earlier))


def _convolves(facts: Facts) -> bool:
    return facts.operation.startswith("conv")


def _strides(facts: Facts) -> bool:
    return any(isinstance(step, int) and step > 1 for step in facts.all_of("stride"))


def strided(facts: Facts) -> bool:
    """One phase of the grid is kept."""
    steps = facts.moves and _convolves(facts) and _strides(facts) and not _even(facts)
    return steps and (facts.only == "odd shifts" or not zeros(facts))


def _even(facts: Facts) -> bool:
    """Whether steps begin and end at the borders, so that turns and mirrors keep the phase; shifts do not."""
    kernel, steps, padding = (facts.all_of(key) for key in ("kernel_size", "stride", "padding"))
    if "shift" in facts.faces or not kernel or len(facts.shape) <= len(kernel):
        return False
    axes = max(len(kernel), 2)
    each = zip(facts.shape[-axes:], *(one * (axes // len(one)) for one in (kernel, steps, padding)), strict=False)
    return all((n + 2 * p - k) % s == 0 for n, k, s, p in each if isinstance(k, int) and isinstance(p, int))


def zeros(facts: Facts) -> bool:
    """Anything but what is there on the other side beyond the border, under a group that moves the border."""
    if "shift" not in facts.faces or not (facts.operation == "pad" or _convolves(facts)):
        return False
    if facts.operation == "pad":
        return facts.attributes.get("mode", "constant") != "circular"
    padded = any(size == "same" or (isinstance(size, int) and size > 0) for size in facts.all_of("padding"))
    return padded and facts.attributes.get("padding_mode", "zeros") == "zeros"


def pools(facts: Facts) -> bool:
    """One phase of the grid is pooled."""
    return facts.moves and "pool" in facts.operation and not _even(facts)


def normalises(facts: Facts, *kinds: str) -> bool:
    """A normalisation of one of these kinds."""
    return facts.operation in {f"{kind}_norm" for kind in kinds}


def biased(facts: Facts) -> bool:
    """A fixed direction is added to vectors, by what would be sound without it."""
    if not facts.on_vectors or facts.commutes is False:
        return False
    reads = "bias" in facts.names and (facts.operation in PRODUCTS or _convolves(facts))
    number = isinstance(facts.attributes.get("other"), int | float)
    return reads or (facts.operation in SUMS and (bool(facts.names) or facts.fixed or number))


def class_token(facts: Facts) -> bool:
    """A token without a place among those that have one."""
    return facts.moves and "apart" not in facts.action and any(re.search(_CLASS, name) for name in facts.names)


def masked(facts: Facts) -> bool:
    """An attention in which places see only some of the others."""
    masks = (facts.attributes.get("is_causal"), facts.attributes.get("attn_mask"))
    scores = facts.operation in SUMS and facts.fixed and not facts.names and bool({"matmul", "bmm"} & facts.earlier)
    return facts.moves and (scores or (facts.operation in ATTENTION and True in masks))


def picked(facts: Facts) -> bool:
    """A place that is taken out by its number."""
    return facts.picked and not facts.action


def in_order(facts: Facts) -> bool:
    """Places are read one after another."""
    return bool({"shift", "permutation"} & facts.faces) and facts.operation in IN_ORDER


def table(facts: Facts) -> bool:
    """A weight of pairs of places, added to scores."""
    return facts.operation in SUMS and facts.moves and any(re.search(TABLE, name) for name in facts.names)


def _weighs(facts: Facts) -> bool:
    """A product with stored weights."""
    return facts.operation in PRODUCTS and bool(facts.names)


def by_place(facts: Facts) -> bool:
    """Weights of a place: of a slot, or of what a flatten lays out."""
    laid_out = "flatten" in facts.earlier and facts.moves
    weighs = _weighs(facts) or (facts.fixed and facts.operation in {"mul", "div"})
    return weighs and (laid_out or bool({"shift", "permutation"} & facts.faces))


def unsymmetrised(facts: Facts) -> bool:
    """Weights that the group changes."""
    if table(facts):
        return True
    scaled = facts.fixed and (facts.on_vectors or facts.makes_vectors) and facts.operation in {"mul", "div"}
    turned = facts.moves or facts.on_vectors or facts.makes_vectors  # weights on invariants are free
    return "linear" in facts.faces and turned and (scaled or _weighs(facts) or _convolves(facts))


def positioned(facts: Facts) -> bool:
    """Numbers of fixed places are added, or taken out, or looked up."""
    fixed = bool(facts.names) or facts.fixed
    return fixed and facts.moves and facts.operation in {*SUMS, *MASKS, "embedding"}
