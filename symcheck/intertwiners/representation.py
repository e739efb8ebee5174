"""A representation: how the elements of a group move vectors of one size, as numbers and not as code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from symcheck.actions.base import Action, Bound, gather
from symcheck.actions.geometric import CartesianTensor, Components
from symcheck.actions.irreps import Block, Irreps
from symcheck.actions.linear import linear_dimension
from symcheck.actions.multivector import Multivector
from symcheck.actions.nodes import Regular, Slots
from symcheck.actions.plain import make_actions
from symcheck.actions.tangents import clock, level, tangent
from symcheck.errors import ClaimError
from symcheck.grammar import Slot, parse_term
from symcheck.groups.base import Flow, Group
from symcheck.groups.draws import Draws

Act = Callable[[Tensor, Tensor], Tensor]

_ROUNDING = 1e-9
_LIKE = {"scalar": (0, 1), "pseudoscalar": (0, -1), "vector": (1, -1), "points": (1, -1), "pseudovector": (1, 1)}


@dataclass(frozen=True, eq=False)
class Representation:
    """Matrices ρ(g) of size `size`, given by `act`: elements (k, *E) and rows (k, m, size) to ρ(g) row.

    `power` says that this is that tensor power of the group's own matrices, `blocks` that it is this sum of
    irreps of O(3) in e3nn's order, `unit` that it is copies of that one, the copy the slower index; all three only
    open a cheaper way and are None where nothing is known.
    """

    group: Group
    size: int
    name: str
    act: Act
    power: int | None = None
    blocks: tuple[Block, ...] | None = None
    unit: Representation | None = None

    def matrices(self, g: Tensor) -> Tensor:
        """ρ(g), (k, *E) to (k, size, size) float64."""
        return self.act(g, torch.eye(self.size, dtype=torch.float64).expand(len(g), -1, -1)).mT

    def derivative(self, flow: Flow) -> Tensor:
        """dρ(X) = d/dt ρ(exp tX) at 0, (size, size)."""
        with level():
            return tangent(self.matrices(flow.at(clock())))[0]

    def signed_permutation(self, g: Tensor) -> tuple[Tensor, Tensor] | None:
        """(source, sign) with (ρ(g) x)[i] = sign[i] x[source[i]] for one element (1, *E); None for other matrices."""
        places = torch.arange(1, self.size + 1, dtype=torch.float64)
        other = 1.0 + Draws(0, "probe").uniform(1, self.size)[0] if self.size else places
        first, second = self.act(g, torch.stack([places, other])[None])[0]
        source = first.abs().round().to(torch.int64) - 1
        sign = first.sign()
        if not torch.equal(source.sort().values, torch.arange(self.size)):
            return None
        near = (first - sign * places[source]).abs() <= _ROUNDING
        near &= (second - sign * other[source]).abs() <= _ROUNDING
        return (source, sign) if bool(near.all()) else None

    def orthogonal(self, g: Tensor) -> bool:
        """Whether ρ(g) ρ(g)^T = I for these elements, to 1e-9."""
        matrix = self.matrices(g)
        defect = matrix @ matrix.mT - torch.eye(self.size, dtype=torch.float64)
        return bool((defect.abs() <= _ROUNDING).all())

    def restricted(self, basis: Tensor, name: str) -> Representation:
        """ρ on an invariant subspace with the orthonormal basis (size, d): Q^T ρ(g) Q."""
        act = self.act
        return Representation(self.group, basis.shape[1], name, lambda g, x: act(g, x @ basis.T) @ basis)

    def __add__(self, other: Representation) -> Representation:
        """The direct sum."""
        mine, theirs, cut = self.act, other.act, self.size

        def act(g: Tensor, x: Tensor) -> Tensor:
            return torch.cat([mine(g, x[..., :cut]), theirs(g, x[..., cut:])], dim=-1)

        both = None if self.blocks is None or other.blocks is None else (*self.blocks, *other.blocks)
        return Representation(self.group, cut + other.size, f"{self.name} + {other.name}", act, None, both)

    def __str__(self) -> str:
        return self.name


def of(bound: Bound, shape: Sequence[int], name: str = "") -> Representation:
    """The linear action of a bound slot on samples of this shape, flattened row-major.

    Raises ClaimError where the action is affine (points under translations), which no matrix states.
    """
    shape, size = tuple(shape), prod(shape)
    for part in bound.parts:
        part.action.check(part.group, shape, name or str(part.action))
        if part.action.affine and "translation" in part.group.faces:
            raise ClaimError(
                f"'{part.action}' also translates under {part.group.name}, which is not linear",
                where=name or str(part.action),
                hint="use 'vector', or a group without translations",
            )

    def act(g: Tensor, x: Tensor) -> Tensor:
        reps = gather(bound.represent(g), torch.arange(len(g)).repeat_interleave(x.shape[1]))
        return bound.act(reps, x.reshape(len(g) * x.shape[1], *shape)).reshape(len(g), x.shape[1], size)

    text = name or "*".join(map(str, bound.actions))
    rank = _rank(bound)
    unit = of(bound, shape[-rank:], text) if rank and size > prod(shape[-rank:]) else None
    return Representation(bound.group, size, text, act, *_known(bound, shape), unit)


def parse_actions(text: str) -> tuple[Action, ...]:
    """The actions of `nodes*vector`; `8x0e+4x1o` without a word is `irreps(8x0e+4x1o)`."""
    plain = text.strip()
    if plain[:1].isdigit():
        plain = f"irreps({plain})"
    return make_actions(Slot(None, tuple(parse_term(term) for term in _factors(plain))))


def power(group: Group, k: int) -> Representation:
    """The k-th tensor power of the group's permutations [n]^k or of its matrices."""
    if k == 0:
        return trivial(group, 1)
    if "permutation" in group.faces:
        degree = group.face("permutation", group.identity(1)).shape[1]
        bound = Bound((Slots("nodes" if k == 1 else f"nodes^{k}", 0, axes=k),), group)
        return of(bound, (degree,) * k, f"[{degree}]^{k}")
    letters = "abcdefghijklmnopqrstuvwxyz"[:k]
    return of(Bound((CartesianTensor(letters),), group), (linear_dimension(group),) * k, f"R^{k} tensors")


def trivial(group: Group, size: int) -> Representation:
    """Numbers that the group does not move."""
    blocks = (Block(size, 0, 1),)
    return Representation(group, size, f"{size} scalars", lambda g, x: x, 0 if size == 1 else None, blocks)


def given(group: Group, matrices: Callable[[Tensor], Tensor], size: int, name: str = "given") -> Representation:
    """The representation with matrices (k, *E) to (k, size, size), whatever they are."""

    def act(g: Tensor, x: Tensor) -> Tensor:
        return x @ matrices(g).to(x.dtype).mT

    return Representation(group, size, name, act)


def _factors(text: str) -> list[str]:
    """The terms of `a*b(c*d)`: split at asterisks outside brackets."""
    terms, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if letter == "*" and not depth:
            terms.append("")
        else:
            terms[-1] += letter
    return terms


def _rank(bound: Bound) -> int:
    """How many trailing axes a single action moves, the axes before them being channels; 0 where that is not so."""
    action = bound.actions[0]
    if len(bound.actions) > 1 or not isinstance(action, Components | CartesianTensor | Multivector | Regular):
        return 0
    return action.rank if isinstance(action, CartesianTensor) else 1


def _known(bound: Bound, shape: tuple[int, ...]) -> tuple[int | None, tuple[Block, ...] | None]:
    """(power, blocks) of a single well-known action of a single group; None for what is not known."""
    size = prod(shape)
    if len(bound.actions) != 1 or len(bound.group.factors()) != 1:
        return None, None
    action = bound.actions[0]
    if action.trivial:
        return (0 if size == 1 else None), (Block(size, 0, 1),)
    if "linear" not in bound.group.faces:
        return None, None
    d = linear_dimension(bound.group)
    blocks: tuple[Block, ...] | None = None
    if isinstance(action, Irreps) and shape == (action.size,):
        blocks = action.blocks
    elif action.name in _LIKE and d == 3:
        degree, parity = _LIKE[action.name]
        blocks = (Block(size // (2 * degree + 1), degree, parity),)
    if isinstance(action, CartesianTensor) and not action.pseudo and shape == (d,) * action.rank:
        return action.rank, blocks
    return (1 if isinstance(action, Components) and action.name == "vector" and shape == (d,) else None), blocks
