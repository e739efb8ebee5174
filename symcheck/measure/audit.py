"""One audit: claims × parts of the group × outputs, each a cell that ends in a finding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch

from symcheck.actions.base import Bound
from symcheck.claim import BoundClaim, Claim
from symcheck.measure.certify import Ask, certify
from symcheck.measure.company import company
from symcheck.measure.curve import where_on
from symcheck.measure.defect import Slot, slot_for
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.finding import Facts, assemble
from symcheck.measure.floors import Probe, probe_pairs
from symcheck.measure.laws import LAWLESS, Law, check_law, idle
from symcheck.measure.piece import Block, Piece
from symcheck.measure.plan import Stratum, strata
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Samples
from symcheck.measure.search import search_worst
from symcheck.measure.suggest import suggest_action
from symcheck.measure.tally import Cell, Rest, at_rest, finish
from symcheck.measure.worst import keep_worst
from symcheck.report.model import Finding, Verdict

WHOLE = Block()
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

    def tolerance_of(self, claim: str) -> float:
        """The tolerance for one claim."""
        return self.tolerances.get(claim, self.tolerance)


@dataclass(frozen=True)
class Common:
    """What parts that act in the same way share."""

    laws_in: Mapping[str, Law]
    laws_out: Mapping[str, Law]
    slots: Mapping[str, Slot]
    rests: Mapping[str, Rest]


@dataclass
class Audit:
    """Measures claims with one evaluator; the copies of the subject at other precisions are made once."""

    evaluator: Evaluator
    options: Options
    low: Runner
    high: Runner | None

    def measure(self, claim: Claim, block: Block = WHOLE) -> list[Piece]:
        """What one block of elements finds of one claim: a piece for each part of its group and each output."""
        bound, base, outputs = self.bound(claim)
        parts = strata(bound, outputs, self.options.elements, self.options.seed)
        pieces: list[Piece] = []
        for resampled in (False, True):
            alike = {place: part for place, part in enumerate(parts) if part.resampled == resampled}
            if alike:
                pieces += self._alike(bound, base, alike, outputs, block)
        return pieces

    def bound(self, claim: Claim) -> tuple[BoundClaim, Samples, dict[str, Bound]]:
        """The claim on these samples, f(x), and the action on each output."""
        bound = claim.bind(self.evaluator.samples.shapes())
        base = self.evaluator.base(bound)
        bound = replace(bound, offer=self.evaluator.runner.outputs.offer)
        return bound, base, bound.outputs({n: s for n, s in base.shapes().items() if n != base.owner_name})

    def judge(self, claim: Claim, parts: Sequence[Stratum]) -> list[dict[str, Finding]]:
        """The findings of chosen parts of the group by output, on one scale; elements that parts share run once."""
        bound, base, outputs = self.bound(claim)
        found: dict[int, dict[str, Finding]] = {}
        for resampled in (False, True):
            places = [place for place, part in enumerate(parts) if part.resampled == resampled]
            if places:
                alike = [parts[place] for place in places]
                found |= dict(zip(places, self._judged(bound, base, outputs, alike), strict=True))
        return [found[place] for place in range(len(parts))]

    def _judged(
        self, bound: BoundClaim, base: Samples, outputs: Mapping[str, Bound], parts: list[Stratum]
    ) -> list[dict[str, Finding]]:
        common = self.common(bound, base, parts, outputs)
        flat = torch.cat([part.g for part in parts])
        g, rows = torch.unique(flat.reshape(len(flat), -1), dim=0, return_inverse=True)
        whole = self.evaluator.tally(bound, common.slots, g.reshape(len(g), *flat.shape[1:]))
        mine = torch.split(rows, [len(part.g) for part in parts])
        cells = [
            {n: finish(t.rows(own), common.rests[n], part.exhaustive, False) for n, t in whole.items()}
            for part, own in zip(parts, mine, strict=True)
        ]
        probe = self._probe(bound, common.slots, parts, cells)
        others, findings = company(self.evaluator, bound, common.slots), []
        limit = self.options.tolerance_of(str(bound.claim))
        for part, cell, precision in zip(parts, cells, probe.precision(), strict=True):
            where = where_on(bound.group, part.g)
            facts = {
                n: Facts(str(bound.claim), n, part, where, common.laws_in, common.laws_out[n], precision[n],
                         *others[n], tuple(probe.notes), None, limit)
                for n in common.slots
            }  # fmt: skip
            findings.append({n: assemble(one, cell[n]) for n, one in facts.items()})
        return findings

    def _alike(
        self, bound: BoundClaim, base: Samples, parts: Mapping[int, Stratum], actions: Mapping[str, Bound], block: Block
    ) -> list[Piece]:
        """Parts that act in the same way (all exact, or all resampled) share the law check and the probe."""
        common = self.common(bound, base, list(parts.values()), actions)
        mine = {place: (part, block.rows(len(part.g))) for place, part in parts.items()}
        cut = {place: replace(part, g=part.g[rows]) for place, (part, rows) in mine.items() if len(part.g[rows])}
        if not cut:
            return []
        tallies = {place: self.evaluator.tally(bound, common.slots, part.g) for place, part in cut.items()}
        cells = {
            place: {n: finish(t, common.rests[n], part.exhaustive and block == WHOLE, part.subgroup)
                    for n, t in tallies[place].items()}
            for place, part in cut.items()
        }  # fmt: skip
        probe = self._probe(bound, common.slots, list(cut.values()), list(cells.values()))
        precisions, others = probe.precision(), company(self.evaluator, bound, common.slots)
        pieces: list[Piece] = []
        for (place, part), precision in zip(cut.items(), precisions, strict=True):
            where, found = where_on(bound.group, part.g), []
            for i, (name, slot) in enumerate(common.slots.items()):
                cell = cells[place][name]
                searched = search_worst(self.evaluator, bound, slot, part, cell) if self.options.worst else None
                facts = Facts(
                    str(bound.claim), name, part, where, common.laws_in, common.laws_out[name], precision[name],
                    *others[name], tuple(probe.notes), searched, self.options.tolerance_of(str(bound.claim)),
                )  # fmt: skip
                finding = assemble(facts, cell)
                instead = suggest_action(probe, slot) if finding.verdict is Verdict.BROKEN else ""
                finding = replace(finding, advice=instead or finding.advice)
                worst = keep_worst(self.evaluator, slot, facts, cell, finding.spread or 0.0)
                start, total = mine[place][1].start, len(parts[place].g)
                piece = Piece(
                    (place, i), start, total, facts, tallies[place][name], common.rests[name], worst, finding, instead
                )
                found.append(piece)
            pieces += self._certified(bound, common.slots, part, found)
        return pieces

    def common(
        self, bound: BoundClaim, base: Samples, parts: list[Stratum], actions: Mapping[str, Bound]
    ) -> Common:
        """The laws of the actions, how each defect is taken, and what f(x) itself contributes, for alike parts."""
        g, samples = torch.cat([part.g for part in parts]), self.evaluator.samples
        if bound.relation is not None:
            still = idle(bound, g, samples, self.evaluator.alone)
            lawless = replace(LAWLESS, moved=0.0) if still else LAWLESS
            laws_in, laws_out = dict.fromkeys(bound.inputs, lawless), dict.fromkeys(actions, LAWLESS)
        else:
            laws_in = {name: check_law(action, g, samples.example(name)) for name, action in bound.inputs.items()}
            laws_out = {name: check_law(action, g, base.example(name)) for name, action in actions.items()}
        resampled = parts[0].resampled
        slots = {n: slot_for(n, bound, a, base, laws_out[n].isometric, resampled) for n, a in actions.items()}
        outputs = self.evaluator.runner.outputs
        rests = {n: at_rest(slot, base, bound.group, outputs.margin(n, base.tensors)) for n, slot in slots.items()}
        return Common(laws_in, laws_out, slots, rests)

    def _certified(
        self, bound: BoundClaim, slots: Mapping[str, Slot], part: Stratum, pieces: list[Piece]
    ) -> list[Piece]:
        """The pieces of one part, each with its certificate where one was asked for."""
        if self.options.certify is None:
            return pieces
        findings = [piece.finding for piece in pieces]
        limits = {f.output: (f.tolerance, f.spread or 0.0) for f in findings}
        found = certify(self.evaluator, bound, slots, part, limits, self.options.certify, self.options.seed)
        return [replace(p, finding=replace(p.finding, certificate=found[p.finding.output])) for p in pieces]

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
