"""Weight matching, timed side by side: the plain loop in NumPy, `rebasin` from PyPI where it is, and symcheck.

    python tests/benchmarks/align_speed.py [--only mlp512] [--growth] [--repeat 1] [--rebasin-python PYTHON]

Each measurement is a process of its own on one thread. Seconds are of the processor, from two sets of weights to the
aligned one; `extra` is the peak of memory above what the process held before; `gain` is ⟨A, B⟩ after, over what the
plain loop reaches; `units` is the share in the right place. `rebasin` counts neither groups nor sweeps, and may be
installed in another environment.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from alignment_cases import CASES, GROWTH, PAIRS, Arrays, Case, distance, mlp, recovered
from git_rebasin import applied, match

ROOT = Path(__file__).parents[2]
if TYPE_CHECKING:
    from symcheck.weights.spec import Spec


@dataclass(frozen=True)
class Outcome:
    """What an implementation found: B aligned, and what it counted."""

    aligned: Arrays
    solved: int = 0
    sweeps: int = 0


Run = Callable[[], Outcome]


def plain(case: Case, a: Arrays, b: Arrays, seed: int) -> Run:
    """The loop of Git Re-Basin."""

    def run() -> Outcome:
        found = match(case.table, a, b, seed)
        return Outcome(applied(case.table, found.order, b), found.solved, found.sweeps)

    return run


def rebasin(case: Case, a: Arrays, b: Arrays, seed: int) -> Run:
    """The package of that name, on modules; tracing them is part of its setup and not timed."""
    from rebasin import PermutationCoordinateDescent

    torch.manual_seed(seed)
    models = [case.build(), case.build()]
    for model, state in zip(models, (a, b), strict=True):
        model.load_state_dict({name: torch.from_numpy(w.copy()) for name, w in state.items()})
    descent = PermutationCoordinateDescent(*models, torch.randn(2, *case.example))

    def run() -> Outcome:
        descent.rebasin()
        return Outcome({name: t.numpy() for name, t in models[1].state_dict().items()})

    return run


def symcheck_matcher(case: Case, a: Arrays, b: Arrays, seed: int) -> Run:
    """symcheck's matcher alone, from its signature start: no gauges, no other starts, no controls."""
    from symcheck.align.controls import searched
    from symcheck.align.gauge import Gauged
    from symcheck.align.setup import problem_of

    spec, (one, two) = _spec(case, a), (_tensors(a), _tensors(b))

    def run() -> Outcome:
        problem = problem_of(spec, Gauged(one), Gauged(two))
        done = searched(problem)
        moved = spec.apply(problem.found(), two)
        return Outcome({name: t.numpy() for name, t in moved.items()}, done.solved, len(done.objective) - 1)

    return run


def symcheck_align(case: Case, a: Arrays, b: Arrays, seed: int) -> Run:
    """symcheck's align with all that it does by default: gauges, two starts, controls."""
    from symcheck.align.alignment import align

    spec, (one, two) = _spec(case, a), (_tensors(a), _tensors(b))

    def run() -> Outcome:
        found = align(one, two, spec, seed=seed)
        solved, sweeps = sum(r.solved for r in found.runs), sum(len(r.cosine) - 1 for r in found.runs)
        return Outcome({name: t.numpy() for name, t in found.aligned.items()}, solved, sweeps)

    return run


def _spec(case: Case, a: Arrays) -> Spec:
    from symcheck.weights.rebasin import from_axes_to_perm

    return from_axes_to_perm(case.table, {name: w.shape for name, w in a.items()})


def _tensors(state: Arrays) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(w) for name, w in state.items()}


IMPLEMENTATIONS = {
    "plain": plain,
    "rebasin": rebasin,
    "symcheck, matcher": symcheck_matcher,
    "symcheck, align": symcheck_align,
}


@dataclass(frozen=True)
class Measured:
    """One measurement, as the process that makes it prints it."""

    seconds: float
    extra: float
    solved: float
    sweeps: float
    objective: float
    before: float
    after: float
    units: float


def memory(field: str) -> int:
    """VmRSS or VmHWM of this process in bytes."""
    marks = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(marks[field].split()[0]) * 1024


def measured(case: Case, pair: str, implementation: str, seed: int) -> Measured:
    """Run it here, on one thread, after a small run that loads whatever is loaded at first use."""
    torch.set_num_threads(1)
    prepare = IMPLEMENTATIONS[implementation]
    small = mlp(16)
    prepare(small, *small.pair("random"), seed)()
    a, b = case.pair(pair, seed)
    run = prepare(case, a, b, seed)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    held, start = memory("VmRSS"), time.process_time()
    found = run()
    seconds = time.process_time() - start
    extra = memory("VmHWM") - held
    after = found.aligned
    inner = sum(float(np.vdot(a[name], after[name])) for name in a)
    return Measured(
        seconds, extra / 2**20, found.solved, found.sweeps, inner, distance(a, b), distance(a, after),
        recovered(case, a, after),
    )  # fmt: skip


def in_a_process(name: str, pair: str, implementation: str, seed: int, python: str) -> Measured | str:
    """The measurement, made by another process; or why there is none."""
    command = [python, __file__, "--child", json.dumps([name, pair, implementation, seed])]
    variables = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, env=variables | threads, check=False)
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return Measured(**found)


HEAD = (
    f"{'case':12} {'pair':8} {'implementation':20} {'CPU s':>8} {'groups':>7} {'s / group':>10} {'sweeps':>7} "
    f"{'extra MB':>9} {'L2 before → after':>18} {'gain':>7} {'units':>7} {'plain / this':>13}"
)


def line(name: str, pair: str, implementation: str, one: Measured, base: Measured | None) -> str:
    """One row of the table."""
    each = f"{one.seconds / one.solved:.4f}" if one.solved else "–"
    solved, sweeps = (f"{count:.3g}" if count else "–" for count in (one.solved, one.sweeps))
    gain = f"{one.objective / base.objective:.4f}" if base else "–"
    ratio = f"{base.seconds / one.seconds:.2f}" if base else "–"
    units = f"{one.units:.1%}" if pair == "planted" else "–"
    return (
        f"{name:12} {pair:8} {implementation:20} {one.seconds:8.3f} {solved:>7} {each:>10} "
        f"{sweeps:>7} {one.extra:9.1f} {f'{one.before:.2f} → {one.after:.2f}':>18} {gain:>7} {units:>7} "
        f"{ratio:>13}"
    )


def mean(found: list[Measured]) -> Measured:
    """The mean of every number over the pairs."""
    columns = zip(*(astuple(one) for one in found), strict=True)
    return Measured(*(sum(column) / len(found) for column in columns))


def compare(name: str, pair: str, options: argparse.Namespace, missing: set[str]) -> dict[str, Measured]:
    """All implementations on one pair; those that cannot run are said once."""
    results: dict[str, Measured] = {}
    for implementation in IMPLEMENTATIONS:
        if implementation in missing or options.implementation not in implementation:
            continue
        python = options.rebasin_python if implementation == "rebasin" else sys.executable
        found = [in_a_process(name, pair, implementation, seed, python) for seed in range(options.repeat)]
        failed = [one for one in found if isinstance(one, str)]
        if failed:
            print(f"{name:12} {pair:8} {implementation:20} left out: {failed[0]}", flush=True)
            if "ModuleNotFoundError" in failed[0]:
                missing.add(implementation)
            continue
        results[implementation] = mean([one for one in found if isinstance(one, Measured)])
        print(line(name, pair, implementation, results[implementation], results.get("plain")), flush=True)
    return results


def exponent(results: Mapping[int, float]) -> float:
    """The power p of seconds ∝ width^p, fitted on a line of logarithms."""
    widths, seconds = (np.log(np.array(list(values), float)) for values in (results, results.values()))
    return float(np.polyfit(widths, seconds, 1)[0]) if len(results) > 1 else math.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="cases with this in their name")
    parser.add_argument("--implementation", default="", help="implementations with this in their name")
    parser.add_argument("--growth", action="store_true", help="the growth with the width instead of the cases")
    parser.add_argument("--repeat", type=int, default=1, help="pairs to draw; means are shown")
    parser.add_argument("--rebasin-python", default=sys.executable, help="the python that has `rebasin`")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, pair, implementation, seed = json.loads(options.child)
        print(json.dumps(asdict(measured((CASES | GROWTH)[name](), pair, implementation, seed))))
        return
    print(HEAD)
    missing: set[str] = set()
    curves: dict[tuple[str, str], dict[int, float]] = {}
    for name in (n for n in (GROWTH if options.growth else CASES) if options.only in n):
        for pair in PAIRS:
            for implementation, one in compare(name, pair, options, missing).items():
                if options.growth:
                    each = one.seconds / (one.solved or 1)
                    curves.setdefault((implementation, pair), {})[int(name.removeprefix("mlp"))] = each
    for (implementation, pair), curve in curves.items():
        print(f"{implementation}, {pair}: seconds / group grow as width^{exponent(curve):.2f}")


if __name__ == "__main__":
    main()
