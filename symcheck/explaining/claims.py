"""The claim about an explanation: that e(g·x) = g·e(x), with the label of f(x) kept for the whole orbit of x."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.errors import ClaimError, ConfigError
from symcheck.explaining.explained import Scene, output_name
from symcheck.explaining.explainers import Explainer, Stated
from symcheck.grammar import Slot, Term
from symcheck.measure.plan import strata
from symcheck.measure.samples import Samples

_VECTORS = ("points", "vector")
_VALUES = (*_VECTORS, "covector", "dual", "pseudovector", "pseudoscalar", "tensor", "homogeneous")
_SAME = 1e-6  # of the size of what is moved
_PROBED = 16


@dataclass(frozen=True)
class Target:
    """What is explained of f(x): an entry of `output` for each sample, or the sum of all (labels of −1)."""

    output: str
    labels: Tensor
    words: str


def target_of(stated: Stated, bound: BoundClaim, base: Samples, actions: Mapping[str, Bound], seed: int) -> Target:
    """The first output, or the one asked for, whose target the group leaves alone; ClaimError where there is none."""
    names = [stated.of] if stated.of else [n for n in actions if base.tensors[n].is_floating_point()]
    if unknown := [name for name in names if name not in actions]:
        raise ConfigError(
            f"there is no output '{unknown[0]}' to explain", where=stated.text, hint=f"of={next(iter(actions))}"
        )
    for name in names:
        target = plain_target(stated, name, base.tensors[name])
        if _kept(target, base.tensors[name], actions, bound, seed):
            return target
    what = f"target={stated.target} of {', '.join(names) or 'no output'}"
    raise ClaimError(
        f"'{bound.claim}': the group moves what would be explained, {what}",
        where=f"--explainer '{stated.text}'",
        hint="explain a number that the group leaves alone: of=OUTPUT, target=sum for an output on a grid",
    )


def plain_target(stated: Stated, name: str, y: Tensor) -> Target:
    """The target in the output y, (n, ...), whatever a group does to it; ConfigError for an entry that is not there."""
    flat, word = y.reshape(len(y), -1), stated.target
    if word == "auto":
        word = "argmax" if y.dim() == 2 and flat.shape[1] > 1 else "sum"
    if word.isdigit() and int(word) >= flat.shape[1]:
        raise ConfigError(
            f"output '{name}' has no number {word}", where=stated.text, hint=f"it has 0 to {flat.shape[1] - 1}"
        )
    if word == "argmax":
        return Target(name, flat.argmax(1), f"the largest entry of {name} at x")
    index = int(word) if word.isdigit() else -1
    words = f"the sum of {name}" if index < 0 else f"entry {index} of {name}"
    return Target(name, torch.full((len(y),), index, device=y.device), words)


def _kept(target: Target, y: Tensor, actions: Mapping[str, Bound], bound: BoundClaim, seed: int) -> bool:
    """Whether the target of g·y is that of y."""
    if actions[target.output].trivial:
        return True
    parts = [part.g for part in strata(bound, actions, _PROBED, seed) if not part.resampled]
    if not parts:
        return False
    g = torch.cat([part[:_PROBED] for part in parts])
    rows = torch.arange(len(g)) % len(y)
    still = y[rows].double().cpu()
    flat = [x.reshape(len(x), -1) for x in (still, actions[target.output](g, still))]
    labels = target.labels.cpu()[rows][:, None]
    one, two = (x.sum(1) if int(labels[0]) < 0 else x.gather(1, labels)[:, 0] for x in flat)
    return bool((one - two).abs().max() <= _SAME * flat[0].abs().sum(1).max())


def explained_claim(claim: Claim, scene: Scene, stated: Stated, bound: BoundClaim, extra: str) -> Claim:
    """`GROUP: the inputs, TARGET=scalar -> explanation.WORD.INPUT=…` with the actions that attributions have."""
    slots = {name: replace(slot, name=name) for name, slot in claim.input_names(bound.inputs).items()}
    outputs = []
    for name in scene.wrt:
        terms = moved_terms(slots[name].terms, stated.explainer)
        if not bound.inputs[name].isometric and terms == slots[name].terms:
            raise ClaimError(
                f"'{claim}': the attribution of '{name}' does not move as '{name}' does, which the group stretches",
                where=f"--explainer '{stated.text}'",
                hint="state a group that keeps lengths, or explain vectors by their gradient",
            )
        outputs.append(Slot(output_name(stated.word, name), terms))
    label = Slot(extra, (Term("scalar"),))
    return Claim(replace(claim.tree, inputs=(*slots.values(), label), outputs=tuple(outputs)))


def moved_terms(terms: tuple[Term, ...], explainer: Explainer) -> tuple[Term, ...]:
    """How an attribution moves where the input moves by `terms`: a gradient by the inverse transpose, nothing shifted.

    Weights of places only change places.
    """
    if explainer.kind == "places":
        left = tuple(_without_fibre(term) for term in terms if term.name not in _VALUES)
        return left or (Term("scalar"),)
    if explainer.kind == "gradient":
        return tuple(Term("covector") if term.name in _VECTORS else term for term in terms)
    return tuple(Term("vector") if term.name == "points" else term for term in terms)


def _without_fibre(term: Term) -> Term:
    return replace(term, args=tuple(arg for arg in term.args if not arg.startswith("fiber=")))


def check_baseline(stated: Stated, bound: BoundClaim, scene: Scene, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise ConfigError unless g·x₀ = x₀: else e(g·x) and g·e(x) start from different baselines."""
    value = stated.explainer.baseline
    if value is None:
        return
    g = torch.cat([part.g[:_PROBED] for part in strata(bound, {}, _PROBED, 0)])
    for name in scene.wrt:
        start = torch.full((len(g), *shapes[name]), value, dtype=torch.float64)
        moved = bound.inputs[name](g, start)
        change = float((moved - start).abs().max())
        if not change <= _SAME * max(abs(value), 1.0):
            raise ConfigError(
                f"the group moves the baseline {value:g} of '{name}' by {change:.2g}, so nothing from it can follow",
                where=f"--explainer '{stated.text}' under '{bound.claim}'",
                hint="take a baseline that every element leaves alone (0 where it turns or mirrors), or gradient",
            )
