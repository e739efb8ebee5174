"""Align checkpoints that do not fit in memory: tensors are read when they are needed, and dropped again.

The same search as in memory from the start by signatures, without gauges: they would move every tensor at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from symcheck.align.alignment import Alignment, Run
from symcheck.align.certainty import squares
from symcheck.align.controls import Matched
from symcheck.align.lazy import Lazy
from symcheck.align.pace import Pace, Task
from symcheck.align.problem import Problem, Use, dot
from symcheck.align.products import Products
from symcheck.align.resume import Keeper, Position, Sums
from symcheck.align.setup import check_same, left_alone, sought
from symcheck.align.starts import signature_start
from symcheck.align.weight import solving
from symcheck.errors import LoadError
from symcheck.weights.checks import acted_tensors
from symcheck.weights.spec import MATRICES, Spec
from symcheck.weights.stream import Checkpoint
from symcheck.weights.tensor_file import DTYPES

SWEEPS = 3
_READ, _START, _MATCH = "reading", "start:", "matching:"


@dataclass(frozen=True)
class Stage:
    """What has just been done, the share of all work that is done, and the seconds that are left as far as is known."""

    words: str
    share: float
    left: float | None


@dataclass(frozen=True)
class Streamed:
    """An alignment whose tensors stay on disk, so that `aligned` is empty.

    `reads` are the mean and the largest number of times that a tensor of A or B was read this time; `resumed` how many
    spaces had been solved before, `seconds` the time that all of it took.
    """

    alignment: Alignment
    reads: tuple[float, int]
    resumed: int
    seconds: float

    @property
    def record(self) -> dict[str, Any]:
        """How it was done, as plain data."""
        return {"reads": {"mean": self.reads[0], "most": self.reads[1]}, "resumed": self.resumed}


def align_files(
    a: Checkpoint,
    b: Checkpoint,
    spec: Spec,
    *,
    kinds: Collection[str] | None = None,
    sweeps: int = SWEEPS,
    keeper: Keeper | None = None,
    tell: Callable[[Stage], None] | None = None,
) -> Streamed:
    """The element g of the spec's spaces that maximises ⟨A, g·B⟩, in the memory of the tensors of about one layer.

    `kinds` are those that are looked for; the search ends when no space moves any more, or after `sweeps` visits of
    all. It goes on from the position that the `keeper` has, which gets the new one after every space; `tell` hears
    how far it is. Raises LoadError when the checkpoints or the spec differ, or hold NaN.
    """
    problem, keeper = problem_on_disk(spec, a, b, kinds), keeper or Keeper(None, {})
    known = keeper.position
    walk = _Walk(problem, Products(problem, 0), keeper, known, tell)
    problem.source.update(known.source)
    problem.element.update(known.element)
    problem.best.update(known.best)
    before = known.before or walk.measured()
    walk.keep(before=before)
    if known.waiting is None:
        walk.start()
    walk.ascend(sweeps)
    walk.keep()
    after, position = walk.measured(), keeper.position
    if sum(sums[0] for sums in after) < sum(sums[0] for sums in before):  # they are closer as they are
        problem.source.clear()
        problem.element.clear()
        problem.__post_init__()
        after = before
    norm = math.sqrt(math.prod(sum(sums[k] for sums in before) for k in (1, 2))) or 1.0
    cosine = tuple(sum(sums[0] for sums in each) / norm for each in (before, after))
    found = problem.found()
    steps = ({name: found[name] for name in spec.spaces if name in found},)
    run = Run("signature", cosine, position.solved, not position.waiting, dict(problem.source), dict(problem.element))
    rows = tuple(_matched(problem, name, before, after) for name in problem.matched)
    one = Alignment({}, steps, problem, cosine[0], (run,), _left(spec, problem), rows)
    reads = [side.reads[name] for side in (problem.a, problem.b) if isinstance(side, Lazy) for name in side]
    return Streamed(one, (sum(reads) / len(reads), max(reads)), len(known.settled) + known.solved, position.seconds)


def problem_on_disk(spec: Spec, a: Checkpoint, b: Checkpoint, kinds: Collection[str] | None = None) -> Problem:
    """The problem of bringing B onto A, of tensors on disk; nothing is read yet but their shapes.

    Matrices that act in a basis of gains are not looked for: their spaces are permuted.
    """
    one, two = ({n: torch.empty(shape, device="meta") for n, shape in side.shapes.items()} for side in (a, b))
    check_same(one, two)
    matched, turning = sought(spec, kinds, (), lambda space: not (space.kind in MATRICES and space.gains))
    stored = [_stored(spec, side, (*matched, *turning)) for side in (a, b)]
    voting = [n for n in spec.axes if n not in spec.offsets and all(each[n].is_floating_point for each in stored)]
    wide = any(each[name] == torch.float64 for each in stored for name in voting)
    dtype, element = torch.float64 if wide else torch.float32, dict[str, Tensor]()
    x, y = Lazy(spec, a, dtype), Lazy(spec, b, dtype, element)
    return Problem(spec, x, y, x.sizes, frozenset(voting), matched, turning, element=element, shapes=x.shapes)


def _stored(spec: Spec, checkpoint: Checkpoint, spaces: Sequence[str]) -> dict[str, torch.dtype]:
    """The dtypes of the tensors, by canonical names; LoadError for one in which nothing can act."""
    acted = {tensor for name in spaces for tensor in acted_tensors(spec, spec.spaces[name])}
    found: dict[str, torch.dtype] = {}
    for name, file in checkpoint.tensors.items():
        key, dtype = spec.ties.get(name, name), file.entries[name].dtype
        if key in acted and dtype not in DTYPES:
            raise LoadError(
                f"'{name}' is stored as {dtype}, in which nothing can act",
                where=str(file.path),
                hint="give the checkpoint before quantisation",
            )
        found[key] = DTYPES.get(dtype, torch.uint8)
    return found


@dataclass
class _Walk:
    """One alignment on its way from what was known: every step is kept, timed and told."""

    problem: Problem
    products: Products
    keeper: Keeper
    known: Position
    tell: Callable[[Stage], None] | None
    pace: Pace = field(default_factory=Pace)
    begun: float = field(default_factory=time.monotonic)
    timed: float = 0.0  # seconds since then that belong to a task
    read: float = 0.0  # entries

    @property
    def seconds(self) -> float:
        """The time since it was begun, whether or not it was interrupted."""
        return self.known.seconds + time.monotonic() - self.begun

    def keep(self, **changes: Any) -> None:
        """Keep what has been found so far, with these changes of the position."""
        source, element = dict(self.problem.source), dict(self.problem.element)
        now = replace(self.keeper.position, source=source, element=element, seconds=self.seconds, **changes)
        self.keeper.keep(now)

    def start(self) -> None:
        """Settle every space once, but for those that are known."""

        def after(order: list[str]) -> None:
            name = order[len(self.keeper.position.settled)]
            self.keep(settled=tuple(order), best=tuple(sorted(self.problem.best)))
            self._did(self._task(_START, name), name)

        order = signature_start(self.problem, self.products, self.known.settled, after)
        self.keep(waiting=tuple(n for n in (*order, *self.problem.turning) if n not in self.problem.best))

    def ascend(self, sweeps: int) -> None:
        """Solve the spaces that wait until none does, or all have been visited so often."""
        position, turning = self.keeper.position, self.problem.turning
        waiting = [*(position.waiting or ())]
        spaces = [*(n for n in position.settled if n not in turning), *turning]
        for solved, (name, _) in enumerate(
            solving(self.problem, self.products, waiting, spaces), position.solved + 1
        ):
            self.keep(waiting=tuple(waiting), solved=solved)
            self._did(self._task(_MATCH, name), name)
            if solved >= sweeps * len(spaces):
                return

    def measured(self) -> Sums:
        """⟨A, B⟩, ‖A‖² and ‖B‖² of every block as they stand, and the norms of units while they are at hand."""
        problem, sums = self.problem, []
        for block in problem.blocks:
            x, y = problem.view_a(block), problem.view_b(block)
            sums.append((float(dot(x, y)), float(dot(x, x)), float(dot(y, y))))
            del x, y
            if not all(map(math.isfinite, sums[-1])):
                raise LoadError(
                    "the tensor holds NaN or infinity in one of the checkpoints",
                    where=f"tensor '{block.tensor}'",
                    hint="align checkpoints of finite weights",
                )
            for dim, atom in enumerate(block.atoms):
                space = problem.by_atom.get(atom)
                if space is not None and not space.over and not any(problem.inner(space)):
                    squares(self.products, Use(block, dim))
            self.read += math.prod(block.shape)
            self._did((_READ, math.prod(block.shape)), block.tensor)
        return tuple(sums)

    def _task(self, phase: str, name: str) -> Task:
        space = self.problem.spec.spaces[name]
        nested = name in self.problem.matched and any(self.problem.inner(space))
        size = sum(math.prod(use.block.shape) for use in self.problem.uses(space))
        return f"{phase} {'nested' if nested else space.kind}", size

    def _todo(self) -> Iterator[Task]:
        """All that is still to be done: one visit of every space, and one pass over the tensors before it and after."""
        problem, position = self.problem, self.keeper.position
        every, spaces = (*problem.matched, *problem.turning), problem.spec.spaces
        again = (name for name in every if name not in problem.best)
        if position.waiting is None:
            nested = [other.name for name in problem.matched for both in problem.inner(spaces[name]) for other in both]
            done = {*nested, *position.settled, *(name for name in every if spaces[name].kind == "sign")}
            yield from (self._task(_START, name) for name in every if name not in done)
        yield from (self._task(_MATCH, name) for name in (again if position.waiting is None else position.waiting))
        passes = 1 if self.known.before else 2
        yield _READ, passes * sum(math.prod(block.shape) for block in problem.blocks) - self.read

    def _did(self, task: Task, name: str) -> None:
        """Time a task, and tell how far it is."""
        now = time.monotonic() - self.begun
        self.pace.took(task, now - self.timed)
        self.timed = now
        if self.tell is not None:
            left, spent = self.pace.left(self._todo()), self.seconds
            share = 0.0 if left is None else spent / (spent + left)
            self.tell(Stage(f"{task[0].partition(' ')[0]} {name}", share, left))


def _matched(problem: Problem, name: str, before: Sums, after: Sums) -> Matched:
    """What was found for one space, from the sums of the blocks in which it stands."""
    space, source = problem.spec.spaces[name], problem.source[name]
    used = {use.block for use in problem.uses(space)}
    own = [i for i, block in enumerate(problem.blocks) if block in used]
    cosines = []
    for sums in (before, after):
        product, a, b = (sum(sums[i][k] for i in own) for k in range(3))
        cosines.append(product / math.sqrt(a * b) if a * b > 0 else 0.0)
    moved = int((source != torch.arange(space.size)).sum())
    return Matched(name, space.kind, source.numel(), moved, cosines[0], cosines[1])


def _left(spec: Spec, problem: Problem) -> dict[str, str]:
    """The spaces that are not looked for, and why."""
    found = left_alone(spec, problem)
    for name, space in spec.spaces.items():
        if name in problem.matched or name in problem.turning or space.approximate:
            continue
        if space.kind in ("shift", "scale"):
            found[name] = "no gauge is fixed while tensors stay on disk"
        elif space.kind in MATRICES and space.gains:
            found[name] = "acts in a basis of gains, which are not folded while tensors stay on disk"
    return found
