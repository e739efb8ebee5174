"""A random element that was planted is found again, family by family; in weights that are no relatives nothing is."""

from __future__ import annotations

import pytest
from benchmarks.planted_networks import SMALL, Family, recovery

SEEDS = range(3)
by_name = pytest.mark.parametrize("family", SMALL, ids=lambda family: family.name)


def needed(family: Family) -> None:
    if family.name.split()[0] in ("gpt2", "llama", "bert"):
        pytest.importorskip("transformers")


@by_name
@pytest.mark.parametrize("seed", SEEDS)
def test_every_unit_is_recovered(family: Family, seed: int) -> None:
    needed(family)
    for noise in family.noises:
        found = recovery(family.spec, family.planted(seed, noise))
        assert found.units > 10
        assert found.lost == {}, (noise, found)


@by_name
def test_where_there_is_nothing_to_recover_nothing_is(family: Family) -> None:
    needed(family)
    found = [recovery(family.spec, family.apart(seed)) for seed in SEEDS]
    assert sum(each.share for each in found) / len(found) < 3 * found[0].chance, found
