"""The rules that the fields of one space obey. No torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from symcheck.registry import suggest

if TYPE_CHECKING:
    from symcheck.weights.spec import Space


Rules = tuple[tuple[bool, str, str], ...]


def problems(space: Space) -> Rules:
    """Every rule: whether it is broken, what is wrong, what to do."""
    return _extent(space) + _action(space)


def _extent(space: Space) -> Rules:
    """Kind, size, shape, and what it is over."""
    from symcheck.weights.spec import KINDS

    kind, size = space.kind, space.size
    return (
        (kind not in KINDS, f"has the unknown kind '{kind}'", suggest(kind, [*KINDS])),
        (size < 1, f"has the size {size}", "a size is a positive whole number"),
        (
            space.whole and kind not in ("scale", "sign"),
            f"of kind {kind} acts along no atom",
            "only scale and sign act on whole tensors; name the atom in 'on'",
        ),
        (space.whole and not space.exponents, "acts on whole tensors but names none", "list them in 'exponents'"),
        (space.whole and size != 1, f"acts on whole tensors and has size {size}", "write size = 1"),
        (kind == "rotation" and size != 2, f"of kind rotation has size {size}", "a plane has size 2"),
        (
            kind == "shift" and (size != math.prod(space.shape) or bool(space.over)),
            f"has size {size} and shape {space.shape}",
            "the size of a shift is the number of entries of its shape, which includes what it is over",
        ),
        (kind != "shift" and bool(space.shape), f"of kind {kind} has a shape", "only a shift states its shape"),
        (
            kind == "tree" and (size + 1) & size != 0,
            f"of kind tree has size {size}",
            "a tree of depth D has 2^D − 1 nodes",
        ),
        (
            len({*space.over}) < len(space.over) or space.on in space.over,
            f"is over {', '.join(space.over)}",
            "each atom once, and not the one acted along",
        ),
    )  # fmt: skip


def _action(space: Space) -> Rules:
    """Exponents, gains, terms, and what else a kind may have."""
    from symcheck.weights.spec import MATRICES

    kind, lined = space.kind, space.exponents or {}
    return (
        (
            kind in ("permutation", "shift") and space.exponents is not None,
            f"of kind {kind} has exponents",
            "leave them out: a permutation acts wherever its atom stands, a shift by its terms",
        ),
        (bool(space.gains) and kind not in MATRICES, f"of kind {kind} has gains", "gains belong to matrices"),
        (
            bool(space.terms) != (kind == "shift") and kind != "sign",
            f"of kind {kind} has {len(space.terms)} terms",
            "a shift has terms, a sign may have some, no other kind has any",
        ),
        (
            space.fixes not in ("", "ones") or (bool(space.fixes) and kind != "orthogonal"),
            f"of kind {kind} fixes '{space.fixes}'",
            "only an orthogonal space can fix something: fixes = \"ones\"",
        ),
        (
            bool(space.stacks) and (kind != "permutation" or bool(space.over)),
            f"of kind {kind} moves whole tensors",
            "only a permutation that is over nothing has stacks",
        ),
        (
            any(stack.count("*") != 1 for stack in space.stacks),
            f"has the stacks {', '.join(space.stacks)}",
            "a stack is one name with * in the place of the index: experts.*.up.weight",
        ),
        ((kind == "tree") != bool(space.leaves), f"of kind {kind} has leaves '{space.leaves}'",
         "a tree names the atom of its leaves, no other kind does"),
        (
            kind in (*MATRICES, "sign", "tree") and any(p.denominator != 1 for ps in lined.values() for p in ps),
            f"of kind {kind} has a fractional exponent",
            "only scales have fractional powers",
        ),
        (
            kind in MATRICES and any(abs(p) > 1 for ps in lined.values() for p in ps),
            f"of kind {kind} has an exponent other than −1, 0 and 1",
            "1 multiplies by A, −1 by its contragredient A^-T",
        ),
    )  # fmt: skip
