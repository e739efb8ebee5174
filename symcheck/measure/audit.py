"""One audit: claims × parts of the group × outputs, each a cell that ends in a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.measure.certify import Ask, certify
from symcheck.measure.curve import where_on
from symcheck.measure.defect import Slot, slot_for
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.finding import Facts, assemble
from symcheck.measure.floors import Probe, company, probe_pairs
from symcheck.measure.laws import LAWLESS, check_law
from symcheck.measure.plan import Stratum, strata
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.measure.search import search_worst
from symcheck.measure.suggest import suggest_action
from symcheck.measure.tally import Cell, at_rest
from symcheck.measure.worst import WorstPair, keep_worst
from symcheck.report.model import Finding, Verdict

PROBED = 128  # one pair in so many is run again at other precisions


@dataclass(frozen=True)
class Options:
    """How much to measure and what counts as equal; tolerances are on the spread scale."""

    elements: int = 32
    seed: int = 0
    tolerance: float = 1e-3
    tolerances: Mapping[str, float] = field(default_factory=dict)
    worst: bool = False
    certify: Ask | None = None


@dataclass
class Audit:
    """Measures claims with one evaluator; the copies of the subject at other precisions are made once."""

    evaluator: Evaluator
    options: Options
    low: Runner
    high: Runner | None
    pairs: list[WorstPair] = field(default_factory=list)

    def measure(self, claim: Claim) -> list[Finding]:
        """All findings of one claim: one per part of its group and output."""
        samples = self.evaluator.samples
        bound = claim.bind(samples.shapes())
        base = self.evaluator.base(bound)
        outputs = bound.outputs({n: s for n, s in base.shapes().items() if n != base.owner_name})
        parts = strata(bound, outputs, self.options.elements, self.options.seed)
        findings: list[Finding] = []
        for resampled in (False, True):
            alike = [part for part in parts if part.resampled == resampled]
            if alike:
                findings += self._alike(bound, base, alike, outputs)
        return findings

    def _alike(
        self, bound: BoundClaim, base: Samples, parts: list[Stratum], actions: Mapping[str, Bound]
    ) -> list[Finding]:
        """Parts that act in the same way (all exact, or all resampled) share the law check and the probe."""
        g = torch.cat([part.g for part in parts])
        samples, resampled = self.evaluator.samples, parts[0].resampled
        if bound.relation is not None:
            laws_in, laws_out = dict.fromkeys(bound.inputs, LAWLESS), dict.fromkeys(actions, LAWLESS)
        else:
            laws_in = {name: check_law(action, g, samples.example(name)) for name, action in bound.inputs.items()}
            laws_out = {name: check_law(action, g, base.example(name)) for name, action in actions.items()}
        slots = {n: slot_for(n, bound, a, base, laws_out[n].isometric, resampled) for n, a in actions.items()}
        rests = {name: at_rest(slot, base, bound.group) for name, slot in slots.items()}
        cells = [self.evaluator.cell(bound, slots, rests, part) for part in parts]
        probe = self._probe(bound, slots, parts, cells)
        precisions, others = probe.precision(), company(self.evaluator, bound, slots)
        claim, findings = str(bound.claim), []
        tolerance = self.options.tolerances.get(claim, self.options.tolerance)
        for part, cell, precision in zip(parts, cells, precisions, strict=True):
            mine, where = [], where_on(bound.group, part.g)
            for name, slot in slots.items():
                searched = search_worst(self.evaluator, bound, slot, part, cell[name]) if self.options.worst else None
                facts = Facts(
                    claim, bound.group, slot, part, cell[name], precision[name], laws_in, laws_out[name], *others[name],
                    tuple(probe.notes), searched, tolerance, where,
                )  # fmt: skip
                finding = assemble(facts)
                if finding.verdict is Verdict.BROKEN and (instead := suggest_action(probe, slot)):
                    finding = replace(finding, advice=instead)
                mine.append(finding)
                self.pairs.append(keep_worst(self.evaluator, bound, facts, finding.spread or 0.0))
            findings += self._certified(bound, slots, part, mine, tolerance)
        return findings

    def _certified(
        self, bound: BoundClaim, slots: Mapping[str, Slot], part: Stratum, findings: list[Finding], limit: float
    ) -> list[Finding]:
        """The findings of one part, each with its certificate where one was asked for."""
        if self.options.certify is None:
            return findings
        limits = {f.output: (limit, f.spread or 0.0) for f in findings}
        seed = self.options.seed
        found = certify(self.evaluator, bound, slots, part, limits, self.options.certify, seed)
        return [replace(f, certificate=found[f.output]) for f in findings]

    def _probe(
        self, bound: BoundClaim, slots: Mapping[str, Slot], parts: list[Stratum], cells: list[dict[str, Cell]]
    ) -> Probe:
        """A few pairs of every part: a grid, and the worst ones of any output."""
        chosen: list[list[tuple[int, int]]] = []
        for cell in cells:
            squared = [torch.from_numpy(one.squared) for one in cell.values()]
            count = min(64, max(8, min(self.evaluator.chunks.size, squared[0].numel() // PROBED)))
            chosen.append(probe_pairs(squared, count))
        g = torch.cat([part.g[[k for k, _ in pairs]] for part, pairs in zip(parts, chosen, strict=True)])
        picks = torch.tensor([b for pairs in chosen for _, b in pairs], device=self.evaluator.runner.device)
        counts = [len(pairs) for pairs in chosen]
        return Probe(self.evaluator, bound, slots, g, picks, counts, self.low, self.high)
