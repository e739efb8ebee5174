"""The plain figures of a canonicaliser: validity, idempotence, gaps, the law of its poses."""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor

from symcheck.actions.frame import FrameSet
from symcheck.frames.degenerate import eigen_gap
from symcheck.frames.frame import PCA, Frame
from symcheck.frames.pose import ArgMax, User, orthogonality
from symcheck.frames.poser import Poser, matrices
from symcheck.frames.result import Gaps, Prior, Validity
from symcheck.frames.scene import Scene
from symcheck.groups.matrices import determinant

_DECADES = 6
_ANGLES, _OCTANTS = 4, 8  # bins of rotations


def validity(poser: Poser, here: Scene) -> Validity:
    """Whether the frames are made of elements, and what canonicalising a canonical form does."""
    poses = poser.frame.poses(here)
    sets, raw = matrices(here.group, poses), math.nan
    low = high = math.nan
    if sets is not None:
        turns = sets[..., : sets.shape[-2]]
        if isinstance(poser.frame, User):
            found = poser.frame.raw(here)
            turns = found[..., : sets.shape[-2], : sets.shape[-2]].double() if found.dim() > 3 else turns
        raw = float(orthogonality(turns).max())
        det = determinant(turns.reshape(-1, *turns.shape[-2:]))
        low, high = float(det.min()), float(det.max())
    idle, drift = _again(poser, here) if not here.batch.packed else (math.nan, math.nan)
    return Validity(poses.size, raw, low, high, idle, drift)


def _again(poser: Poser, here: Scene) -> tuple[float, float]:
    """The distance of h(c) from h(x)⁻¹·h(x), and the drift of the form, c the first form of every sample."""
    first = poser.frame.poses(here)
    one = replace(first, index=first.index[:, :1])
    forms = poser.forms(here, one)
    canonical = replace(here, batch=here.batch.with_tensors({**here.batch.tensors, **forms}))
    second = poser.frame.poses(canonical)
    # the frame of g⁻¹·x, g the first element, is g⁻¹·F(x)
    back = here.group.inverse(one.g[one.index[:, 0]])
    wanted, found = matrices(here.group, first), matrices(here.group, second)
    distance = math.nan
    if wanted is not None and found is not None:
        action = FrameSet()
        turned = action.act(here.group, action.represent(here.group, back), wanted)
        distance = float(action.difference(found, turned).max())
    again = poser.forms(canonical, replace(second, index=second.index[:, :1]))
    if second.size > 1:  # whichever element comes first: the nearest form of the set
        every = poser.forms(canonical, second)
        again = {name: _nearest(every[name], forms[name], second.size) for name in forms}
    drift = max((_drift(again[name], forms[name]) for name in forms), default=math.nan)
    return distance, drift


def _nearest(forms: Tensor, wanted: Tensor, size: int) -> Tensor:
    sets = forms.reshape(len(wanted), size, *wanted.shape[1:])
    best = (sets - wanted[:, None]).flatten(2).double().square().sum(2).argmin(1)
    return sets[torch.arange(len(wanted)), best]


def _drift(new: Tensor, old: Tensor) -> float:
    change = (new.double() - old.double()).flatten(1).norm(dim=1)
    return float((change / old.double().flatten(1).norm(dim=1).clamp(min=1e-300)).max())


def gaps_of(frame: Frame, here: Scene) -> Tensor | None:
    """How far each sample is from a degeneracy, (B,): eigen-gap or margin; None where the frame has no such number."""
    if isinstance(frame, PCA):
        return eigen_gap(torch.linalg.eigvalsh(frame.moments(here)[1]))
    if isinstance(frame, ArgMax) and not here.batch.packed:
        scores = frame.scores(here).double()
        best = scores.topk(min(2, scores.shape[1]), 1).values
        return (best[:, 0] - best[:, -1]) / scores.std(1).clamp(min=1e-300)
    return None


def gaps(frame: Frame, here: Scene) -> Gaps | None:
    """The histogram of `gaps_of` by decades."""
    found = gaps_of(frame, here)
    if found is None:
        return None
    decade = (-found.clamp(min=1e-300).log10()).floor().clamp(0, _DECADES - 1).long()
    counts = torch.bincount(decade, minlength=_DECADES)
    kind = "eigen-gap" if isinstance(frame, PCA) else "margin"
    return Gaps(kind, float(found.min()), float(found.quantile(0.05)), float(found.median()), tuple(counts.tolist()))


def prior(sets: Tensor) -> Prior | None:
    """The law of the poses (B, 1, d, ...) of the data, d = 2 or 3; None where each sample has several."""
    d = sets.shape[-2]
    if sets.shape[1] > 1 or d not in (2, 3):
        return None
    r = sets[:, 0, :, :d]
    if d == 2:
        angle = torch.atan2(r[:, 1, 0], r[:, 0, 0])
        return Prior("transport", circular_transport(angle), float(angle.abs().mean()))
    twist = torch.stack([r[:, 2, 1] - r[:, 1, 2], r[:, 0, 2] - r[:, 2, 0], r[:, 1, 0] - r[:, 0, 1]], -1)
    trace = r.diagonal(dim1=-2, dim2=-1).sum(-1)
    angle = torch.atan2(twist.norm(dim=-1), trace - 1)
    octant = ((twist > 0).long() * torch.tensor([1, 2, 4])).sum(-1)
    share = (angle - angle.sin()) / math.pi  # the law of angles under the uniform law of rotations
    row = (share * _ANGLES).long().clamp(0, _ANGLES - 1)
    counts = torch.bincount(row * _OCTANTS + octant, minlength=_ANGLES * _OCTANTS).double()
    p = counts / counts.sum()
    kl = float((p * (p * len(p)).clamp(min=1e-300).log()).sum())
    return Prior("kl", kl, float(angle.mean()), len(p))


def circular_transport(angles: Tensor) -> float:
    """W₁ on the circle between angles (n,) and the uniform law: min over c of ∫ |F(t) − t/2π − c| dt, in radians.

    Source: Delon, Salomon and Sobolevski 2010.
    """
    fine = 4096
    t = (torch.arange(fine, dtype=torch.float64) + 0.5) / fine
    sorted_angles = (angles.double() / (2 * math.pi) % 1.0).sort().values
    above = torch.searchsorted(sorted_angles, t, right=True).double() / len(angles) - t
    return float((above - above.median()).abs().mean() * 2 * math.pi)
