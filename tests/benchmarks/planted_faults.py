"""Networks with one fault in one module: what `symcheck locate` blames, and why.

For every network: the fault, the module that holds it, the share of the error that is told of it and its rank, how
many times larger that is than the next, how often it ranks first when the pairs are drawn again, |Σ shares − 1|, and
the cause. The healthy twins must be exact. Run it with `python tests/benchmarks/planted_faults.py`.
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

HEAD = ("network", "fault", "module", "share", "rank", "margin", "again", "closure", "healthy", "cause")


def row(case: Case, how: How) -> tuple[str, ...]:
    """One line of the table."""
    healthy = locate(case.build(False), case.claim, dict(case.inputs), how)
    broken = locate(case.build(True), case.claim, dict(case.inputs), how).attribution
    if healthy.attribution is None or broken is None:
        raise SystemExit(f"{case.name}: nothing was attributed")
    rank, module = _guilty(broken, case.guilty)
    verdicts = ", ".join(dict.fromkeys(str(finding.verdict.value) for finding in healthy.findings))
    others = [_weight(other) for other in broken.modules if other is not module]
    right = "" if broken.cause == case.cause else f" (wanted {case.cause})"
    return (
        case.name,
        case.fault,
        case.guilty or "the network itself",
        f"{_weight(module):.3f}" if module else "-",
        str(rank),
        f"{_weight(module) / max(others):.1f}" if module and max(others, default=0.0) > 1e-9 else "only one",
        f"{module.again:.2f}" if module else "-",
        f"{broken.closure:.0e}",
        f"{verdicts}, {len(healthy.attribution.modules)} blamed",
        f"{broken.cause}{right}",
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
    parser.add_argument("--dtype", default="float64")
    options = parser.parse_args()
    how = How(samples=8, pairs=options.pairs, dtype=options.dtype, parts=("layers",))
    rows = [HEAD, *(row(case, how) for case in (*CASES, *MORE))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for line in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
