"""A canonicaliser as a subject of its own, so that one audit measures it as it does any network.

    G: inputs -> frame=frame, canonical=invariant

`frame` is the set h(x), compared as a set with g·h(x); `canonical` is h(x)⁻¹·x, which does not change exactly where
h(g·x) = g·h(x)·s with s in the stabiliser of x. Of several elements it is the mean of fixed random features over them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import final

import torch
from torch import Tensor, nn

from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import DataError
from symcheck.frames.frame import Frame, Poses
from symcheck.frames.modules import Symmetrised
from symcheck.frames.pose import User, nearest, orthogonality
from symcheck.frames.scene import Scene, motions, scene
from symcheck.grammar import ClaimTree, Slot, Term
from symcheck.groups.base import Group
from symcheck.groups.draws import Draws
from symcheck.groups.lie import Euclidean, Orthogonal, Translations
from symcheck.measure.samples import act, elements_in
from symcheck.subject import Subject

FRAME, CANONICAL, POSE = "frame", "canonical", "pose"
_FEATURES = 64
_ORTHOGONAL = 1e-8


@final
class Poser(nn.Module):
    """x -> {"frame": (B, F, d, d) or (B, F, d, d + 1), "canonical": the form, or features of the forms}."""

    def __init__(self, frame: Frame, claim: Claim) -> None:
        super().__init__()
        self.frame, self.claim = frame, claim
        function = frame.function if isinstance(frame, User) else None
        self.learned = function if isinstance(function, nn.Module) else None

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The outputs of one batch; `frame` only of groups of rotations and mirrors."""
        here = scene(self.claim, inputs)
        poses = self.frame.poses(here)
        found = {}
        device = next(iter(inputs.values())).device
        if (sets := matrices(here.group, poses)) is not None:
            found[FRAME] = sets.to(device)
        forms = [x for x in self.forms(here, poses).values() if x.is_floating_point()]
        if here.batch.packed:
            if poses.size == 1 and len(forms) == 1:
                found[CANONICAL] = forms[0]
        elif forms:
            flat = torch.cat([form.flatten(1) for form in forms], 1)
            found[CANONICAL] = flat if poses.size == 1 else featured(flat, poses.size)
        if not found:
            raise DataError(
                f"nothing of a canonicaliser for {here.group.name} can be compared on such inputs",
                where=f"'{self.claim}'",
                hint="give dense inputs that the group moves",
            )
        return found

    def forms(self, here: Scene, poses: Poses) -> dict[str, Tensor]:
        """g⁻¹·x of every input that moves, in float64: packed rows for one element, else (B · F, *S)."""
        back, index = here.group.inverse(poses.g), poses.index.flatten()
        found = {}
        for name in here.moved:
            x, kind = here.batch.tensors[name], here.batch.kinds.get(name, "dense")
            if here.batch.packed and poses.size > 1:
                continue
            wide = x.repeat_interleave(poses.size, 0)
            reps = elements_in(here.bound, back, x.device).inputs[name]
            batch = here.batch if here.batch.packed else Batch({}, len(wide))
            found[name] = act(here.bound.inputs[name], reps, index.to(x.device), wide, batch, kind)
        return found


@final
class Oracle(Symmetrised):
    """The network with the element that is given as the input `pose` (action `frame`) instead of a canonicaliser's."""

    passes = (POSE,)

    def poses(self, here: Scene) -> Poses:
        """The given elements; of a finite group those nearest to the given matrices."""
        sets = here.batch.tensors[POSE].double().cpu()
        d = sets.shape[-2]
        if isinstance(here.group, Orthogonal | Euclidean | Translations):
            turns = nearest(sets[..., :d])
            shifts = sets[..., d] if sets.shape[-1] > d else torch.zeros_like(turns[..., 0])
            return Poses.of(motions(here.group, turns, shifts))
        listed = here.group.elements()
        if listed is None:
            raise DataError(
                f"the elements of {here.group.name} cannot be read off matrices", where="oracle", hint="use its factors"
            )
        apart = torch.cdist(sets.flatten(0, 1).flatten(1), here.group.face("linear", listed).double().flatten(1))
        return Poses(listed, apart.argmin(1).reshape(sets.shape[:2]))


def matrices(group: Group, poses: Poses) -> Tensor | None:
    """The sets as the action `frame` takes them, (B, F, d, d) or (B, F, d, d + 1); None for other groups."""
    if "linear" not in group.faces:
        return None
    turns = group.face("linear", poses.g).double()
    if not bool((orthogonality(turns) < _ORTHOGONAL).all()):
        return None
    if "translation" in group.faces:
        turns = torch.cat([turns, group.face("translation", poses.g).double()[..., None]], -1)
    return turns[poses.index]


def featured(forms: Tensor, size: int) -> Tensor:
    """The mean over each frame of cos(w·c + b), w and b fixed and random: equal for equal sets of forms, (B, 64)."""
    rng = Draws(0, "features")
    w = rng.normal(forms.shape[1], _FEATURES).to(forms.device)
    b = rng.uniform(_FEATURES, high=2 * torch.pi).to(forms.device)
    size_of = torch.linalg.vector_norm(forms.double(), dim=1, keepdim=True).clamp(min=1e-300)
    waves = torch.cos(forms.double() / size_of @ w + b)
    return waves.reshape(-1, size, _FEATURES).mean(1)


def posing(frame: Frame, claim: Claim) -> Subject:
    """The canonicaliser as a subject that takes its inputs as one dict."""
    poser = Poser(frame, claim)
    return Subject(frame.name, poser, module=poser, takes="dict")


def posing_claim(claim: Claim, names: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """`G: inputs -> frame=frame, canonical=invariant`, of those outputs that there are."""
    actions = {FRAME: Term("frame"), CANONICAL: Term("invariant")}
    outputs = tuple(Slot(name, (actions[name],)) for name in found)
    return str(ClaimTree(claim.tree.group, _inputs(claim, names), outputs))


def oracle_claim(claim: Claim, names: Mapping[str, Tensor]) -> str:
    """The claim with the given element as one more input."""
    return str(replace(claim.tree, inputs=(*_inputs(claim, names), Slot(POSE, (Term("frame"),)))))


def _inputs(claim: Claim, names: Mapping[str, Tensor]) -> tuple[Slot, ...]:
    """The input slots of a claim, each with its name."""
    return tuple(Slot(name, slot.terms) for name, slot in claim.input_names([*names]).items())
