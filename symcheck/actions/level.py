"""Values on a scale whose zero is a convention: temperatures, prices, potentials, time series."""

from __future__ import annotations

from typing import final

from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import apply_number
from symcheck.errors import ClaimError
from symcheck.groups.base import Group


@final
class Level(Action):
    """g·x = x + t on every entry under T(1), s x under a factor. Shapes: any."""

    name = "level"
    uses = frozenset({"translation", "factor"})
    affine = True
    rowwise = True

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The translations must be those of a line."""
        if "translation" in group.faces and group.face("translation", group.identity(1)).shape[1] != 1:
            raise ClaimError(
                f"{group.name} moves several components, but 'level' adds one number to all entries",
                where=what,
                hint="use T(1), or 'points' where every channel has an offset of its own",
            )

    def represent(self, group: Group, g: Tensor) -> Rep:
        """(n,) factors or offsets."""
        if "factor" in group.faces:
            return (group.face("factor", g).double(),)
        return (group.face("translation", g)[:, 0].double(),)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One product or one sum."""
        if "factor" in group.faces:
            return apply_number(rep[0], x)
        return x + rep[0].reshape(-1, *[1] * (x.dim() - 1))


@actions.register("level")
def level() -> Level:
    """g·x = x + t on every entry, s x under a factor: values whose zero and unit are conventions."""
    return Level()
