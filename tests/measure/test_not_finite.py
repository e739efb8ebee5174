"""An output that is NaN is the fault of the network, an action that is none the fault of the action."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import symcheck

X = torch.randn(32, 5, 3, generator=torch.Generator().manual_seed(0))
WRONG = """
def transposed(g, x):
    return (g.mT.to(x.dtype) @ x[..., None])[..., 0]


def lost(g, x):
    return x * float("nan")
"""


def scaled(factor: float, every: int = 1):
    """The first point, times a factor in one of `every` samples."""

    def model(pos: Tensor) -> Tensor:
        hit = torch.arange(len(pos)) % every == 0
        return torch.where(hit[:, None], factor * pos[:, 0], pos[:, 0])

    return model


def told(model, claim: str) -> tuple[str, str]:
    (finding,) = symcheck.audit(model, [claim], X).findings
    return str(finding.verdict), finding.note


@pytest.mark.parametrize("factor", [math.nan, math.inf])
@pytest.mark.parametrize("every", [1, 2, 7])
@pytest.mark.parametrize("action", ["vector", "points", "scalar", "tensor(i)"])
def test_nan_is_told_as_nan(factor: float, every: int, action: str) -> None:
    assert told(scaled(factor, every), f"SO(3): points -> {action}") == ("invalid", "NaN or infinity in the output")


def test_a_finite_output_is_judged() -> None:
    assert told(scaled(1.0), "SO(3): points -> vector") == ("exact", "")


@pytest.mark.parametrize("name", ["transposed", "lost"])
@pytest.mark.parametrize("factor", [1.0, math.nan])
def test_a_wrong_action_is_told_as_one(
    name: str, factor: float, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    monkeypatch.chdir(tmp_path)
    verdict, note = told(scaled(factor), f"SO(3): points -> wrong.py:{name}")
    assert verdict == "invalid" and note.startswith("the output action is not a left action")
