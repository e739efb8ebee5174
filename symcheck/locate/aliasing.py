"""Images: what resampling and striding break, and what the weights do.

    f̄(x) = 1/|L| Σ_{h in L} h⁻¹·f(h·x)        L: turns and flips that map pixels to pixels
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.actions.image import Image
from symcheck.batch import Batch
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import SymcheckError
from symcheck.groups.subgroups import table_of
from symcheck.locate.aliasing_result import Aliasing, Control, Size
from symcheck.locate.phases import FEW, few, phases_of
from symcheck.measure.audit import Audit
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.plan import Stratum, strata
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.measure.statistics import crossed_interval
from symcheck.measure.tally import finish
from symcheck.report.model import Finding
from symcheck.subject import Subject

SIZES, SMALLEST = 8, 4  # how many sizes are tried, from that of the data downwards


@dataclass(frozen=True)
class _Scene:
    audit: Audit
    claim: Claim
    bound: BoundClaim
    base: Samples
    actions: Mapping[str, Bound]
    parts: tuple[Stratum, ...]

    @property
    def lattice(self) -> tuple[Stratum, ...]:
        """The parts that need no resampling."""
        return tuple(part for part in self.parts if not part.resampled)


def aliasing(audit: Audit, claim: Claim) -> Aliasing | None:
    """The control over the lattice, all phases of shifts, and other sizes; None unless the claim is about images.

    To be called while the audit is `measuring`. What does not apply (no element is resampled, outputs on another
    grid) is a note.
    """
    if not is_planar(audit, claim):
        return None
    bound, base, actions = audit.bound(claim)
    parts = tuple(strata(bound, actions, audit.options.elements, audit.options.seed))
    scene, notes = _Scene(audit, claim, bound, base, actions, parts), list[str]()
    controls = tuple(_controls(scene, notes))
    try:
        phases = tuple(phases_of(audit, claim))
    except SymcheckError as error:
        phases = ()
        notes.append(f"phases of shifts are not measured: {error.message}")
    return Aliasing(str(claim), controls, phases, tuple(_sizes(scene)), tuple(notes))


def is_planar(audit: Audit, claim: Claim) -> bool:
    """Whether images are all that the group moves among the inputs, dense ones."""
    samples = audit.evaluator.samples
    if samples.owner_name is not None:
        return False
    bound = claim.bind(samples.shapes())
    moved = [one for one in bound.inputs.values() if not one.trivial]
    images = all(isinstance(action, Image) for one in moved for action in one.actions)
    return bound.relation is None and bool(moved) and images


def _controls(scene: _Scene, notes: list[str]) -> Iterator[Control]:
    """The error of f and of its average over the lattice, at the same elements and samples."""
    audit, group = scene.audit, scene.bound.group
    part = next((part for part in scene.parts if part.resampled), None)
    lattice = [one.g for one in scene.lattice]
    if part is None or not lattice:
        notes.append(f"{group.name} has no element here that needs resampling beside the lattice: there is no control")
        return
    g = torch.cat([group.identity(1), *lattice])
    if table_of(group.compose, g) is None:
        notes.append("the elements that need no resampling are no group, over which the network could be averaged")
        return
    common = audit.common(scene.bound, scene.base, [part], scene.actions)
    cells = audit.evaluator.tally(scene.bound, common.slots, part.g)
    other = Evaluator(_averaged(scene, g), audit.evaluator.samples, audit.evaluator.chunks)
    averaged = other.tally(scene.bound, common.slots, part.g)
    exact = audit.judge(scene.claim, scene.lattice)
    for name in common.slots:
        cell = finish(cells[name], common.rests[name], part.exhaustive, part.subgroup)
        scale = float(cell.variance.mean()) + max(float(cell.between.mean()), 0.0)
        one, two = (tally[name].squared.cpu().numpy() / scale for tally in (cells, averaged))
        above = crossed_interval(one - two, exhaustive=part.exhaustive)
        errors = [_mean(found[name]) for found in exact]
        floors = [law.floor for law in (*common.laws_in.values(), common.laws_out[name])]
        yield Control(
            output=name,
            resampled=_root(float(one.mean())),
            control=_root(float(two.mean())),
            excess=_root(above.mean),
            low=_root(above.low),
            high=_root(above.high),
            lattice=max(errors),
            floor=max(floors),
            elements=len(part.g),
            averaged=len(g),
        )


def _root(value: float) -> float:
    return float(np.sqrt(np.maximum(value, 0.0)))  # NaN stays NaN


def _averaged(scene: _Scene, g: Tensor) -> Runner:
    """f̄ as a runner of its own: g·x for every g of the lattice, taken back, and the mean."""
    runner, group, actions = scene.audit.evaluator.runner, scene.bound.group, scene.actions
    names = [n for n in scene.audit.evaluator.samples.tensors if not scene.bound.inputs[n].actions[0].hidden]
    back = group.inverse(g)

    def average(*tensors: Tensor) -> dict[str, Tensor]:
        rows, total = len(tensors[0]), dict[str, Tensor]()
        for i in range(len(g)):
            here = [element[i : i + 1].expand(rows, *element.shape[1:]) for element in (g, back)]
            moved = {n: scene.bound.inputs[n](here[0], x) for n, x in zip(names, tensors, strict=True)}
            for name, y in runner(Batch(moved, rows)).items():
                if name in actions:
                    total[name] = total.get(name, torch.zeros_like(y)) + actions[name](here[1], y)
        return {name: y / len(g) for name, y in total.items()}

    subject = Subject(f"{runner.subject.name}, averaged", average, castable=False)
    return Runner(subject, runner.device, runner.dtype, [*actions], cast=False)


def _sizes(scene: _Scene) -> Iterator[Size]:
    """The error at lattice elements for the first rows and columns of the images, size by size."""
    if not scene.lattice:
        return
    samples, bound = scene.audit.evaluator.samples, scene.bound
    moved = [name for name, one in bound.inputs.items() if not one.trivial]
    height, width = samples.tensors[moved[0]].shape[-2:]
    for less in range(min(SIZES, min(height, width) - SMALLEST + 1)):
        size = (height - less, width - less)
        cut = {n: x[..., : size[0], : size[1]] if n in moved else x for n, x in samples.tensors.items()}
        try:
            smaller = few(scene.audit, cut)
            other, _, outputs = smaller.bound(scene.claim)
            parts = [p for p in strata(other, outputs, FEW, smaller.options.seed) if not p.resampled]
            parts = [replace(p, g=p.g[:FEW], exhaustive=p.exhaustive and len(p.g) <= FEW) for p in parts]
            findings = smaller.judge(scene.claim, parts)
        except SymcheckError as error:
            yield Size(size, "", None, None, error.message)
            continue
        for name in outputs:
            worst = min((found[name] for found in findings), key=lambda f: (f.verdict.holds, -_mean(f)))
            yield Size(size, name, _mean(worst), worst.verdict)


def _mean(finding: Finding) -> float:
    return float("nan") if finding.error is None else float(finding.error.spread.mean)
