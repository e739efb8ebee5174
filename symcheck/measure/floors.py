"""Floors: how large the error would be if only rounding, batch-mates or repetition were at work.

For a subject that is exact in real arithmetic the triangle inequality gives, at the lower precision,

    ||δ_low|| <= F(g·x) + F(x),   F(u) = ||f_low(u) − f_high(u)||

and at the higher precision δ falls with machine epsilon. A true violation stays. Subjects whose precision cannot
be raised are nudged by one unit in the last place instead.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.errors import ModelError
from symcheck.measure.defect import Slot, at_rest_of, defect, ready, widest
from symcheck.measure.evaluator import Evaluator
from symcheck.measure.runner import Runner
from symcheck.measure.samples import move_batch, observe_batch

Outputs = dict[str, Tensor]
RATIO = 3.0  # how far beyond its bound an error must lie to count as structural


@dataclass(frozen=True)
class Precision:
    """Root mean squares over the probed pairs of one output, in the output's unit; nan where not measured.

    `epsilon` is the ratio of the two machine epsilons, `unit` the lower one's;
    `ratio` is the largest low-precision error over its floor, `worst` the largest high-precision error over what
    rounding would leave of that floor; `constants`: the rest comes from numbers stored at the lower precision.
    """

    low: float
    high: float
    floor: float
    worst: float
    ratio: float
    epsilon: float
    unit: float
    how: str
    constants: bool = False

    @property
    def exact(self) -> bool:
        """Nothing beyond rounding: error within the floor, and falling with machine epsilon."""
        return not (self.ratio > RATIO) and (not (self.worst > RATIO) or self.constants)

    @property
    def slope(self) -> float | None:
        """1 when the error falls with machine epsilon, 0 when it stays."""
        if not (self.low > 0 and self.high > 0):
            return None
        return math.log(self.low / self.high) / -math.log(self.epsilon)


@dataclass
class Probe:
    """A few pairs (g, x) of one cell, run again at other precisions and in other company."""

    evaluator: Evaluator
    bound: BoundClaim
    slots: Mapping[str, Slot]
    g: Tensor
    picks: Tensor
    counts: list[int]  # pairs of each part
    low: Runner
    high: Runner | None
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        device = self.evaluator.runner.device
        self.index = torch.arange(len(self.g), device=device)
        self.elements = ready(self.bound, self.slots, self.g, device)
        self.batch = self.evaluator.samples.take(self.picks)
        self.moved = move_batch(self.bound, self.elements, self.index, self.batch)
        self.unique, self.inverse = torch.unique(self.picks, return_inverse=True)
        self.still = observe_batch(self.bound, self.evaluator.samples.take(self.unique))
        try:
            self._rest()
        except ModelError as error:
            if self.low is self.evaluator.runner:
                raise
            self.notes.append(f"precision could not be lowered: {error.message}")
            self.low, self.high = self.evaluator.runner, None
            self._rest()

    def _rest(self) -> None:
        if self.low is self.evaluator.runner:
            self.low_still = at_rest_of(self.slots, self.evaluator.base(self.bound), self.picks)
        else:
            self.low_still = self.at_rest(self.low)
        self.low_moved = self._kept(self.low, self.moved)

    def at_rest(self, runner: Runner, batch: Batch | None = None) -> Outputs:
        """f(x) of every pair; each sample is run once."""
        return self._spread(self._kept(runner, batch or self.still))

    def errors(self, moved: Outputs, still: Outputs) -> dict[str, Tensor]:
        """||δ|| of every pair and output."""
        return {
            name: slot.squared(self._defect(slot, moved, still), self.batch).sqrt() for name, slot in self.slots.items()
        }

    def _defect(self, slot: Slot, moved: Outputs, still: Outputs) -> Tensor:
        return defect(slot, self.elements, self.index, moved, still, self.batch)

    def drift(self, moved: Outputs, still: Outputs, moved_too: Outputs, still_too: Outputs) -> dict[str, Tensor]:
        """F(g·x) + F(x) between two runs; of a relation, whose views have shapes of their own, ||δ − δ'||."""
        if self.bound.relation is None:
            return _sum(self.gaps(moved, moved_too), self.gaps(still, still_too))
        found = {}
        for name, slot in self.slots.items():
            change = self._defect(slot, moved, still) - self._defect(slot, moved_too, still_too)
            found[name] = slot.squared(widest(change), self.batch).sqrt()
        return found

    def gaps(self, one: Outputs, two: Outputs) -> dict[str, Tensor]:
        """||f − f'|| of every pair between two runs, whatever their precision."""
        return {
            name: slot.squared(slot.gap(widest(one[name]), widest(two[name])), self.batch).sqrt()
            for name, slot in self.slots.items()
        }

    def _sizes(self, moved: Outputs, still: Outputs) -> dict[str, Tensor]:
        outputs = moved if self.bound.relation is None else still
        return {n: slot.squared(slot.magnitude(outputs[n]), self.batch).sqrt() for n, slot in self.slots.items()}

    def precision(self) -> list[dict[str, Precision]]:
        """For every part the rounding floor and the error at both precisions, or by nudging when there is only one."""
        if self.high is not None:
            try:
                return self._two_precisions(self.high)
            except ModelError as error:
                self.notes.append(f"precision could not be raised: {error.message}")
        return self._nudged()

    def _two_precisions(self, high: Runner) -> list[dict[str, Precision]]:
        high_still, high_moved = self._both_at(high)
        low = self.errors(self.low_moved, self.low_still)
        top = self.errors(high_moved, high_still)
        floor = self.drift(self.low_moved, self.low_still, high_moved, high_still)
        eps, finer = (torch.finfo(r.dtype or torch.float32).eps for r in (self.low, high))
        size = self._sizes(high_moved, high_still)

        wobble = {name: torch.zeros_like(r) for name, r in size.items()}
        many = {name: self._terms(high_still[name]) for name in self.slots}

        def judged(name: str, r: Tensor, change: float = 0.0) -> Precision:
            # what the higher precision itself may leave
            rounding = 16 * finer * many[name] * size[name][r] + wobble[name][r]
            return _precision(low[name][r], top[name][r], floor[name][r], (eps, finer), rounding, change)

        found = self._by_part(judged)
        least = {n: eps * _rms(size) for n, size in self._sizes(self.low_moved, self.low_still).items()}
        suspects = any(not p.exact and p.low <= 100 * max(p.floor, least[n]) for part in found for n, p in part.items())
        if suspects and not self._raised(high, high_still):
            raise ModelError("the model computes in a lower precision inside", hint="cast what it pins to float32")
        if suspects and self.bound.relation is not None:  # sums that should cancel round as their terms do
            wobble = self._wobble(high, high_moved, high_still, finer)
            found = self._by_part(judged)
        if suspects and high.module is not None:
            change = self._change(high.shaken(eps), high_moved, high_still)
            found = self._by_part(lambda n, r: judged(n, r, _rms(change[n][r])))
        return found

    def _by_part(self, make: Callable[[str, Tensor], Precision]) -> list[dict[str, Precision]]:
        """`make(output, pairs)` for every part and output."""
        return [{name: make(name, rows) for name in self.slots} for rows in torch.split(self.index, self.counts)]

    def _both_at(self, runner: Runner) -> tuple[Outputs, Outputs]:
        """f(x) and f(g·x) of every pair, in one call where samples are dense and both fit into a chunk."""
        counts = [self.still.count, self.moved.count]
        alone = self.still.packed or self.bound.relation is not None or runner.limit is not None
        if alone or sum(counts) > self.evaluator.chunks.size:
            return self.at_rest(runner), self._kept(runner, self.moved)
        wide = {n: x.double() if x.is_floating_point() else x for n, x in self.still.tensors.items()}
        merged = {n: torch.cat([x, self.moved.tensors[n].to(x.dtype)]) for n, x in wide.items()}
        outputs = runner.kept(Batch(merged, sum(counts)))
        still, moved = ({n: torch.split(y, counts)[i] for n, y in outputs.items()} for i in (0, 1))
        return self._spread(still), moved

    def _kept(self, runner: Runner, batch: Batch) -> Outputs:
        """A probe never runs more at once than the measurement did; packed batches are not cut."""
        size = self.evaluator.chunks.size
        if batch.packed or batch.count <= size:
            return runner.kept(batch)
        pieces = [runner.kept(batch.slice(i, min(i + size, batch.count))) for i in range(0, batch.count, size)]
        return {name: torch.cat([piece[name] for piece in pieces]) for name in pieces[0]}

    def _spread(self, still: Outputs) -> Outputs:
        """From one row per sample to one per pair."""
        base = self.evaluator.outputs(still, self.unique)
        return at_rest_of(self.slots, base, self.inverse)

    def _raised(self, high: Runner, still: Outputs) -> bool:
        """Whether a change of 2^-40 passes through: float32 inside the model would swallow or inflate it."""
        fine, coarse = (self.gaps(self.at_rest(high, nudged(self.still, 2.0**-k)), still) for k in (40, 24))
        smooth = [name for name, slot in self.slots.items() if not slot.labels]  # a label swallows small changes anyway
        fine_rms, coarse_rms = (math.hypot(*(_rms(gaps[name]) for name in smooth)) for gaps in (fine, coarse))
        size = math.hypot(*(_rms(s) for s in self._sizes(still, still).values()))
        rounding = 16 * torch.finfo(high.dtype or torch.float64).eps * size
        swallowed = fine_rms == 0 and coarse_rms > 2.0**16 * rounding
        return not swallowed and fine_rms <= max(2.0**-13 * coarse_rms, rounding)

    def _change(self, shaken: Runner, moved: Outputs, still: Outputs) -> dict[str, Tensor]:
        """How far δ moves when every stored number moves by one unit in the last place of the lower precision."""
        again, rest = self._kept(shaken, self.moved), self.at_rest(shaken)
        change = {}
        for name, slot in self.slots.items():
            before, after = self._defect(slot, moved, still), self._defect(slot, again, rest)
            change[name] = slot.squared(after - before, self.batch).sqrt()
        return change

    def _terms(self, y: Tensor) -> float:
        """By how much a sum over the entries of a sample rounds more than one of them; relations add them up."""
        return 1.0 if self.bound.relation is None else max(1.0, math.sqrt(y.numel() / self.batch.count))

    def _wobble(self, runner: Runner, moved: Outputs, still: Outputs, eps: float) -> dict[str, Tensor]:
        """How far both sides move when the inputs do, by one unit in the last place up and down."""
        both = []
        for sign in (1, -1):
            other = self._kept(runner, nudged(self.moved, sign * eps))
            both.append(self.drift(other, self.at_rest(runner, nudged(self.still, sign * eps)), moved, still))
        return _sum(*both)

    def _nudged(self) -> list[dict[str, Precision]]:
        low = self.errors(self.low_moved, self.low_still)
        eps = torch.finfo(self.low.dtype or torch.float32).eps
        sizes = {name: eps * size for name, size in self._sizes(self.low_moved, self.low_still).items()}
        floor = _sum(sizes, self._wobble(self.low, self.low_moved, self.low_still, eps))
        return self._by_part(lambda n, r: _nudged_precision(low[n][r], floor[n][r], eps))


def nudged(batch: Batch, size: float) -> Batch:
    """Every float input multiplied by 1 ± size with fixed random signs: an identity-like change."""
    generator = torch.Generator().manual_seed(7)
    tensors = {}
    for name, x in batch.tensors.items():
        if x.is_floating_point():
            signs = (torch.randint(0, 2, x.shape, generator=generator) * 2 - 1).to(x.device, torch.float64)
            x = x.double() * (1 + size * signs)
        tensors[name] = x
    return batch.with_tensors(tensors)


def _sum(*parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: torch.stack([part[name] for part in parts]).sum(0) for name in parts[0]}


def _rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def _floors(floor: Tensor) -> Tensor:
    """The floor of each pair, never far below what is usual: a pair may be lucky."""
    return floor.clamp(min=max(0.3 * _rms(floor), torch.finfo(torch.float64).tiny))


def _precision(
    low: Tensor, high: Tensor, floor: Tensor, units: tuple[float, float], rounding: Tensor, change: float
) -> Precision:
    unit, finer = units
    epsilon = finer / unit
    ratio = float((low / (_floors(floor) + rounding)).max())  # some subjects compute in double precision all along
    worst = float((high / (_floors(floor) * epsilon**0.8 + rounding)).max())
    constants = change > 0.3 * _rms(high)
    return Precision(_rms(low), _rms(high), _rms(floor), worst, ratio, epsilon, unit, "float64 run", constants)


def _nudged_precision(low: Tensor, floor: Tensor, unit: float) -> Precision:
    ratio = float((low / _floors(floor)).max())
    return Precision(_rms(low), math.nan, _rms(floor), 0.0, ratio, 1.0, unit, "inputs nudged by one ulp")


def probe_pairs(squared: Sequence[Tensor], pairs: int, worst: int = 2) -> list[tuple[int, int]]:
    """Which pairs to probe: a regular grid over elements and samples, and the worst ones of every output."""
    rows, columns = squared[0].shape
    wide = max(1, min(columns, math.isqrt(pairs - worst)))
    tall = max(1, min(rows, (pairs - worst) // wide))
    chosen = [(i * rows // tall, j * columns // wide) for i in range(tall) for j in range(wide)]
    for one in squared:
        top = torch.nan_to_num(one, nan=math.inf).flatten().topk(min(worst, one.numel())).indices.tolist()
        chosen += [(k // columns, k % columns) for k in top]
    return list(dict.fromkeys(chosen))
