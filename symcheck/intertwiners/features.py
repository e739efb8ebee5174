"""The representations on a layer's features, from what the user says of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from symcheck.actions.base import Action, Bound
from symcheck.actions.geometric import CartesianTensor, Components
from symcheck.actions.image import Image
from symcheck.actions.irreps import Irreps
from symcheck.actions.linear import linear_dimension
from symcheck.actions.multivector import Multivector
from symcheck.actions.nodes import Channels, Regular, Slots
from symcheck.errors import ClaimError
from symcheck.groups.base import Extents, Group
from symcheck.intertwiners.representation import Representation, of, parse_actions

_SMALL = 3  # slots of a group whose degree the data would tell; its permutations look the same for all degrees


@dataclass(frozen=True)
class Features:
    """What a slot of features is: an action's text, and the shape of one sample where it cannot be told from the size.

    A flat axis of 12 features is, under `vector`, 4 vectors; under `nodes`, with a group on 6 nodes, 6 nodes with 2
    features each, the node the slower index.
    """

    action: str
    shape: tuple[int, ...] | None = None


Given = str | Features | Bound | Representation


def spaces(group: Group, given: Sequence[tuple[Given, int]]) -> list[Representation]:
    """One representation of `size` for each pair (what is given, size); a bare S or A takes its degree from the first.

    Raises ClaimError where a size does not fit its action.
    """
    extents = Extents()
    for what, size in given:
        if isinstance(what, str | Features):
            actions, shape = read(what, group, size)
            for action in actions:
                extents = extents if extents.degree is not None else action.extents(shape)
    if _with(group, "permutation") is not None:
        group = group.bind(Extents(degree=extents.degree))
    return [space(group, what, size) for what, size in given]


def space(group: Group, what: Given, size: int) -> Representation:
    """The representation of one slot with `size` features."""
    if isinstance(what, Bound):
        found = of(what, shape_of(what.actions, what.group, size))
    elif isinstance(what, Representation):
        found = what
    else:
        actions, shape = read(what, group, size)
        text = what if isinstance(what, str) else what.action
        found = of(Bound(actions, group), shape, text)
    if found.size != size:
        raise ClaimError(
            f"'{found}' describes {found.size} features, but the layer has {size}",
            where=f"the features of a layer under {group.name}",
            hint="check the action, or give Features(action, shape)",
        )
    return found


def read(what: str | Features, group: Group, size: int) -> tuple[tuple[Action, ...], tuple[int, ...]]:
    """The actions and the shape of one sample."""
    text, shape = (what, None) if isinstance(what, str) else (what.action, what.shape)
    actions = parse_actions(text)
    return actions, shape_of(actions, group, size) if shape is None else shape


def shape_of(actions: Sequence[Action], group: Group, size: int) -> tuple[int, ...]:
    """How `size` features in a row are laid out for the first action that needs more than a row."""
    for action in actions:
        if isinstance(action, Image):
            return (size, 1, 1)
        trailing = _trailing(action, group)
        if trailing:
            return (size // math.prod(trailing), *trailing) if size % math.prod(trailing) == 0 else (size,)
        if isinstance(action, Slots) and action.axes > 1:
            n = round(size ** (1 / action.axes))
            return (n,) * action.axes if n**action.axes == size else (size,)
        if isinstance(action, Slots) and action.axis == 0:
            degree = _degree(group)
            return (degree, size // degree) if degree and size % degree == 0 else (size,)
    return (size,)


def one_block(group: Group, what: Given) -> Representation:
    """The representation on as few features as there can be: its matrices are the blocks of those on more."""
    if isinstance(what, Representation):
        return what
    if isinstance(what, Bound):
        return space(what.group, what, _least(what.actions, what.group))
    actions = parse_actions(what if isinstance(what, str) else what.action)
    if _with(group, "permutation") is not None and _degree(group) is None:
        group = group.bind(Extents(degree=_SMALL))
    size = _least(actions, group)
    if isinstance(what, Features) and what.shape is not None:
        size = math.prod(what.shape)
    return space(group, what, size)


def _least(actions: Sequence[Action], group: Group) -> int:
    """The smallest number of features on which these actions make sense."""
    for action in actions:
        if isinstance(action, Irreps):
            return action.size
        if isinstance(action, Image):
            fields = action.fiber.fields if action.fiber else ()
            listed = _with(group, "regular") or group
            return sum((count or 1) * field.size(listed) for count, field in fields) or 1
        if trailing := _trailing(action, group):
            return math.prod(trailing)
        if isinstance(action, Slots):
            return int((_degree(group) or 1) ** action.axes)
        if isinstance(action, Channels):
            return _degree(group) or _linear(group) or 1
    return 1


def _trailing(action: Action, group: Group) -> tuple[int, ...]:
    """The axes of components, after those of channels."""
    if isinstance(action, Regular):
        counted = _with(group, "regular")
        return (1 if counted is None else counted.order or 1,)
    if isinstance(action, Multivector):
        return (action.size,)
    d = _linear(group)
    if d is not None and isinstance(action, Components | CartesianTensor):
        return (d,) * (action.rank if isinstance(action, CartesianTensor) else 1)
    return ()


def _degree(group: Group) -> int | None:
    """The number of slots of a group that knows it."""
    permuting = _with(group, "permutation")
    try:
        return None if permuting is None else int(permuting.face("permutation", permuting.identity(1)).shape[1])
    except ClaimError:
        return None


def _linear(group: Group) -> int | None:
    """The size of the group's matrices."""
    turning = _with(group, "linear")
    return None if turning is None else linear_dimension(turning)


def _with(group: Group, face: str) -> Group | None:
    """The first factor that offers a face."""
    return next((factor for factor in group.factors() if face in factor.faces), None)
