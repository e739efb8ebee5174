"""Which finite groups are part of a continuous one that was found already: turns and mirrors of coordinates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from symcheck.discover.discrete_result import Discrete, FiniteGroup
from symcheck.grammar import ClaimTree, Slot, parse_claim

_WHOLE = re.compile(r"(O|E)\(\d+\)")  # every signed permutation of coordinates
_PROPER = re.compile(r"(SO|SE)\(\d+\)")  # those with determinant 1
_CYCLE = re.compile(r"\(([^()]*)\)")
Shapes = Mapping[str, tuple[int, ...]]


def without_contained(found: Discrete, claims: Sequence[str], shapes: Shapes) -> Discrete:
    """The finite groups that are no part of the groups of `claims`, on the same inputs and output; a note of others.

    `shapes` are those of one sample of each input.
    """
    trees = [parse_claim(text) for text in claims]
    kept: list[FiniteGroup] = []
    inside: dict[tuple[str, str, str], list[str]] = {}
    for group in found.groups:
        larger = next((str(tree.group) for tree in trees if _inside(group, tree, shapes)), "")
        if larger:
            inside.setdefault((group.input, larger, group.output), []).append(group.name)
        else:
            kept.append(group)
    notes = [
        f"{', '.join(names)} on {lead} {'is' if len(names) == 1 else 'are'} part of {larger}, and not listed again "
        f"({output})" for (lead, larger, output), names in inside.items()
    ]  # fmt: skip
    return replace(found, groups=tuple(kept), notes=(*found.notes, *notes))


def _inside(group: FiniteGroup, tree: ClaimTree, shapes: Shapes) -> bool:
    """Whether the elements move the coordinates that the group of the claim turns, and it tells of their output."""
    name = str(tree.group)
    proper = bool(_PROPER.fullmatch(name))
    if not group.claim or not (proper or _WHOLE.fullmatch(name)) or (proper and any(map(_mirrors, group.generators))):
        return False
    own = parse_claim(group.claim)
    moved = [slot for slot in own.inputs if _word(slot) != "scalar"]
    turned = {slot.name for slot in tree.inputs if _word(slot) in ("vector", "points")}
    covered = {slot.name for slot in tree.outputs if _word(slot) != "ignore"}
    stated = {slot.name for slot in own.outputs if _word(slot) != "ignore"}
    along = all(_word(slot) == "vector" or _axis(slot) == len(shapes[str(slot.name)]) - 1 for slot in moved)
    return {slot.name for slot in moved} == turned and stated <= covered and along


def _axis(slot: Slot) -> int | None:
    """The axis that `axes(. h)` or `nodes(axis=1)` moves; None for other words."""
    term = slot.terms[0]
    if term.name == "axes":
        places = term.args[0].split()
        return places.index("h") if places.count("h") == 1 else None
    if term.name == "nodes":
        return int(term.args[0].partition("=")[2]) if term.args else 0
    return None


def _mirrors(element: str) -> bool:
    """Whether a signed permutation in cycles has determinant -1 (a cycle with a sign names it), and D5 has mirrors."""
    even = re.fullmatch(r"D\d+", element) is None
    for cycle in _CYCLE.findall(element):
        points = cycle.split()
        slots = len({point.lstrip("-") for point in points})
        even ^= (slots - 1 + (len(points) > slots)) % 2 == 1
    return not even


def _word(slot: Slot) -> str:
    return slot.terms[0].name
