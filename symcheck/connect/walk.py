"""Walking along a path: the loss of every sample at every point, with or without renormalised layers.

The points are walked one after another, their weights written in place: on a processor batched products of many small
matrices are slower than the same forward passes in turn. On an accelerator, where a small network leaves most of the
device idle, the points are stacked and run at once, if the stack fits and a trial is faster.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import nn

from symcheck.connect.layers import Correction, Key, Layer, Moments, Watch, find_layers
from symcheck.connect.path import Path
from symcheck.connect.points import Correct, Learner, Network, OnePoint, Points, Stack
from symcheck.errors import DataError, ModelError
from symcheck.measure.loss import Labelled, Loss, Scores, Scoring, batch_of, caller

_STACK = 2**31  # bytes that stacked weights may take
_SETTLED = 1e-3  # deviations that statistics may still move by: what comes then moves losses by some 1e-5


class Treatment(StrEnum):
    """What is done to the layers at each point before its loss is taken."""

    PLAIN = "plain"  # nothing
    RESET = "reset"  # running statistics of batch normalisations estimated anew, nothing else
    REPAIR = "repair"  # every channel of every pre-activation brought to interpolated statistics


Statistics = Mapping[Key, Moments]


@dataclass(frozen=True)
class Walked:
    """What was found along a path: scores at each point of each data set, and at some the statistics of the layers."""

    t: tuple[float, ...]
    scores: Mapping[str, tuple[Scores, ...]]
    layers: Mapping[float, Statistics]


@dataclass
class Walker:
    """A copy of one network on a device, with the data and the loss that it is measured by.

    `stack` is how many points are run at once; None: found out. `forwards` counts samples.
    """

    network: Network
    sets: Mapping[str, Labelled]
    loss: Loss
    batch_size: int
    stack: int | None = None
    forwards: int = 0

    @classmethod
    def of(
        cls,
        module: nn.Module,
        sets: Mapping[str, Labelled],
        loss: Loss,
        device: torch.device,
        batch_size: int | None = None,
        stack: int | None = None,
    ) -> Walker:
        """A walker with its own copy of the module; statistics are taken on the first data set.

        Raises DataError where labels do not fit the outputs.
        """
        own = copy.deepcopy(module).to(device).eval().requires_grad_(False)
        dtype = next((x.dtype for x in own.state_dict().values() if x.is_floating_point()), None)
        placed = {name: data.to(device, dtype) for name, data in sets.items()}
        network = Network(own, caller(own, next(iter(placed.values()))))
        walker = cls(network, placed, loss, batch_size or min(map(batch_of, placed.values())), stack)
        with torch.no_grad():
            for data in placed.values():
                few = next(data.batches(min(8, walker.batch_size)))
                loss.fits(network.run(few.inputs), data.labels)
        few = next(walker.train.batches(min(8, walker.batch_size)))
        network.layers = find_layers(own, lambda: network.run(few.inputs))
        return walker

    @property
    def train(self) -> Labelled:
        """The first data set."""
        return next(iter(self.sets.values()))

    @property
    def learns(self) -> bool:
        """Whether there are batches to take statistics of."""
        return min(batch.count for batch in self.train.batches(self.batch_size)) > 1

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.train.labels.device

    def walk(
        self,
        path: Path,
        t: Sequence[float],
        treatment: Treatment = Treatment.PLAIN,
        *,
        ends: tuple[Statistics, Statistics] | None = None,
        watched: Sequence[float] = (),
        name: str = "the path",
    ) -> Walked:
        """The scores at every t, and at `watched` the statistics of the layers on the first data set.

        REPAIR needs the statistics at both `ends`. Raises DataError where a loss is not finite, with the point.
        """
        path, scores, layers = path.to(self.device), dict[tuple[float, str], Scores](), dict[float, Statistics]()
        correct = self._correct(ends if treatment is Treatment.REPAIR else None)
        with torch.no_grad(), self._correcting(treatment):
            for group in self._groups(path, t, watched, correct):
                points = self._points(path, group, correct)
                if treatment is not Treatment.PLAIN:
                    self._learn(points, len(group), renew=treatment is Treatment.RESET)
                for which, data in self.sets.items():
                    moments = {key: Moments() for key in self.network.layers}
                    looking = group[0] in watched and data is self.train
                    with self._watching(moments) if looking else nullcontext():
                        found = self._scores(points, data, len(group))
                    layers |= {group[0]: moments} if looking else {}
                    scores |= {(point, which): one for point, one in zip(group, found, strict=True)}
        for point, which in sorted(scores, key=lambda key: (key[0] not in (0, 1), key[0])):  # an end at fault first
            of = f", {which} data" if len(self.sets) > 1 else ""
            _check_finite(scores[point, which], f"{name} at t = {point:g}{of}")
        return Walked(tuple(t), {which: tuple(scores[point, which] for point in t) for which in self.sets}, layers)

    @contextmanager
    def standing(
        self, path: Path, treatment: Treatment, ends: tuple[Statistics, Statistics] | None = None
    ) -> Iterator[Callable[[float], Network]]:
        """The network at any t, treated: a function of t that returns it, good until the next call."""
        path, correct = path.to(self.device), self._correct(ends if treatment is Treatment.REPAIR else None)

        def at(t: float) -> Network:
            points = self._points(path, [t], correct)
            if treatment is not Treatment.PLAIN:
                self._learn(points, 1, renew=treatment is Treatment.RESET)
            return self.network

        with torch.no_grad(), self._correcting(treatment):
            yield at

    def _correcting(self, treatment: Treatment) -> AbstractContextManager[None]:
        return self.network.corrections_on() if treatment is Treatment.REPAIR else nullcontext()

    def _correct(self, ends: tuple[Statistics, Statistics] | None) -> Correct:
        """What is put behind the layers at t; at the ends nothing, since they are as they should be."""
        if ends is None:
            return lambda t: {}
        a, b = ends
        seen = [key for key in self.network.corrected if a[key].count and b[key].count]
        return lambda t: {} if t in (0, 1) else {key: Correction.towards(a[key], b[key], t) for key in seen}

    def _points(self, path: Path, t: Sequence[float], correct: Correct) -> Points:
        if len(t) == 1:
            return OnePoint(self.network, path, t[0], correct)
        return Stack(self.network, path, t, correct)

    def _groups(
        self, path: Path, t: Sequence[float], watched: Sequence[float], correct: Correct
    ) -> Iterator[tuple[float, ...]]:
        """Points that are run at once; those that are watched, and the ends, are run alone."""
        alone = [point for point in t if point in (*watched, 0, 1)]
        others = [point for point in t if point not in alone]
        yield from ((point,) for point in alone)
        if others:
            size = self._width(path, others, correct)
            yield from (tuple(others[i : i + size]) for i in range(0, len(others), size))

    def _width(self, path: Path, t: Sequence[float], correct: Correct) -> int:
        """How many points to run at once: as was said, one on a processor, else what a trial says."""
        if self.stack is None:
            self.stack = 1 if self.device.type == "cpu" else self.trial(path, t, correct)
        return self.stack

    def trial(self, path: Path, t: Sequence[float], correct: Correct = lambda t: {}) -> int:
        """As many points as fit in 2 GB, if one batch takes less time on them at once than one by one; else 1."""
        size = sum(x.numel() * x.element_size() for x in self.network.slots.values())
        width = min(len(t), _STACK // max(1, size))
        if width < 2:
            return 1
        try:
            together = self._seconds(path, [tuple(t[:width])], correct)
        except (ModelError, RuntimeError):  # what cannot be run on stacked weights, or has no memory for them
            return 1
        apart = self._seconds(path, [(point,) for point in t[:width]], correct)
        return width if together < apart else 1

    def _seconds(self, path: Path, groups: Sequence[Sequence[float]], correct: Correct) -> float:
        """How long one batch takes at all these points, the second time."""
        batch, spent = next(self.train.batches(self.batch_size)), 0.0
        for group in groups:
            points, last = self._points(path, group, correct), 0.0
            for _ in range(2):
                self._wait()
                start = time.perf_counter()
                points.run(batch.inputs)
                self._wait()
                last = time.perf_counter() - start
            spent += last
        return spent

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def _learn(self, points: Points, count: int, *, renew: bool) -> None:
        """Estimate statistics on the first data set, in training mode and as if it were one batch.

        In a first pass every batch is normalised by its own. With several batches this is right for the first layer
        alone: passes in which the layers go by what they learnt follow until nothing moves, at most one for each layer.
        """
        if not renew and not points.corrections:
            return
        with self.network.norms_measured() if renew else nullcontext():
            with self.network.learning(renew=renew) as tell:
                found = self._measured(points, count, tell)
            for _ in range(len(found) - 1 if self.batch_size < self.train.count else 0):
                points.learn(found)
                before, found = found, self._measured(points, count)
                if max(found[learner].far(before[learner]) for learner in found) < _SETTLED:
                    break
            points.learn(found, last=True)

    def _measured(
        self, points: Points, count: int, tell: Callable[[float], None] = lambda momentum: None
    ) -> dict[Learner, Moments]:
        """One pass over the first data set: the moments of what goes into everything that learns."""
        found, seen = dict[Learner, Moments](), 0
        try:
            for batch in self.train.batches(self.batch_size):
                seen += batch.count
                tell(batch.count / seen)
                self.network.measured = []
                points.run(batch.inputs)
                for learner, moments in self.network.measured:
                    found.setdefault(learner, Moments()).take(moments)
        finally:
            self.network.measured = None
        self.forwards += count * self.train.count
        return found

    def _scores(self, points: Points, data: Labelled, count: int) -> list[Scores]:
        found = [Scoring(self.loss) for _ in range(count)]
        for batch in data.batches(self.batch_size):
            for scoring, outputs in zip(found, points.run(batch.inputs), strict=True):
                scoring.add(outputs, batch.labels)
        self.forwards += count * data.count
        return [scoring.scores for scoring in found]

    @contextmanager
    def _watching(self, moments: Mapping[Key, Moments]) -> Iterator[None]:
        def add(layer: Layer, output: torch.Tensor) -> None:
            moments[layer.key].add(output, layer.axis)

        with Watch(self.network.module, self.network.layers)(add):
            yield


def _check_finite(found: Scores, where: str) -> None:
    bad = int((~found.loss.isfinite()).sum())
    if bad:
        raise DataError(
            f"the loss is not finite for {bad:,} of {len(found.loss):,} samples",
            where=where,
            hint="nothing can be concluded from such a path; check the checkpoints and the data at its ends",
        )
