"""The kernel: the distance between the two sides of `f(g·x) = g·f(x)` for a batch of pairs (g, x).

Two forms. Pulled back, δ = g⁻¹·f(g·x) − f(x), whenever the output action keeps norms: it needs one action per
pair and its spread over g is the variance split. Residual, δ = f(g·x) − g·f(x), always defined: for actions that
stretch (boosts, scalings), resample, or permute ragged samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.actions.base import Bound, Rep, move
from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.measure.expressions import is_label
from symcheck.measure.samples import Elements, Samples, act, elements_in
from symcheck.relations.base import Relation, Roles

Outputs = Mapping[str, Tensor]


@dataclass(frozen=True)
class Slot:
    """One output of a claim: its action, and how its defect is taken."""

    name: str
    bound: Bound
    kind: str  # "dense", or "row" when the output has one entry per packed row
    pulled: bool
    mask: Tensor | None = None
    isometric: bool = True  # g keeps distances, up to resampling
    related: tuple[Relation, Roles] | None = None  # a relation says what the outputs owe
    labels: bool = False  # entries name categories: they are equal or not, δ is 0 or 1

    @property
    def curved(self) -> bool:
        """Whether differences are distances, on a manifold or between labels, so that outputs cannot be averaged."""
        return self.labels or any(action.curved for action in self.bound.actions)

    @property
    def split(self) -> bool:
        """Whether the variance over the group can be taken: outputs pulled back, one row per sample, a flat space."""
        return self.pulled and self.kind == "dense" and not self.curved

    def act(self, reps: tuple[Rep, ...], elements: Tensor, y: Tensor, batch: Batch) -> Tensor:
        """g·y, pair by pair."""
        return act(self.bound, reps, elements, y, batch, self.kind)

    def gap(self, y: Tensor, z: Tensor) -> Tensor:
        """The difference of two outputs as the error sees it, float, rows as the output's."""
        if self.labels:
            changed = (y != z).to(torch.float32)
            return changed if self.mask is None else changed * self.mask.to(changed)
        common = torch.promote_types(y.dtype, z.dtype)
        common = common if common.is_floating_point or common.is_complex else torch.float64
        y, z = y.to(common), z.to(common)
        delta = self.bound.difference(y, z)
        if delta.is_complex():
            delta = torch.view_as_real(delta)
        return delta if self.mask is None else delta * self.mask.to(delta)

    def magnitude(self, y: Tensor) -> Tensor:
        """What ||y|| is taken of: y itself, and one for each entry of a label."""
        return torch.ones_like(y, dtype=torch.float64) if self.labels else widest(y)

    def squared(self, delta: Tensor, batch: Batch) -> Tensor:
        """||δ||² of each pair, float64, reduced on the device."""
        delta = torch.view_as_real(delta) if delta.is_complex() else delta
        norms: Tensor = torch.linalg.vector_norm(delta.reshape(len(delta), -1), dim=1, dtype=torch.float64)
        norms = norms.square()
        if self.kind != "row" or batch.owner is None:
            return norms
        return torch.zeros(batch.count, dtype=torch.float64, device=delta.device).index_add_(0, batch.owner, norms)


def slot_for(
    name: str, bound: BoundClaim, action: Bound, base: Samples, isometric: bool, resampled: bool
) -> Slot:
    """How the defect of one output is taken: pulled back where the action keeps norms, masked where it resamples."""
    kind = "row" if base.owner_name is not None and base.kinds[name] == "row" else "dense"
    labels = is_label(base.tensors[name])
    rowwise = kind == "dense" or all(part.action.rowwise for part in action.parts)
    if bound.relation is not None:
        outputs = [other for other in base.tensors if other != base.owner_name]
        return Slot(name, action, kind, False, related=(bound.relation, bound.roles(outputs)), labels=labels)
    mask = None
    for part in action.parts if resampled else ():
        found = part.action.mask(tuple(base.tensors[name].shape[1:]))
        mask = found if mask is None or found is None else mask * found
    pulled = isometric and rowwise and not resampled
    return Slot(name, action, kind, pulled, mask, isometric or (resampled and action.isometric), labels=labels)


def ready(bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor, device: torch.device) -> Elements:
    """Represent the elements once, in float64: forward on the inputs, inverse on outputs that are pulled back."""
    found = elements_in(bound, g, device)
    if bound.relation is not None:
        return found
    back = bound.group.inverse(g) if any(slot.pulled for slot in slots.values()) else g
    outputs = {
        name: move(slot.bound.represent(back if slot.pulled else g), device, torch.float64)
        for name, slot in slots.items()
    }
    return replace(found, outputs=outputs)


def defect(slot: Slot, elements: Elements, index: Tensor, moved: Outputs, rest: Outputs, batch: Batch) -> Tensor:
    """δ for every pair of a batch: `moved` = f(g·x), `rest` = f(x), `index` the element of each pair."""
    if slot.related is not None:
        relation, roles = slot.related
        owed = relation.residual(slot.name, elements.g[index], moved, rest, batch, roles)
        return slot.gap(owed, torch.zeros_like(owed))
    reps, y, base = elements.outputs[slot.name], moved[slot.name], rest[slot.name]
    if slot.pulled:
        return slot.gap(slot.act(reps, index, y, batch), base)
    return slot.gap(y, slot.act(reps, index, base, batch))


def at_rest_of(slots: Mapping[str, Slot], base: Samples, rows: Tensor) -> dict[str, Tensor]:
    """f(x) of the samples `rows`, from the outputs that were computed once; relations read all of them."""
    related = any(slot.related is not None for slot in slots.values())
    names = [name for name in base.tensors if name != base.owner_name] if related else list(slots)
    if base.owner_name is None or all(base.kinds[name] == "sample" for name in names):
        return {name: base.tensors[name][rows] for name in names}
    taken = base.take(rows).tensors
    return {name: taken[name] for name in names}


def widest(x: Tensor) -> Tensor:
    """x in double precision, real or complex."""
    return x.to(torch.complex128 if x.is_complex() else torch.float64)
