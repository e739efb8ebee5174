"""Fingerprints: numbers of a checkpoint that no element of its spec changes. Unequal: not one network."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from symcheck.weights.checks import acted_tensors, stacked
from symcheck.weights.spec import Spec
from symcheck.weights.terms import parse_reference

_REORDERED = ("permutation", "sign", "tree")
_ROTATED = (*_REORDERED, "orthogonal", "rotation")


def fingerprint(spec: Spec, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """For every tensor what no element of the spec changes, where there is something simple.

    The sorted absolute values where units are only reordered and flipped; the root mean square where they are rotated
    as well; the tensor itself where nothing acts; nothing where scales, matrices or shifts do, or in a stack.
    """
    kinds: dict[str, set[str]] = {name: set() for name in spec.axes}
    for space in spec.spaces.values():
        for name in acted_tensors(spec, space):
            kinds[name].add("general" if space.approximate or space.gains.get(name) else space.kind)
        for name in stacked(space):
            kinds[name].add("stack")
        for term in space.terms:
            kinds[parse_reference(term.to).name].add("shift")
    found: dict[str, Tensor] = {}
    for name, acting in kinds.items():
        key = next((k for k in (name, *(a for a, c in spec.ties.items() if c == name)) if k in state), None)
        if key is None:
            continue
        tensor = state[key].detach().cpu()
        wide = tensor.double() if tensor.is_floating_point() else tensor
        if not acting:
            found[name] = wide
        elif acting <= {"permutation"}:
            found[name] = wide.flatten().sort().values
        elif acting <= set(_REORDERED):
            found[name] = wide.abs().flatten().sort().values
        elif acting <= set(_ROTATED):
            found[name] = wide.double().square().mean().sqrt()
    return found


def differing(a: Mapping[str, Tensor], b: Mapping[str, Tensor], eps: float) -> str:
    """The first tensor whose fingerprints differ by more than rounding; empty where none does."""
    for name, x in a.items():
        y = b.get(name)
        if y is None or x.shape != y.shape:
            return name
        if not y.numel():
            continue
        gap = (x.double() - y.double()).abs()
        size = y.double().abs()
        limit = 8 * eps * (size if x.dim() else size.max()) + 8 * eps * 1e-3 * size.max()
        if not bool((gap <= limit).all()):
            return name
    return ""


def precision(state: Mapping[str, Tensor]) -> float:
    """The coarsest machine epsilon of the floating tensors."""
    kinds = {t.dtype for t in state.values() if t.is_floating_point()}
    return max((torch.finfo(dtype).eps for dtype in kinds), default=2.0**-52)
