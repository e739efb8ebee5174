"""Pitch and beats: gain, polarity, transposition and shifts in time of PESTO, CREPE (tiny) and BeatNet."""

from __future__ import annotations

import checks
import pitch
import pytest
import torch
from beats import beatnet, features
from checks import Audited, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow


def test_pesto_is_loaded_right() -> None:
    pitch.right()


def test_pesto_in_gain_and_polarity(audited: Audited) -> None:
    net, audio = pitch.pesto(), pitch.sounds(12)["audio"]
    slots = "audio=homogeneous(1) -> pitch=invariant, activations=invariant"
    claims = [f"Scale(0.5,2): {slots}, volume=homogeneous(2)", f"Sign: {slots}, volume=invariant"]
    report = audited("pesto, end to end", net, claims, {"audio": audio})
    polarity = [f for f in report.findings if f.claim.startswith("Sign")]
    assert {f.verdict for f in polarity} == {Verdict.EXACT}  # only the modulus of the bins is used
    faulty = Planted(net, "activations", [audio])
    report = audited("pesto, fault", faulty, claims, {"audio": audio})
    assert {f.verdict for f in report.findings if f.output == "activations"} == {Verdict.BROKEN}


def test_pesto_in_transposition(audited: Audited) -> None:
    net = pitch.encoder()
    real = "Shift: bins=sequence(axis=-1,crop=16) -> " + ", ".join(
        f"{name}=sequence(crop=16)" for name in ("logits", "probabilities", "winner")
    )
    audited("pesto", net, [real], pitch.canvases(24), elements=16)
    rolled = "Shift: bins=sequence -> logits=sequence, probabilities=sequence, winner=sequence"
    report = audited("pesto", net, [rolled], pitch.crops(24), elements=16)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


def test_crepe_is_loaded_right() -> None:
    pitch.right_crepe()


def test_crepe_in_gain_polarity_and_time(audited: Audited) -> None:
    net, outputs = pitch.crepe(), "bins=invariant, winner=invariant"
    canvas = pitch.frames(24)["audio"]
    audio = canvas[:, :1024]
    claims = [f"Scale(0.5,2): audio=homogeneous(1) -> {outputs}", f"Sign: audio=homogeneous(1) -> {outputs}"]
    report = audited("crepe tiny", net, claims, {"audio": audio}, elements=8)
    gain = [f for f in report.findings if f.claim.startswith("Scale") and f.output == "bins"]
    assert {f.verdict for f in gain} == {Verdict.EXACT}  # every frame is divided by its deviation first
    faulty = Planted(net, "bins", [audio])
    report = audited("crepe tiny, fault", faulty, claims[:1], {"audio": audio}, elements=64)
    assert set(checks.verdicts(report, "bins")) == {Verdict.BROKEN}
    shifted = f"Shift: audio=sequence(crop=32) -> {outputs}"
    report = audited("crepe tiny", net, [shifted], {"audio": canvas}, elements=8)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


class Halves(nn.Module):
    """BeatNet's logits, and apart those of the first and of the other half; both ways they also hear what comes."""

    def __init__(self, net: nn.Module, both_ways: bool = False) -> None:
        super().__init__()
        self.net, self.both_ways = net, both_ways

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        beats, half = self.net(frames)["beats"], frames.shape[1] // 2
        if self.both_ways:
            beats = beats + 1e-2 * self.net(frames.flip(1))["beats"].flip(1)
        return {"beats": beats, "past": beats[:, :half], "future": beats[:, half:]}


def louder_future(g: Tensor, x: Tensor) -> Tensor:
    """The second half of the frames times g."""
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, half:] * g.to(x).view(-1, 1, 1)], 1)


@pytest.mark.parametrize("which", [1, 2, 3])
def test_beatnet_is_causal_and_in_time(which: int, audited: Audited) -> None:
    net, x = Halves(beatnet(which)), features(16, 40)
    claims = ["Scale(0.5,2): frames=test_real_audio:louder_future -> beats=ignore, past=invariant, future=invariant"]
    report = audited(f"beatnet {which}", net, claims, x, elements=8)
    assert set(checks.verdicts(report, "past")) == {Verdict.EXACT}  # an LSTM of one direction
    assert set(checks.verdicts(report, "future")) == {Verdict.BROKEN}  # and one that listens
    report = audited(f"beatnet {which}, fault", Halves(beatnet(which), both_ways=True), claims, x, elements=8)
    assert set(checks.verdicts(report, "past")) == {Verdict.BROKEN}
    moved = "Shift: frames=sequence(crop=10) -> beats=sequence(crop=10), past=ignore, future=ignore"
    report = audited(f"beatnet {which}", net, [moved], features(16), elements=8)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))
