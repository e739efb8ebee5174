"""Hybrid runs: the network finished from g·h_l(x) where h_l(g·x) would stand, for every operation l up to one.

With H_l the outputs of the run on g·x in which all stations up to l are replaced, H_0 = f(g·x), and the differences
H_(l-1) − H_l are what each station adds to the error: they sum to f(g·x) − g·f(x).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from symcheck.batch import Batch
from symcheck.claim import BoundClaim
from symcheck.locate.actions import Hidden
from symcheck.locate.recorder import record
from symcheck.locate.stations import Call, Recording, passing, put, same_way, tensors_in
from symcheck.measure.defect import Slot, defect, widest
from symcheck.measure.runner import Runner
from symcheck.measure.samples import Elements, move_batch, observe_batch

Values = tuple[Tensor, ...]
Chart = dict[int, tuple[Hidden | None, ...]]  # how each result of each station is moved, None where it is not known


@dataclass
class Course:
    """One batch of pairs on its way through the network: x at rest, recorded, and everything needed to move it."""

    runner: Runner
    bound: BoundClaim
    slots: Mapping[str, Slot]
    elements: Elements
    index: Tensor
    batch: Batch
    recording: Recording = field(default_factory=Recording)
    moved: Batch = field(init=False)
    rows: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.recording = record(self.runner, observe_batch(self.bound, self.batch))
        self.moved = move_batch(self.bound, self.elements, self.index, self.batch)
        owner = self.batch.owner
        if owner is not None:
            edges = [x for name, x in self.batch.tensors.items() if self.batch.kinds.get(name) == "edge_index"]
            self.rows = {x.shape[1]: owner[x[0]] for x in edges} | {len(owner): owner}

    def run(self, visit: Callable[[Call], Any]) -> dict[str, Tensor]:
        """The outputs of one run on g·x, its calls seen by `visit`; it must take the recorded way."""

        def checked(call: Call) -> Any:
            same_way(self.recording, call)
            return visit(call)

        return {name: y.detach() for name, y in passing(self.runner, checked).kept(self.moved).items()}

    def hybrid(self, values: Mapping[int, Values]) -> dict[str, Tensor]:
        """H: the outputs of the run on g·x with the results of these stations in the place of its own."""
        return self.run(lambda call: self.replaced(call, values[call.place]) if call.place in values else call())

    def replaced(self, call: Call, values: Values) -> Any:
        """What a station gives when it is replaced; where gradients are taken its own way to the inputs is kept."""
        recorded = self.recording.results[call.place]
        if any(t.requires_grad for t in tensors_in(recorded)):
            values = tuple(led(mine, value) for mine, value in zip(call.made(call()), values, strict=True))
        return put(call, recorded, values)

    def moved_value(self, place: int, part: int, hidden: Hidden) -> Tensor:
        """g·h(x) of one result of a station."""
        h = self.recording.values[place][part]
        return hidden(self.bound.group, self.elements.g, self.index_of(h.shape), h)

    def index_of(self, shape: Sequence[int]) -> Tensor:
        """The element of each pair; of a tensor with a row for each node or edge of packed graphs, that of each row."""
        owner = self.rows.get(shape[0]) if shape else None
        return self.index if owner is None else self.index[owner]

    def delta(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """δ of these outputs against f(x), for every slot of the claim."""
        rest = self.recording.outputs
        return {
            name: widest(defect(slot, self.elements, self.index, outputs, rest, self.batch))
            for name, slot in self.slots.items()
        }


@dataclass
class Swept:
    """One sweep: every station is compared with g·h(x) and replaced where it differs by more than rounding.

    `local` is ||h(g·) − g·h|| / ||h|| of each station whose action is known, by pair or row, its inputs being
    equivariant; `values` what stands in the place of those that differ, `own` what they returned; `unknown` are the
    stations whose action nobody knows. `tries` counts the readings that were tried by finishing the network, `ends`
    are the errors that they are compared with.
    """

    local: dict[int, Tensor] = field(default_factory=dict)
    own: dict[int, Values] = field(default_factory=dict)
    values: dict[int, Values] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    tries: int = 0
    ends: dict[tuple[int, int], float] = field(default_factory=dict)


def led(own: Tensor, value: Tensor) -> Tensor:
    """`value`, with the derivatives of `own`."""
    return own + (value - own).detach() if own.requires_grad and value.is_floating_point() else value
