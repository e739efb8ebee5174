"""Over the zoo: every architecture exports, no space is unsound, and what must be found is found."""

from __future__ import annotations

from functools import cache

import pytest
from zoo_all import ENTRIES
from zoo_run import HEADS, Result, run, table

FOUND = 0.95


@cache
def result(name: str) -> Result:
    return run(ENTRIES[name])


@pytest.mark.parametrize("name", ENTRIES)
def test_nothing_unsound(name: str) -> None:
    pytest.importorskip(ENTRIES[name].needs or "torch")
    soundness = result(name).soundness
    assert soundness.tried > 0
    assert soundness.unsound == {}
    assert soundness.idle == ()


def test_nearly_all_is_found() -> None:
    results = [result(name) for name, entry in ENTRIES.items() if entry.here]
    expected, found = sum(len(r.entry.expected) for r in results), sum(r.found for r in results)
    assert found >= FOUND * expected, "\n".join(f"{r.entry.name}: {e}" for r in results for e in r.missed)


def test_the_table_has_a_line_each_and_the_sum() -> None:
    lines = table([result("mlp-relu"), result("swiglu")]).splitlines()
    assert tuple(lines[0].split()) == HEADS
    assert [line.split()[0] for line in lines[1:]] == ["mlp-relu", "swiglu", "all"]
    assert lines[1].split()[2] == "4/4" and lines[-1].split()[3] == "7/7"
    marked = table([result("mlp-relu")], markdown=True).splitlines()
    assert len(marked) == 4 and all(line.count("|") == len(HEADS) + 1 for line in marked)
