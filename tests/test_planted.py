"""The planted-truth table: every network with a known answer gets that answer, in every precision that applies.

Run with `pytest -s tests/test_planted.py` to see the table.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from planted import PLANTED, Planted

import symcheck

SAID = {
    "float32 constants": "constants stored in float32",
    "batch statistics": "batch-mates",
    "dropout": "not deterministic",
    "transposed input": "not a left action",
    "transposed both": "not a left action",
    "unmoved input": "does not move these inputs",
}
ROWS = [(row, dtype) for row in PLANTED for dtype in row.dtypes]


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    print("\n" + "\n".join(lines))


@pytest.mark.parametrize("row, dtype", ROWS, ids=[f"{row.name}-{dtype}" for row, dtype in ROWS])
def test_planted_truth(row: Planted, dtype: str, table: list[str]):
    model, claim, inputs = row.build()
    report = symcheck.audit(model, claim, inputs, dtype=dtype)
    found = report.worst
    errors = [f.error.spread.mean for f in report.findings if f.error]
    error = f"{max(errors):.1e}" if errors else "-"
    parts = ", ".join(f"{f.part or 'all'} {f.verdict}" for f in report.findings)
    table.append(f"{row.name:34s} {dtype:8s} {found:13s} {error:8s} {claim:44s} {parts}")
    assert found == row.verdict, [(f.part, f.verdict, f.note, f.floor, f.error) for f in report.findings]
    if row.name in SAID:
        assert any(SAID[row.name] in f.note for f in report.findings), [f.note for f in report.findings]


def test_a_leak_of_1e_8_is_not_called_exact():
    for row in PLANTED:
        if row.leak is not None:
            model, claim, inputs = row.build()
            assert not any(f.verdict == "exact" for f in symcheck.audit(model, claim, inputs).findings), row.name
