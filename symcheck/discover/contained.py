"""Which finite groups are part of a continuous one that was found already: turns and mirrors of coordinates."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from symcheck.discover.discrete_result import Discrete, FiniteGroup
from symcheck.grammar import ClaimTree, Slot, parse_claim

_WHOLE = re.compile(r"(O|E)\(\d+\)")  # every signed permutation of coordinates
_PROPER = re.compile(r"(SO|SE)\(\d+\)")  # those with determinant 1
_ELEMENT = re.compile(r"\(([^()]*)\)")


def without_contained(found: Discrete, claims: Sequence[str]) -> Discrete:
    """The finite groups that are no part of the groups of `claims`, for the same inputs and output; a note of others."""
    trees, kept, notes = [parse_claim(text) for text in claims], [], []
    for group in found.groups:
        larger = next((str(tree.group) for tree in trees if _inside(group, tree)), "")
        if larger:
            notes.append(f"{group.name} on {group.input} is part of {larger}, and not listed ({group.output})")
        else:
            kept.append(group)
    return replace(found, groups=tuple(kept), notes=(*found.notes, *notes))


def _inside(group: FiniteGroup, tree: ClaimTree) -> bool:
    """Whether the elements move the coordinates that the group of the claim turns, with an output that it covers."""
    name = str(tree.group)
    proper = bool(_PROPER.fullmatch(name))
    if not group.claim or not (proper or _WHOLE.fullmatch(name)) or (proper and any(map(_mirrors, group.generators))):
        return False
    own = parse_claim(group.claim)
    moved = {slot.name: _word(slot) for slot in own.inputs if _word(slot) != "scalar"}
    turned = {slot.name for slot in tree.inputs if _word(slot) in ("vector", "points")}
    covered = {slot.name for slot in tree.outputs if _word(slot) != "ignore"}
    stated = {slot.name for slot in own.outputs if _word(slot) != "ignore"}
    return set(moved) == turned and stated <= covered and all(map(_last, own.inputs))


def _last(slot: Slot) -> bool:
    """Whether the coordinates are moved, the last axis: `axes(. h)`; of plain vectors, `nodes` too."""
    word = str(slot).partition("=")[2]
    return word == "scalar" or word.endswith("h)") or word.startswith("nodes(axis=1")


def _mirrors(element: str) -> bool:
    """Whether a signed permutation in cycles has determinant -1."""
    sign = 1
    for cycle in _ELEMENT.findall(element):
        points = cycle.split()
        slots = {point.lstrip("-") for point in points}
        if len(slots) < len(points):  # it comes back with a minus
            sign = -sign
            flips = 0
        else:
            flips = sum(a.startswith("-") != b.startswith("-") for a, b in zip(points, points[1:], strict=False))
            flips += points[0].startswith("-") != points[-1].startswith("-")
        sign *= (-1) ** (len(slots) - 1 + flips)
    return sign < 0


def _word(slot: Slot) -> str:
    return str(slot.terms[0].name)
