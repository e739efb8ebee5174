"""Which part of a group a network respects: the lattice of subgroups, each judged by the floors of the audit.

Two subgroups that hold generate one that holds, so the verdict is the largest: `holds: SO(3); breaks: mirrors`. A
finite subgroup holds when every one of its elements does (in floating point generators are not enough), a continuous
one on drawn elements; that it is *exactly this one* is seen from larger ones, measured too, that do not hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch

from symcheck.claim import Claim
from symcheck.groups.draws import Draws
from symcheck.locate.subgroups.candidates import Subgroup, everything
from symcheck.locate.subgroups.curves import curves_of
from symcheck.locate.subgroups.factors import LISTED, Factor, Wanted, factors_of, subgroups_of
from symcheck.locate.subgroups.judging import Candidate, Findings, Scene, judge, together
from symcheck.locate.subgroups.landscape import landscape_of
from symcheck.locate.subgroups.result import Element, GroupPart, Lattice, Node
from symcheck.locate.subgroups.spectrum import spectra_of
from symcheck.measure.audit import Audit
from symcheck.measure.plan import Stratum, strata
from symcheck.report.model import Finding, Verdict

_TIGHT = 1e-3  # of an error that the tolerance allows: what is smaller holds better
_SHOWN = 24
_SILENT = (Verdict.TRIVIAL, Verdict.INVALID)


def which_part(audit: Audit, claim: Claim) -> GroupPart:
    """The subgroups of a claim's group that hold for each output, spectra over the group, and curves along it."""
    runners = {id(runner): runner for runner in (audit.evaluator.runner, audit.low, audit.high) if runner is not None}
    start = sum(runner.forwards for runner in runners.values())
    bound, _, outputs = audit.bound(claim)
    if bound.relation is not None:
        return GroupPart(str(claim), bound.group.name, notes=("a relation is no group and has no subgroups",))
    scene = Scene(audit, claim, bound, outputs)
    parts = strata(bound, outputs, audit.options.elements, audit.options.seed)
    found = audit.judge(claim, parts)
    whole = {name: together([one[name] for one in found]) for name in outputs}
    failing = [name for name, one in whole.items() if one.verdict is not Verdict.EXACT]
    silent = all(one.verdict in _SILENT for one in whole.values())
    spectra, more = spectra_of(audit, claim, parts) if failing and not silent else ([], [])
    orders = [one.order for one in spectra if one.kind == "frequency" and one.order]
    notes = ["the whole group already says: " + next(iter(whole.values())).note] if silent else []
    top = Candidate("", Subgroup(bound.group.name, torch.cat([p.g for p in parts]), everything, bound.group.order))
    singles: dict[str, list[Element]] = {}
    lattices = _lattices([top], whole)
    if not silent and failing:
        search = _Search(scene, parts, orders)
        lattices, singles = search.run([n for n in failing if not whole[n].verdict.holds], search.tolerance, whole, top)
        loose = {one.output: error for one in lattices if (error := _loosest(one)) is not None}
        if loose:  # what holds within the tolerance may hold a smaller part exactly
            lattices, singles = search.run(list(loose), _TIGHT * min(loose.values()), whole, top)
        notes += search.notes
    return GroupPart(
        str(claim),
        bound.group.name,
        tuple(lattices),
        tuple(spectra),
        tuple([] if silent else curves_of(audit, claim, parts)),
        tuple(_elements(scene, found, singles)),
        tuple(dict.fromkeys([*notes, *more])),
        sum(runner.forwards for runner in runners.values()) - start,
    )


@dataclass
class _Search:
    """Looks for subgroups, once for each size of error, and judges all that were found."""

    scene: Scene
    parts: Sequence[Stratum]
    orders: Sequence[int]
    found: list[Candidate] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def tolerance(self) -> float:
        """The tolerance of the claim."""
        return self.scene.audit.options.tolerance_of(str(self.scene.claim))

    def run(
        self, names: Sequence[str], limit: float, whole: Findings, top: Candidate
    ) -> tuple[list[Lattice], dict[str, list[Element]]]:
        """The lattices with the subgroups on which the outputs `names` err by no more than `limit`."""
        known = {(one.factor, one.sub.name, one.sub.where) for one in self.found}
        for one in self._candidates(names, limit) if names else ():
            if (one.factor, one.sub.name, one.sub.where) not in known:
                self.found.append(one)
        judged, singles = judge(self.scene, self.found)
        rows = {name: [one[name] for one in judged] for name in whole}
        return _lattices([*self.found, top], {n: [*rows[n], one] for n, one in whole.items()}), singles

    def _candidates(self, names: Sequence[str], limit: float) -> Iterator[Candidate]:
        """Subgroups of every factor, and the factors themselves where there are several."""
        scene = self.scene
        still = next((part.g for part in self.parts if not part.resampled), self.parts[0].g)
        landscape = landscape_of(scene.audit, scene.claim, still)
        wanted = Wanted(
            scene.audit.options.elements, any(part.resampled for part in self.parts), tuple(self.orders)
        )
        for factor in factors_of(scene.bound):
            name = "" if factor.alone else factor.group.name
            if not factor.alone:
                yield Candidate(name, factor.lifted(_alone(factor, wanted.count)))
            subs, words = subgroups_of(factor, landscape, names, limit, wanted)
            self.notes += [word for word in words if word not in self.notes]
            yield from (Candidate(name, one) for one in subs)


def _lattices(
    candidates: Sequence[Candidate], findings: Mapping[str, Finding | Sequence[Finding]]
) -> list[Lattice]:
    parents = _parents([one.sub for one in candidates])
    return [
        _lattice(name, candidates, [found] if isinstance(found, Finding) else found, parents)
        for name, found in findings.items()
    ]


def _loosest(lattice: Lattice) -> float | None:
    """The smallest error of a largest subgroup that holds but not exactly; None where all are exact."""
    errors = [lattice.nodes[i].error for i in lattice.holds if i not in lattice.exact]
    return min((error for error in errors if error is not None), default=None)


def _alone(factor: Factor, count: int) -> Subgroup:
    """A factor as a subgroup."""
    group = factor.group
    listed = group.elements() if group.order is not None and group.order <= LISTED else None
    if listed is not None:
        return Subgroup(group.name, listed[1:], everything, group.order)
    drawn = group.sample(2 * count, Draws(0, "alone"))
    moving = (drawn != group.identity(len(drawn))).reshape(len(drawn), -1).any(1)
    return Subgroup(group.name, drawn[moving], everything, group.order)


def _parents(subs: Sequence[Subgroup]) -> list[list[int]]:
    """For each subgroup the smallest of those that hold all its elements and more."""
    above = [
        [j for j, other in enumerate(subs) if j != i and bool(other.contains(sub.g).all())]
        for i, sub in enumerate(subs)
    ]
    above = [[j for j in some if i not in above[j] or j < i] for i, some in enumerate(above)]
    return [[j for j in some if not any(j in above[k] for k in some if k != j)] for some in above]


def _lattice(
    output: str, candidates: Sequence[Candidate], findings: Sequence[Finding], parents: Sequence[Sequence[int]]
) -> Lattice:
    nodes = tuple(
        _node(one, finding, tuple(above))
        for one, finding, above in zip(candidates, findings, parents, strict=True)
    )
    ups = [_upward(i, parents) for i in range(len(nodes))]
    holding = {i for i, node in enumerate(nodes) if node.verdict.holds}
    exact = {i for i in holding if nodes[i].verdict is Verdict.EXACT}
    broken = {i for i, node in enumerate(nodes) if node.verdict is Verdict.BROKEN}
    largest = {i for i in holding if not ups[i] & holding}
    above = {j for i in largest for j in ups[i]} if largest else set(range(len(nodes)))
    return Lattice(
        output,
        nodes,
        tuple(sorted(largest)),
        tuple(sorted(i for i in exact if not ups[i] & exact)),
        tuple(sorted(_kinds(_least(broken, ups), nodes, holding))),
        tuple(sorted(_least(above, ups))),
    )


def _least(some: set[int], ups: Sequence[set[int]]) -> set[int]:
    return {i for i in some if not any(i in ups[j] for j in some)}


def _kinds(least: set[int], nodes: Sequence[Node], holding: set[int]) -> set[int]:
    """Broken subgroups of kinds that hold nowhere; of point groups with mirrors the mirror says enough."""
    known = {nodes[i].name for i in holding}
    kept = {i for i in least if nodes[i].name not in known}
    simple = {nodes[i].name for i in kept} & {"Cs", "Ci"}
    return {i for i in kept if not (simple and nodes[i].name[:1] in "CDTOI" and nodes[i].name[-1:] in "vhd")}


def _upward(i: int, parents: Sequence[Sequence[int]]) -> set[int]:
    """All that stand above one node."""
    seen: set[int] = set()
    queue = [*parents[i]]
    while queue:
        if (j := queue.pop()) not in seen:
            seen.add(j)
            queue += parents[j]
    return seen


def _node(one: Candidate, finding: Finding, parents: tuple[int, ...]) -> Node:
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
    scene: Scene, found: Sequence[Findings], singles: Mapping[str, Sequence[Element]]
) -> list[Element]:
    """The elements with the largest errors, of those judged alone and those drawn from the whole group."""
    rows = []
    for name in scene.outputs:
        own = {one.label: one for one in singles.get(name, ())}
        for part in found:
            if (curve := part[name].curve) is not None:
                for word, error in zip(curve.labels, curve.errors, strict=True):
                    own.setdefault(word, Element(name, word, error))
        rows += sorted(own.values(), key=lambda one: -one.error)[:_SHOWN]
    return rows
