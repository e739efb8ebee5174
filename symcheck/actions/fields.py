"""What the channels of an image do while its pixels turn: a sum of field types, `3*trivial+directions`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from symcheck.actions.base import Rep
from symcheck.actions.grid import permute
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.matrices import determinant

_ROUNDING = 1e-6
_TYPES = ("trivial", "sign", "vector", "regular", "directions")
_TERM = re.compile(r"(?:(\d+)\*)?([a-z]+)(?:\((\d+)\))?")
_DIRECTIONS = 4


@dataclass(frozen=True)
class Field:
    """One block of channels: `trivial`, `sign`, `vector`, `regular`, or `directions` with its number of planes."""

    kind: str
    planes: int = 0

    def __str__(self) -> str:
        return self.kind if self.planes in (0, _DIRECTIONS) else f"{self.kind}({self.planes})"

    def size(self, group: Group) -> int:
        """How many channels one block has."""
        return {"trivial": 1, "sign": 1, "vector": 2, "regular": group.order or 0}.get(self.kind, self.planes)

    def represent(self, group: Group, g: Tensor, matrix: Tensor) -> Tensor:
        """Permutations (n, size) int64, or matrices (n, size, size), given those of the plane (n, 2, 2)."""
        if self.kind == "regular":
            return group.face("regular", g)
        if self.kind == "directions":
            return self._permuted(matrix.double()).round().to(torch.int64) % self.planes
        return determinant(matrix).sign()[:, None, None] if self.kind == "sign" else matrix

    def act(self, rep: Tensor, blocks: Tensor) -> Tensor:
        """Move blocks (n, count, size, pixels)."""
        if rep.dim() == 2:
            return permute(blocks, rep, 2)
        return rep[:, None].to(blocks.dtype) @ blocks

    def check(self, group: Group, matrix: Tensor, what: str) -> None:
        """Raise unless the group moves this field, given matrices (n, 2, 2) of its elements."""
        if self.kind == "regular" and ("regular" not in group.faces or group.order is None):
            raise ClaimError(
                f"'{self}' permutes feature maps by a finite group, which {group.name} is not",
                where=what,
                hint="use C4 or D4, or fiber=vector",
            )
        if self.kind == "directions":
            place = self._permuted(matrix)
            if not bool(((place - place.round()).abs() < _ROUNDING).all()):
                raise ClaimError(
                    f"{group.name} turns the {self.planes} directions of '{self}' into others",
                    where=what,
                    hint=f"use C{self.planes} or D{self.planes}, or as many planes as the group has directions",
                )

    def _permuted(self, matrix: Tensor) -> Tensor:
        """Where direction d, at the angle 2πd/planes from +x counter-clockwise, goes: (n, planes) float64."""
        angle = torch.arange(self.planes, dtype=torch.float64) * (2 * math.pi / self.planes)
        x, y = (matrix @ torch.stack([angle.cos(), angle.sin()])).unbind(1)
        return torch.atan2(y, x) * (self.planes / (2 * math.pi))


@dataclass(frozen=True)
class Fibre:
    """Fields on consecutive channels, (count, field); a single one without a count fills all channels."""

    fields: tuple[tuple[int | None, Field], ...]

    @classmethod
    def parse(cls, text: str, where: str) -> Fibre:
        """Read `3*trivial+directions`, `regular`, `2*vector+sign+directions(8)`."""
        terms = [_TERM.fullmatch(term.strip()) for term in text.split("+")]
        fields = []
        for term in terms:
            good = term is not None and term[2] in _TYPES and (term[3] is None or term[2] == "directions")
            if term is None or not good or term[1] == "0" or (term[3] and int(term[3]) < 2):
                raise ClaimError(
                    f"'fiber={text}' is not understood by the action 'image'",
                    where=where,
                    hint=f"write a sum such as 3*trivial+directions of {', '.join(_TYPES)}",
                )
            planes = int(term[3] or _DIRECTIONS) if term[2] == "directions" else 0
            count = int(term[1]) if term[1] else 1 if len(terms) > 1 else None
            fields.append((count, Field(term[2], planes)))
        return cls(tuple(fields))

    def __str__(self) -> str:
        plain = (None, 1) if len(self.fields) > 1 else (None,)
        return "+".join(str(field) if count in plain else f"{count}*{field}" for count, field in self.fields)

    @property
    def moving(self) -> tuple[Field, ...]:
        """The different fields that need numbers of the element."""
        return tuple(dict.fromkeys(field for _, field in self.fields if field.kind != "trivial"))

    def represent(self, group: Group, g: Tensor, matrix: Tensor) -> Rep:
        """One tensor for each moving field."""
        return tuple(field.represent(group, g, matrix) for field in self.moving)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """Move the channels of x, (n, .., C, H, W)."""
        if not self.moving:
            return x
        numbers = dict(zip(self.moving, rep, strict=True))
        sizes = self._sizes(group, x.shape[-3])
        pieces = []
        for (_, field), piece in zip(self.fields, x.split_with_sizes(sizes, -3), strict=True):
            if field in numbers:
                size, shape = field.size(group), piece.shape
                blocks = piece.reshape(len(x), prod(shape[1:-2]) // size, size, shape[-2] * shape[-1])
                piece = field.act(numbers[field], blocks).reshape(shape)
            pieces.append(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces, -3)

    def check(self, group: Group, matrices: Tensor, shape: tuple[int, ...], name: str, what: str) -> None:
        """Raise unless every field can be moved, and they take all channels."""
        for _, field in self.fields:
            field.check(group, matrices, what)
        channels = shape[-3] if len(shape) > 2 else 0
        if self.fields[0][0] is None:
            size = self.fields[0][1].size(group)
            if not channels or channels % size:
                raise ClaimError(
                    f"'{name}' needs blocks of {size} channels under {group.name}, not {tuple(shape)}",
                    where=what,
                    hint="channels are the axis before rows and columns; check the number of feature maps",
                )
        elif sum(self._sizes(group, channels)) != channels:
            told = " + ".join(map(str, self._sizes(group, channels)))
            raise ClaimError(
                f"'{name}' describes {told} channels under {group.name}, but the sample has {channels}: {tuple(shape)}",
                where=what,
                hint="channels are the axis before rows and columns; say what each of them is, e.g. 3*trivial",
            )

    def _sizes(self, group: Group, channels: int) -> list[int]:
        return [channels if count is None else count * field.size(group) for count, field in self.fields]


def probe(group: Group) -> Tensor:
    """Some elements: all where they are listed."""
    listed = group.elements()
    return group.sample(8, Draws(0, "fields")) if listed is None else listed
