"""Relations of images: tiling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action
from symcheck.actions.image import Image
from symcheck.batch import Batch
from symcheck.errors import ClaimError, DataError
from symcheck.groups.arguments import title, whole
from symcheck.groups.base import groups
from symcheck.relations.base import Relation, Roles, Shapes, Single
from symcheck.relations.sequences import dense, gap, minus, role


@final
@groups.register("Tile")
class Tile(Single):
    """An image repeated a × b times: pooled outputs stay, and an image of outputs is repeated as well.

    Tile(2) is 2 × 2, Tile(1,3) one row of three. The difference of an image is the root of the mean square over the
    tiles.
    """

    examples = ("Tile(2)", "Tile(1,3)")
    inputs = frozenset({"image"})
    outputs = frozenset({"image"})
    needs = frozenset({"image"})

    def __init__(self, rows: str, columns: str = "") -> None:
        self.tiles = (whole(rows, "Tile", 1), whole(columns or rows, "Tile", 1))
        self.name = title("Tile", *(self.tiles[:1] if self.tiles[0] == self.tiles[1] else self.tiles))
        if self.tiles == (1, 1):
            raise ClaimError(f"{self.name} repeats nothing", where=self.name, hint="write Tile(2)")

    def fit(self, shapes: Shapes, roles: Mapping[str, Action], what: str) -> Relation:
        """Needs whole images."""
        super().fit(shapes, roles, what)
        for name, action in roles.items():
            if role(action) == "image" and len(shapes[name]) < 2:
                raise ClaimError(
                    f"'{name}' of shape {tuple(shapes[name])} is no image",
                    where=what,
                    hint="rows and columns are the last two axes",
                )
        return self

    def _check(self, roles: Mapping[str, Action], known: frozenset[str], what: str) -> None:
        super()._check(roles, known, what)
        for name, action in roles.items():
            if isinstance(action, Image) and (action.crop or action.disc):
                raise ClaimError(
                    f"{self.name} repeats whole images, not '{name}={action}'",
                    where=what,
                    hint="write image",
                )

    def move(self, g: Tensor, batch: Batch, roles: Roles) -> Batch:
        """Larger images."""
        dense(batch, self.name)
        tensors = dict(batch.tensors)
        for name, action in roles.inputs.items():
            if role(action) == "image":
                x = tensors[name]
                tensors[name] = x.repeat(*[1] * (x.dim() - 2), *self.tiles)
        return batch.with_tensors(tensors)

    def residual(
        self, name: str, g: Tensor, seen: Mapping[str, Tensor], rest: Mapping[str, Tensor], batch: Batch, roles: Roles
    ) -> Tensor:
        """f(tiled) − f(x), of images ‖tiles − f(x)‖ / √count pixel by pixel."""
        y, z = seen[name], rest[name]
        if role(roles.outputs[name]) != "image":
            return gap(name, y, z, self.name)
        (a, b), (height, width) = self.tiles, z.shape[-2:]
        if y.shape != (*z.shape[:-2], a * height, b * width):
            raise DataError(
                f"output '{name}' has the shape {tuple(y.shape)} for tiles, and {tuple(z.shape)} for one",
                where=self.name,
                hint=f"an image of outputs is to have {a} times the rows and {b} times the columns; others are scalar",
            )
        apart = minus(y.reshape(*z.shape[:-2], a, height, b, width), z[..., None, :, None, :])
        delta: Tensor = torch.linalg.vector_norm(apart, dim=(-4, -2)) / (a * b) ** 0.5
        return delta
