"""A user's own relation, `file.py:name`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, final

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.batch import Batch
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import groups
from symcheck.groups.draws import Draws
from symcheck.importing import import_object
from symcheck.relations.base import Relation, Roles, Shapes
from symcheck.relations.sequences import dense

_PARTS = ("sample", "move", "residual")


@final
@groups.register("module:name")
class UserRelation(Relation):
    """The relation of a user's object or module, which is imported when it is first needed.

    `sample(n, seed)` gives parameters (n, *E), of which row i should depend on the seed and i alone; `move(g, inputs)`
    the changed inputs as a dict of the same names, one or several whole batches one after another; and
    `residual(g, seen, rest)` what should vanish, shaped as the outputs at rest: a dict, or a tensor where one output
    is measured.
    """

    examples = ("module:name",)
    law = "drawn by the user's sample(n, seed)"

    def __init__(self, name: str = "module:name") -> None:
        self.name = name

    @cached_property
    def _parts(self) -> dict[str, Any]:
        found = import_object(self.name)
        return {part: getattr(found, part, None) for part in _PARTS}

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Imports the object, and says what it lacks before anything is measured."""
        missing = [part for part, function in self._parts.items() if not callable(function)]
        if missing:
            raise ClaimError(
                f"'{self.name}' is no relation: it has no function {', '.join(missing)}",
                where=what,
                hint="give it sample(n, seed), move(g, inputs) and residual(g, seen, rest)",
            )
        return self

    def _check(self, roles: Mapping[str, Action], known: frozenset[str], what: str) -> None:
        """The words are the user's."""

    def sample(self, n: int, rng: Draws) -> Tensor:
        """The user's parameters, float64 or int64; a shard draws those before its own, too."""
        count = rng.start + n
        seed = zlib.crc32(f"{rng.seed} {rng.key}".encode())
        g = self._called("sample", count, seed)
        if not isinstance(g, Tensor) or g.dim() == 0 or len(g) != count or g.is_complex():
            raise self._odd("sample(n, seed)", g, f"n = {count}", "return a tensor of n rows, one for each element")
        return g[rng.start :].cpu().to(torch.float64 if g.is_floating_point() else torch.int64)

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """The user's changed inputs, made in float64 so that the change adds no rounding of its own."""
        dense(batch, self.name)
        wide = {name: x.double() if x.is_floating_point() else x for name, x in batch.tensors.items()}
        moved = self._called("move", g, wide)
        where = f"inputs {', '.join(f'{n} {tuple(x.shape)}' for n, x in batch.tensors.items())}"
        if not isinstance(moved, Mapping) or moved.keys() != batch.tensors.keys():
            raise self._odd("move(g, inputs)", moved, where, "return a dict of the same names")
        counts = {len(x) if isinstance(x, Tensor) and x.dim() else 0 for x in moved.values()}
        count = counts.pop()
        if counts or not count or count % batch.count:
            hint = f"return tensors of {batch.count} rows each, or of a multiple of that"
            raise self._odd("move(g, inputs)", moved, where, hint)
        return Batch(dict(moved), count)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """The user's residual of this output."""
        given = self._called("residual", g, dict(seen), dict(rest))
        measured = [n for n, action in roles.outputs.items() if action.name != "ignore"]
        where = f"outputs {', '.join(f'{n} {tuple(y.shape)}' for n, y in rest.items())}"
        if isinstance(given, Tensor) and len(measured) > 1:
            raise self._odd("residual(g, seen, rest)", given, where, "return a dict with one tensor for each output")
        delta = given.get(name) if isinstance(given, Mapping) else given
        if delta is None:
            hint = "return one tensor for each output, and declare ignore what is not measured"
            raise self._odd("residual(g, seen, rest)", given, where, hint)
        if not isinstance(delta, Tensor) or delta.shape != rest[name].shape:
            hint = f"return for '{name}' a tensor of shape {tuple(rest[name].shape)}, zero where the relation holds"
            raise self._odd("residual(g, seen, rest)", delta, where, hint)
        return delta

    def _called(self, part: str, *arguments: Any) -> Any:
        """What a function of the user returns; what it may raise is reported as the user's."""
        try:
            return self._parts[part](*arguments)
        except Exception as error:
            line = (str(error).strip().splitlines() or [""])[0]
            raise DataError(
                f"'{self.name}': {part} raised {type(error).__name__}: {line}",
                where=f"{part} of the relation",
                hint="mend the relation; --traceback shows where it fails",
            ) from error

    def _odd(self, call: str, got: object, where: str, hint: str) -> DataError:
        return DataError(f"'{self.name}': {call} returned {_told(got)}", where=where, hint=hint)


def _told(got: object) -> str:
    if isinstance(got, Mapping):
        return "{" + ", ".join(f"{name}: {_told(value)}" for name, value in got.items()) + "}"
    return f"a tensor of shape {tuple(got.shape)}" if isinstance(got, Tensor) else f"a {type(got).__name__}"
