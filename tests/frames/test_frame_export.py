"""Symmetrised networks as programs: the same numbers when loaded again, and none written where they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_frame_laws import Network, cloud, network
from torch import Tensor, nn

from symcheck.frames import export as exporting
from symcheck.frames.export import export
from symcheck.frames.modules import Canonicalized, FrameAveraged, GroupAveraged, Symmetrised
from symcheck.frames.wrapped import build
from symcheck.loading import load_subject

CLAIM = "SE(3): pos=points, z=scalar -> energy=scalar, forces=vector"


@pytest.mark.parametrize(
    "module",
    [FrameAveraged(network(), CLAIM), Canonicalized(network(), CLAIM, "gram-schmidt(pos[0],pos[1])")],
    ids=["frame", "canonical"],
)
def test_a_program_gives_what_the_network_gives(module: Symmetrised, tmp_path: Path) -> None:
    inputs = cloud(8)
    assert export(module, inputs, tmp_path / "net.pt2") == ""
    other = cloud(8, seed=9)
    subject = load_subject(tmp_path / "net.pt2", allow_program=True)
    found, wanted = subject.call(*other.values()), module(other)
    for name, y in wanted.items():
        assert torch.allclose(found[name], y, rtol=0, atol=1e-12)
    assert subject.fixed_batch == 8


def test_an_average_over_turns_of_images_is_a_program_too(tmp_path: Path) -> None:
    module = GroupAveraged(nn.Sequential(nn.Flatten(), nn.Linear(36, 3)), "D4: image -> invariant")
    image = {"image": torch.rand(5, 1, 6, 6)}
    assert export(module, image, tmp_path / "net.pt2") == ""
    loaded = load_subject(tmp_path / "net.pt2", allow_program=True).call
    assert torch.allclose(loaded(image["image"]), loaded(image["image"].rot90(1, (-2, -1))), atol=1e-6)


def test_what_cannot_be_traced_is_not_written(tmp_path: Path) -> None:
    class Branching(Network):
        def forward(self, pos: Tensor, z: Tensor) -> dict[str, Tensor]:
            return super().forward(pos, z if float(pos.sum()) > 0 else -z)

    path = tmp_path / "net.pt2"
    assert export(FrameAveraged(Branching().double(), CLAIM), cloud(8), path) != ""
    assert not path.exists()


def test_a_program_that_gives_other_numbers_is_thrown_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def planted(path: Path, *, allow_program: bool) -> object:
        subject = load_subject(path, allow_program=allow_program)

        class Off:
            @staticmethod
            def call(*x: Tensor) -> dict[str, Tensor]:
                return {name: y * (1 + 1e-6) for name, y in subject.call(*x).items()}

        return Off

    monkeypatch.setattr(exporting, "load_subject", planted)
    path = tmp_path / "net.pt2"
    assert "is off by" in export(FrameAveraged(network(), CLAIM), cloud(8), path)
    assert not path.exists()


def test_a_wrapped_program_gets_the_batches_that_it_takes(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def forward(self, pos: Tensor, z: Tensor) -> Tensor:
            return pos[..., 0] * z

    example = tuple(cloud(5).values())
    torch.export.save(torch.export.export(Plain(), example), tmp_path / "plain.pt2")
    claim = "SE(3): pos=points, z=scalar -> invariant"
    whole = build(claim, checkpoint=str(tmp_path / "plain.pt2"), allow_program=True)
    assert whole.subject.fixed_batch == 5
    inputs = cloud(7)
    wanted = FrameAveraged(Plain(), claim)(inputs)
    assert torch.allclose(whole(inputs), wanted, rtol=0, atol=1e-12)


def test_gradients_pass_through_a_frame() -> None:
    inputs = cloud(3)
    module = FrameAveraged(network(), CLAIM)
    pos = inputs["pos"].requires_grad_(True)
    (gradient,) = torch.autograd.grad(module(inputs)["energy"].sum(), pos)
    step = 1e-6 * torch.randn(pos.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(8))
    with torch.no_grad():
        ends = [module({**inputs, "pos": pos + sign * step})["energy"].sum() for sign in (1, -1)]
    assert float((ends[0] - ends[1]) / 2) == pytest.approx(float((gradient * step).sum()), rel=1e-5)
