"""Weight symmetries found in the zoo: found of expected, share of parameters acted on, unsound spaces, seconds.

    python tests/benchmarks/zoo.py [--only NAME] [--markdown] [--missed]
"""

from __future__ import annotations

import argparse
import sys
import warnings
from pathlib import Path

import torch

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1] / "zoo")]

from zoo_all import ENTRIES  # noqa: E402
from zoo_run import Result, run, table  # noqa: E402


def faults(result: Result) -> list[str]:
    """What a reader of the table wants to know more about: what is missed, unsound or idle."""
    soundness = result.soundness
    unsound = [f"unsound {name}: {error:.0e}" for name, error in soundness.unsound.items()]
    return unsound + [f"idle {name}" for name in soundness.idle] + [f"missed {expect}" for expect in result.missed]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    parser.add_argument("--missed", action="store_true", help="list what is missed, unsound or idle")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    warnings.filterwarnings("ignore")
    results = []
    for name, entry in ENTRIES.items():
        if options.only in name and entry.here:
            try:
                results.append(run(entry))
            except Exception as error:
                print(f"{name}: {type(error).__name__}: {str(error).splitlines()[0]}", file=sys.stderr, flush=True)
                continue
            if options.missed:
                for line in faults(results[-1]):
                    print(f"{name}: {line}", flush=True)
    if results:
        print(table(results, markdown=options.markdown))


if __name__ == "__main__":
    main()
