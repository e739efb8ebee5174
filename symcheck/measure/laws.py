"""Check the checker: before the model is judged, every action must be a homomorphism on the data at hand.

In float64: (gh)·x = g·(h·x), e·x = x, g⁻¹·(g·x) = x, everything finite. Resampled actions hold these only up to
their own floor, which is reported and never hidden.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from symcheck.actions.base import Bound, gather
from symcheck.claim import BoundClaim
from symcheck.errors import DataError
from symcheck.groups.draws import Draws
from symcheck.measure.defect import widest
from symcheck.measure.samples import Samples

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Law:
    """The largest relative violation of each law, and whether differences keep their norm."""

    composition: float
    identity: float
    round_trip: float
    isometric: bool
    moved: float
    moves: bool  # whether it moves generic data at all

    @property
    def floor(self) -> float:
        """The action's own round-trip floor."""
        return self.round_trip

    @property
    def holds(self) -> bool:
        """Whether an exact action obeys its laws to float64 rounding."""
        return all(not (v > TOLERANCE) and v == v for v in (self.composition, self.identity, self.round_trip))


# a relation composes nothing
LAWLESS = Law(0.0, 0.0, 0.0, True, math.inf, False)


def check_law(bound: Bound, g: Tensor, x: Tensor, rows: int = 4) -> Law:
    """Measure the laws of one slot's action on up to `rows` samples x, (n, *S), with elements drawn from g.

    The violation is relative to the size of what is compared, so that boosts and scalings are judged fairly.
    """
    if bound.trivial:
        return Law(0.0, 0.0, 0.0, True, 0.0, False)
    rng, group = Draws(1, "laws"), bound.group
    a, b = (g[rng.integers(rows, high=len(g)).flatten()] for _ in range(2))
    if not (x.is_floating_point() or x.is_complex()) and any(t.is_floating_point() for t in _flat(bound, g)):
        raise DataError(
            f"{group.name} cannot turn the integers of this tensor ({str(x.dtype).removeprefix('torch.')})",
            where=f"action '{'*'.join(map(str, bound.actions))}'",
            hint="convert it to float, or declare it scalar if it does not move",
        )
    sound = torch.isfinite(x).flatten(1).all(1) if x.dim() > 1 else torch.isfinite(x)
    x = x[sound] if bool(sound.any()) else torch.ones_like(x)  # NaN is the model's: no fault of the action
    samples = x[torch.arange(rows, device=x.device) % len(x)].cpu()
    samples = widest(samples) if samples.is_floating_point() or samples.is_complex() else samples
    generic = Draws(2, "generic").normal(*samples.shape).to(samples.dtype) if samples.is_floating_point() else samples
    reps = bound.represent(torch.cat([b, b, b, group.compose(a, b), group.identity(rows), a, group.inverse(b)]))
    first, second = (gather(reps, torch.arange(*span)) for span in ((0, 5 * rows), (5 * rows, 7 * rows)))
    moved, partner, generic_moved, once, still = bound.act(
        first, torch.cat([samples, samples.flip(0), generic, samples, samples])
    ).chunk(5)
    twice, back = bound.act(second, torch.cat([moved, moved])).chunk(2)
    return Law(
        composition=_relative(bound, twice, once, max(_size(moved), _size(once))),
        identity=_relative(bound, still, samples, _size(samples)),
        round_trip=_relative(bound, back, samples, max(_size(samples), _size(moved))),
        isometric=_keeps_norms(bound, moved, partner, samples, samples.flip(0)),
        moved=_relative(bound, moved, samples, _size(samples)),
        moves=_relative(bound, generic_moved, generic, _size(generic)) > 1e-12,
    )


def idle(bound: BoundClaim, g: Tensor, samples: Samples, alone: bool, pairs: int = 8) -> bool:
    """Whether a relation leaves every one of a few samples as it was; those that run nothing again are never idle.

    One about what stands in one batch is idle where every sample is run `alone`.
    """
    if bound.relation is None:
        return False
    if bound.relation.together and alone:
        return True
    device = next(iter(samples.tensors.values())).device
    batch = samples.take(torch.arange(pairs, device=device) % samples.count)
    moved = bound.relation.move(g[torch.arange(pairs) % len(g)].to(device), batch, bound.roles())
    if moved is batch:
        return False
    views = moved.count // batch.count
    shown = [name for name in batch.tensors if not bound.inputs[name].actions[0].hidden]
    pairs_of = [(moved.tensors[name], batch.tensors[name]) for name in shown]
    return all(y.shape[1:] == x.shape[1:] and torch.equal(y.to(x.dtype), torch.cat([x] * views)) for y, x in pairs_of)


def _flat(bound: Bound, g: Tensor) -> list[Tensor]:
    return [t for rep in bound.represent(g[:1]) for t in rep]


def _size(x: Tensor) -> float:
    return float(widest(x).abs().square().mean().sqrt()) if x.numel() else 0.0


def _relative(bound: Bound, y: Tensor, z: Tensor, size: float) -> float:
    smooth = y.is_floating_point() or y.is_complex()
    delta = bound.difference(widest(y), widest(z)) if smooth else (y != z).double()
    if not bool(torch.isfinite(delta).all()):
        return float("inf")
    return _size(delta) / (size or 1.0)


def _keeps_norms(bound: Bound, y: Tensor, z: Tensor, u: Tensor, v: Tensor) -> bool:
    if not (y.is_floating_point() or y.is_complex()):
        return True
    if not bound.isometric:
        return False
    after = (y - z).reshape(len(y), -1).norm(dim=1)
    before = (u - v).reshape(len(u), -1).norm(dim=1)
    return bool(((after - before).abs() <= 1e-9 * (before + 1e-300)).all())
