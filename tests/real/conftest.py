"""One fixture: an audit that also checks what holds for every report, and prints a table when its module is done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import torch
from checks import Audited, check_report, table
from torch import Tensor

import symcheck
from symcheck.report.model import Report


@pytest.fixture(scope="module")
def audited() -> Iterator[Audited]:
    rows = []

    def audit(network: str, model: Any, claims: list[str], inputs: Mapping[str, Tensor], **options: Any) -> Report:
        state = torch.get_rng_state()
        report = symcheck.audit(model, claims, inputs, **options)
        assert torch.equal(torch.get_rng_state(), state), "the audit touched the global random state"
        check_report(report, claims)
        rows.extend((network, finding) for finding in report.findings)
        return report

    yield audit
    if rows:
        print("\n" + table(rows))
