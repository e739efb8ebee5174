"""Derive the spec of an architecture, check it by running the network, compare it with what must be found."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

from zoo_check import Soundness, check
from zoo_entry import Entry, Expect
from zoo_match import missed

from symcheck.weights.derive import derive
from symcheck.weights.spec import Spec


@dataclass(frozen=True)
class Result:
    """One line of the table; `seconds` are those of the derivation alone."""

    entry: Entry
    spec: Spec
    parameters: int
    missed: tuple[Expect, ...]
    soundness: Soundness
    seconds: float

    @property
    def found(self) -> int:
        """How many of the expected symmetries are in the spec."""
        return len(self.entry.expected) - len(self.missed)


def run(entry: Entry) -> Result:
    """The result of one architecture; two other inputs than the example for the check."""
    model = entry.model()
    start = time.perf_counter()
    spec = derive(model, entry.inputs(0))
    seconds = time.perf_counter() - start
    parameters = sum(p.numel() for p in model.parameters())
    soundness = check(spec, model, [entry.inputs(1), entry.inputs(2)])
    return Result(entry, spec, parameters, tuple(missed(entry.expected, spec)), soundness, seconds)


HEADS = ("architecture", "parameters", "found", "acted", "spaces", "unsound", "error", "s")


def rows(results: Iterable[Result]) -> list[tuple[str, ...]]:
    """The table's lines, the sum over the zoo last."""
    results = list(results)
    lines = []
    for r in results:
        s = r.soundness
        line = (r.entry.name, str(r.parameters), f"{r.found}/{len(r.entry.expected)}", f"{100 * s.acted:.0f} %")
        lines.append((*line, str(len(r.spec.spaces)), str(len(s.unsound)), f"{s.worst:.0e}", f"{r.seconds:.1f}"))
    expected, found = sum(len(r.entry.expected) for r in results), sum(r.found for r in results)
    parameters = sum(r.parameters for r in results)
    acted = sum(r.soundness.acted * r.parameters for r in results) / max(parameters, 1)
    total = (f"all {len(results)}", str(parameters), f"{found}/{expected}", f"{100 * acted:.0f} %")
    spaces, unsound = (sum(len(x) for x in each) for each in
                       ((r.spec.spaces for r in results), (r.soundness.unsound for r in results)))  # fmt: skip
    worst, seconds = max(r.soundness.worst for r in results), sum(r.seconds for r in results)
    return [*lines, (*total, str(spaces), str(unsound), f"{worst:.0e}", f"{seconds:.1f}")]


def table(results: Iterable[Result], *, markdown: bool = False) -> str:
    """The lines as aligned text or as Markdown."""
    lines = [HEADS, *rows(results)]
    if markdown:
        lines.insert(1, ("---",) + ("---:",) * (len(HEADS) - 1))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(len(line[i]) for line in lines) for i in range(len(HEADS))]
    padded = (
        [cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))]
        for line in lines
    )
    return "\n".join("  ".join(line) for line in padded)
