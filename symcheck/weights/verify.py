"""Proof by execution: a random element of every space, then of all, must leave every output where it is.

    max |f(g·θ, x) − f(θ, x)| <= 1e-9 spread,        and for a near miss > 1e-4 spread

in double precision, at generic weights, on two inputs. The near miss moves one tensor only: where even that changes
nothing, passing proves nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from symcheck.report.model import Verdict
from symcheck.weights.act import check_fit
from symcheck.weights.certificate import Certificate, Proof
from symcheck.weights.culprit import Fault, find_fault
from symcheck.weights.examples import tensors_of
from symcheck.weights.moves import drawn, moved
from symcheck.weights.near_miss import near_misses
from symcheck.weights.spec import Spec
from symcheck.weights.twin import REPEAT, Twin

EXACT, POWER = 1e-9, 1e-4
NEARLY = 1e-2  # largest error of an approximate space whose eps cannot be set to 0
_APART = 2**31  # spaces × parameters up to which every space is moved alone
_SEARCHED = 8  # failing spaces whose culprit is looked for


def prove(
    spec: Spec, model: nn.Module, example_inputs: Any, *, seed: int = 0, graph: str = "", apart: bool | None = None
) -> Certificate:
    """Move every space and see whether the function stays, on a copy of the model in double precision.

    `apart` moves each space alone; otherwise spaces are moved together and a group that fails is halved until the
    spaces at fault stand alone (by default for many spaces on many parameters). The model stays as it was.
    Raises LoadError when the spec does not fit the model's tensors, ModelError when the model fails on its example.
    """
    start = time.perf_counter()
    twin = Twin.of(model, example_inputs, seed)
    sizes = check_fit(spec, {n: tuple(t.shape) for n, t in twin.state.items()}, "the state dict of the model")
    prover = Prover(spec, model, example_inputs, seed, twin, sizes)
    proofs, joint = prover.all(apart)
    return Certificate(
        graph=graph,
        seed=seed,
        dtype=str(twin.dtype).removeprefix("torch."),
        inputs=tuple("; ".join(_described(x) for x in tensors_of(call)) for call in twin.calls),
        tolerance=prover.tolerance,
        power=prover.power,
        proofs=proofs,
        joint=joint,
        generic=twin.made_generic,
        notes=tuple(twin.notes),
        spread=twin.spread,
        size=twin.size,
        forwards=prover.forwards,
        seconds=time.perf_counter() - start,
    )


@dataclass
class Prover:
    """The twin of one model, on which the spaces of one spec are tried."""

    spec: Spec
    model: nn.Module
    example: Any
    seed: int
    twin: Twin
    sizes: dict[str, int]
    searched: int = 0
    first_order: bool = False

    @property
    def tolerance(self) -> float:
        """The largest error that rounding explains."""
        return max(EXACT, self.twin.floor)

    @property
    def power(self) -> float:
        """What a near miss must exceed."""
        return max(POWER, 10 * self.tolerance)

    @property
    def forwards(self) -> int:
        """Forward passes so far."""
        return self.twin.forwards + (self._flat.forwards if "_flat" in vars(self) else 0)

    @cached_property
    def _flat(self) -> Twin:
        """The twin whose normalisers have eps = 0."""
        return self.twin.without_eps()

    def error(self, names: Collection[str], draw: int = 0, twin: Twin | None = None) -> float:
        """The distance that a random element of these spaces makes."""
        twin = twin or self.twin
        element = drawn(self.spec, names, self.seed + 7919 * draw)
        return twin.distance(moved(self.spec, element, twin.state, self.sizes))

    def all(self, apart: bool | None) -> tuple[tuple[Proof, ...], Proof | None]:
        """One proof for every space in the order of the spec, and the joint one of those that hold."""
        exact = [name for name, space in self.spec.spaces.items() if not space.approximate]
        if reason := self._unfit():
            return tuple(self._proof(name, math.nan, 1, reason) for name in self.spec.spaces), None
        if apart is None:
            parameters = sum(p.numel() for p in self.model.parameters())
            apart = len(exact) * parameters <= _APART
        self.first_order = not apart
        groups = [[name] for name in exact] if apart else [exact]
        found = {name: result for group in groups if group for name, result in self._settle(group).items()}
        proofs = tuple(
            self._approximate(name) if space.approximate else self._judged(name, *found[name])
            for name, space in self.spec.spaces.items()
        )
        return proofs, self._jointly([p.space for p in proofs if p.verdict is Verdict.EXACT])

    def _unfit(self) -> str:
        """Why nothing can be told from this model, or nothing."""
        if not self.twin.finite:
            return "the outputs hold NaN before anything has moved"
        if not self.twin.repeat <= REPEAT:
            return "the same input twice gives two outputs: not deterministic"
        return ""

    def _settle(self, names: Sequence[str]) -> dict[str, tuple[float, int]]:
        """For every space the error of the group in which it was settled, and how large that was."""
        error = self.error(names)
        if error <= self.tolerance or len(names) == 1:
            return {name: (error, len(names)) for name in names}
        half = len(names) // 2
        return self._settle(names[:half]) | self._settle(names[half:])

    def _judged(self, name: str, error: float, together: int) -> Proof:
        """The verdict on one space. A single failure may be a tie that rounding flipped: two other draws decide."""
        note = ""
        if not error <= self.tolerance:
            others = [self.error([name], draw) for draw in (1, 2)]
            if all(other <= self.tolerance for other in others):
                note = f"one draw of three changed the output by {error:.1e}: a choice that rounding flips"
                error = max(others)
        if not error <= self.tolerance:
            fault = self._fault(name)
            return self._proof(name, error, together, fault.note, Verdict.BROKEN, culprit=fault.tensor)
        control = self._control(name)
        if control > self.power:
            return self._proof(name, error, together, note, Verdict.EXACT, control)
        note = "moving one tensor alone changes nothing either: the test has no power"
        if not self.twin.spread:
            note = "the output is constant: the test has no power"
        return self._proof(name, error, together, note, Verdict.TRIVIAL, control)

    def _fault(self, name: str) -> Fault:
        """The tensor at fault, looked for in the first few spaces that fail."""
        self.searched += 1
        if self.searched > _SEARCHED:
            return Fault("", f"no culprit was looked for after the first {_SEARCHED}")
        return find_fault(self.spec, name, self.twin, self.sizes, self.seed, self.tolerance)

    def _control(self, name: str) -> float:
        """The largest change that near misses make, up to the first that is large enough.

        Of many spaces on many parameters to first order, by the gradient, which one backward pass gives for all; where
        that says too little, by running the most promising one.
        """
        tries: Iterable[dict[str, Tensor]] = near_misses(self.spec, name, self.twin.state, self.sizes, self.seed)
        if self.first_order:
            best, largest = dict[str, Tensor](), -1.0
            for changed in tries:
                slope = self._slope(changed)
                if slope > self.power:
                    return slope
                best, largest = (changed, slope) if slope > largest else (best, largest)
            tries = [best]
        control = 0.0
        for changed in tries:
            for inputs in (1, None):
                distance = self.twin.distance(changed, inputs)
                control = control if math.isnan(distance) else max(control, distance)
                if control > self.power:
                    return control
        return control

    def _slope(self, changed: Mapping[str, Tensor]) -> float:
        """The root mean square change of the outputs to first order in the change of the weights."""
        state, slopes = self.twin.state, self._slopes
        found = ((t.flatten(), state[n].flatten(), slopes[n].flatten()) for n, t in changed.items() if n in slopes)
        return abs(sum(float(t @ slope - still @ slope) for t, still, slope in found))

    @cached_property
    def _slopes(self) -> dict[str, Tensor]:
        return self.twin.slopes(self.seed)

    def _approximate(self, name: str) -> Proof:
        """A space that is exact at eps = 0 only: proven on the twin without eps, measured on the model as it is."""
        error, flat = self.error([name]), self.error([name], twin=self._flat)
        control = self._control(name)
        if not control > self.power:
            return self._proof(name, error, 1, "the test has no power", Verdict.TRIVIAL, control, without_eps=flat)
        if flat <= self.tolerance:
            note = f"exact where eps is 0 (there {flat:.1e})"
            return self._proof(name, error, 1, note, Verdict.APPROXIMATE, control, without_eps=flat)
        if error <= NEARLY:
            note = "said to be exact where eps is 0, which could not be set"
            return self._proof(name, error, 1, note, Verdict.APPROXIMATE, control, without_eps=flat)
        fault = self._fault(name)
        return self._proof(name, error, 1, fault.note, Verdict.BROKEN, culprit=fault.tensor, without_eps=flat)

    def _jointly(self, names: list[str]) -> Proof | None:
        """All spaces that hold, moved at once; when that fails, the smallest first spaces that do not go together."""
        if not names:
            return None
        error = self.error(names, draw=3)
        if error <= self.tolerance:
            return Proof("all spaces", "joint", Verdict.EXACT, error, math.nan, len(names))
        low, high = 0, len(names)  # the first `low` go together, the first `high` do not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.error(names[:middle], 3) <= self.tolerance else (low, middle)
        odd = names[high - 1]
        note = f"each space alone holds, but '{odd}' does not go together with those before it"
        return Proof("all spaces", "joint", Verdict.BROKEN, error, math.nan, len(names), odd, note)

    def _proof(
        self,
        name: str,
        error: float,
        together: int,
        note: str = "",
        verdict: Verdict = Verdict.INVALID,
        control: float = math.nan,
        culprit: str = "",
        without_eps: float | None = None,
    ) -> Proof:
        kind = self.spec.spaces[name].kind
        return Proof(name, kind, verdict, error, control, together, culprit, note, without_eps)


def _described(x: Tensor) -> str:
    shape = "×".join(map(str, x.shape)) or "scalar"
    kind = "" if x.dtype == torch.bool or not x.numel() or x.is_complex() else f" in [{x.min():.3g}, {x.max():.3g}]"
    return f"{str(x.dtype).removeprefix('torch.')} {shape}{kind}"
