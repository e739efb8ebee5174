"""The variants of a path, naive, aligned and with its layers renormalised: what two of them share is walked once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from symcheck.connect.barrier import barrier
from symcheck.connect.bezier import bezier
from symcheck.connect.mechanisms import TIMES, along, moved
from symcheck.connect.path import Path, State, grid, linear, quadratic
from symcheck.connect.result import Curve, Mechanism, Variant
from symcheck.connect.walk import Statistics, Treatment, Walked, Walker
from symcheck.errors import ConfigError, DataError
from symcheck.measure.loss import Scores
from symcheck.registry import suggest

PATHS = ("linear", "quadratic", "bezier")
POINTS, STEPS = 25, 300
_SEEDS = 2**63
_WATCHED = (0.0, 0.5, 1.0)
_TRAINED_ON = 128  # samples in a step of training


@dataclass(frozen=True)
class Options:
    """How a connection is measured."""

    points: int = POINTS
    path: str = "linear"
    path_steps: int = STEPS
    mechanisms: tuple[str, ...] = ()
    batch_size: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.path not in PATHS:
            raise ConfigError(f"unknown path '{self.path}'", where="--path", hint=suggest(self.path, [*PATHS]))
        grid(self.points)
        if not -_SEEDS <= self.seed < _SEEDS:
            raise ConfigError(
                f"the seed {self.seed} is out of range", where="--seed", hint="give a whole number of less than 64 bits"
            )


@dataclass
class Variants:
    """The walks of one connection; `tell` hears what is done next."""

    walker: Walker
    options: Options
    tell: Callable[[str], None]

    def move_data(self) -> list[str]:
        """Add the data sets that are moved by the claims; a note where one cannot be."""
        notes, walker = [], self.walker
        claims = self.options.mechanisms
        source = [*walker.sets.values()][-1]
        added = {}
        for claim in claims:
            try:
                added[claim] = moved(walker.network, source, claim, self.options.seed)
            except DataError as error:
                notes.append(f"no loss on moved data: {error.message} ({error.where})")
        walker.sets = {**walker.sets, **added}
        return notes

    def path(self, a: State, b: State) -> Path:
        """The path of the kind that was asked for."""
        if self.options.path == "linear":
            return linear(a, b)
        module, walker = self.walker.network.module, self.walker
        if self.options.path == "quadratic":
            return quadratic(a, b, {name for name, _ in module.named_parameters()})
        self.tell("training the curve")
        return bezier(
            a, b, walker.network, walker.train, walker.loss,
            steps=self.options.path_steps, batch_size=min(_TRAINED_ON, walker.batch_size), seed=self.options.seed,
        )  # fmt: skip

    def walked(self, a: State, ends: Mapping[str, State]) -> dict[str, Variant]:
        """Every path plain and reset, the last one with REPAIR too; A, and both ends under REPAIR, are walked once."""
        t = grid(self.options.points)
        found: dict[str, Variant] = {}
        first: dict[float, Walked] = {}
        for name, end in ends.items():
            path = self.path(a, end)
            self.tell(f"walking the {name} path")
            plain = self._walk(path, t, Treatment.PLAIN, name, first, watched=_WATCHED)
            first, statistics = {0.0: plain}, (plain.layers[0.0], plain.layers[1.0])
            found[name] = self._variant(name, path, Treatment.PLAIN, plain, statistics)
            for treatment in self._treatments(last=name == [*ends][-1]):
                title = f"{name} + {'reset' if treatment is Treatment.RESET else 'REPAIR'}"
                self.tell(f"walking the path, {title}")
                known = {0.0: plain, 1.0: plain} if treatment is Treatment.REPAIR else {}
                one = self._walk(path, t, treatment, title, known, ends=statistics, watched=(0.5,))
                found[title] = self._variant(title, path, treatment, one, statistics)
        return found

    def _walk(
        self,
        path: Path,
        t: Sequence[float],
        treatment: Treatment,
        name: str,
        known: Mapping[float, Walked],
        **more: Any,
    ) -> Walked:
        """Walk the points that are not known from another walk."""
        new = self.walker.walk(path, [x for x in t if x not in known], treatment, name=name, **more)

        def at(which: str, x: float) -> Scores:
            source = known.get(x, new)
            return source.scores[which][source.t.index(x)]

        layers = {x: source.layers[x] for x, source in known.items() if x in source.layers}
        scores = {which: tuple(at(which, x) for x in t) for which in self.walker.sets}
        return Walked(tuple(t), scores, {**layers, **new.layers})

    def _treatments(self, *, last: bool) -> list[Treatment]:
        network = self.walker.network
        wanted = {Treatment.RESET: network.batch_norms, Treatment.REPAIR: network.corrected if last else ()}
        return [treatment for treatment, layers in wanted.items() if layers and self.walker.learns]

    def _variant(
        self, name: str, path: Path, treatment: Treatment, walked: Walked, ends: tuple[Statistics, Statistics]
    ) -> Variant:
        curves = {which: _curve(walked.t, scores) for which, scores in walked.scores.items()}
        mechanisms: tuple[Mechanism, ...] = ()
        if claims := self.options.mechanisms:
            self.tell(f"auditing along the path, {name}")
            with self.walker.standing(path, treatment, ends) as at:
                source = [data for which, data in self.walker.sets.items() if which not in claims][-1]
                mechanisms = along(at, TIMES, source, claims, self.options.seed)
        return Variant(name, path.kind, str(treatment), curves, self._deviation(ends, walked.layers[0.5]), mechanisms)

    def _deviation(self, ends: tuple[Statistics, Statistics], middle: Statistics) -> dict[str, float]:
        """For each layer Σ_c σ_c(½) / Σ_c (σ_c(0) + σ_c(1))/2."""
        found = {}
        for key, layer in self.walker.network.layers.items():
            sizes = [float(one[key].deviation.sum()) for one in (*ends, middle)]
            found[layer.name] = 2 * sizes[2] / (sizes[0] + sizes[1]) if sizes[0] + sizes[1] else float("nan")
        return found

    def notes(self) -> list[str]:
        """What was left out, and what is to be known of what is there."""
        network, found = self.walker.network, []
        norms = {name for name, module in network.module.named_modules() if module in network.batch_norms}
        if self.options.path == "bezier":
            found.append("the middle of the curve was trained on the first data set: a barrier there is optimistic")
        if network.corrected and self.walker.learns and norms.issuperset(name for name, _ in network.corrected):
            found.append("all that REPAIR corrects are batch normalisations: it can do no more here than a reset")
        if not network.batch_norms:
            found.append("no batch normalisation keeps statistics: there is nothing to reset")
        if not network.corrected:
            found.append("no linear or convolution layer runs as a module before the last one: REPAIR has no place")
        if not self.walker.learns:
            found.append("a batch of one sample has no statistics: neither reset nor REPAIR")
        return found


def _curve(t: Sequence[float], scores: Sequence[Scores]) -> Curve:
    losses = torch.stack([one.loss for one in scores])
    right = [one.correct for one in scores if one.correct is not None]
    curve = Curve(losses.shape[1], tuple(losses.mean(1).tolist()), barrier(t, losses))
    if not right:
        return curve
    wrong = 1 - torch.stack(right)
    return replace(curve, error=tuple(wrong.mean(1).tolist()), error_barrier=barrier(t, wrong))
