"""The one batched loop: f(x) once, then f(g·x) for every pair, elements and samples folded into one batch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.errors import DataError
from symcheck.measure.defect import Slot, at_rest_of, defect, ready
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Elements, Samples, move_batch, observe_batch
from symcheck.measure.tally import Tally

Progress = Callable[[int], None]
Outputs = dict[str, Tensor]
Watch = Callable[[Slot, Elements, tuple[slice, slice], Tensor, Tensor, Tensor], None]
_SMALLEST, _LARGEST, _BYTES = 32, 8192, 2**28
_QUICK, _SLOW = 0.003, 1.0  # seconds of one chunk
_CHUNKS_IN_BLOCK = 4
_WORTH = 20  # a new size is tried when so many of its chunks are left


@dataclass
class Chunks:
    """How many pairs to run at once: grown while the time per pair falls, then kept.

    A size that is new costs extra (memory is touched for the first time), so a slow subject on the CPU tries one
    only where enough pairs are `left` to pay for it.
    """

    size: int = _SMALLEST
    fixed: bool = False
    rates: dict[int, float] = field(default_factory=dict)
    cap: int = _LARGEST
    left: int = 0
    accelerator: bool = False

    @property
    def slow(self) -> bool:
        """Whether one chunk takes long enough that the work around it should be shared by several."""
        return self.size * self.rates.get(self.size, 0.0) > _QUICK

    @property
    def most(self) -> int:
        """What may run at once to spare a small rest: half a chunk more, within the cap."""
        return max(self.size, min(self.size * 3 // 2, self.cap))

    def tell(self, count: int, seconds: float) -> None:
        """Learn from one run of `count` pairs: quick sizes are left at once, slow ones measured twice and compared."""
        if self.fixed:
            return
        if count < self.size:
            self.size = min(self.cap, 4 * self.size) if seconds < _QUICK / 2 else self.size
            return
        first, known = self.size not in self.rates, min(self.rates.values(), default=math.inf)
        self.rates[self.size] = min(seconds / count, self.rates.get(self.size, seconds))
        if first and _QUICK < seconds < _SLOW and seconds / count < 1.5 * known:
            return  # the first run of a size also warms up
        best = min(self.rates, key=lambda size: self.rates[size])
        grown = min(self.cap, self.size * (4 if seconds < _QUICK else 2))
        if self.rates[self.size] > 1.15 * self.rates[best] or seconds > _SLOW or grown == self.size:
            self.size, self.fixed = best, True
        elif seconds < _QUICK or self.accelerator or grown * _WORTH <= self.left:
            self.size = grown


@dataclass
class Evaluator:
    """One subject on one device with its samples; measures any number of cells with f(x) computed once."""

    runner: Runner
    samples: Samples
    chunks: Chunks
    progress: Progress = lambda pairs: None
    watch: Watch | None = None  # is shown every block: its slot, elements and place, then δ, f(g·x) and f(x)
    bases: dict[str, Samples] = field(default_factory=dict)
    graphs: dict[bool, Tensor] = field(default_factory=dict)
    reruns: dict[str, list[tuple[Tensor, Outputs]]] = field(default_factory=dict)

    @property
    def alone(self) -> bool:
        """Whether the model never sees two samples in one batch."""
        fixed = self.runner.subject.fixed_batch or self.runner.limit
        return (fixed or (self.chunks.size if self.samples.owner_name is None else 2)) < 2

    def run(self, batch: Batch) -> dict[str, Tensor]:
        """Run one batch, timing it while the chunk size is still being found."""
        tuning = not self.chunks.fixed
        if tuning:
            self._wait()
            start = time.perf_counter()
        outputs = self.runner(batch)
        if tuning:
            self._wait()
            self.chunks.tell(batch.count, time.perf_counter() - start)
        if self.runner.limit is not None and self.runner.limit < self.chunks.size:
            self.chunks.size, self.chunks.fixed = self.runner.limit, True
        self.progress(batch.count)
        return outputs

    def base(self, bound: BoundClaim) -> Samples:
        """f(x) of all samples, once for all claims that show the model the same inputs."""
        key = _view(bound)
        if key not in self.bases:
            pieces, start = [], 0
            while start < self.samples.count:
                stop = min(start + self.chunks.size, self.samples.count)
                rows = torch.arange(start, stop, device=self.runner.device)
                outputs = self.run(observe_batch(bound, self.samples.take(rows)))
                self._check(outputs, len(rows))  # before they are joined
                pieces.append({name: y.clone() for name, y in outputs.items()})
                start = stop
            everything = torch.arange(self.samples.count, device=self.runner.device)
            self.bases[key] = self.outputs({n: torch.cat([p[n] for p in pieces]) for n in pieces[0]}, everything)
        return self.bases[key]

    def again(self, bound: BoundClaim, some: int = 4) -> list[tuple[Tensor, Outputs]]:
        """A few samples twice, and a few others, in other company than in the base run: [(rows, outputs)], made once.

        What the batch has at most (the scale of a dynamic quantisation) is missing from one of the two companies.
        """
        key = _view(bound)
        if key not in self.reruns:
            few = max(1, min(some, self.samples.count // 2))
            rows = torch.arange(1, 1 + few, device=self.runner.device)
            sets = (rows, rows, (rows + few) % self.samples.count)
            batches = [(rows, observe_batch(bound, self.samples.take(rows))) for rows in sets]
            self.reruns[key] = [(rows, self.runner.kept(batch)) for rows, batch in batches]
        return self.reruns[key]

    def outputs(self, outputs: Mapping[str, Tensor], rows: Tensor) -> Samples:
        """Outputs of the samples `rows`, ready to be taken from; packed rows follow the order of the batch."""
        self._check(outputs, len(rows))
        if self.samples.owner_name is None:
            return Samples(outputs)
        owner = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), self.samples.rows.sizes[rows])
        return Samples({**outputs, "(owner)": owner}, owner="(owner)")

    def _check(self, outputs: Mapping[str, Tensor], count: int) -> None:
        """Refuse outputs that are empty or have no sample axis."""
        for name, y in outputs.items():
            if not y.numel():
                raise DataError(
                    f"output '{name}' of shape {tuple(y.shape)} is empty",
                    where=self.runner.subject.name,
                    hint="let the model return numbers, or declare this output as ignore",
                )
            if not y.dim() or (self.samples.owner_name is None and len(y) != count):
                raise DataError(
                    f"output '{name}' of shape {tuple(y.shape)} has no leading sample axis of {count}",
                    where=self.runner.subject.name,
                    hint="let the model return one entry per sample, or drop this output in a wrapper",
                )

    def tally(self, bound: BoundClaim, slots: Mapping[str, Slot], g: Tensor) -> dict[str, Tally]:
        """All pairs of the elements g with all samples, for every output."""
        base = self.base(bound)
        self.chunks.left = len(g) * self.samples.count
        elements = ready(bound, slots, g, self.runner.device)
        tallies = {
            name: Tally.empty(len(g), self.samples.count, self.runner.device, slot.split)
            for name, slot in slots.items()
        }
        for rows, columns in self._blocks(len(g)):
            self._block(bound, slots, elements, base, tallies, rows, columns)
        return tallies

    def _blocks(self, count: int) -> Iterator[tuple[slice, slice]]:
        """Blocks of elements × samples of one or a few chunks; an even number of elements keeps pairs together."""
        row = 0
        while row < count:
            size = self.chunks.size * (_CHUNKS_IN_BLOCK if self.chunks.slow and self.samples.owner_name is None else 1)
            width = max(1, min(self.samples.count, size // 2))
            height = max(2, size // width // 2 * 2)
            rest = not self.chunks.fixed and (count - row) * width <= self.chunks.most  # no small rest
            stop = count if rest else min(row + height, count)
            column = 0
            while column < self.samples.count:
                right = min(column + width, self.samples.count)
                yield slice(row, stop), slice(column, right)
                column = right
            row = stop

    def _block(
        self,
        bound: BoundClaim,
        slots: Mapping[str, Slot],
        elements: Elements,
        base: Samples,
        tallies: Mapping[str, Tally],
        rows: slice,
        columns: slice,
    ) -> None:
        device, width = self.runner.device, columns.stop - columns.start
        index = torch.arange(rows.start, rows.stop, device=device).repeat_interleave(width)
        picks = torch.arange(columns.start, columns.stop, device=device).repeat(rows.stop - rows.start)
        batch = self.samples.take(picks)
        moved = move_batch(bound, elements, index, batch)
        outputs, changed = self._in_chunks(moved), self._changed(bound, moved, picks)
        rest = at_rest_of(slots, base, picks)
        for name, slot in slots.items():
            delta = defect(slot, elements, index, outputs, rest, batch)
            tallies[name].add(rows, columns, delta, slot.squared(delta, batch), changed)
            if self.watch is not None:
                self.watch(slot, elements, (rows, columns), delta, outputs[name], rest[name])

    def _changed(self, bound: BoundClaim, moved: Batch, picks: Tensor) -> Tensor | None:
        """(pairs,) bool: whether g·x has another neighbour graph than x; None where no graph is watched."""
        graph = self.runner.graph
        if graph is None or graph.frozen or bound.relation is not None:
            return None
        ranked = not any(part.action.relabels for one in bound.inputs.values() for part in one.parts)
        if ranked not in self.graphs:
            everything = torch.arange(self.samples.count, device=self.runner.device)
            still = observe_batch(bound, self.samples.take(everything))
            self.graphs[ranked] = graph.key(self.runner.as_given(still), ranked)
        return graph.key(self.runner.as_given(moved), ranked) != self.graphs[ranked][picks]

    def _in_chunks(self, batch: Batch) -> dict[str, Tensor]:
        """Actions and sums are cheaper on whole blocks, forward passes on chunks."""
        size = self.chunks.size
        if batch.packed or batch.count <= self.chunks.most:
            return self.run(batch)
        outputs: dict[str, Tensor] = {}
        for i in range(0, batch.count, size):
            stop = min(i + size, batch.count)
            for name, y in self.run(batch.slice(i, stop)).items():
                whole = outputs.setdefault(
                    name, torch.empty((batch.count, *y.shape[1:]), dtype=y.dtype, device=y.device)
                )
                whole[i:stop] = y
        return outputs

    def _wait(self) -> None:
        if self.runner.device.type == "cuda":
            torch.cuda.synchronize(self.runner.device)


def _view(bound: BoundClaim) -> str:
    """What the model sees of the samples: claims whose actions show them in the same way share f(x)."""
    shown = [
        f"{name}={action}"
        for name, one in sorted(bound.inputs.items())
        for action in one.actions
        if action.observes or action.hidden
    ]
    return "; ".join(shown)


def chunks_for(samples: Samples, batch_size: int | None) -> Chunks:
    """The user's batch size, or one that is found while measuring and keeps the inputs of a chunk under 256 MB."""
    if batch_size is not None:
        return Chunks(size=batch_size, fixed=True, cap=batch_size)
    total = sum(x.numel() * x.element_size() for x in samples.tensors.values())
    cap = min(_LARGEST, max(1, _BYTES // max(1, total // max(1, samples.count))))
    accelerator = any(x.device.type != "cpu" for x in samples.tensors.values())
    return Chunks(size=min(_SMALLEST, cap), cap=cap, accelerator=accelerator)
