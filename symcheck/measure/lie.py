"""The Lie derivative of a subject, L_X f(x) = J_f(x)[dρ_in(X) x] - dρ_out(X) f(x): the error at infinitesimal elements.

It is zero where f is equivariant, and its size is the slope at 0 of the error against the angle. It sees only what is
connected to the identity: mirrors and finite groups are left to the audit. Grid shifts, which have no infinitesimal
elements, take the central difference of their smallest exact step.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.derivative import EXACT, Step, Velocity, lattice_steps, velocity
from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ClaimError, DataError
from symcheck.groups.base import Flow
from symcheck.measure.audit import Audit
from symcheck.measure.defect import Outputs, Slot, slot_for, widest
from symcheck.measure.dual import Differential
from symcheck.measure.lie_result import FlowError, LieDerivative
from symcheck.measure.runner import Runner
from symcheck.measure.samples import act, elements_in, move_batch, observe_batch
from symcheck.measure.tally import at_rest

LATTICE = "central difference of one exact step"
_STILL = 1e-12  # of ||f||: what a generator moves less than this, it does not move
_TURN = 1e-5  # how far along its tangents a curved output is compared


@dataclass(frozen=True)
class Variation:
    """One generator on one chunk of samples: L_X f and dρ_out(X) f by output, rows as the outputs', float64."""

    place: int
    rows: Tensor
    errors: Outputs
    moved: Outputs
    squared: Mapping[str, Tensor]  # ||L_X f||² of each sample
    scale: Mapping[str, Tensor]  # ||dρ_out(X) f||² of each sample
    size: Mapping[str, Tensor]  # ||f||² of each sample
    floor: Mapping[str, Tensor]  # what the pixels of images leave open of ||L_X f||², zero elsewhere


@dataclass
class Lie:
    """The Lie derivatives of one claim on the samples of an audit, at its highest precision."""

    audit: Audit
    claim: Claim
    bound: BoundClaim = field(init=False)
    slots: dict[str, Slot] = field(init=False)
    motions: tuple[Flow | Step, ...] = field(init=False)
    differential: Differential = field(init=False)
    methods: dict[int, list[str]] = field(default_factory=dict)
    differences: int = 0  # forward passes of lattice steps

    def __post_init__(self) -> None:
        evaluator = self.audit.evaluator
        self.bound = self.claim.bind(evaluator.samples.shapes())
        if self.bound.relation is not None:
            raise ClaimError(
                f"{self.bound.group.name} is a relation and has no generators",
                where=f"'{self.claim}'",
                hint="audit measures it; Lie derivatives are for groups",
            )
        self.motions = (*self.bound.group.flows(), *lattice_steps(self.bound.group))
        if not self.motions:
            raise ClaimError(
                f"{self.bound.group.name} is discrete: it has no infinitesimal elements",
                where=f"'{self.claim}'",
                hint="audit measures its elements one by one",
            )
        base = evaluator.base(self.bound)
        self.bound = BoundClaim(self.claim, self.bound.group, self.bound.inputs, evaluator.runner.outputs.offer)
        actions = self.bound.outputs({n: s for n, s in base.shapes().items() if n != base.owner_name})
        resampled = self._resampled([*self.bound.inputs.values(), *actions.values()])
        self.slots = {n: slot_for(n, self.bound, a, base, False, resampled) for n, a in actions.items()}
        if labels := [name for name, slot in self.slots.items() if slot.labels]:
            raise ClaimError(
                f"the labels of '{labels[0]}' jump, and have no derivative",
                where=f"'{self.claim}'",
                hint="measure the numbers that they are made of: logits, probabilities",
            )
        self.differential = Differential(self.runner)

    @property
    def runner(self) -> Runner:
        """The subject at the highest precision that it takes."""
        return self.audit.high or self.audit.evaluator.runner

    def variations(self) -> Iterator[Variation]:
        """Every generator on every chunk of samples."""
        samples = self.audit.evaluator.samples
        count = max(1, self.audit.evaluator.chunks.size)
        for place, motion in enumerate(self.motions):
            for start in range(0, samples.count, count):
                rows = torch.arange(start, min(start + count, samples.count), device=self.runner.device)
                batch = samples.take(rows)
                made = self._pushed(motion, batch, place) if isinstance(motion, Flow) else self._stepped(motion, batch)
                yield self._variation(place, rows, batch, *made)

    def velocities(self, flow: Flow, batch: Batch) -> tuple[Batch, dict[str, Tensor], str, dict[str, Tensor]]:
        """What the model sees of x, dρ_in(X) x by input as it sees that, how it was found, and what is in doubt."""
        found = {}
        for name, x in batch.tensors.items():
            one = self.bound.inputs[name]
            if not one.trivial:
                _dense(one, batch.kinds.get(name, "dense"), name)
                found[name] = velocity(one, flow, x)
        moving = {name: v.value for name, v in found.items() if v.method}
        seen = observe_batch(self.bound, batch)
        shown = {name: self.bound.inputs[name].observe(v) for name, v in moving.items() if name in seen.tensors}
        open_ = {name: self.bound.inputs[name].observe(v.doubt) for name, v in found.items() if v.doubt is not None}
        methods = [v.method for v in found.values() if v.method not in ("", EXACT)]
        return seen, shown, "; ".join(dict.fromkeys(methods)) or EXACT, open_

    def output_velocity(self, name: str, flow: Flow, y: Tensor) -> Velocity:
        """dρ_out(X) y of one output."""
        slot = self.slots[name]
        if not slot.bound.trivial:
            _dense(slot.bound, slot.kind, name)
        return velocity(slot.bound, flow, y)

    def _pushed(self, flow: Flow, batch: Batch, place: int) -> tuple[Outputs, Outputs, Outputs, Outputs]:
        seen, moving, method, doubt = self.velocities(flow, batch)
        pushed = self.differential(seen, moving, place)
        words = [method, f"finite differences, since {pushed.without}" if pushed.without else ""]
        self.methods[place] = [word for word in words if word]
        rest = {name: widest(pushed.outputs[name]) for name in self.slots}
        owed = {name: self.output_velocity(name, flow, y) for name, y in rest.items()}
        left = {name: torch.zeros_like(y) if v.doubt is None else -v.doubt for (name, v), y in
                zip(owed.items(), rest.values(), strict=True)}  # fmt: skip
        if doubt:
            left = {name: y + widest(self.differential(seen, doubt, place).tangents[name]) for name, y in left.items()}
        slopes = {name: widest(pushed.tangents[name]) for name in self.slots}
        return rest, slopes, {name: v.value for name, v in owed.items()}, left

    def _stepped(self, step: Step, batch: Batch) -> tuple[Outputs, Outputs, Outputs, Outputs]:
        """f(x), (f(sx) - f(s⁻¹x)) / 2 and (s f(x) - s⁻¹ f(x)) / 2 for the smallest step s of a lattice."""
        g = torch.cat([step.there, step.back])
        elements = elements_in(self.bound, g, self.runner.device)
        index = torch.zeros(batch.count, dtype=torch.int64, device=self.runner.device)
        rest = self.runner.kept(observe_batch(self.bound, batch))
        there, back = (self.runner.kept(move_batch(self.bound, elements, index + k, batch)) for k in (0, 1))
        self.differences += 3 * batch.count
        owed = {}
        for name, slot in self.slots.items():
            reps, y = slot.bound.represent(g), widest(rest[name])
            one, two = (act(slot.bound, _moved(reps, y), index + k, y, batch, slot.kind) for k in (0, 1))
            owed[name] = (one - two) / 2
        slopes = {name: (widest(there[name]) - widest(back[name])) / 2 for name in self.slots}
        exact = {name: torch.zeros_like(y) for name, y in slopes.items()}
        return {name: widest(rest[name]) for name in self.slots}, slopes, owed, exact

    def _variation(
        self, place: int, rows: Tensor, batch: Batch, rest: Outputs, slopes: Outputs, owed: Outputs, left: Outputs
    ) -> Variation:
        errors = {n: _difference(slot, rest[n], slopes[n], owed[n]) for n, slot in self.slots.items()}
        still = {n: torch.zeros_like(owed[n]) for n in self.slots}
        moved = {n: _difference(slot, rest[n], owed[n], still[n]) for n, slot in self.slots.items()}
        doubts = {n: _difference(slot, rest[n], left[n], still[n]) for n, slot in self.slots.items()}
        squared, scale, size, floor = (
            {n: slot.squared(part[n], batch) for n, slot in self.slots.items()}
            for part in (errors, moved, rest, doubts)
        )
        return Variation(place, rows, errors, moved, squared, scale, size, floor)

    def _resampled(self, actions: list[Bound]) -> bool:
        """Whether some generator moves an image by less than whole pixels."""
        near = [flow.at(torch.tensor([0.37], dtype=torch.float64)) for flow in self.bound.group.flows()]
        return any(not bool(action.exact(g).all()) for action in actions for g in near)


def lie_derivatives(audit: Audit, claim: Claim) -> tuple[LieDerivative, ...]:
    """The Lie derivative of every output of a claim, summed up over generators and samples.

    For a generator the error is sqrt(E||L_X f||² / E||dρ_out(X) f||²), with the centred spread S² in the place of the
    denominator where dρ_out(X) f = 0: per radian, per unit of length, per cell. Raises ClaimError for groups without
    infinitesimal elements and for outputs without derivatives.
    """
    lie = Lie(audit, claim)
    samples, names = audit.evaluator.samples.count, list(lie.slots)
    parts = ("squared", "scale", "size", "floor")
    table = {n: torch.zeros(len(parts), len(lie.motions), samples, dtype=torch.float64) for n in names}
    for one in lie.variations():
        for name in names:
            for k, part in enumerate(parts):
                table[name][k, one.place, one.rows.cpu()] = getattr(one, part)[name].cpu()
    base = audit.evaluator.base(lie.bound)
    passes = lie.differential.passes + lie.differences
    found = []
    for name, slot in lie.slots.items():
        rest = at_rest(slot, base, lie.bound.group)
        spread = float(rest.per_sample((rest.flat - rest.centre).square().sum(1)).mean().sqrt())
        flows = tuple(_flow_error(lie, k, table[name][:, k], spread) for k in range(len(lie.motions)))
        dtype = str(lie.runner.dtype).removeprefix("torch.") if lie.runner.dtype else "as given"
        found.append(LieDerivative(str(claim), name, flows, spread, samples, passes, dtype))
    return tuple(found)


def _flow_error(lie: Lie, place: int, sums: Tensor, spread: float) -> FlowError:
    motion, (squared, scale, size, floor) = lie.motions[place], sums
    still = not float(scale.mean()) > _STILL**2 * float(size.mean())
    whole = spread**2 if still else float(scale.mean())
    absolute = float(squared.mean().sqrt())
    error = absolute / whole**0.5 if whole > 0 else float("nan") if absolute else 0.0
    spreads = squared / whole if whole > 0 else squared
    deviation = float(spreads.std() / len(spreads) ** 0.5 / (2 * error)) if error > 0 and len(spreads) > 1 else 0.0
    method = "; ".join(lie.methods.get(place, [LATTICE]))
    samples = tuple(float(v) for v in spreads.sqrt())
    least = math.sqrt(float(floor.mean()) / whole) if whole > 0 else 0.0
    told = "spread" if still else "generator"
    return FlowError(motion.name, error, deviation, absolute, told, method, least, samples)


def _difference(slot: Slot, y: Tensor, one: Tensor, two: Tensor) -> Tensor:
    """The difference of two tangents at y as the error sees it; on a manifold the rate at which they part."""
    if not slot.curved:
        return slot.gap(one, two)
    fastest = max(float(one.abs().max()), float(two.abs().max()))
    step = _TURN * (1.0 + float(y.abs().max())) / (1.0 + fastest)
    return slot.gap(y + step * one, y + step * two) / step


def _dense(bound: Bound, kind: str, name: str) -> None:
    """Raise unless every part can move the rows of a tensor one by one."""
    if kind in ("dense", "sample") or all(part.action.rowwise or part.action.relabels for part in bound.parts):
        return
    raise DataError(
        f"'{'*'.join(map(str, bound.actions))}' does not act on packed rows",
        where=f"'{name}', {kind} of a packed batch",
        hint="give dense samples with a leading sample axis",
    )


def _moved(reps: tuple[tuple[Tensor, ...], ...], y: Tensor) -> tuple[tuple[Tensor, ...], ...]:
    return tuple(tuple(t.to(y.device) for t in rep) for rep in reps)
