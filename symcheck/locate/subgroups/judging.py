"""Judging many subgroups at once: every distinct element runs once, and a finite subgroup is its worst element."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.locate.subgroups.candidates import Subgroup
from symcheck.locate.subgroups.result import Element
from symcheck.measure.audit import Audit
from symcheck.measure.plan import Stratum, parts_of
from symcheck.report.model import Finding, Verdict

SINGLES = 480  # so many elements are judged one by one
_ORDER = list(Verdict)
Findings = dict[str, Finding]


@dataclass(frozen=True)
class Candidate:
    """A subgroup of the whole group with the name of its factor."""

    factor: str
    sub: Subgroup


@dataclass(frozen=True)
class Scene:
    """What all steps share: the audit, the claim on its samples, and the actions on the outputs."""

    audit: Audit
    claim: Claim
    bound: BoundClaim
    outputs: Mapping[str, Bound]

    def parts(self, g: Tensor, listed: bool, law: str) -> list[Stratum]:
        """Elements by orientation and resampling; those that are all there are no sample."""
        return parts_of(self.bound, self.outputs, g, listed, law)


def judge(scene: Scene, candidates: Sequence[Candidate]) -> tuple[list[Findings], dict[str, list[Element]]]:
    """The findings of every candidate; those of finite ones are no better than that of their worst element."""
    subs = [one.sub for one in candidates]
    listed = [i for i, sub in enumerate(subs) if sub.order is not None and len(sub.g) == sub.order - 1]
    pool, places = _pooled([subs[i].g for i in listed])
    alone: list[Findings] = []
    if 0 < len(pool) <= SINGLES:
        strata_ = [scene.parts(pool[k : k + 1], True, "one element")[0] for k in range(len(pool))]
        alone = scene.audit.judge(scene.claim, strata_)
    else:
        listed = []
    own = {i: [alone[k] for k in where] for i, where in zip(listed, places, strict=True)} if alone else {}
    hopeless = {i for i, found in own.items() if not any(_worst(found, n).verdict.holds for n in scene.outputs)}
    split = {
        i: scene.parts(sub.g, sub.order is not None and len(sub.g) == sub.order - 1, f"elements of {sub.name}")
        for i, sub in enumerate(subs)
        if i not in hopeless
    }
    flat = [part for some in split.values() for part in some]
    answers = iter(scene.audit.judge(scene.claim, flat) if flat else [])
    measured = {i: [next(answers) for _ in some] for i, some in split.items()}
    findings = []
    for i in range(len(subs)):
        rows = measured.get(i, []) or own[i]
        found = {n: together([row[n] for row in rows]) for n in scene.outputs}
        for n in scene.outputs if i in own and i not in hopeless else ():
            worst = _worst(own[i], n)
            if not worst.verdict.holds and found[n].verdict.holds:
                found[n] = replace(found[n], verdict=worst.verdict, note=worst.note, worst=worst.worst)
        findings.append(found)
    words = [scene.bound.group.label(pool, k) for k in range(len(alone))]
    singles = {
        n: [Element(n, word, error_of(one[n]), one[n].verdict) for word, one in zip(words, alone, strict=True)]
        for n in scene.outputs
    }
    return findings, singles


def _pooled(lists: Sequence[Tensor]) -> tuple[Tensor, list[list[int]]]:
    """The distinct elements of several lists, and where those of each list stand among them."""
    if not lists:
        return torch.zeros(0), []
    flat = torch.cat(list(lists))
    rows = flat.reshape(len(flat), -1)
    # the same element may be rounded otherwise in another list
    rounded = (rows * 1e7).round() if rows.is_floating_point() else rows
    _, index = torch.unique(rounded, dim=0, return_inverse=True)
    first = torch.full((int(index.max()) + 1,), len(flat)).scatter_reduce(0, index, torch.arange(len(flat)), "amin")
    return flat[first], [part.tolist() for part in torch.split(index, [len(one) for one in lists])]


def _worst(findings: Sequence[Findings], name: str) -> Finding:
    """The finding of the worst verdict; elements that move nothing of the data are no judges of the others."""
    speaking = [one[name] for one in findings if one[name].verdict is not Verdict.TRIVIAL]
    return min(speaking or [one[name] for one in findings], key=_rank)


def together(findings: Sequence[Finding]) -> Finding:
    """The worst of the findings of several parts of one subgroup."""
    return min(findings, key=_rank)


def _rank(one: Finding) -> tuple[int, float]:
    return _ORDER.index(one.verdict), -error_of(one)


def error_of(one: Finding) -> float:
    """The mean error over the spread, infinite where there is none."""
    return float("inf") if one.error is None else one.error.spread.mean
