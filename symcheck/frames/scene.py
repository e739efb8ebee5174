"""What a frame is computed from: one batch of inputs with the actions of a claim, dense or packed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Group
from symcheck.groups.lie import Euclidean, Orthogonal, Translations
from symcheck.measure.samples import Samples

DRIVES = ("points", "vector")  # actions whose values a frame can be read off, best first


class NoFrame(ClaimError):
    """A claim under which there is no frame of this kind, whatever the inputs."""


@dataclass(frozen=True)
class Scene:
    """A batch and the claim that it is moved by."""

    bound: BoundClaim
    batch: Batch

    @property
    def group(self) -> Group:
        """The group that moves the inputs."""
        return self.bound.group

    @cached_property
    def moved(self) -> tuple[str, ...]:
        """The inputs that the group moves."""
        return tuple(name for name, one in self.bound.inputs.items() if not one.trivial)

    def driver(self) -> str:
        """The input whose points, or else vectors, say how a sample lies."""
        for action in DRIVES:
            for name, one in self.bound.inputs.items():
                if one.parts and one.parts[0].action.name == action:
                    return name
        raise NoFrame(
            "no input says how a sample lies: a frame is read off points or vectors",
            where=f"'{self.bound.claim}'",
            hint="declare positions as 'points', or give a canonicaliser of your own: module:function",
        )

    def columns(self, name: str, dimension: int) -> Tensor:
        """An input as float64 columns of `dimension` components: (B, M, d), or packed rows (R, d)."""
        x = self.batch.tensors[name].double()[..., :dimension]
        return x.reshape(-1, dimension) if self._rows(name) else x.reshape(x.shape[0], -1, dimension)

    def summed(self, name: str, x: Tensor) -> Tensor:
        """The sums of `columns` of an input, or of what is computed from each of them, over every sample, (B, ...)."""
        owner = self.batch.owner
        if not self._rows(name) or owner is None:
            return x.sum(1)
        return x.new_zeros((self.batch.count, *x.shape[1:])).index_add(0, owner, x)

    def spread(self, name: str, x: Tensor) -> Tensor:
        """One entry a sample, (B, ...), for each of the `columns` of an input."""
        owner = self.batch.owner
        return x[:, None] if not self._rows(name) or owner is None else x[owner]

    def _rows(self, name: str) -> bool:
        return self.batch.kinds.get(name) == "row"


def scene(claim: Claim, inputs: Mapping[str, Tensor]) -> Scene:
    """The scene of a batch; raises DataError where the inputs do not fit the claim."""
    owner = owner_in(claim, [*inputs])
    if owner is None:
        counts = {name: x.shape[0] if x.dim() else -1 for name, x in inputs.items()}
        count = next(iter(counts.values()), -1)
        if any(one != count for one in counts.values()) or count == -1:
            raise DataError(
                f"the inputs have different numbers of samples: {counts}",
                where=f"'{claim}'",
                hint="give every input the same leading sample axis",
            )
        shapes = {name: tuple(x.shape[1:]) for name, x in inputs.items()}
        return Scene(_bind(claim, shapes), Batch(dict(inputs), count))
    samples = packed(inputs, owner)
    batch = Batch(dict(inputs), samples.count, inputs[owner].long(), samples.rows.sizes, samples.kinds)
    return Scene(_bind(claim, samples.shapes()), batch)


def packed(inputs: Mapping[str, Tensor], owner: str) -> Samples:
    """Packed samples that keep the gradients of their tensors."""
    samples = Samples(inputs, owner)
    samples.tensors = dict(inputs)
    return samples


def owner_in(claim: Claim, given: Sequence[str]) -> str | None:
    """The input that the claim declares as owner, if there is one."""
    slots = claim.tree.inputs
    if not any(slot.terms[0].name == "owner" for slot in slots):
        return None
    found = [name for name, slot in named_slots(claim, given).items() if slot.terms[0].name == "owner"]
    return found[0] if found else None


def named_slots(claim: Claim, given: Sequence[str]) -> dict[str, Any]:
    """The slot of each input that the claim declares; others (edges that are built) are passed on as they are."""
    names = {slot.name for slot in claim.tree.inputs}
    return claim.input_names([name for name in given if None in names or name in names])


def _bind(claim: Claim, shapes: Mapping[str, tuple[int, ...]]) -> BoundClaim:
    known = {name: shapes[name] for name in named_slots(claim, [*shapes])}
    bound = claim.bind(known)
    if bound.relation is not None:
        raise NoFrame(
            f"{bound.group.name} is a relation, not a group: there is nothing to average over",
            where=f"'{claim}'",
            hint="state a claim about a group, such as 'SE(3): pos=points -> energy=scalar'",
        )
    return bound


def euclidean(group: Group, what: str) -> tuple[int, bool, bool, bool]:
    """(d, mirrors, turns, shifts) of O(d), SO(d), E(d), SE(d) or T(d); NoFrame for other groups."""
    if isinstance(group, Orthogonal | Euclidean):
        return group.dimension, group.has_improper, True, isinstance(group, Euclidean)
    if isinstance(group, Translations):
        return group.dimension, False, False, True
    raise NoFrame(
        f"{what} is for O(d), SO(d), E(d), SE(d) and T(d), not for {group.name}",
        where=f"the group {group.name}",
        hint="a finite group is averaged (--by average), or give a canonicaliser: argmax, module:function",
    )


def motions(group: Group, turns: Tensor, shifts: Tensor) -> Tensor:
    """Elements (..., *E) of such a group from matrices (..., d, d) and shifts (..., d); gradients pass."""
    if isinstance(group, Orthogonal):
        return turns
    if isinstance(group, Translations):
        return shifts
    top = torch.cat([turns, shifts[..., None]], -1)
    d = turns.shape[-1]
    last = torch.nn.functional.one_hot(torch.tensor(d), d + 1).to(top).expand(*top.shape[:-2], 1, d + 1)
    return torch.cat([top, last], -2)
