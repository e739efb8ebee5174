"""Planted recovery: B is A moved by a random element, with noise; how many units does the alignment put back?

    python tests/benchmarks/planted_recovery.py [--only NAME] [--seeds 20] [--no-real] [--lost]

Of `seeds` the first number is that of pairs of which every unit was recovered; `apart` is the share that is found in
weights that have nothing to do with A, `chance` what a random element would get. Seconds are of one alignment.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import SkipTest

import torch

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS / "gallery"), str(TESTS.parent), str(TESTS), str(TESTS / "zoo")]

from benchmarks.planted_networks import LARGE, Family, recovery  # noqa: E402

HEAD = (
    f"{'family':28} {'noise':>5} {'seeds':>6} {'units':>15} {'share':>8} {'cosine':>7} {'apart':>6} {'chance':>6} "
    f"{'s':>6}"
)


def minilm() -> Family:
    """The trained MiniLM, re-labelled."""
    from sentences import minilm, sentences

    return Family("MiniLM", minilm, sentences(2))


def protein() -> Family:
    """The trained ProteinMPNN, re-labelled."""
    from protein import designer, short

    return Family("ProteinMPNN", designer, short(2))


REAL: tuple[Callable[[], Family], ...] = (minilm, protein)


def families(real: bool) -> Iterator[Family]:
    """All families; a trained network that cannot be had is named."""
    yield from LARGE
    for made in REAL if real else ():
        try:
            yield made()
        except SkipTest as reason:
            print(f"{made.__name__} left out: {reason}", flush=True)


def line(family: Family, noise: float, seeds: int, lost: bool) -> str:
    """One row: all seeds of one family with one noise."""
    spec, found, start = family.spec, [], time.perf_counter()
    for seed in range(seeds):
        found.append(recovery(spec, family.planted(seed, noise)))
        if lost and found[-1].lost:
            print(f"  seed {seed}: {found[-1].lost} from {found[-1].start}", flush=True)
    seconds = (time.perf_counter() - start) / seeds
    whole, units = sum(not each.lost for each in found), sum(each.units for each in found)
    good = sum(right for each in found for right, _ in each.spaces.values())
    apart = recovery(spec, family.apart(0))
    cosine = sum(each.cosine for each in found) / seeds
    return (
        f"{family.name:28} {noise:5.1f} {f'{whole}/{seeds}':>6} {f'{good}/{units}':>15} {good / units:8.2%} "
        f"{cosine:7.4f} {apart.share:6.2%} {apart.chance:6.2%} {seconds:6.2f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of the names to run")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--no-real", action="store_true", help="leave out the trained networks")
    parser.add_argument("--lost", action="store_true", help="list the spaces of which units were not recovered")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")
    print(HEAD)
    for family in families(not options.no_real):
        for noise in family.noises if options.only in family.name else ():
            print(line(family, noise, options.seeds, options.lost), flush=True)


if __name__ == "__main__":
    main()
