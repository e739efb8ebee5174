"""Which part of a group a network respects: the lattice of subgroups, each judged by the floors of the audit.

Two subgroups that hold generate one that holds, so the verdict is the largest: `holds: SO(3); breaks: mirrors`. A
finite subgroup holds when every one of its elements does (in floating point generators are not enough), a continuous
one on drawn elements; that it is *exactly this one* is seen from larger ones, measured too, that do not hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.groups.draws import Draws
from symcheck.locate.candidates import Subgroup
from symcheck.locate.curves import curves_of
from symcheck.locate.group_result import Element, GroupPart, Lattice, Node
from symcheck.locate.landscape import landscape_of
from symcheck.locate.parts import LISTED, Factor, factors_of, subgroups_of
from symcheck.locate.spectrum import spectra_of
from symcheck.measure.audit import Audit
from symcheck.measure.plan import Stratum, parts_of, strata
from symcheck.report.model import Finding, Verdict

SINGLES = 480  # so many elements are judged one by one
_ORDER = list(Verdict)
_SHOWN = 24
_SILENT = (Verdict.TRIVIAL, Verdict.INVALID)
Findings = dict[str, Finding]


@dataclass(frozen=True)
class _Candidate:
    """A subgroup of the whole group with the name of its factor."""

    factor: str
    sub: Subgroup


@dataclass(frozen=True)
class _Scene:
    """What all steps share: the audit, the claim on its samples, and the actions on the outputs."""

    audit: Audit
    claim: Claim
    bound: BoundClaim
    outputs: Mapping[str, Bound]

    def parts(self, g: Tensor, listed: bool, law: str) -> list[Stratum]:
        """Elements by orientation and resampling; those that are all there are no sample."""
        return parts_of(self.bound, self.outputs, g, listed, law)


def which_part(audit: Audit, claim: Claim) -> GroupPart:
    """The subgroups of a claim's group that hold for each output, spectra over the group, and curves along it."""
    start = audit.evaluator.runner.forwards
    bound, _, outputs = audit.bound(claim)
    if bound.relation is not None:
        return GroupPart(str(claim), bound.group.name, notes=("a relation is no group and has no subgroups",))
    scene = _Scene(audit, claim, bound, outputs)
    parts = strata(bound, outputs, audit.options.elements, audit.options.seed)
    found = audit.judge(claim, parts)
    whole = {name: _together([one[name] for one in found]) for name in outputs}
    failing = [name for name, one in whole.items() if one.verdict is not Verdict.EXACT]
    silent = all(one.verdict in _SILENT for one in whole.values())
    candidates, notes = ([], []) if silent or not failing else _candidates(scene, failing, parts)
    if silent:
        notes.append("the whole group already says: " + next(iter(whole.values())).note)
    top = Subgroup(bound.group.name, torch.cat([part.g for part in parts]), _everything, bound.group.order)
    judged, singles = _judge(scene, candidates)
    everything = [*candidates, _Candidate("", top)]
    parents = _parents([one.sub for one in everything])
    lattices = [
        _lattice(name, everything, [*(one[name] for one in judged), whole[name]], parents) for name in outputs
    ]
    spectra, more = ([], []) if silent else spectra_of(audit, claim, parts)
    return GroupPart(
        str(claim),
        bound.group.name,
        tuple(lattices),
        tuple(spectra),
        tuple([] if silent else curves_of(audit, claim, parts)),
        tuple(_elements(scene, found, singles)),
        tuple(dict.fromkeys([*notes, *more])),
        audit.evaluator.runner.forwards - start,
    )


def _candidates(
    scene: _Scene, failing: Sequence[str], parts: Sequence[Stratum]
) -> tuple[list[_Candidate], list[str]]:
    """Subgroups of every factor, and the factors themselves where there are several."""
    count, notes = scene.audit.options.elements, []
    lattice = any(part.resampled for part in parts)
    still = next((part.g for part in parts if not part.resampled), parts[0].g)
    landscape = landscape_of(scene.audit, scene.claim, still)
    found: list[_Candidate] = []
    for factor in factors_of(scene.bound):
        name = "" if factor.alone else factor.group.name
        if not factor.alone:
            found.append(_Candidate(name, factor.lifted(_alone(factor, count))))
        subs, words = subgroups_of(factor, landscape, failing, lattice, count, ())
        found += [_Candidate(name, one) for one in subs]
        notes += words
    return found, notes


def _alone(factor: Factor, count: int) -> Subgroup:
    """A factor as a subgroup."""
    group = factor.group
    listed = group.elements() if group.order is not None and group.order <= LISTED else None
    if listed is not None:
        return Subgroup(group.name, listed[1:], _everything, group.order)
    drawn = group.sample(2 * count, Draws(0, "alone"))
    moving = (drawn != group.identity(len(drawn))).reshape(len(drawn), -1).any(1)
    return Subgroup(group.name, drawn[moving], _everything, group.order)


def _judge(scene: _Scene, candidates: Sequence[_Candidate]) -> tuple[list[Findings], dict[str, list[Element]]]:
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
        found = {n: _together([row[n] for row in rows]) for n in scene.outputs}
        for n in scene.outputs if i in own and i not in hopeless else ():
            worst = _worst(own[i], n)
            if not worst.verdict.holds and found[n].verdict.holds:
                found[n] = replace(found[n], verdict=worst.verdict, note=worst.note, worst=worst.worst)
        findings.append(found)
    words = [scene.bound.group.label(pool, k) for k in range(len(alone))]
    singles = {
        n: [Element(n, word, _error(one[n]), one[n].verdict) for word, one in zip(words, alone, strict=True)]
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


def _together(findings: Sequence[Finding]) -> Finding:
    """The worst of the findings of several parts of one subgroup."""
    return min(findings, key=_rank)


def _rank(one: Finding) -> tuple[int, float]:
    return _ORDER.index(one.verdict), -_error(one)


def _error(one: Finding) -> float:
    return float("inf") if one.error is None else one.error.spread.mean


def _parents(subs: Sequence[Subgroup]) -> list[list[int]]:
    """For each subgroup the smallest of those that hold all its elements and more."""
    above = [
        [j for j, other in enumerate(subs) if j != i and bool(other.contains(sub.g).all())]
        for i, sub in enumerate(subs)
    ]
    above = [[j for j in some if i not in above[j] or j < i] for i, some in enumerate(above)]
    return [[j for j in some if not any(j in above[k] for k in some if k != j)] for some in above]


def _lattice(
    output: str, candidates: Sequence[_Candidate], findings: Sequence[Finding], parents: Sequence[Sequence[int]]
) -> Lattice:
    nodes = tuple(
        _node(one, finding, tuple(above))
        for one, finding, above in zip(candidates, findings, parents, strict=True)
    )
    ups = [_upward(i, parents) for i in range(len(nodes))]
    holding = {i for i, node in enumerate(nodes) if node.verdict.holds}
    exact = {i for i in holding if nodes[i].verdict is Verdict.EXACT}
    broken = {i for i, node in enumerate(nodes) if node.verdict is Verdict.BROKEN}
    return Lattice(
        output,
        nodes,
        tuple(sorted(i for i in holding if not ups[i] & holding)),
        tuple(sorted(i for i in exact if not ups[i] & exact)),
        tuple(sorted(i for i in broken if not any(i in ups[j] for j in broken))),
    )


def _upward(i: int, parents: Sequence[Sequence[int]]) -> set[int]:
    """All that stand above one node."""
    seen: set[int] = set()
    queue = [*parents[i]]
    while queue:
        if (j := queue.pop()) not in seen:
            seen.add(j)
            queue += parents[j]
    return seen


def _node(one: _Candidate, finding: Finding, parents: tuple[int, ...]) -> Node:
    sub, worst = one.sub, finding.worst
    return Node(
        name=sub.name,
        factor=one.factor,
        order=sub.order,
        where=sub.where,
        conjugates=sub.conjugates,
        verdict=finding.verdict,
        error=None if finding.error is None else finding.error.spread.mean,
        floor=finding.floor.rounding,
        worst="" if worst is None else worst.element,
        worst_error=None if worst is None else worst.value,
        elements=len(sub.g),
        note=finding.note,
        parents=parents,
    )


def _elements(
    scene: _Scene, found: Sequence[Findings], singles: Mapping[str, Sequence[Element]]
) -> list[Element]:
    """The elements with the largest errors, those judged alone or else those of the whole group."""
    rows = []
    for name in scene.outputs:
        own = list(singles.get(name, ()))
        for part in found if not own else ():
            if (curve := part[name].curve) is not None:
                own += [Element(name, word, e) for word, e in zip(curve.labels, curve.errors, strict=True)]
        rows += sorted(own, key=lambda one: -one.error)[:_SHOWN]
    return rows


def _everything(g: Tensor) -> Tensor:
    return torch.ones(len(g), dtype=torch.bool)
