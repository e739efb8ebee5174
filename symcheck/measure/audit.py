"""One audit: claims × parts of the group × outputs, each a cell that ends in a finding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.measure.defect import Slot, slot_for
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.finding import Facts, assemble
from symcheck.measure.floors import Probe, company, probe_pairs
from symcheck.measure.laws import Law, check_law
from symcheck.measure.plan import Stratum, strata
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.measure.search import search_worst
from symcheck.measure.tally import Cell
from symcheck.measure.worst import WorstPair, keep_worst
from symcheck.report.model import Finding

PROBED = 128  # one pair in so many is run again at other precisions


@dataclass(frozen=True)
class Options:
    """How much to measure and what counts as equal; tolerances are on the spread scale."""

    elements: int = 32
    seed: int = 0
    tolerance: float = 1e-3
    tolerances: Mapping[str, float] = field(default_factory=dict)
    worst: bool = False


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
                laws = self._laws(bound, outputs, base, torch.cat([part.g for part in alike]))
                for part in alike:
                    findings += self._stratum(bound, base, part, outputs, *laws)
        return findings

    def _laws(
        self, bound: BoundClaim, outputs: Mapping[str, Bound], base: Samples, g: Tensor
    ) -> tuple[dict[str, Law], dict[str, Law]]:
        """Check the checker on every input and output, before the model is judged."""
        samples = self.evaluator.samples
        return (
            {name: check_law(action, g, samples.example(name)) for name, action in bound.inputs.items()},
            {name: check_law(action, g, base.example(name)) for name, action in outputs.items()},
        )

    def _stratum(
        self,
        bound: BoundClaim,
        base: Samples,
        stratum: Stratum,
        actions: Mapping[str, Bound],
        inputs: Mapping[str, Law],
        outputs: Mapping[str, Law],
    ) -> list[Finding]:
        g = stratum.g
        slots = {
            n: slot_for(n, action, base, outputs[n].isometric, stratum.resampled) for n, action in actions.items()
        }
        cells = self.evaluator.cell(bound, slots, g, stratum.exhaustive, stratum.subgroup)
        probe = self._probe(bound, slots, stratum, cells)
        precision, others = probe.precision(), company(self.evaluator, bound, slots)
        claim = str(bound.claim)
        findings = []
        for name, slot in slots.items():
            searched = search_worst(self.evaluator, bound, slot, stratum, cells[name]) if self.options.worst else None
            facts = Facts(
                claim, bound.group, slot, stratum, cells[name], precision[name], inputs, outputs[name], *others[name],
                tuple(probe.notes), searched,
                self.options.tolerances.get(claim, self.options.tolerance),
            )
            findings.append(assemble(facts))
            self.pairs.append(keep_worst(self.evaluator, bound, slot, stratum, cells[name], searched))
        return findings

    def _probe(
        self, bound: BoundClaim, slots: Mapping[str, Slot], stratum: Stratum, cells: Mapping[str, Cell]
    ) -> Probe:
        squared = [torch.from_numpy(cell.squared) for cell in cells.values()]
        worst = torch.stack([s / s.nan_to_num(0.0).mean().clamp(min=1e-300) for s in squared]).amax(0)
        count = min(64, max(8, min(self.evaluator.chunks.size, worst.numel() // PROBED)))
        pairs = probe_pairs(worst, count)
        rows = torch.tensor([k for k, _ in pairs])
        picks = torch.tensor([b for _, b in pairs], device=self.evaluator.runner.device)
        return Probe(self.evaluator, bound, slots, stratum.g[rows], picks, self.low, self.high)

