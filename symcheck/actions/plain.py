"""Actions without geometry (scalars, signs, factors, a user's function), and actions from text."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions, no_options
from symcheck.actions.linear import apply_number
from symcheck.errors import ClaimError, DataError
from symcheck.grammar import Slot, Term
from symcheck.groups.base import Group, number
from symcheck.groups.matrices import determinant
from symcheck.importing import import_object

UserFunction = Callable[[Tensor, Tensor], Tensor]


@final
class Scalar(Action):
    """g·y = y: numbers that the group does not move; another name is a role for relations to read."""

    trivial = True
    rowwise = True

    def __init__(self, name: str = "scalar", *, hidden: bool = False) -> None:
        self.name, self.hidden = name, hidden

    def represent(self, group: Group, g: Tensor) -> Rep:
        """Nothing is needed."""
        return ()

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """x itself."""
        return x


@final
class Marker(Action):
    """A slot with a role instead: `ignore` (not measured, not shown) or `owner` (the sample of each packed row)."""

    trivial = True

    def __init__(self, name: str) -> None:
        self.name, self.hidden = name, name == "ignore"

    def represent(self, group: Group, g: Tensor) -> Rep:
        """Nothing is needed."""
        return ()

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """x itself."""
        return x


@final
class Pseudoscalar(Action):
    """g·y = sign(det R) y: numbers that change sign under mirrors, such as chirality or planar vorticity."""

    name = "pseudoscalar"
    uses = frozenset({"linear"})
    rowwise = True

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n,) signs."""
        return (determinant(group.face("linear", g).to(torch.float64)).sign(),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Multiply by the sign."""
        return apply_number(rep[0], x)


@final
class Homogeneous(Action):
    """g·y = s^p y: a quantity of degree p under a positive factor s."""

    uses = frozenset({"factor"})
    isometric = False
    rowwise = True

    def __init__(self, power: float) -> None:
        self.power = power
        self.name = f"homogeneous({power:g})"

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n,) powers s^p."""
        return (_power(group.face("factor", g).to(torch.float64), self.power, group),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Multiply by s^p."""
        return apply_number(rep[0], x)


@final
class UserAction(Action):
    """g·x = function(g, x), elements (n, *E) in float64 and rows (n, *S); products come as one packed row.

    Nothing is known about the function, so it is not assumed to keep norms; `rowwise` says that it also moves
    each row of a packed tensor by itself.
    """

    isometric = False
    whole = True

    def __init__(self, name: str, function: UserFunction, *, rowwise: bool = False) -> None:
        self.name, self.function, self.rowwise = name, function, rowwise

    def represent(self, group: Group, g: Tensor) -> Rep:
        """The elements themselves."""
        return (g.to(torch.float64),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """function(g, x), which must keep the shape of x."""
        moved: Any = self.function(rep[0], x)
        if not isinstance(moved, Tensor) or moved.shape != x.shape:
            got = tuple(moved.shape) if isinstance(moved, Tensor) else type(moved).__name__
            raise DataError(
                f"the action '{self.name}' turned rows of shape {tuple(x.shape)} into {got}",
                where=f"{self.name}(g of shape {tuple(rep[0].shape)}, x)",
                hint="return a tensor of the same shape as x, one moved row per row",
            )
        return moved


def user_action(name: str, function: UserFunction, *, rowwise: bool = False) -> Action:
    """The action g·x = function(g, x) of a user's function; `name` is the text that imports it."""
    if not callable(function):
        raise ClaimError(
            f"'{name}' is a {type(function).__name__}, which cannot act",
            where=name,
            hint="name a function of (g, x) that returns g·x",
        )
    return UserAction(name, function, rowwise=rowwise)


def make_action(term: Term) -> Action:
    """The action that a term names; `module:function` is a user's own. Unknown names are a ClaimError."""
    if ":" in term.name:
        rowwise = term.args == ("rowwise",)
        if not rowwise:
            no_options(term.name, list(term.args))
        return user_action(str(term), import_object(term.name), rowwise=rowwise)
    maker = actions.get(term.name, where=str(term))
    try:
        inspect.signature(maker).bind(*term.args)
    except TypeError:
        raise ClaimError(
            f"action '{term.name}' does not take {len(term.args)} argument(s)",
            where=str(term),
            hint=f"it takes ({', '.join(inspect.signature(maker).parameters)})",
        ) from None
    return maker(*term.args)


def make_actions(slot: Slot) -> tuple[Action, ...]:
    """The actions of one slot, in order; `ignore` and `owner` stand alone."""
    made = tuple(make_action(term) for term in slot.terms)
    if len(made) > 1 and any(isinstance(action, Marker) for action in made):
        raise ClaimError(
            f"'{slot}' combines a marker with an action",
            where=str(slot),
            hint="ignore and owner stand alone in their slot",
        )
    return made


@actions.register("scalar", "invariant", "trivial")
def _scalar() -> Action:
    return Scalar()


@actions.register("tokens")
def _tokens() -> Action:
    return Scalar("tokens")


@actions.register("mask")
def _mask(*words: str) -> Action:
    no_options("mask", [word for word in words if word != "padded"])
    return Scalar("mask(padded)" if words else "mask")


@actions.register("positions")
def _positions() -> Action:
    return Scalar("positions")


@actions.register("extensive")
def _extensive() -> Action:
    return Scalar("extensive")


@actions.register("variant")
def _variant() -> Action:
    return Scalar("variant", hidden=True)


@actions.register("pseudoscalar")
def _pseudoscalar() -> Action:
    return Pseudoscalar()


@actions.register("ignore")
def _ignore() -> Action:
    return Marker("ignore")


@actions.register("owner")
def _owner() -> Action:
    return Marker("owner")


@actions.register("homogeneous")
def _homogeneous(power: str = "1") -> Action:
    return Homogeneous(number(power, float, "homogeneous"))


def _power(factor: Tensor, power: float, group: Group) -> Tensor:
    if not power.is_integer() and bool((factor < 0).any()):
        raise ClaimError(
            f"{group.name} has negative factors, whose power {power:g} is not a real number",
            where=f"homogeneous({power:g}) under {group.name}",
            hint="use an integer degree",
        )
    return factor**power
