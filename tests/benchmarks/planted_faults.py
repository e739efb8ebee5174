"""Networks with one fault in one module: what `symcheck locate` blames, and why.

For every network: the fault, the module that holds it, how often it ranks first over draws of the weights, the
smallest share of the error that is told of it, the largest share of another module, how often it ranks first when the
pairs are drawn again, |Σ shares − 1|, and the cause. Healthy twins must be exact, with nothing to blame. Run it with
`python tests/benchmarks/planted_faults.py`.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "locate")]

from planted_cases import CASES, Case  # noqa: E402
from planted_more import MORE  # noqa: E402

from symcheck.locate.locate import How, locate  # noqa: E402
from symcheck.locate.result import Attribution, Module  # noqa: E402

HEAD = (
    "network", "fault", "module", "first", "share", "next", "again", "closure", "healthy exact", "cause right", "cause",
)  # fmt: skip


def row(case: Case, how: How, draws: int) -> tuple[str, ...]:
    """One line of the table: counts over draws of the weights, and the worst of every figure."""
    first, exact, right, shares, nexts, again, closure, causes = 0, 0, 0, [], [], [], [], []
    for draw in range(draws):
        healthy = locate(case.build(False, draw), case.claim, dict(case.inputs), how)
        found = locate(case.build(True, draw), case.claim, dict(case.inputs), how).attribution
        if healthy.attribution is None or found is None:
            raise SystemExit(f"{case.name}: nothing was attributed")
        rank, module = _guilty(found, case.guilty)
        first += rank == 1
        exact += {str(f.verdict.value) for f in healthy.findings} == {"exact"} and not healthy.attribution.modules
        right += found.cause == case.cause
        shares.append(_weight(module) if module else 0.0)
        nexts.append(max((_weight(other) for other in found.modules if other is not module), default=0.0))
        again.append(module.again if module else 0.0)
        closure.append(found.closure)
        causes.append(found.cause)
    return (
        case.name,
        case.fault,
        case.guilty or "(the network)",
        f"{first}/{draws}",
        f"{min(shares):.3f}",
        f"{max(nexts):.3f}",
        f"{min(again):.2f}",
        f"{max(closure):.0e}",
        f"{exact}/{draws}",
        f"{right}/{draws}",
        ", ".join(dict.fromkeys(causes)),
    )


def _guilty(found: Attribution, path: str) -> tuple[int, Module | None]:
    """The rank of the guilty module, or of a part of it, from 1; 0 where it is not blamed."""
    for rank, module in enumerate(found.modules, 1):
        if module.path == path or module.path.startswith(f"{path}."):
            return rank, module
    return 0, None


def _weight(module: Module) -> float:
    return sum(map(abs, module.share.values())) / len(module.share)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=61, help="pairs of samples and elements")
    parser.add_argument("--draws", type=int, default=3, help="draws of the weights")
    parser.add_argument("--dtype", default="float64")
    options = parser.parse_args()
    how = How(samples=8, pairs=options.pairs, dtype=options.dtype, parts=("layers",))
    rows = [HEAD, *(row(case, how, options.draws) for case in (*CASES, *MORE))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
