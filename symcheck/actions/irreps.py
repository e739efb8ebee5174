"""Features in e3nn's notation: `irreps(16x0e+8x1o)`, moved by Wigner matrices with parity."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import final

import torch
from torch import Tensor

from symcheck.actions.base import Action, Rep, actions
from symcheck.actions.linear import apply_matrix, check_spatial, check_trailing, orthogonal_face
from symcheck.actions.wigner import wigner
from symcheck.errors import ClaimError
from symcheck.groups.base import Group
from symcheck.groups.matrices import determinant

MAX_DEGREE = 11

_BLOCK = re.compile(r"(?:(\d+)\s*x\s*)?(\d+)([eo])")


@dataclass(frozen=True)
class Block:
    """`multiplicity` copies of the irrep of one degree and parity (1 for e, -1 for o), in a row."""

    multiplicity: int
    degree: int
    parity: int

    @property
    def size(self) -> int:
        """How many components the block has: multiplicity (2l + 1)."""
        return self.multiplicity * (2 * self.degree + 1)

    @property
    def irrep(self) -> tuple[int, int]:
        """(degree, parity)."""
        return self.degree, self.parity

    def __str__(self) -> str:
        return f"{self.multiplicity}x{self.degree}{'e' if self.parity > 0 else 'o'}"


@final
class Irreps(Action):
    """g·y = ⊕ D_l(det(R) R) p^[det R < 0] y on a trailing axis of Σ mul (2l+1) components, in e3nn's order.

    Within a block the copy is the slower index; degree 1 is (x, y, z). The components are those of e3nn 0.2
    and later (Geiger & Smidt 2022, arXiv:2207.09453).
    """

    uses = frozenset({"linear"})
    rowwise = True

    def __init__(self, blocks: tuple[Block, ...]) -> None:
        self.blocks = blocks
        self.name = f"irreps({'+'.join(map(str, blocks))})"
        self.size = sum(block.size for block in blocks)
        self._runs = _merged(blocks)
        self._ends = tuple(accumulate(run.size for run in self._runs))
        self._irreps = tuple(dict.fromkeys(run.irrep for run in self._runs if run.irrep != (0, 1)))

    def check(self, group: Group, shape: tuple[int, ...], what: str) -> None:
        """The trailing axis must have Σ mul (2l+1) entries, and the group must be spatial or planar."""
        check_trailing(shape, (self.size,), self.name, what)
        check_spatial(group, 3, what)

    def represent(self, group: Group, g: Tensor) -> Rep:
        """One (n, 2l+1, 2l+1) tensor per distinct irrep, 0e left out."""
        linear = orthogonal_face(group, g, 3, self.name)
        sign = determinant(linear).sign()[:, None, None]
        even = {degree: wigner(degree, sign * linear) for degree in {degree for degree, _ in self._irreps}}
        return tuple(even[degree] * (sign if parity < 0 else 1) for degree, parity in self._irreps)

    def act(self, group: Group, rep: Rep, x: Tensor) -> Tensor:
        """One batched product per run of equal irreps, all its copies at once."""
        matrices = dict(zip(self._irreps, rep, strict=True))
        pieces = torch.tensor_split(x, self._ends[:-1], dim=-1)
        moved = [_move(run, matrices.get(run.irrep), y) for run, y in zip(self._runs, pieces, strict=True)]
        return torch.cat(moved, dim=-1)


def parse_irreps(text: str) -> tuple[Block, ...]:
    """The blocks of `16x0e+8x1o`; spaces and a missing multiplicity (one) are allowed, the order is kept."""
    blocks = []
    for part in text.split("+"):
        found = _BLOCK.fullmatch(part.strip())
        if not found:
            raise ClaimError(
                f"'{part.strip()}' is not an irrep",
                where=f"irreps({text})",
                hint="write multiplicity x degree parity, joined by +, e.g. irreps(16x0e+8x1o)",
            )
        block = Block(int(found[1] or 1), int(found[2]), 1 if found[3] == "e" else -1)
        if block.degree > MAX_DEGREE:
            raise ClaimError(
                f"degree {block.degree} is above {MAX_DEGREE}, the highest that is supported",
                where=f"irreps({text})",
                hint="leave the higher degrees out of the slot",
            )
        blocks.append(block)
    if not any(block.multiplicity for block in blocks):
        raise ClaimError("there is no component", where=f"irreps({text})", hint="write e.g. irreps(8x1o)")
    return tuple(blocks)


def _merged(blocks: tuple[Block, ...]) -> tuple[Block, ...]:
    """Neighbouring blocks of the same irrep as one."""
    filled = (block for block in blocks if block.multiplicity)
    runs = groupby(filled, key=lambda block: block.irrep)
    return tuple(Block(sum(block.multiplicity for block in same), *irrep) for irrep, same in runs)


def _move(run: Block, matrix: Tensor | None, y: Tensor) -> Tensor:
    if matrix is None:
        return y
    copies = y.reshape(*y.shape[:-1], run.multiplicity, 2 * run.degree + 1)
    return apply_matrix(matrix, copies).flatten(-2)


@actions.register("irreps")
def irreps(text: str) -> Irreps:
    """The action on features in e3nn's notation, e.g. `irreps(16x0e+8x1o)`."""
    return Irreps(parse_irreps(text))
