"""After unification: give up families that cannot be told apart in a tensor, and find the planes of rotary codes."""

from __future__ import annotations

from symcheck.weights.axes import Axis, nodes, pin, tie, total
from symcheck.weights.network import Network
from symcheck.weights.relations import Value

PLANE = "a rotary plane"


def settle(net: Network) -> None:
    """Tie every family that stands without its axis, or that a parameter holds on another axis."""
    changed = True
    while changed:
        changed = False
        for value in net.values:
            for i, axis in enumerate(value.axes):
                for family in _families(axis):
                    over = family.over.root() if family.over is not None else None
                    beside = [
                        n for j, other in enumerate(value.axes) if j != i or not value.parameter for n in nodes(other)
                    ]
                    if value.parameter or not any(node is over for node in [*beside, *nodes(axis)]):
                        tie(family)
                        changed = True


def _families(axis: Axis) -> list[Axis]:
    return [node for node in nodes(axis) if node.kind == "family"]


def rotary(net: Network) -> None:
    """Write `p + p` and `p 2`, with p the index of a plane of a rotary code, as a plane r beside p: `(r p)` or `(p r)`.

    p is an atom that a constant multiplies and whose two halves have been mixed; with one plane there is no p, and
    two indices that have been mixed are the plane. Whether rotations of r pass is for `planes.rotates` to say.
    """
    planes: dict[int, tuple[Axis, Axis]] = {}
    for value in net.values:
        for axis in value.axes:
            for node in nodes(axis):
                _halves(node, planes, value)
                _pairs(node, planes, value)


def _coded(axis: Axis) -> bool:
    return not axis.kind and axis.size > 1 and axis.pinned.startswith(("a constant", "an input"))


def _halves(node: Axis, planes: dict[int, tuple[Axis, Axis]], value: Value) -> None:
    if node.kind != "sum":
        return
    parts, i = [p.root() for p in node.parts], 0
    while i + 1 < len(parts):
        half = parts[i]
        mixed = half is parts[i + 1] and (half.size == 1 or _coded(half))
        if mixed and (value.parameter or id(half) in planes):
            if id(half) not in planes:
                planes[id(half)] = _plane(), half if half.size > 1 else _only()
            parts[i : i + 2] = [total("product", planes[id(half)])]
        i += 1
    node.parts = parts


def _plane() -> Axis:
    axis = Axis(2)
    pin(axis, PLANE)
    return axis


def _only() -> Axis:
    """The index of a single plane, so that there is something to scale the plane along."""
    axis = Axis(1)
    axis.kept = True
    pin(axis, "the index of a single plane")
    return axis


def _pairs(node: Axis, planes: dict[int, tuple[Axis, Axis]], value: Value) -> None:
    if node.kind != "product":
        return
    for i, part in enumerate(node.parts[1:], start=1):
        part, before = part.root(), node.parts[i - 1].root()
        units = part.kind == "sum" and len(part.parts) == 2 and all(p.size == 1 for p in part.parts)
        if units and _coded(before) and (value.parameter or id(before) in planes):
            part.kind, part.parts = "", []
            pin(part, PLANE)
            planes.setdefault(id(before), (part, before))
