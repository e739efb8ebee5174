"""An action: how one group element moves one tensor.

`represent` turns elements into numbers once, in float64 on the CPU; `act` is the hot path and applies those
numbers, on the device and in the subject's dtype, to a batch with one element per row.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.errors import ClaimError
from symcheck.groups.base import Extents, Group
from symcheck.registry import Registry

Rep = tuple[Tensor, ...]


class Action(ABC):
    """How a group moves a tensor with rows (n, *S).

    `name` parses back; `uses` lists the faces that this action understands (see Group); `isometric` says that
    ||g·y|| = ||y|| for differences y of two samples, so that defects may be pulled back by the inverse;
    `trivial` that nothing ever moves.
    """

    name: str
    uses: frozenset[str] = frozenset()
    isometric: bool = True
    trivial: bool = False
    rowwise: bool = False  # acts on each row of a packed tensor by itself
    relabels: bool = False  # moves whole nodes, or renames them: packed rows follow
    curved: bool = False  # outputs live on a manifold: `difference` is a distance
    affine: bool = False  # translations move the values themselves
    hidden: bool = False  # kept with the data for a relation, never shown to the model
    whole: bool = False  # takes the whole element of a product, not the part in one factor
    names: tuple[str, ...] = ()  # shared with the other actions of a claim, each for one factor of the group

    @abstractmethod
    def represent(self, group: Group, g: Tensor) -> Rep:
        """The numbers of the elements g of an indivisible group: tensors with leading axis len(g), float64 or int64."""

    @abstractmethod
    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Move row i of x, (n, *S), by element i; rep tensors are rows gathered to the same n."""

    def among(self, names: Iterable[str]) -> Action:
        """This action in a claim whose actions have these names between them."""
        return self

    def extents(self, shape: tuple[int, ...]) -> Extents:
        """What a sample of this shape says about the group (degree, dimension, grid)."""
        return Extents()

    def exact(self, group: Group, g: Tensor) -> Tensor:
        """(n,) bool: False where the element is applied by resampling, so that its own law holds up to a floor."""
        return torch.ones(len(g), dtype=torch.bool)

    def lattice(self, group: Group) -> Tensor | None:
        """The elements (identity left out) that need no resampling, where an action knows them; else None."""
        return None

    def mask(self, shape: tuple[int, ...]) -> Tensor | None:
        """Which entries of a sample of this shape count when elements are resampled; None: all of them."""
        return None

    def observe(self, x: Tensor) -> Tensor:
        """What the model sees of the stored sample (a crop); the identity for most actions."""
        return x

    @property
    def observes(self) -> bool:
        """Whether the model sees something else than the stored sample."""
        return type(self).observe is not Action.observe

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """The difference whose norm is the error, rows (n, ...); y - z unless the output lives on a manifold."""
        return y - z

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:  # noqa: B027
        """Raise when a sample of this shape cannot be moved by the group; most actions take any."""

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


@dataclass(frozen=True)
class Part:
    """One action of one direct factor of the group; index -1 is the whole group."""

    action: Action
    group: Group
    index: int


class Bound:
    """The actions of one slot, bound to a (bound) group: `points*nodes` under `SO(3) x S(5)` has two parts."""

    def __init__(self, actions: tuple[Action, ...], group: Group) -> None:
        self.actions, self.group = actions, group
        self.parts = tuple(
            Part(action, factor, index)
            for action in actions
            for index, factor in ([(-1, group)] if action.whole else enumerate(group.factors()))
            if action.whole or (action.uses & factor.faces and not action.trivial)
        )

    @property
    def trivial(self) -> bool:
        """Whether nothing is ever moved."""
        return not self.parts

    @property
    def isometric(self) -> bool:
        """Whether every part keeps the norm of differences."""
        return all(part.action.isometric for part in self.parts)

    def represent(self, g: Tensor) -> tuple[Rep, ...]:
        """One tuple of tensors per part, float64 or int64 on the CPU."""
        pieces = (*self.group.split(g), g)
        return tuple(part.action.represent(part.group, pieces[part.index]) for part in self.parts)

    def act(self, reps: tuple[Rep, ...], x: Tensor) -> Tensor:
        """g·x row by row."""
        for part, rep in zip(self.parts, reps, strict=True):
            x = part.action.act(part.group, rep, x)
        return x

    def __call__(self, g: Tensor, x: Tensor) -> Tensor:
        """g·x for elements (n, *E) and rows (n, *S); the convenient, unhurried form."""
        reps = self.represent(g)
        return self.act(move(reps, x.device, x.dtype), x)

    def exact(self, g: Tensor) -> Tensor:
        """(n,) bool: whether every part applies the element without resampling."""
        pieces = (*self.group.split(g), g)
        flags = torch.ones(len(g), dtype=torch.bool)
        for part in self.parts:
            flags &= part.action.exact(part.group, pieces[part.index])
        return flags

    def observe(self, x: Tensor) -> Tensor:
        """What the model sees of a stored sample."""
        for action in self.actions:
            x = action.observe(x)
        return x

    def difference(self, y: Tensor, z: Tensor) -> Tensor:
        """The difference of two outputs, by the first action (the others only permute or move grids)."""
        return self.actions[0].difference(y, z)


def move(reps: tuple[Rep, ...], device: torch.device, dtype: torch.dtype) -> tuple[Rep, ...]:
    """Representations on a device, floats in the given dtype (float32 for tensors that are not floating)."""
    real = dtype if dtype.is_floating_point or dtype.is_complex else torch.float64
    return tuple(
        tuple(t.to(device=device, dtype=real if t.is_floating_point() else t.dtype) for t in rep) for rep in reps
    )


def gather(reps: tuple[Rep, ...], rows: Tensor) -> tuple[Rep, ...]:
    """The representations of the elements `rows`, one per row of a batch."""
    return tuple(tuple(t[rows] for t in rep) for rep in reps)


ActionMaker = Callable[..., Action]

actions: Registry[ActionMaker] = Registry(
    "action",
    modules=(
        "symcheck.actions.plain",
        "symcheck.actions.geometric",
        "symcheck.actions.level",
        "symcheck.actions.rotation",
        "symcheck.actions.frame",
        "symcheck.actions.irreps",
        "symcheck.actions.nodes",
        "symcheck.actions.image",
        "symcheck.actions.sequence",
        "symcheck.actions.multivector",
        "symcheck.actions.intrinsics",
        "symcheck.actions.crystal",
        "symcheck.actions.weights",
    ),
    entry_point="symcheck.actions",
)


def split_options(args: tuple[str, ...]) -> tuple[list[str], dict[str, str]]:
    """Positional arguments and `key=value` options of an action's text."""
    plain = [a for a in args if "=" not in a]
    options = dict(a.split("=", 1) for a in args if "=" in a)
    return plain, options


def no_options(name: str, left: dict[str, str] | list[str]) -> None:
    """Refuse arguments that an action does not know."""
    if left:
        raise ClaimError(
            f"action '{name}' does not take '{next(iter(left))}'",
            where=f"{name}({', '.join(left)})",
            hint=f"write '{name}' without it; the README's table of actions lists what each one takes",
        )
