"""Programs of fixed precision or fixed batch, and the pieces that a program is cut into."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import symcheck


class Norms(nn.Module):
    """Invariant under rotations up to `leak`."""

    def __init__(self, leak: float = 0.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(4, 16), nn.SiLU(), nn.Linear(16, 2))
        self.leak = leak

    def forward(self, pos: Tensor) -> Tensor:
        return self.net(pos.square().sum(-1)) + self.leak * torch.tanh(pos[:, 0, :2])


X = torch.randn(30, 4, 3, generator=torch.Generator().manual_seed(1))
CLAIM = "SO(3): points -> scalar"


@pytest.mark.parametrize("leak, verdict", [(0.0, "exact"), (1e-2, "broken")])
def test_torchscript_is_audited_at_its_own_precision(tmp_path: Path, leak: float, verdict: str):
    path = tmp_path / "net.bin"
    torch.jit.trace(Norms(leak), X[:2]).save(str(path))
    subject = symcheck.load(path, allow_program=True)
    (found,) = symcheck.audit(subject, CLAIM, X).findings
    assert found.verdict == verdict
    if verdict == "exact":
        assert "could not be raised" in found.note
    with pytest.raises(symcheck.SymcheckError, match="fixed precision"):
        symcheck.audit(subject, CLAIM, X, dtype="float64")


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("leak, verdict", [(0.0, "exact"), (1e-2, "broken")])
def test_exported_programs_with_and_without_a_dynamic_batch(tmp_path: Path, dynamic: bool, leak: float, verdict: str):
    shapes = {"pos": {0: torch.export.Dim("n")}} if dynamic else None
    program = torch.export.export(Norms(leak), (X[:7],), dynamic_shapes=shapes)
    path = tmp_path / "net.pt2"
    torch.export.save(program, path)
    subject = symcheck.load(path, allow_program=True)
    assert subject.fixed_batch == (None if dynamic else 7)
    (found,) = symcheck.audit(subject, CLAIM, X).findings
    assert found.verdict == verdict
    (reference,) = symcheck.audit(Norms(leak), CLAIM, X).findings
    if leak:
        assert found.error.spread.mean == pytest.approx(reference.error.spread.mean, rel=1e-4)
        assert found.counts == reference.counts
