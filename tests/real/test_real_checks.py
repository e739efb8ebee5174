"""The checks themselves: each is shown a report with one planted inconsistency; the readers run nothing of a pickle."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest import SkipTest

import checks
import pytest
import torch
import wheels
from torch import Tensor, nn

import symcheck
from symcheck.report.model import Finding, Report, Verdict

CLAIM = "D4: image -> answer=invariant"


class Toy(nn.Module):
    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return {"answer": image.flatten(1).cumsum(1)[:, ::5].sin()}


IMAGES = torch.randn(8, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def report_on(net: nn.Module) -> Report:
    return symcheck.audit(net, CLAIM, {"image": IMAGES})


def spread_of(f: Finding, **changes: float) -> Finding:
    assert f.error is not None
    return replace(f, error=replace(f.error, spread=replace(f.error.spread, **changes)))


FAULTS: dict[str, Callable[[Finding], Finding]] = {
    "exact with an error": lambda f: replace(f, verdict=Verdict.EXACT),
    "approximate with an error": lambda f: replace(f, verdict=Verdict.APPROXIMATE),
    "broken within the tolerance": lambda f: replace(f, tolerance=10.0),
    "invalid without a word": lambda f: replace(f, verdict=Verdict.INVALID, note=""),
    "no error": lambda f: replace(f, error=None),
    "NaN": lambda f: spread_of(f, mean=float("nan")),
    "interval upside down": lambda f: spread_of(f, low=3.0, high=2.0),
    "quantiles upside down": lambda f: spread_of(f, q50=99.0),
    "scales that disagree": lambda f: replace(f, size=(f.size or 1.0) * 1.01),
    "a worst pair that is not": lambda f: replace(f, worst=replace(f.worst, value=1e-9) if f.worst else None),
    "no floor": lambda f: replace(f, floor=replace(f.floor, rounding=None)),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_inconsistent_finding_is_found(fault: str) -> None:
    report = report_on(Toy())
    checks.check_report(report, [CLAIM])
    with pytest.raises(AssertionError):
        checks.check_finding(FAULTS[fault](report.findings[0]))


def test_a_missing_output_is_found() -> None:
    report = report_on(Toy())
    with pytest.raises(AssertionError):
        checks.check_report(replace(report, findings=()), [CLAIM])
    with pytest.raises(AssertionError):
        checks.check_report(report, [CLAIM, "C4: image -> answer=invariant"])


def test_the_twins() -> None:
    averaged = checks.Averaged(Toy(), {})
    assert set(checks.verdicts(report_on(averaged))) == {Verdict.EXACT}
    assert set(checks.verdicts(report_on(checks.Planted(averaged, "answer", [IMAGES])))) == {Verdict.BROKEN}
    turned = [checks.unsquare(k, checks.square(k, IMAGES)) for k in range(8)]
    assert all(torch.equal(t, IMAGES) for t in turned)


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_runs_nothing(tmp_path: Path) -> None:
    trap = tmp_path / "sprung"
    content = pickle.dumps({"weights": torch.zeros(2).numpy(), "trap": Trap(trap)})
    assert list(wheels.Arrays(io.BytesIO(content)).load()["weights"]) == [0, 0]
    torch.save({"weights": torch.arange(6.0).reshape(2, 3).T, "trap": Trap(trap)}, tmp_path / "net.pt")
    assert torch.equal(wheels.tensors(tmp_path / "net.pt")["weights"], torch.arange(6.0).reshape(2, 3).T)
    assert not trap.exists()


def test_what_cannot_be_had_is_skipped_with_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYMCHECK_ZOO", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(SkipTest, match=r"fracast==0\.1\.0 cannot be had: "):
        wheels.unpacked("fracast==0.1.0")
    assert not list(tmp_path.iterdir())
    with pytest.raises(SkipTest, match=r"nowhere is not installed \(.*\): pip install it"):
        wheels.installed("nowhere", "pip install it")


def test_another_file_than_the_pinned_one_fails() -> None:
    with pytest.raises(wheels.NotPinned, match="sha256"):
        wheels.check_pin("fracast==0.1.0", b"another file")
