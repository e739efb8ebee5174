"""Modules that make any network equivariant: f(x) = |F|⁻¹ Σ_{g ∈ F(x)} ρ_out(g) φ(ρ_in(g)⁻¹ x)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor, nn

from symcheck.actions.base import Bound
from symcheck.batch import Batch
from symcheck.claim import Claim
from symcheck.errors import ClaimError, ConfigError, DataError
from symcheck.frames.frame import PCA, Frame, Poses, Whole
from symcheck.frames.pose import Kept, User, frame_of
from symcheck.frames.scene import Scene, owner_in, packed, scene
from symcheck.measure.calling import by_keyword, called, passed
from symcheck.measure.expressions import is_label
from symcheck.measure.outputs import WORDS
from symcheck.measure.samples import act
from symcheck.subject import Subject, as_subject


class Symmetrised(nn.Module, ABC):
    """A network averaged over a set of elements of each sample, with the actions that a claim states.

    Called as the claim names its inputs: by keyword, in their order (`inputs`, by default that of the claim), or with
    one dict; packed where the claim declares an owner. It returns a tensor where the network does, else a dict of the
    outputs that the claim declares; those that it ignores, or that are derived later, are left out.
    """

    passes: tuple[str, ...] = ()  # inputs that the network is not given

    def __init__(self, model: Any, claim: str | Claim, inputs: Sequence[str] = ()) -> None:
        super().__init__()
        self.claim = _named(claim if isinstance(claim, Claim) else Claim.parse(claim), inputs)
        self.subject: Subject = as_subject(model)
        self.network = self.subject.module
        self._kept = Kept()
        slots = self.claim.tree.inputs
        unnamed = ["input"] if len(slots) == 1 else [f"input{i}" for i in range(len(slots))]
        self.inputs = tuple(inputs) or tuple(slot.name or unnamed[i] for i, slot in enumerate(slots))
        derived = {*self.subject.derive, *WORDS}
        self.names = [slot.name for slot in self.claim.tree.outputs if slot.name and slot.name not in derived]

    @abstractmethod
    def poses(self, here: Scene) -> Poses:
        """The elements over which each sample of a batch is averaged."""

    def forward(self, *given: Any, **named: Tensor) -> Any:
        """f(x); raises DataError and ClaimError where inputs or outputs do not fit the claim."""
        tensors = self._named(given, named)
        here = scene(self.claim, tensors)
        poses = self.poses(here)
        batch, origin = self._turned(here, poses)
        outputs = self._run(batch)
        lone = [*outputs] == ["output"] or (len(outputs) == 1 and [*outputs] == self.names)
        averaged = self._averaged(here, poses, batch, origin, outputs)
        return next(iter(averaged.values())) if lone else averaged

    def _named(self, given: Sequence[Any], named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        if len(given) == 1 and isinstance(given[0], Mapping) and not named:
            return dict(given[0])
        if len(given) > len(self.inputs):
            raise DataError(
                f"{len(given)} inputs are given, but the claim has {len(self.inputs)}",
                where=f"'{self.claim}'",
                hint=f"give {', '.join(self.inputs)}",
            )
        return {**dict(zip(self.inputs, given, strict=False)), **named}

    def _run(self, batch: Batch) -> dict[str, Tensor]:
        """φ on a batch; a program of one batch size gets pieces of it, the last one filled up."""
        size, takes, count = self.subject.fixed_batch, self.subject.takes, batch.count
        # the network as it stands in this module, so that its tensors can be swapped
        call = self.subject.call
        if self.network is not None and call is self.subject.module:
            call = self.network
        names = passed(takes, batch)
        keywords = bool(names) and by_keyword(self.subject, names)
        if size is None or batch.packed:
            return called(call, takes, keywords, batch.tensors, batch, self.names)
        pieces = []
        for start in range(0, count, size):
            rows = torch.arange(start, start + size).clamp(max=count - 1)
            few = batch.with_tensors({name: x[rows.to(x.device)] for name, x in batch.tensors.items()})
            pieces.append(called(call, takes, keywords, few.tensors, few, self.names))
        return {name: torch.cat([piece[name] for piece in pieces])[:count] for name in pieces[0]}

    def _turned(self, here: Scene, poses: Poses) -> tuple[Batch, Tensor | None]:
        """g⁻¹·x of every element of every sample, sample by sample; of packed rows also where each comes from."""
        size, batch = poses.size, here.batch
        origin = None
        if batch.packed:
            owner = owner_in(self.claim, [*batch.tensors]) or ""
            samples = packed(batch.tensors, owner)
            rows = torch.arange(batch.count, device=samples.tensors[owner].device).repeat_interleave(size)
            many, origin = samples.take(rows), samples.rows.pick(rows)[1]
        else:
            spread = {n: x[:, None].expand(-1, size, *x.shape[1:]).flatten(0, 1) for n, x in batch.tensors.items()}
            many = Batch(spread, batch.count * size)
        back, index = here.group.inverse(poses.g), poses.index.flatten()
        moved = dict(many.tensors)
        for name in here.bound.inputs:
            x, kind = moved[name], many.kinds.get(name, "dense")
            reps = self._kept(("back", name), here.bound.inputs[name], back, x, poses.fixed)
            moved[name] = act(here.bound.inputs[name], reps, index.to(x.device), x, many, kind).to(x.dtype)
        return many.with_tensors({name: x for name, x in moved.items() if name not in self.passes}), origin

    def _averaged(
        self, here: Scene, poses: Poses, batch: Batch, origin: Tensor | None, outputs: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """|F|⁻¹ Σ g·y of every declared output."""
        found = {}
        for name, bound in self._actions(here, outputs).items():
            y = outputs[name]
            rows = batch.packed and len(y) != batch.count
            self._check(name, y, bound, poses.size)
            moving = self._kept(("out", name), bound, poses.g, y, poses.fixed)
            turned = act(bound, moving, poses.index.flatten().to(y.device), y, batch, "row" if rows else "dense")
            if rows and origin is not None:
                total = turned.new_zeros((len(origin) // poses.size, *y.shape[1:]))
                mean = total.index_add(0, origin, turned) / poses.size
            elif poses.size > 1:
                mean = turned.reshape(-1, poses.size, *y.shape[1:]).double().mean(1)
            else:
                mean = turned
            found[name] = mean.to(y.dtype)
        return found

    def _actions(self, here: Scene, outputs: Mapping[str, Tensor]) -> dict[str, Bound]:
        """The action on each output that the claim declares; ClaimError where it declares none of them."""
        slots, claim = self.claim.tree.outputs, self.claim
        if all(slot.name is None for slot in slots):
            declared = dict(zip(outputs, slots, strict=True)) if len(slots) == len(outputs) else {}
        else:
            declared = {slot.name: slot for slot in slots if slot.name and slot.name in outputs}
        found = {name: Bound(claim.actions(slot), here.group) for name, slot in declared.items()}
        found = {name: bound for name, bound in found.items() if bound.actions[0].name != "ignore"}
        if not found:
            raise ClaimError(
                f"the claim declares none of the outputs of the network: {', '.join(outputs)}",
                where=f"'{claim}'",
                hint="name the outputs that it returns, with their actions: 'energy=scalar, forces=vector'",
            )
        for name, bound in found.items():
            for part in bound.parts:
                part.action.check(part.group, tuple(outputs[name].shape[1:]), f"'{name}' of '{claim}'")
        return found

    def _check(self, name: str, y: Tensor, bound: Bound, size: int) -> None:
        curved = any(action.curved for action in bound.actions)
        if size > 1 and (is_label(y) or curved):
            what = "a pose, which lives on a curved space" if curved else "a label"
            raise DataError(
                f"the output '{name}' is {what}: it has no average",
                where=f"'{self.claim}'",
                hint="average the scores that it is made of, or use a canonicaliser of one element (--by canonical)",
            )


def _named(claim: Claim, inputs: Sequence[str]) -> Claim:
    """The claim with names for its inputs, where there are any."""
    if not inputs or any(slot.name for slot in claim.tree.inputs):
        return claim
    slots = tuple(replace(slot, name=name) for name, slot in claim.input_names(inputs).items())
    return Claim(replace(claim.tree, inputs=slots))


@final
class FrameAveraged(Symmetrised):
    """The average over a frame, by default the 2^d (2^(d−1)) principal-axis frames of O(d), E(d) (SO(d), SE(d))."""

    def __init__(
        self, model: Any, claim: str | Claim, frame: Frame | str | None = None, inputs: Sequence[str] = ()
    ) -> None:
        super().__init__(model, claim, inputs)
        self.frame = _frame(frame if frame is not None else PCA())
        self.learned = _learned(self.frame)

    def poses(self, here: Scene) -> Poses:
        """The frames of the samples."""
        return self.frame.poses(here)


@final
class GroupAveraged(Symmetrised):
    """The average over a whole finite group, or over `count` elements drawn once from the law of any other."""

    def __init__(
        self, model: Any, claim: str | Claim, count: int = 64, seed: int = 0, inputs: Sequence[str] = ()
    ) -> None:
        super().__init__(model, claim, inputs)
        self.frame = Whole(count, seed)

    def poses(self, here: Scene) -> Poses:
        """The same elements for every sample."""
        return self.frame.poses(here)


@final
class Canonicalized(Symmetrised):
    """f(x) = ρ_out(h(x)) φ(ρ_in(h(x))⁻¹ x) with one element h(x) for each sample.

    Raises ConfigError where the canonicaliser gives several: those are averaged over.
    """

    def __init__(self, model: Any, claim: str | Claim, pose: Frame | str, inputs: Sequence[str] = ()) -> None:
        super().__init__(model, claim, inputs)
        self.frame = _frame(pose)
        self.learned = _learned(self.frame)

    def poses(self, here: Scene) -> Poses:
        """One element for each sample."""
        found = self.frame.poses(here)
        if found.size > 1:
            raise ConfigError(
                f"'{self.frame.name}' gives {found.size} elements for each sample, not one",
                where="Canonicalized",
                hint="average over them: FrameAveraged, --by frame",
            )
        return found


def _frame(frame: Frame | str) -> Frame:
    return frame_of(frame) if isinstance(frame, str) else frame


def _learned(frame: Frame) -> nn.Module | None:
    """The network behind a learned canonicaliser, so that it is moved and cast with the rest."""
    return frame.function if isinstance(frame, User) and isinstance(frame.function, nn.Module) else None
