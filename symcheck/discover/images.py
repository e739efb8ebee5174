"""Generators of images: too many pixels for any matrix, so only a small family of smooth motions is searched."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from symcheck.actions.smooth import cubic
from symcheck.discover.equations import Equations, following, joined, slots_of
from symcheck.discover.precision import precisions, rows_of
from symcheck.discover.result import Motion, Motions
from symcheck.discover.spectrum import Solutions, solve
from symcheck.discover.unknowns import Ask, Slot
from symcheck.measure.audit import Audit
from symcheck.measure.dual import Differential
from symcheck.measure.samples import Samples

FAMILY = ("shift to the right", "shift upwards", "rotation", "zoom", "contrast", "brightness")
METHOD = "cubic spline derivative"
_TRAINED = 2 / 3
_LEAST = 12  # samples


def image_inputs(session: Audit) -> list[str]:
    """The inputs that are images: real, with at least two axes of 4 or more behind the samples and channels."""
    samples = session.evaluator.samples
    if samples.owner_name is not None:
        return []
    return [n for n, x in samples.tensors.items() if x.is_floating_point() and x.dim() == 4 and min(x.shape[2:]) > 3]


def find_motions(session: Audit, name: str, ask: Ask) -> Motions | None:
    """Combinations of the family that leave the outputs alone at first order; None where nothing can be said.

    Outputs that are no images may move by any matrix where `ask` sets them free.
    """
    samples = session.evaluator.samples
    high, low = precisions(session, samples)
    still = Ask(ask.inputs, acting="invariant" if ask.acting == "auto" else ask.acting)
    slots = [slot for slot in slots_of(high, low, samples, still) if slot.acting != "trivial"]
    if not slots or samples.count < _LEAST:
        return None
    everything = torch.arange(samples.count, device=high.device)
    batch = samples.take(everything[:4])
    mixed = velocities(batch.tensors[name]).mul(torch.tensor([1.0, 0.7, 1.3, 0.6, 0.9, 0.5]).reshape(-1, 1, 1, 1, 1))
    found = rows_of(
        high, low, samples, (batch, {name: mixed.sum(0)}), lambda push, data: _rows(push, data, name, slots)
    )
    cut, order = round(_TRAINED * samples.count), everything.cpu()
    wide = velocities(samples.tensors[name]).flatten(1).cpu()
    size = samples.tensors[name].double().square().sum().cpu()
    train, fresh = found.rows.of(order[:cut]), found.rows.of(order[cut:])
    solutions = solve(train, fresh, found.other, [wide @ wide.T / size], found.ratio)
    return Motions(name, f"{METHOD}; {found.how}", _directions(solutions, wide, float(size)))


def velocities(x: Tensor) -> Tensor:
    """(6, n, C, H, W) float64: how each motion of the family changes images; lengths in half the image's width."""
    x = x.double()
    height, width = x.shape[-2:]
    half = (max(height, width) - 1) / 2
    across = (torch.arange(width, device=x.device, dtype=x.dtype) - (width - 1) / 2) / half
    up = ((height - 1) / 2 - torch.arange(height, device=x.device, dtype=x.dtype))[:, None] / half
    right = half * (x @ cubic(width).to(x).mT)
    above = -half * (cubic(height).to(x) @ x)
    turn, zoom = up * right - across * above, -(across * right + up * above)
    return torch.stack([-right, -above, turn, zoom, x, x.square().mean().sqrt() * torch.ones_like(x)])


def _rows(push: Differential, samples: Samples, name: str, slots: Sequence[Slot]) -> Equations:
    parts: dict[str, list[Equations]] = {slot.name: [] for slot in slots}
    for picks in torch.split(torch.arange(samples.count, device=push.runner.device), 32):
        batch = samples.take(picks)
        pushed = [push(batch, {name: v}) for v in velocities(batch.tensors[name])]
        for slot in slots:
            y = pushed[0].outputs[slot.name].double()
            columns = torch.stack([one.tangents[slot.name].double().flatten() for one in pushed], 1).cpu()
            owner = picks.cpu().repeat_interleave(y[0].numel())
            rows = following(y.reshape(-1, slot.width), slot, slots).cpu()
            parts[slot.name].append(Equations(columns, rows, owner))
    whole = [joined(parts[slot.name], slot) for slot in slots]
    return Equations(*(torch.cat([getattr(one, key) for one in whole]) for key in ("inputs", "outputs", "owner")))


def _directions(solutions: Solutions, wide: Tensor, size: float) -> tuple[Motion, ...]:
    """Every direction as shares of the family: the weight of each motion times its length, largest first."""
    lengths = (wide.square().sum(1) / size).sqrt()
    found = []
    for one, weights in zip(solutions.directions, solutions.inputs * lengths, strict=True):
        order = weights.abs().argsort(descending=True).tolist()
        shares = {FAMILY[i]: round(float(weights[i]), 4) for i in order if abs(float(weights[i])) > 0.05}
        found.append(Motion(shares, one))
    return tuple(found)

