"""Implementation invariance: networks that compute the same function must be explained alike.

    e(g·θ, x) = e(θ, x)        for every rewrite of the weights whose outputs agree to rounding, in double precision

Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from symcheck.errors import ConfigError
from symcheck.explaining.claims import plain_target
from symcheck.explaining.explained import Explained, Scene, output_name, scene_of
from symcheck.explaining.explainers import Stated
from symcheck.explaining.rewrites import Rewrite, rewrites
from symcheck.explaining.scores import cosines
from symcheck.measure.calling import by_keyword
from symcheck.measure.statistics import crossed_interval
from symcheck.report.model import Counts, Error, Finding, Floor, Scale, Verdict
from symcheck.report.numbers import number
from symcheck.subject import Subject, evaluating, named_outputs

CLAIM = "weights: e(g·θ, x) = e(θ, x)"
SAME = 1e-9  # outputs of a rewrite differ by no more of their size
RATIO = 3.0  # how far beyond its floor a change must lie to count
_SHAKES, _UNITS, _EXAMPLES = 3, 4, 4


@dataclass(frozen=True)
class Change:
    """How far the attributions of one input move under one rewrite: ||e' − e|| of each sample, in their own unit.

    `floor` is what changing every weight by a few units in the last place does, root mean square over the samples;
    where that is nothing at all, the weights do not enter: they are not `moved`.
    """

    stated: Stated
    name: str
    rewrite: Rewrite
    errors: np.ndarray  # (B,)
    sizes: np.ndarray  # (B,) ||e||
    cosine: float
    floor: float
    moved: bool


def implementation(
    subject: Subject, inputs: Mapping[str, Tensor], stated: Sequence[Stated], *, seed: int = 0, tolerance: float = 1e-3
) -> tuple[list[Finding], list[str]]:
    """A finding for every explainer, input and rewrite, and what could not be asked.

    `inputs` are dense, with a leading sample axis. Raises ConfigError where nothing is explained: packed graphs.
    """
    if subject.module is None or subject.call is not subject.module or not subject.castable:
        return [], ["implementation invariance is not measured: the subject is no module whose weights could be moved"]
    module = copy.deepcopy(subject.module).double()
    tensors = {name: x.double() if x.is_floating_point() else x for name, x in inputs.items()}
    device = next((x.device for x in module.parameters()), torch.device("cpu"))
    tensors = {name: x.to(device) for name, x in tensors.items()}
    findings, notes = [], []
    with evaluating(module):
        still = _outputs(subject, module, tensors)
        made, told = rewrites(module, {name: x[:_EXAMPLES] for name, x in tensors.items()}, seed)
        kept = []
        for rewrite in made:
            if reason := _differs(subject, rewrite, tensors, still):
                told.append(f"{rewrite.name} is left out: {reason}")
            else:
                kept.append(rewrite)
        notes += [f"implementation invariance: {note}" for note in told]
        for one in stated:
            found = _changes(replace(subject, module=module, call=module), tensors, still, one, kept, seed)
            findings += [_finding(change, seed, tolerance) for change in found]
    return findings, notes


def _outputs(subject: Subject, module: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    named = by_keyword(replace(subject, module=module, call=module), [*tensors])
    copies = {name: x.clone() for name, x in tensors.items()}
    with torch.no_grad():
        args = (copies,) if subject.takes == "dict" else () if named else tuple(copies.values())
        result = module(*args, **(copies if named and not args else {}))
    return named_outputs(result, [], strict=False)


def _differs(subject: Subject, rewrite: Rewrite, tensors: Mapping[str, Tensor], still: Mapping[str, Tensor]) -> str:
    """Why a rewrite is not one, or nothing."""
    try:
        with evaluating(rewrite.module):
            found = _outputs(subject, rewrite.module, tensors)
    except Exception as error:  # a model may look into its layers
        return f"the network then raises {type(error).__name__}"
    for name, y in still.items():
        change, size = float((found[name] - y).abs().max()), float(y.abs().max())
        if not change <= SAME * size:
            return f"its outputs differ by {number(change / size if size else math.inf)} of their size"
    return ""


def _changes(
    subject: Subject,
    tensors: Mapping[str, Tensor],
    still: Mapping[str, Tensor],
    stated: Stated,
    kept: Sequence[Rewrite],
    seed: int,
) -> list[Change]:
    """What every rewrite does to the attributions of one explainer."""
    output = stated.of or next((name for name, y in still.items() if y.is_floating_point()), "")
    if output not in still:
        raise ConfigError(f"there is no output '{output}' to explain", where=stated.text, hint=", ".join(still))
    scene = scene_of(subject, output, tensors)
    labels = plain_target(stated, output, still[output]).labels

    def attributions(module: nn.Module) -> dict[str, Tensor]:
        own = Scene(replace(subject, module=module, call=module), output, scene.names, scene.wrt)
        made = Explained(own, stated.explainer, stated.word, seed=seed, alone=stated.explainer.own)
        with evaluating(module):
            found = made(*tensors.values(), labels)
        return {name: found[output_name(stated.word, name)].flatten(1) for name in scene.wrt}

    module = subject.module
    if module is None or not kept:
        return []
    first = attributions(module)
    shaken = [attributions(_shaken(module, seed + k)) for k in range(_SHAKES)]
    unit = torch.finfo(torch.float64).eps
    changes = []
    for rewrite in kept:
        found = attributions(rewrite.module)
        for name, e in first.items():
            floor = max(_rms(other[name] - e) for other in shaken)
            changes.append(Change(
                stated, name, rewrite, (found[name] - e).norm(dim=1).cpu().numpy(), e.norm(dim=1).cpu().numpy(),
                float(cosines(found[name], e)[0].mean()), max(floor, _UNITS * unit * _rms(e)), floor > 0,
            ))  # fmt: skip
    return changes


def _shaken(module: nn.Module, seed: int) -> nn.Module:
    """A copy with every stored float multiplied by 1 ± a few units in the last place."""
    other, generator = copy.deepcopy(module), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for x in (*other.parameters(), *other.buffers()):
            if x.is_floating_point():
                signs = (torch.randint(0, 2, x.shape, generator=generator) * 2 - 1).to(x)
                x.mul_(1 + _UNITS * torch.finfo(x.dtype).eps * signs)
    return other


def _finding(change: Change, seed: int, tolerance: float) -> Finding:
    """One change as a finding: the errors on the scale of the attributions, and how they compare with the floor."""
    size = float(np.sqrt(np.square(change.sizes).mean()))
    rms = float(np.sqrt(np.square(change.errors).mean()))
    scaled = change.errors / size if size > 0 else change.errors * math.nan
    interval = crossed_interval(scaled[None], exhaustive=True)
    ranks = [float(np.quantile(scaled, q)) for q in (0.5, 0.95, 0.99, 1.0)] if size > 0 else [math.nan] * 4
    scale = Scale(interval.mean, max(interval.low, 0.0), interval.high, *ranks)
    verdict, advice = _verdict(rms, change, size, scale, tolerance)
    floor = change.floor / size if size > 0 else None
    times = number(rms / change.floor if change.floor > 0 else math.nan)
    note = f"{change.rewrite.how}; mean cosine {change.cosine:.4f}, {times} times the floor"
    return Finding(
        claim=CLAIM,
        output=output_name(change.stated.word, change.name),
        part=change.rewrite.name,
        verdict=verdict,
        share=None,
        error=None if verdict is Verdict.INVALID or not size > 0 else Error(_times(scale, size), scale, scale),
        floor=Floor(floor, None, None, None, how=f"weights changed by {_UNITS} ulp"),
        counts=Counts(1, len(change.errors), len(change.errors), False),
        worst=None,
        law=f"one random element (seed {seed})",
        tolerance=tolerance,
        note=note,
        advice=advice,
        size=size,
        spread=size,
    )


def _verdict(rms: float, change: Change, size: float, scale: Scale, tolerance: float) -> tuple[Verdict, str]:
    if not math.isfinite(rms):
        return Verdict.INVALID, "NaN or infinity in the attributions"
    if not size > 0:
        return Verdict.TRIVIAL, "the attributions are zero: nothing was tested"
    if not change.moved and not rms > 0:
        return Verdict.TRIVIAL, "the weights do not enter the attributions: nothing was tested"
    if rms <= RATIO * change.floor:
        return Verdict.EXACT, ""
    if scale.high <= tolerance:
        return Verdict.APPROXIMATE, ""
    advice = "explain by what depends on the function alone: gradient, integrated-gradients, occlusion"
    return (Verdict.BROKEN if scale.low > tolerance else Verdict.INCONCLUSIVE), advice


def _times(scale: Scale, size: float) -> Scale:
    return Scale(*(size * x for x in (scale.mean, scale.low, scale.high, scale.q50, scale.q95, scale.q99, scale.max)))


def _rms(x: Tensor) -> float:
    """The root mean square over the samples of the norm of each."""
    return float(x.flatten(1).norm(dim=1).square().mean().sqrt())

