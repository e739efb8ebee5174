"""What each face of a group must satisfy: it is a homomorphism, in the sense of what it acts on."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from symcheck.groups.base import Group
from symcheck.report.numbers import number

_INTEGER = ("permutation", "regular", "shift", "unimodular")
_KINDS = (*_INTEGER, "linear", "translation", "factor")
_TIGHT = 1e-12


def face_problems(group: Group, kind: str, a: Tensor, b: Tensor) -> Iterator[str]:
    """How the face fails to be a homomorphism on the elements a and b."""
    if kind not in _KINDS:
        yield f"is none of {', '.join(_KINDS)}: no action asks for it"
        return
    x, y, xy = (group.face(kind, g) for g in (a, b, group.compose(a, b)))
    wanted = torch.int64 if kind in _INTEGER else torch.float64
    if x.dtype != wanted or len(x) != len(a):
        yield f"is {x.dtype} with {len(x)} rows for {len(a)} elements; it must be {wanted}, one row an element"
        return
    together = _together(group, kind, a, x, y)
    gap = float((together - xy).abs().max()) if together.shape == xy.shape else float("inf")
    scale = max(1.0, float(x.abs().max())) * max(1.0, float(y.abs().max()))
    if not gap <= (0 if kind in _INTEGER else _TIGHT * scale):
        yield f"face(ab) is off face(a) face(b) by {number(gap)}"
    if kind == "regular":
        yield from _regular(group, a, x)


def _together(group: Group, kind: str, a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """What face(a) = x and face(b) = y make of face(ab)."""
    if kind in ("permutation", "regular"):
        return x.gather(1, y)  # slot i goes to slot x(y(i))
    if kind == "shift":
        grid = getattr(group, "grid", None)
        return x + y if group.order is None or grid is None else (x + y) % torch.tensor(grid)
    if kind == "translation":
        return (group.face("linear", a) @ y[:, :, None])[:, :, 0] + x
    return x @ y if kind in ("linear", "unimodular") else x * y


def _regular(group: Group, a: Tensor, x: Tensor) -> Iterator[str]:
    """Left multiplication of the list of elements."""
    elements = group.elements()
    if elements is None:
        yield "is left multiplication of elements(), which lists none"
        return
    count = len(elements)
    moved = group.compose(a.repeat_interleave(count, 0), elements.repeat(len(a), *[1] * (elements.dim() - 1)))
    gap = float((elements[x.flatten()] - moved).abs().max())
    if not gap <= 1e-6:
        yield f"element i does not go to where elements() has g times element i (off by {number(gap)})"
