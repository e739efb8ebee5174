"""A relation: changes a₁, a₂, … of the inputs, and what the outputs then owe each other, `R(f(a₁x), …, f(x)) = 0`.

It stands in a claim where a group stands, `Supercell(2): pos=points, cell=lattice, z=nodes, batch=owner ->
energy=extensive`, and is measured by the same loop. What it needs not: inverses, or a law of composition.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Roles:
    """What the claim calls each input and output: the first action of its slot."""

    inputs: Mapping[str, Action]
    outputs: Mapping[str, Action]

    def input(self, role: str) -> str | None:
        """The one input with this role; None where there is none."""
        return self._one(self.inputs, role)

    def output(self, role: str) -> str | None:
        """The one output with this role; None where there is none."""
        return self._one(self.outputs, role)

    @staticmethod
    def _one(slots: Mapping[str, Action], role: str) -> str | None:
        found = [name for name, action in slots.items() if action.name.partition("(")[0] == role]
        if len(found) > 1:
            raise ClaimError(
                f"two slots have the role '{role}': {', '.join(found)}",
                where="the slots of a relation",
                hint=f"declare one of them '{role}' and the others scalar",
            )
        return found[0] if found else None


class Relation(Group):
    """What f(a(g)·x) owes f(x), for parameters g, rows (n, *E) as those of a group; element 0 changes nothing.

    `inputs` and `outputs` are the roles that it understands, beside `scalar`, `owner` and `ignore`; `needs` those
    without which it says nothing.
    """

    related = True
    compact = False
    law = "uniform"
    inputs: ClassVar[frozenset[str]] = frozenset()
    outputs: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset()
    together: ClassVar[bool] = False  # whether it is about what stands in one batch

    @abstractmethod
    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """The changed samples, one or several for each pair of the batch; `g` holds a parameter for each pair.

        Several views of a pair are whole batches one after another: samples 0..n-1 are the first views of the n
        pairs, n..2n-1 the second ones. Tensors may have other shapes than before. With no view to run: `batch`.
        """

    @abstractmethod
    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """R for the output `name`: zero where the relation holds, rows and shape as those of `rest[name]`.

        `seen` holds f of the moved batch, `rest` f(x) of every pair, by output; `batch` the pairs before the move.
        Scaled so that its norm compares with that of a change of the whole output.
        """

    def measures(self, action: Action) -> bool:
        """Whether an output with this role gets a finding; others are only read."""
        return True

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """This relation with everything that the inputs decide filled in; refuses roles that it does not understand."""
        self._check(roles, self.inputs, what)
        missing = self.needs - {action.name.partition("(")[0] for action in roles.values()}
        if missing:
            raise ClaimError(
                f"{self.name} needs an input with the role '{min(missing)}'",
                where=what,
                hint="declare it by name, e.g. pos=points",
            )
        return self

    def check_outputs(self, roles: Mapping[str, Action], what: str) -> None:
        """Refuse roles of outputs that the relation does not understand."""
        self._check(roles, self.outputs, what)

    def _check(self, roles: Mapping[str, Action], known: frozenset[str], what: str) -> None:
        understood = {*known, "scalar", "owner", "ignore"}
        for name, action in roles.items():
            if action.name.partition("(")[0] not in understood:
                raise ClaimError(
                    f"{self.name} does not understand '{name}={action}'",
                    where=what,
                    hint=f"it knows {', '.join(sorted(understood))}",
                )

    def identity(self, n: int) -> Tensor:
        """Parameters that change nothing: zeros, shaped as those that are drawn."""
        return torch.zeros_like(self.sample(n, Draws(0, self.name)))

    def compose(self, a: Tensor, b: Tensor) -> Tensor:
        """Changes need not compose."""
        raise ClaimError(f"{self.name} is a relation and composes nothing", hint="it stands alone in its claim")

    def inverse(self, a: Tensor) -> Tensor:
        """Changes need no inverse."""
        raise ClaimError(f"{self.name} is a relation and has no inverse", hint="it stands alone in its claim")

    def factors(self) -> tuple[Group, ...]:
        """Nothing that actions could listen to."""
        return ()


class Single(Relation):
    """A relation with one change, or none: every sample is measured once."""

    order = 2
    law = "every sample"

    def elements(self) -> Tensor:
        """Nothing, and the change."""
        return torch.arange(2, dtype=torch.float64)[:, None]

    def sample(self, n: int, rng: object) -> Tensor:
        """The change, n times."""
        return torch.ones(n, 1, dtype=torch.float64)

    def label(self, g: Tensor, i: int) -> str:
        """Its name."""
        return self.name
